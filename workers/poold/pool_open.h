/*
 * Opening a pool: closes what is left of an earlier open, verifies and mounts, and reads all that
 * is on it. Blocking parts on the pool's thread, books on the loop.
 */
#ifndef WORKERS_POOLD_POOL_OPEN_H
#define WORKERS_POOLD_POOL_OPEN_H

struct pool;
struct assembly;

/* Its members are complete: moves it to OPENING, and on from there when it is done. */
void pool_open_begin(struct pool *pool, const struct assembly *assembly);

/* The reaper's thread has become idle: an open that waited for that goes on. */
void pool_open_go_on(struct pool *pool);

/* Gives up an open that still waits for that; one that is on its way ends by itself. */
void pool_open_cancel(struct pool *pool);

/* Shows what the disks that are there say of a pool that was not open yet. */
void pool_open_describe(struct pool *pool, const struct assembly *assembly);

void pool_open_free_members(struct pool *pool);

#endif
