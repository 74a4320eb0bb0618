/*
 * Placement: which pool a new space goes to. That of the asked type with the most room, where it
 * fits; one whose thread hangs only if no other will do. PURE.
 */
#ifndef WORKERS_POOLD_PLACEMENT_H
#define WORKERS_POOLD_PLACEMENT_H

#include "storage/v1/disk.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct placement_pool {
    const char *id; /* decides between equals: the lowest */
    Storage__V1__DiskType type;
    bool serving;
    bool slow; /* its thread has been in one batch for long */
    uint64_t free_bytes;
    uint64_t releasing_bytes;
};

enum placement {
    PLACEMENT_FITS,
    PLACEMENT_NO_POOL,     /* there is none of that type */
    PLACEMENT_NOT_SERVING, /* there is, but none that takes changes now */
    PLACEMENT_RELEASING,   /* fits when what is being released has come back */
    PLACEMENT_TOO_LARGE,   /* fits nowhere, nor would it then */
};

/* *out_index is written for PLACEMENT_FITS. */
enum placement placement_choose(const struct placement_pool *pools, size_t n,
                                Storage__V1__DiskType type, uint64_t limit_bytes,
                                size_t *out_index);

#endif
