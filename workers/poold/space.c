/* Spaces: allocation and the calls that wait for them. */
#include "space.h"

#include "base/error.h"

#include <assert.h>
#include <stdlib.h>

struct space *space_new(struct pool *pool)
{
    struct space *space = calloc(1, sizeof *space);
    if (space)
        space->pool = pool;
    return space;
}

void space_free(struct space *space)
{
    assert(!space->waiters && space->booking.state == BOOKING_NONE);
    free(space->note);
    free(space);
}

int space_wait(struct space *space, struct rpc_call *call)
{
    struct space_waiter *waiter = calloc(1, sizeof *waiter), **last = &space->waiters;
    if (!waiter)
        return -ERR_RESOURCE_EXHAUSTED;
    waiter->call = call;
    while (*last)
        last = &(*last)->next;
    *last = waiter;
    return 0;
}
