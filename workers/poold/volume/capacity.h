/*
 * Capacity: how many bytes a pool may promise, told from its devices and never from statfs().
 *
 * What the chunk allocator of btrfs could lay out for data on devices of these sizes, once metadata
 * has what it needs, less a spare. PURE; any thread.
 */
#ifndef WORKERS_POOLD_CAPACITY_H
#define WORKERS_POOLD_CAPACITY_H

#include <stddef.h>
#include <stdint.h>

enum { CAPACITY_DEVICES_MAX = 64 };

enum capacity_profile {
    CAPACITY_SINGLE, /* one copy, anywhere */
    CAPACITY_DUP,    /* two copies, on one device */
    CAPACITY_RAID1,  /* two copies on different devices */
};

/* What the filesystem looks like. */
struct capacity_input {
    uint64_t device_bytes[CAPACITY_DEVICES_MAX];
    size_t n_devices;
    enum capacity_profile data, metadata;
    uint64_t metadata_allocated_bytes; /* metadata and system block groups, one copy counted */
};

/*
 * Lays out up to `bytes` (one copy counted) of the profile on devices with these free bytes, which
 * are lowered; returns how many found room. As btrfs does it (fs/btrfs/volumes.c,
 * gather_device_info() and decide_stripe_size()): chunk by chunk, on those with the most room.
 */
uint64_t capacity_allocate(uint64_t *free_bytes, size_t n, enum capacity_profile profile,
                           uint64_t bytes);

/*
 * What that would give for everything that is free, exactly: SINGLE the sum, DUP the sum of the
 * halves, RAID1 min(sum / 2, sum - largest).
 */
uint64_t capacity_room(const uint64_t *free_bytes, size_t n, enum capacity_profile profile);

/*
 * Metadata gets max(allocated, 512 MiB, 2 % of the devices) in its profile; the spare is 1/64 of
 * what then has room for data, between 16 MiB and 1 GiB. 0 when nothing is left.
 */
uint64_t capacity_usable(const struct capacity_input *input);

/* Sum of the devices. */
uint64_t capacity_total(const struct capacity_input *input);

#endif
