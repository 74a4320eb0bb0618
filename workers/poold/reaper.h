/*
 * The reaper of one pool: destroys what is dying, on a thread of its own, and gives the bytes back
 * when subvolume and quota group are gone. Who still holds something postpones it, with the event
 * space.held. Of the loop.
 */
#ifndef WORKERS_POOLD_REAPER_H
#define WORKERS_POOLD_REAPER_H

#include "space.h"

#include <uv.h>

struct reaper {
    struct pool *pool;
    struct space *first, *last; /* what is dying and not on the thread */
    bool running;               /* a job is on the thread */
    uv_timer_t timer;           /* until the next one is due */
};

void reaper_init(struct reaper *reaper, struct pool *pool, uv_loop_t *loop);

/* Takes a space that is booked as dying and in no index. */
void reaper_add(struct reaper *reaper, struct space *space);

/* Begins with what is due; for when the pool has begun to serve. */
void reaper_kick(struct reaper *reaper);

/* Frees all that is dying; nothing may be on the thread. */
void reaper_forget(struct reaper *reaper);

#endif
