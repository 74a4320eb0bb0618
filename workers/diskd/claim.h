/* The disk that is held by a claim, which is a descriptor opened with O_EXCL. Blocks; any thread.
 */
#ifndef WORKERS_DISKD_CLAIM_H
#define WORKERS_DISKD_CLAIM_H

#include "base/error.h"

/*
 * Opens it once more by its name. A name may stand for another disk by now, when this one was
 * unplugged: FAILED_PRECONDITION then. While the descriptor is open, the kernel gives the name to
 * no other.
 */
int claim_open(int claim, const char *path, int flags, const char *object, int *out_fd,
               struct err *err);

#endif
