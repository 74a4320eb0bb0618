/*
 * Settling: when the gate opens. Calls that must know all spaces wait at it until the pools that
 * were there at boot are open, so that a name is not given twice and "there is no such space" is
 * true; but at most SETTLING_PATIENCE_MS: a disk that hangs does not keep the others' users
 * waiting. While diskd has told nothing at all, nothing can be said of any space: then they wait
 * on. Of the loop.
 */
#ifndef WORKERS_POOLD_SETTLING_H
#define WORKERS_POOLD_SETTLING_H

#include <stdbool.h>
#include <uv.h>

struct node;

enum { SETTLING_PATIENCE_MS = 3000 };

struct settling {
    struct node *node;
    uv_timer_t patience;
    bool told; /* that diskd is silent */
};

void settling_init(struct settling *settling, struct node *node);
/* Opens the gate if it is time. */
void settling_review(struct settling *settling);
void settling_close(struct settling *settling);

#endif
