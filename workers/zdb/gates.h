/*
 * Namespaces that begin locked or frozen (--gates): a file with a line for each, "lock NAME" or
 * "freeze NAME". From the first client on NSSET says what they are.
 */
#ifndef WORKERS_ZDB_GATES_H
#define WORKERS_ZDB_GATES_H

#include "realm.h"

#include <stdio.h>

/* Before the process is confined. */
int gates_open(const char *path, FILE **out_file, struct err *err);
/* When all is loaded. A namespace that there is not is passed over, with a line in the log;
 * -ERR_INVALID_ARGUMENT for any other line. */
int gates_shut(FILE *file, const struct realm *realm, struct err *err);

#endif
