/*
 * Confinement: what a worker gives up before it meets anything from outside.
 *
 * Linux keeps capabilities, no_new_privs and seccomp per thread, and a new thread inherits them: so
 * this runs in main(), before libuv or nng start theirs, or it reaches one thread of many.
 */
#ifndef LIB_WORKER_CONFINE_H
#define LIB_WORKER_CONFINE_H

#include "base/error.h"

enum { CONFINE_FILES_MAX = 65536 }; /* RLIMIT_NOFILE, if the hard limit allows as many */

/*
 * Keeps the capabilities of `keep` (-1 terminated) in the permitted, effective and bounding sets
 * and drops every other; empties the inheritable and ambient sets; sets no_new_privs, umask 022 and
 * RLIMIT_NOFILE; denies what is listed in worker/syscalls.c, and without `mounts` the calls that
 * change mounts. A capability of `keep` that the process never had is warned of, not an error.
 *
 * What it executes as uid 0 gets inheritable + bounding (capabilities(7), "Capabilities and
 * execution of programs by root"), that is `keep` again: mkfs can open its disk and no more.
 */
int confine_apply(const int *keep, bool mounts, struct err *err);

#endif
