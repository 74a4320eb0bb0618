/* The gate: a queue of calls in front of one condition. */
#include "worker/gate.h"

#include "base/cleanup.h"

#include <stdlib.h>

enum { RETRY_AFTER_MS = 500 };

struct gate_waiter {
    gate_pass_fn pass;
    const void *input;
    struct rpc_call *call;
    struct gate_waiter *next;
};

static void refuse(const struct gate *gate, struct rpc_call *call, const char *why)
{
    autoerr struct err err = {0};
    (void)err_set(&err, ERR_UNAVAILABLE, 0, gate->worker, "%s %s", gate->worker, why);
    err_retryable(&err, RETRY_AFTER_MS);
    rpc_call_fail(call, &err);
}

void gate_init(struct gate *gate, struct node *node, const char *worker)
{
    *gate = (struct gate){.node = node, .worker = worker};
    gate->last = &gate->first;
}

void gate_pass(struct gate *gate, gate_pass_fn pass, const void *input, struct rpc_call *call)
{
    if (gate->closed) {
        refuse(gate, call, "is stopping");
        return;
    }
    if (gate->open) {
        pass(gate->node, input, call);
        return;
    }
    struct gate_waiter *waiter = gate->n < GATE_WAITERS_MAX ? calloc(1, sizeof *waiter) : NULL;
    if (!waiter) {
        refuse(gate, call, "still learns what there is, and too many calls wait for that");
        return;
    }
    *waiter = (struct gate_waiter){.pass = pass, .input = input, .call = call};
    *gate->last = waiter;
    gate->last = &waiter->next;
    gate->n++;
}

static struct gate_waiter *take_all(struct gate *gate)
{
    struct gate_waiter *first = gate->first;
    gate->first = NULL;
    gate->last = &gate->first;
    gate->n = 0;
    return first;
}

void gate_open(struct gate *gate)
{
    gate->open = true;
    for (struct gate_waiter *next = take_all(gate); next;) {
        struct gate_waiter *waiter = next;
        next = waiter->next;
        waiter->pass(gate->node, waiter->input, waiter->call);
        free(waiter);
    }
}

void gate_close(struct gate *gate)
{
    gate->closed = true;
    for (struct gate_waiter *next = take_all(gate); next;) {
        struct gate_waiter *waiter = next;
        next = waiter->next;
        refuse(gate, waiter->call, "is stopping");
        free(waiter);
    }
}
