/*
 * Erasing: random bytes over all that makes a disk look like something. Blocks; of the lane.
 */
#ifndef DISKD_ERASE_H
#define DISKD_ERASE_H

#include "base/error.h"

/*
 * Over both ends and each btrfs superblock, the first one last: until then the disk still shows
 * what it carried, so that an erasure that was cut off can be told, and done again. All of it is on
 * the disk when this returns 0. `fd` is open for writing; `object` is for the error.
 */
int erase_ends(int fd, uint64_t size_bytes, const char *object, struct err *err);

/* Over a signature that stands elsewhere; not beyond the disk's end. Durable as well. */
int erase_signature(int fd, uint64_t size_bytes, uint64_t offset_bytes, const char *object,
                    struct err *err);

#endif
