/*
 * The node as zdbd sees it: poold's books, the pools with their 0-dbs, the namespaces. One per
 * process, all of it the loop's.
 */
#ifndef WORKERS_ZDBD_NODE_H
#define WORKERS_ZDBD_NODE_H

#include "addresses.h"
#include "books.h"
#include "namespace.h"
#include "pool.h"
#include "services.h"
#include "worker/gate.h"
#include "worker/worker.h"

struct import;

struct node {
    struct worker *worker;
    const struct settings *settings;
    uv_loop_t *loop;
    struct books books;
    struct gate gate;
    struct pool *pools[INSTANCES_MAX]; /* by id */
    size_t n_pools;
    struct namespaces namespaces;
    struct services services;
    struct addresses addresses;
    struct retry tidy; /* what failed is tried again */
    uv_timer_t soon;   /* so is what was left out, for too many orders ran */
    bool tidy_more;
    uv_timer_t stopping;
    bool stop_begun, stop_done;
    enum worker_stop stop_how;
    size_t n_orders;
    struct pool *restarting; /* one at a time */
    struct import *import;   /* likewise */
};

/* Adopts what runs, then dials poold. */
int node_open(struct node *node, struct worker *worker, struct err *err);
void node_stop(struct node *node, enum worker_stop how);
/* When the last handle is closed. */
void node_free(struct node *node);

/* Begins the orders that nobody asks for: what is UNDONE or DYING is ended, and what is misaligned
 * aligned, where its 0-db is up. */
void node_tidy(struct node *node);
void node_tidy_soon(struct node *node);
void node_order_ended(struct node *node);
/* Says how it goes, for `storagectl worker list`. */
void node_report(struct node *node);
/* An instance has gone IDLE: perhaps that was the last one. */
void node_stop_review(struct node *node);

#endif
