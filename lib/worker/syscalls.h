/*
 * What a worker never asks of the kernel, and so never may: seccomp(2), by libseccomp.
 *
 * A list of what is denied, not of what is allowed: it is for the calls that a capability which the
 * worker needs for something else would open. The rest is kept shut by the capabilities that it
 * dropped. Threads and executed programs inherit it.
 */
#ifndef LIB_WORKER_SYSCALLS_H
#define LIB_WORKER_SYSCALLS_H

#include "base/error.h"

/* Denied calls fail with EPERM. `mounts`: the calls that change mounts stay allowed. Needs
 * no_new_privs or CAP_SYS_ADMIN. */
int syscalls_deny(bool mounts, struct err *err);

#endif
