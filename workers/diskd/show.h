/* The public picture of a disk: a storage.v1.Disk that borrows everything from `struct disk`. */
#ifndef DISKD_SHOW_H
#define DISKD_SHOW_H

#include "disk.h"

struct disk_picture {
    Storage__V1__Disk message;
    Storage__V1__PoolMembership pool;
    Storage__V1__Signature signatures[PROBE_SIGNATURES_MAX];
    Storage__V1__Signature *signature_list[PROBE_SIGNATURES_MAX];
    char label[SUPERBLOCK_LABEL_MAX + 1];
};

/* Valid while `picture` stays where it is, and until `disk` is judged again. */
void show_disk(const struct disk *disk, struct disk_picture *picture);

/*
 * What of the picture is news when it changes, packed: everything but the counters, and what moves
 * by itself while a pool is mounted. -ERR_RESOURCE_EXHAUSTED without memory.
 */
int show_pack_news(const struct disk *disk, uint8_t **out_bytes, size_t *out_size);

#endif
