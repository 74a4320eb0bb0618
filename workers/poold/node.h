/*
 * The node as poold sees it: its disks, pools, spaces, and the cache. One per process, all of it
 * the loop's.
 */
#ifndef WORKERS_POOLD_NODE_H
#define WORKERS_POOLD_NODE_H

#include "boot.h"
#include "cache.h"
#include "disks.h"
#include "health.h"
#include "index.h"
#include "mountwatch.h"
#include "pool.h"
#include "services.h"
#include "settling.h"
#include "stop.h"
#include "worker/gate.h"
#include "worker/worker.h"

struct pool_wipe;

struct node {
    struct worker *worker;
    const struct settings *settings;
    uv_loop_t *loop;
    struct disks disks;
    struct pool *pools[POOLS_MAX]; /* by fsid */
    size_t n_pools;
    struct index index;
    struct index bookings; /* by id alone */
    struct gate gate;
    struct settling settling;
    struct boot boot;
    struct cache cache;
    struct mountwatch mounts; /* tells the cache */
    struct health health;
    struct services services;
    struct stop stop;
    struct pool_wipe *wipes; /* under way, see wipe.h */
};

int node_open(struct node *node, struct worker *worker, struct err *err);
/* When the last handle is closed. */
void node_free(struct node *node);

struct pool *node_find_pool(const struct node *node, const char *fsid);

/* Takes it from the list: it is the caller's to end and to free. */
void node_take_pool(struct node *node, const struct pool *pool);

/* diskd's view has changed: pools come, go, and look at their disks again. */
void node_disks_changed(struct node *node);
/* A pool's state has changed: whatever depends on it looks again. */
void node_pool_changed(struct node *node);
#endif
