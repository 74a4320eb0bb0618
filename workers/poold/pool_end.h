/*
 * The end of a pool: what runs on its threads ends, its volume is given up, its threads end. Of the
 * loop.
 */
#ifndef WORKERS_POOLD_POOL_END_H
#define WORKERS_POOLD_POOL_END_H

#include "pool.h"

/*
 * With `unmount`, the cache is unbound and the pool unmounted; pool->ending.left then says what was
 * busy. Without, its mounts stay for the next incarnation. `ended` is called on the loop with the
 * last handle closed, and may pool_free() it; never, while a thread of it hangs.
 */
void pool_end(struct pool *pool, bool unmount, void (*ended)(struct pool *pool, void *data),
              void *data);

/* A job has ended: the end goes on if it has begun. */
void pool_end_go_on(struct pool *pool);

/* Waits no longer for its threads. It must not be freed: they may still look at its jobs. */
void pool_end_abandon(struct pool *pool);

#endif
