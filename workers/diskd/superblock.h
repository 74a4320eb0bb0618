/*
 * The btrfs superblock: what it says of the filesystem on a disk, without mounting it.
 *
 * Format: struct btrfs_super_block of <linux/btrfs_tree.h>; copies at 64 KiB, 64 MiB and 256 GiB;
 * the first is the one that mount reads.
 */
#ifndef DISKD_SUPERBLOCK_H
#define DISKD_SUPERBLOCK_H

#include "base/error.h"
#include "base/uuid.h"

enum {
    SUPERBLOCK_BYTES = 4096,
    SUPERBLOCK_LABEL_MAX = 256,
    SUPERBLOCK_MAGIC_AT = 64, /* within the superblock */
    SUPERBLOCK_MIRRORS = 3,
};

extern const uint64_t superblock_offsets[SUPERBLOCK_MIRRORS];

struct superblock {
    char fsid[UUID_TEXT_SIZE];
    char label[SUPERBLOCK_LABEL_MAX + 1]; /* as it stands there, any bytes */
    uint64_t devid;
    uint64_t num_devices;
    uint64_t generation;
    bool log_pending;
    bool intact; /* the checksum fits and the copy knows its place; else believe nothing of it */
};

bool superblock_has_magic(const uint8_t bytes[SUPERBLOCK_BYTES]);
/* It is what an mkfs.btrfs left that was killed, of a filesystem whose label begins so. */
bool superblock_is_begun(const uint8_t bytes[SUPERBLOCK_BYTES], const char *label);

/*
 * Reads the first copy. -ERR_NOT_FOUND when the magic is missing. A checksum of another kind than
 * CRC-32C, or one that does not fit, leaves `intact` false.
 */
int superblock_parse(const uint8_t bytes[SUPERBLOCK_BYTES], struct superblock *out_super);

#endif
