/*
 * What the server gives up. After it has its directories and its sockets it needs nothing else of
 * the machine: Landlock leaves it those two trees, seccomp the calls that serving takes. Not with a
 * hook, which is a program of the operator's and would inherit both.
 *
 * What the kernel does not have is said in the log, and no error.
 */
#ifndef WORKERS_ZDB_CONFINE_H
#define WORKERS_ZDB_CONFINE_H

#include "base/error.h"

/* Before the first thread: later ones inherit it. */
int confine_files(int data_root, int index_root, struct err *err);
/* All threads. */
int confine_calls(struct err *err);

#endif
