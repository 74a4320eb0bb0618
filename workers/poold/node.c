/*
 * The node: where what one part learns reaches the others. Disks change → pools are made, reviewed,
 * forgotten → gate, cache, boot and status are reviewed. Reviews are idempotent and never call back
 * up, so the order of calls does not matter.
 */
#include "node.h"

#include "assembly.h"
#include "base/log.h"
#include "base/uuid.h"
#include "pool_end.h"
#include "wipe.h"

#include <string.h>

static void on_mounts_changed(void *data)
{
    struct node *node = data;
    cache_check(&node->cache);
}

int node_open(struct node *node, struct worker *worker, struct err *err)
{
    node->worker = worker;
    node->settings = worker->settings;
    node->loop = worker->loop;
    index_init(&node->index);
    index_init(&node->bookings);
    gate_init(&node->gate, node, "poold");
    settling_init(&node->settling, node);
    boot_init(&node->boot, node);
    cache_init(&node->cache, node);
    health_init(&node->health, node);
    health_review(&node->health);
    int rc = mountwatch_open(&node->mounts, node->loop, on_mounts_changed, node, err);
    if (rc == 0)
        rc = services_add(&node->services, node, err);
    return rc == 0 ? disks_open(&node->disks, node, err) : rc;
}

void node_free(struct node *node)
{
    if (node->stop.abandoned)
        return;
    for (size_t i = 0; i < node->n_pools; i++)
        pool_free(node->pools[i]);
    node->n_pools = 0;
    disks_free(&node->disks);
    index_free(&node->index);
    index_free(&node->bookings);
}

static size_t position(const struct node *node, const char *fsid)
{
    size_t at = 0;
    while (at < node->n_pools && strcmp(node->pools[at]->fsid, fsid) < 0)
        at++;
    return at;
}

struct pool *node_find_pool(const struct node *node, const char *fsid)
{
    size_t at = position(node, fsid);
    bool found = at < node->n_pools && strcmp(node->pools[at]->fsid, fsid) == 0;
    return found ? node->pools[at] : NULL;
}

static void add_pool(struct node *node, const char *fsid)
{
    struct err err = {0};
    struct pool *pool = NULL;
    if (!uuid_valid(fsid) || node_find_pool(node, fsid) || wipe_is_under_way(node, fsid))
        return;
    if (node->n_pools == POOLS_MAX)
        (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, fsid, "a node has at most %d pools",
                      POOLS_MAX);
    else
        (void)pool_new(node, fsid, &pool, &err);
    if (!pool) {
        log_err(LOG_ERROR, "a pool is not considered", &err);
        err_clear(&err);
        return;
    }
    size_t at = position(node, fsid);
    memmove(&node->pools[at + 1], &node->pools[at], (node->n_pools - at) * sizeof(struct pool *));
    node->pools[at] = pool;
    node->n_pools++;
}

void node_take_pool(struct node *node, const struct pool *pool)
{
    size_t at = position(node, pool->fsid);
    node->n_pools--;
    memmove(&node->pools[at], &node->pools[at + 1], (node->n_pools - at) * sizeof(struct pool *));
}

static void on_forgotten(struct pool *pool, void *data)
{
    (void)data;
    pool_free(pool);
}

static void forget_pools(struct node *node)
{
    for (size_t i = node->n_pools; i-- > 0;) {
        struct pool *pool = node->pools[i];
        if (!pool_is_forgotten(pool))
            continue;
        log_info("pool forgotten: no disk carries it", "pool", pool->fsid);
        node_take_pool(node, pool);
        pool_end(pool, POOL_END_MOUNTED, on_forgotten, NULL);
    }
}

void node_disks_changed(struct node *node)
{
    if (node->stop.begun)
        return;
    for (size_t i = 0; i < node->disks.n; i++)
        if (assembly_is_member(node->disks.list[i]))
            add_pool(node, node->disks.list[i]->pool->fsid);
    forget_pools(node);
    for (size_t i = 0; i < node->n_pools; i++)
        pool_review(node->pools[i]);
    node_pool_changed(node);
}

void node_pool_changed(struct node *node)
{
    if (node->stop.begun)
        return;
    settling_review(&node->settling);
    boot_review(&node->boot);
    cache_review(&node->cache);
    health_review(&node->health);
}
