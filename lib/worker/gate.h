/*
 * The gate: calls that must know all there is wait at it, each within its own deadline, until that
 * is known. It opens once. Of the loop.
 */
#ifndef LIB_WORKER_GATE_H
#define LIB_WORKER_GATE_H

#include "rpc/server.h"

#include <stdbool.h>
#include <stddef.h>

struct node; /* the worker's own state, whatever that is */
struct gate_waiter;

enum { GATE_WAITERS_MAX = 1024 };

/* `input` is the call's, and lives until its reply. */
typedef void (*gate_pass_fn)(struct node *node, const void *input, struct rpc_call *call);

struct gate {
    struct node *node;
    const char *worker;
    bool open, closed;
    struct gate_waiter *first, **last;
    size_t n;
};

/* `worker` names who refuses; borrowed. */
void gate_init(struct gate *gate, struct node *node, const char *worker);

/* Calls `pass` now or when the gate opens; or fails the call: too many wait, or we are stopping. */
void gate_pass(struct gate *gate, gate_pass_fn pass, const void *input, struct rpc_call *call);

/* Defines a handler of a service that does no more than that: it answers through its call, not its
 * closure. The file has `service_t`, and `gate_of()` that finds the gate of one. */
#define GATE_HANDLER(name_, request_, reply_, pass_)                                               \
    static void name_(service_t *service, const Storage__V1__##request_ *input,                    \
                      Storage__V1__##reply_##_Closure closure, void *data)                         \
    {                                                                                              \
        (void)closure;                                                                             \
        gate_pass(gate_of(service), pass_, input, data);                                           \
    }

void gate_open(struct gate *gate);

/* Fails whoever waits or comes: we are stopping. */
void gate_close(struct gate *gate);

#endif
