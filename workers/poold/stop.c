/* Stopping: everything that could begin something new is closed first, then the pools end side by
 * side. */
#include "stop.h"

#include "base/log.h"
#include "node.h"
#include "pool_end.h"
#include "wipe.h"

#include <stdio.h>
#include <string.h>

enum { MARGIN_MS = 1500 }; /* of the supervisor's patience, for what follows */

static void add_left(struct stop *stop, const char *left)
{
    size_t used = strlen(stop->left);
    (void)snprintf(stop->left + used, sizeof stop->left - used, "%s%s", used ? "\n" : "", left);
}

static void finish(struct node *node)
{
    if (node->stop.done)
        return;
    node->stop.done = true;
    uv_close((uv_handle_t *)&node->stop.patience, NULL);
    worker_stopped(node->worker, node->stop.left);
}

void stop_pool_ended(struct node *node, const char *left)
{
    if (*left)
        add_left(&node->stop, left);
    if (--node->stop.n_waiting == 0)
        finish(node);
}

static void on_ended(struct pool *pool, void *data)
{
    stop_pool_ended(data, pool->ending.left);
}

static void on_patience(uv_timer_t *timer)
{
    struct node *node = timer->data;
    node->stop.abandoned = true;
    for (size_t i = 0; i < node->n_pools; i++) {
        struct pool *pool = node->pools[i];
        char left[POOL_REASON_MAX];
        if (pool->ending.handles == 0)
            continue;
        (void)snprintf(left, sizeof left, "pool %s: a thread hangs there", pool->fsid);
        log_warning("left behind", "pool", pool->fsid, "reason", "a thread hangs there");
        add_left(&node->stop, left);
        pool_end_abandon(pool);
    }
    wipe_abandon(node);
    finish(node);
}

void stop_begin(struct node *node, enum worker_stop how)
{
    struct stop *stop = &node->stop;
    uint32_t patience = node->settings->stop_ms;
    patience = patience > 2 * MARGIN_MS ? patience - MARGIN_MS : patience / 2;
    stop->begun = true;
    wipe_refuse_leaving(node);
    gate_close(&node->gate);
    settling_close(&node->settling);
    disks_close(&node->disks);
    mountwatch_close(&node->mounts);
    retry_close(&node->boot.retry);
    retry_close(&node->cache.retry);
    uv_close((uv_handle_t *)&node->health.beat, NULL);

    (void)uv_timer_init(node->loop, &stop->patience);
    stop->patience.data = node;
    (void)uv_timer_start(&stop->patience, on_patience, patience, 0);
    stop->n_waiting = node->n_pools + wipe_count_ending(node) + 1;
    for (size_t i = 0; i < node->n_pools; i++)
        pool_end(node->pools[i], how == WORKER_SHUTDOWN ? POOL_END_UNMOUNTED : POOL_END_MOUNTED,
                 on_ended, node);
    if (--stop->n_waiting == 0)
        finish(node);
}
