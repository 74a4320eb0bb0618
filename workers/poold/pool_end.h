/*
 * The end of a pool: what runs on its threads ends, its volume is given up, its threads end. Of the
 * loop.
 */
#ifndef WORKERS_POOLD_POOL_END_H
#define WORKERS_POOLD_POOL_END_H

#include "pool.h"

/*
 * POOL_END_MOUNTED leaves its mounts for the next incarnation. Otherwise the cache is unbound and
 * the pool unmounted; pool->ending.left then says what was busy. POOL_END_EMPTY looks at the disk
 * first: with a space, a booking, or anything that storaged did not make, the mounts stay and
 * `left` names that. `ended` is called on the loop with the last handle closed, and may pool_free()
 * it; never, while a thread of it hangs.
 */
void pool_end(struct pool *pool, enum pool_end how, void (*ended)(struct pool *pool, void *data),
              void *data);

/* A job has ended: the end goes on if it has begun. */
void pool_end_go_on(struct pool *pool);

/* Waits no longer for its threads. It must not be freed: they may still look at its jobs. */
void pool_end_abandon(struct pool *pool);

#endif
