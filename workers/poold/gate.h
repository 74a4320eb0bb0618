/*
 * The gate: calls that must know all spaces wait at it until the pools that were there at boot are
 * open, so that a name is not given twice and "there is no such space" is true. It opens once, at
 * the latest GATE_PATIENCE_MS after the start: a disk that hangs does not keep the others' users
 * waiting. Of the loop.
 */
#ifndef WORKERS_POOLD_GATE_H
#define WORKERS_POOLD_GATE_H

#include "rpc/server.h"

#include <stdbool.h>
#include <stddef.h>

struct node;
struct gate_waiter;

enum { GATE_PATIENCE_MS = 3000, GATE_WAITERS_MAX = 1024 };

/* `input` is the call's, and lives until its reply. */
typedef void (*gate_pass_fn)(struct node *node, const void *input, struct rpc_call *call);

struct gate {
    struct node *node;
    bool open;
    uv_timer_t patience;
    struct gate_waiter *first, **last;
    size_t n;
};

void gate_init(struct gate *gate, struct node *node);

/* Calls `pass` now or when the gate opens; or fails the call: too many wait, or we are stopping. */
void gate_pass(struct gate *gate, gate_pass_fn pass, const void *input, struct rpc_call *call);

/* Opens it if it is time. */
void gate_review(struct gate *gate);

/* Fails whoever waits: we are stopping. */
void gate_close(struct gate *gate);

#endif
