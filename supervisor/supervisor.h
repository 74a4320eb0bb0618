/*
 * The supervisor: its wards, its control socket, and the two ways to stop. One struct, one loop,
 * one thread. It knows nothing of storage.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include "ward.h"

#include <uv.h>

enum { SUPERVISOR_WORKERS_MAX = 8 };

struct control;

struct supervisor {
    uv_loop_t *loop;
    const struct settings *settings;
    gid_t gid; /* of the run directory and the control socket */
    struct ward wards[SUPERVISOR_WORKERS_MAX];
    size_t n_wards;
    struct control *control;

    /* The first starts, see startup.h. */
    size_t n_started;
    uv_timer_t startup;

    /* The stop, see stop.h. */
    bool stopping;
    bool shutdown;
    bool stopped; /* every ward rests */
};

/* NULL when there is no such worker. */
struct ward *supervisor_find(struct supervisor *supervisor, const char *name);

#endif
