/*
 * The arithmetic of capacity, see the header. Sums cannot overflow: 64 devices of at most 2^56
 * bytes each, which is beyond what btrfs can address.
 */
#include "capacity.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

enum {
    METADATA_PERCENT = 2,
    SPARE_PART = 64,
    LAYOUT_CHUNKS = 1024, /* an allocation is replayed in at most about so many chunks */
};
static const uint64_t metadata_least = 512 * MIB;
static const uint64_t spare_least = 16 * MIB, spare_most = GIB;
/* The first MiB of each device is never allocated (BTRFS_DEVICE_RANGE_RESERVED). */
static const uint64_t device_reserved = MIB;

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t sum_of(const uint64_t *bytes, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += bytes[i];
    return sum;
}

/* The device with the most room, but for `other`; n when there is none. */
static size_t roomiest(const uint64_t *free_bytes, size_t n, size_t other)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (i != other && (best == n || free_bytes[i] > free_bytes[best]))
            best = i;
    return best;
}

/* Lays out one chunk of at most `bytes`; returns its size, 0 when there is no room. */
static uint64_t allocate_chunk(uint64_t *free_bytes, size_t n, enum capacity_profile profile,
                               uint64_t bytes)
{
    size_t first = roomiest(free_bytes, n, n);
    if (first == n)
        return 0;
    if (profile == CAPACITY_RAID1) {
        size_t second = roomiest(free_bytes, n, first);
        bytes = second == n ? 0 : least(bytes, free_bytes[second]);
        if (bytes > 0)
            free_bytes[second] -= bytes;
        free_bytes[first] -= bytes;
        return bytes;
    }
    uint64_t copies = profile == CAPACITY_DUP ? 2 : 1;
    bytes = least(bytes, free_bytes[first] / copies);
    free_bytes[first] -= bytes * copies;
    return bytes;
}

uint64_t capacity_allocate(uint64_t *free_bytes, size_t n, enum capacity_profile profile,
                           uint64_t bytes)
{
    uint64_t chunk = most(bytes / LAYOUT_CHUNKS, MIB), done = 0;
    while (done < bytes) {
        uint64_t got = allocate_chunk(free_bytes, n, profile, least(chunk, bytes - done));
        if (got == 0)
            break;
        done += got;
    }
    return done;
}

uint64_t capacity_room(const uint64_t *free_bytes, size_t n, enum capacity_profile profile)
{
    uint64_t sum = sum_of(free_bytes, n), halves = 0;
    size_t largest = roomiest(free_bytes, n, n);
    switch (profile) {
    case CAPACITY_SINGLE:
        return sum;
    case CAPACITY_DUP:
        for (size_t i = 0; i < n; i++)
            halves += free_bytes[i] / 2;
        return halves;
    case CAPACITY_RAID1:
        return largest == n ? 0 : least(sum / 2, sum - free_bytes[largest]);
    }
    return 0;
}

uint64_t capacity_total(const struct capacity_input *input)
{
    return sum_of(input->device_bytes, input->n_devices);
}

uint64_t capacity_usable(const struct capacity_input *input)
{
    uint64_t free_bytes[CAPACITY_DEVICES_MAX];
    size_t n = input->n_devices;
    for (size_t i = 0; i < n; i++) {
        uint64_t size = input->device_bytes[i];
        free_bytes[i] = size > device_reserved ? size - device_reserved : 0;
    }
    uint64_t metadata = capacity_total(input) / 100 * METADATA_PERCENT;
    metadata = most(metadata, most(metadata_least, input->metadata_allocated_bytes));
    if (capacity_allocate(free_bytes, n, input->metadata, metadata) < metadata)
        return 0;
    uint64_t room = capacity_room(free_bytes, n, input->data);
    uint64_t spare = least(most(room / SPARE_PART, spare_least), spare_most);
    return room > spare ? room - spare : 0;
}
