/* Settling: a look at all pools, and a timer. */
#include "settling.h"

#include "base/log.h"
#include "node.h"

static bool is_all_known(const struct node *node)
{
    if (!node->disks.known || !node->disks.settled)
        return false;
    for (size_t i = 0; i < node->n_pools; i++)
        if (node->pools[i]->state == POOL_OPENING ||
            node->pools[i]->awaited == POOL_AWAITS_SETTLING)
            return false;
    return true;
}

static void on_patience(uv_timer_t *timer)
{
    struct settling *settling = timer->data;
    struct node *node = settling->node;
    if (!node->disks.known) {
        if (!settling->told)
            log_warning("diskd is still silent: no pool is known");
        settling->told = true;
        (void)uv_timer_start(timer, on_patience, SETTLING_PATIENCE_MS, 0);
        return;
    }
    log_warning("not all pools are known yet; going on without the rest");
    node->gate.open = true;
    node_pool_changed(node);
    gate_open(&node->gate);
}

void settling_init(struct settling *settling, struct node *node)
{
    *settling = (struct settling){.node = node};
    (void)uv_timer_init(node->loop, &settling->patience);
    settling->patience.data = settling;
    (void)uv_timer_start(&settling->patience, on_patience, SETTLING_PATIENCE_MS, 0);
}

void settling_review(struct settling *settling)
{
    struct node *node = settling->node;
    if (node->gate.open || !is_all_known(node))
        return;
    (void)uv_timer_stop(&settling->patience);
    node->gate.open = true; /* the cache looks at it, and comes before the calls */
    cache_review(&node->cache);
    gate_open(&node->gate);
}

void settling_close(struct settling *settling)
{
    uv_close((uv_handle_t *)&settling->patience, NULL);
}
