/*
 * Lock files: one process at a time, by flock(2), and the file names the pid that holds it. The
 * kernel drops the lock with the last descriptor of its owner, so a file that stays behind means
 * nothing.
 */
#ifndef LIB_WORKER_LOCK_H
#define LIB_WORKER_LOCK_H

#include "base/error.h"

/*
 * Takes the lock at `path`, waiting at most `wait_ms` (0: not at all) for a holder that is dying.
 * A holder that is dead but for a thread that hangs in the kernel keeps its lock for as long as
 * that hangs, and will never again run a line of its own: after the wait its lock is put aside, and
 * a new file takes the place. What its thread may still do to a disk is for that disk's own lock.
 * The descriptor closes on exec and is held until the process ends. -ERR_FAILED_PRECONDITION when
 * it is held; the message then names the pid.
 *
 * Waits with SIGALRM and the process's real-time interval timer, and puts both back: only for
 * main(), before the first thread.
 */
int lock_take(const char *path, uint32_t wait_ms, int *out_fd, struct err *err);

#endif
