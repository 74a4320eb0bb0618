/*
 * Where something goes: the pool that placement.h chooses of the node's, and the words for it when
 * there is none. Of the loop.
 */
#ifndef WORKERS_POOLD_PLACE_H
#define WORKERS_POOLD_PLACE_H

#include "base/error.h"
#include "storage/v1/disk.pb-c.h"

struct node;
struct pool;

/* What is to be placed. Texts are borrowed. */
struct place_wish {
    const char *pool; /* its fsid; "": any of the type */
    Storage__V1__DiskType type;
    uint64_t size_bytes;  /* as it was asked for */
    uint64_t limit_bytes; /* as it would be booked */
    /* What the limit may be on a pool. */
    uint64_t (*room)(const struct pool *pool);
    /* The largest size whose limit is no more than that. */
    uint64_t (*largest)(const struct node *node, uint64_t room_bytes);
};

int place_choose(const struct node *node, const struct place_wish *wish, struct pool **out_pool,
                 struct err *err);

/* RESOURCE_EXHAUSTED, with the largest size possible. `releasing`: it fits when what is being
 * released has come back. */
int place_refuse_size(const struct node *node, const struct place_wish *wish, bool releasing,
                      struct err *err);

#endif
