/* The gate: a queue of calls in front of one condition. */
#include "gate.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "node.h"

#include <stdlib.h>

enum { RETRY_AFTER_MS = 500 };

struct gate_waiter {
    gate_pass_fn pass;
    const void *input;
    struct rpc_call *call;
    struct gate_waiter *next;
};

static void refuse(struct rpc_call *call, const char *why)
{
    autoerr struct err err = {0};
    (void)err_set(&err, ERR_UNAVAILABLE, 0, NULL, "%s", why);
    err_retryable(&err, RETRY_AFTER_MS);
    rpc_call_fail(call, &err);
}

static void open_up(struct gate *gate)
{
    gate->open = true;
    (void)uv_timer_stop(&gate->patience);
    struct gate_waiter *next = gate->first;
    gate->first = NULL;
    gate->last = &gate->first;
    gate->n = 0;
    while (next) {
        struct gate_waiter *waiter = next;
        next = waiter->next;
        waiter->pass(gate->node, waiter->input, waiter->call);
        free(waiter);
    }
}

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
    struct gate *gate = timer->data;
    log_warning("not all pools are known yet; going on without the rest");
    gate->open = true;
    node_pool_changed(gate->node);
    open_up(gate);
}

void gate_init(struct gate *gate, struct node *node)
{
    *gate = (struct gate){.node = node};
    gate->last = &gate->first;
    (void)uv_timer_init(node->loop, &gate->patience);
    gate->patience.data = gate;
    (void)uv_timer_start(&gate->patience, on_patience, GATE_PATIENCE_MS, 0);
}

void gate_pass(struct gate *gate, gate_pass_fn pass, const void *input, struct rpc_call *call)
{
    if (gate->node->stop.begun) {
        refuse(call, "poold is stopping");
        return;
    }
    if (gate->open) {
        pass(gate->node, input, call);
        return;
    }
    struct gate_waiter *waiter = gate->n < GATE_WAITERS_MAX ? calloc(1, sizeof *waiter) : NULL;
    if (!waiter) {
        refuse(call, "the pools are still being opened, and too many calls wait for that");
        return;
    }
    *waiter = (struct gate_waiter){.pass = pass, .input = input, .call = call};
    *gate->last = waiter;
    gate->last = &waiter->next;
    gate->n++;
}

void gate_review(struct gate *gate)
{
    if (!gate->open && is_all_known(gate->node)) {
        gate->open = true;
        cache_review(&gate->node->cache);
        open_up(gate);
    }
}

void gate_close(struct gate *gate)
{
    uv_close((uv_handle_t *)&gate->patience, NULL);
    while (gate->first) {
        struct gate_waiter *waiter = gate->first;
        gate->first = waiter->next;
        refuse(waiter->call, "poold is stopping");
        free(waiter);
    }
}
