/*
 * Loading a namespace: its files are held against each other, and what a crash or a bad disk left
 * is repaired before anything is added. The data files are the truth. An index that does not say
 * what they say is cut where it first differs, and made again from there; a torn end of data is cut
 * off. What was damaged and cannot be repaired without losing more puts the namespace out of
 * service, and nobody else.
 */
#ifndef WORKERS_ZDB_LOAD_H
#define WORKERS_ZDB_LOAD_H

#include "ns.h"

/*
 * Of a namespace that has nothing loaded; makes the files of a new one. -ERR_DATA_LOSS when it has
 * to stay out of service, -ERR_FAILED_PRECONDITION when its mode is not the server's, others for
 * the filesystem's errors. After a failure ns_unload() is the caller's.
 */
int load_namespace(struct ns *ns, struct err *err);

#endif
