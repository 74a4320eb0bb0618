/*
 * Where a worker may write, by Landlock (landlock(7)): kept by all threads and by what is executed.
 * What it reads and executes is not confined: programs and their libraries lie where they will.
 */
#ifndef LIB_WORKER_LANDLOCK_H
#define LIB_WORKER_LANDLOCK_H

#include "base/error.h"

/*
 * From now on files are written, made and removed below `dir` alone, and devices below /dev are
 * written to. In main(), before there are threads, with no_new_privs set. A kernel without Landlock
 * is warned of, and is no error.
 */
int landlock_confine_writes(const char *dir, struct err *err);

#endif
