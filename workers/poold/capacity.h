/*
 * Capacity: how many bytes a pool may promise, told from its devices and never from statfs().
 *
 * usable = what the chunk allocator could still and already did lay out for data over the device
 * sizes, less what metadata takes, less a spare. PURE; any thread.
 */
#ifndef WORKERS_POOLD_CAPACITY_H
#define WORKERS_POOLD_CAPACITY_H

#include <stddef.h>
#include <stdint.h>

enum { CAPACITY_DEVICES_MAX = 256 };

enum capacity_profile {
    CAPACITY_SINGLE, /* one copy, anywhere */
    CAPACITY_DUP,    /* two copies, the same device will do */
    CAPACITY_RAID1,  /* two copies on different devices */
};

/* What the filesystem looks like. */
struct capacity_input {
    uint64_t device_bytes[CAPACITY_DEVICES_MAX];
    size_t n_devices; /* at most CAPACITY_DEVICES_MAX */
    enum capacity_profile data, metadata;
    uint64_t metadata_allocated_bytes; /* metadata and system block groups, one copy counted */
};

/*
 * The replay: how many bytes of `profile` fit on devices with these free bytes, allocated as btrfs
 * does (fs/btrfs/volumes.c, btrfs_alloc_chunk): each stripe on the devices with the most room, and
 * at most `chunk_bytes` a time. `free_bytes` is consumed. SINGLE gives the sum, RAID1
 * min(sum / 2, sum - largest), both rounded down to whole MiB per device.
 */
uint64_t capacity_replay(uint64_t *free_bytes, size_t n, enum capacity_profile profile);

/*
 * Raw metadata reserve: max(allocated, 512 MiB, 2 % of the devices), twice for DUP and RAID1; on
 * devices under 4 GiB in all, the 512 MiB shrink to an eighth of the devices. Spare: 1/64 of the
 * devices, between 16 MiB and 1 GiB. What remains is replayed for data. 0 when nothing does.
 */
uint64_t capacity_usable(const struct capacity_input *input);

/* Sum of the devices. */
uint64_t capacity_total(const struct capacity_input *input);

#endif
