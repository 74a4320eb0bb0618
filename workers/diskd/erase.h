/*
 * Erasing: random bytes over all that makes a disk look like something, so that nothing of it can
 * be read back, then zeros, so that it is blank. Blocks; of the lane.
 */
#ifndef DISKD_ERASE_H
#define DISKD_ERASE_H

#include "superblock.h"

/*
 * Over both ends and each btrfs superblock. From its first write to its last the disk carries a
 * mark instead of the first superblock: an erasure that was cut off can be told, and done again,
 * and what is left is no pool. All of it is on the disk when this returns 0. `fd` is open for
 * writing; `object` is for the error.
 */
int erase_ends(int fd, uint64_t size_bytes, const char *object, struct err *err);

/* Over a signature that stands elsewhere; not beyond the disk's end. Durable as well. */
int erase_signature(int fd, uint64_t size_bytes, uint64_t offset_bytes, const char *object,
                    struct err *err);

/* Of the bytes at the place of the first superblock: it is the mark. */
bool erase_is_marked(const uint8_t super[SUPERBLOCK_BYTES]);

#endif
