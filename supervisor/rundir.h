/* The run directory: where sockets, locks and logs of the running node are. */
#ifndef SUPERVISOR_RUNDIR_H
#define SUPERVISOR_RUNDIR_H

#include "config/settings.h"

/*
 * Makes it, or takes over what is there if it is a directory of ours: 2750 root:<group>, so that
 * what is made in it belongs to the group. Without that group: 0750, for root alone, which is
 * logged.
 */
int rundir_prepare(const struct settings *settings, gid_t *out_gid, struct err *err);

#endif
