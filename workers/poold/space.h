/*
 * A space as the loop knows it: its record, its booking, and what is going on with it. The cache,
 * the directory of the 0-db and what is booked in that are kept in the same way.
 *
 * Built and live ones are in the node's index. A dying one is known to its pool's reaper alone.
 */
#ifndef WORKERS_POOLD_SPACE_H
#define WORKERS_POOLD_SPACE_H

#include "ledger.h"
#include "rpc/server.h"
#include "volume/record.h"

struct pool;

enum space_phase {
    SPACE_BUILDING,  /* not acknowledged: only a retry of its Reserve finds it */
    SPACE_LIVE,      /* committed */
    SPACE_RELEASING, /* live until its pool says that dying is committed */
    SPACE_CHANGING,  /* a booking: live, and another record of it is being committed */
};

/* A call that is answered when the operation in flight ends. */
struct space_waiter {
    struct rpc_call *call;
    struct space_waiter *next;
};

/* Of a dying space: when it is destroyed. The reaper's alone. */
struct space_reaping {
    struct space *next;
    uint64_t due_ms;
    uint32_t delay_ms;
    bool held; /* told so already */
};

struct space {
    struct record record;
    struct pool *pool;
    struct record_note *note; /* of a booking; owned */
    struct booking booking;
    enum space_phase phase;
    struct space_waiter *waiters; /* first in, first answered */
    unsigned seen_scan;           /* the open of its pool that found it; 0: built since */
    struct space_reaping reaping;
};

/* Zeroed, of that pool; NULL without memory. */
struct space *space_new(struct pool *pool);
/* It must not be indexed, booked or waited for. */
void space_free(struct space *space);

enum { SPACE_WAITERS_MAX = 256 };

/* -ERR_RESOURCE_EXHAUSTED without memory; the call is then still the caller's to answer. */
int space_wait(struct space *space, struct rpc_call *call);

#endif
