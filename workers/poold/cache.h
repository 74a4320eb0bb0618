/*
 * The node's cache: one pool's cache subvolume, bound on the cache path. It follows the pools as
 * they come and go, and stays where it is as long as that serves. Of the loop.
 */
#ifndef WORKERS_POOLD_CACHE_H
#define WORKERS_POOLD_CACHE_H

#include "base/error.h"
#include "worker/retry.h"

#include <stdbool.h>

struct node;
struct pool;

struct cache {
    struct node *node;
    struct pool *pool; /* it is bound from here, or being prepared; NULL: neither */
    bool bound;
    const void *job;           /* in flight; an older one's result does not matter any more */
    const struct pool *failed; /* what the retry waits for */
    char reason[ERR_MESSAGE_MAX + ERR_HINT_MAX]; /* why it is not bound */
    struct retry retry;
};

void cache_init(struct cache *cache, struct node *node);

/* Looks for what is to be done: binds, moves, retries. */
void cache_review(struct cache *cache);

/* Somebody may have unmounted it: looks, and binds it again. */
void cache_check(struct cache *cache);

/* The pool is given up: it is the cache's no more. Nothing takes its place while a wipe is under
 * way. */
void cache_leave(struct cache *cache, struct pool *pool);

#endif
