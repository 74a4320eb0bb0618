/*
 * The two ways to stop: every pool is given up, mounted or unmounted, and the worker ends. A thread
 * that hangs is waited for until a bound, and named. Of the loop.
 */
#ifndef WORKERS_POOLD_STOP_H
#define WORKERS_POOLD_STOP_H

#include "worker/worker.h"

#include <stdbool.h>
#include <stddef.h>

struct node;

enum { STOP_LEFT_MAX = 3072 };

struct stop {
    bool begun, done;
    bool abandoned;   /* a thread hangs: nothing may be freed */
    size_t n_waiting; /* pools that have not ended */
    uv_timer_t patience;
    char left[STOP_LEFT_MAX];
};

void stop_begin(struct node *node, enum worker_stop how);

/* One of the pools that are waited for has ended; what it left busy, or "". */
void stop_pool_ended(struct node *node, const char *left);

#endif
