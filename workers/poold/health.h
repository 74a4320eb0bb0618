/*
 * What poold says of itself: its status, which threads have been in one batch for long, and the
 * half-minute look at everything that nobody announces. Of the loop.
 */
#ifndef WORKERS_POOLD_HEALTH_H
#define WORKERS_POOLD_HEALTH_H

#include "pool.h"

#include <uv.h>

struct node;

enum { HEALTH_BEAT_MS = 1000, HEALTH_STATUS_MAX = 768, HEALTH_BUSY_MAX = 32 };

struct health {
    struct node *node;
    uv_timer_t beat;
    uint64_t surveyed_ms;
    char status[HEALTH_STATUS_MAX];
    char hangs[64];                        /* the first of those that are busy */
    size_t n_busy;                         /* as last said */
    const char *busy[HEALTH_BUSY_MAX + 1]; /* compared only: a pool may be gone since */
};

void health_init(struct health *health, struct node *node);
/* Says its status anew if it has changed. */
void health_review(struct health *health);

#endif
