/* Answers: every waiter is answered once and freed, in the order in which they came. */
#include "answer.h"

#include "base/cleanup.h"
#include "describe.h"
#include "node.h"

#include <stdlib.h>

enum { RETRY_AFTER_MS = 200 };

bool answer_later(struct space *space, struct rpc_call *call)
{
    struct pool *pool = space->pool;
    if (pool->n_calls < POOL_CALLS_MAX && space_wait(space, call) == 0) {
        pool->n_calls++;
        return true;
    }
    autoerr struct err err = {0};
    (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, pool->fsid,
                  "%d calls wait for the pool %s already", POOL_CALLS_MAX, pool->fsid);
    err_retryable(&err, RETRY_AFTER_MS);
    rpc_call_fail(call, &err);
    return false;
}

struct rpc_call *answer_next(struct space *space)
{
    struct space_waiter *waiter = space->waiters;
    if (!waiter)
        return NULL;
    struct rpc_call *call = waiter->call;
    space->waiters = waiter->next;
    space->pool->n_calls--;
    free(waiter);
    return call;
}

void answer_space(struct rpc_call *call, const struct space *space, bool created)
{
    struct described_space described;
    describe_space(space, &described);
    described.space.created = created;
    rpc_call_reply(call, &described.space.base);
}

void answer_with_space(struct space *space, bool made)
{
    for (struct rpc_call *call; (call = answer_next(space)); made = false)
        answer_space(call, space, made);
}

void answer_released(struct space *space)
{
    Storage__V1__ReleaseReply reply = STORAGE__V1__RELEASE_REPLY__INIT;
    reply.existed = true;
    for (struct rpc_call *call; (call = answer_next(space));)
        rpc_call_reply(call, &reply.base);
}

void answer_with_error(struct space *space, const struct err *err)
{
    for (struct rpc_call *call; (call = answer_next(space));)
        rpc_call_fail(call, err);
}

bool answer_not_known_yet(struct node *node, struct rpc_call *call, const char *object)
{
    /* Pending ones need nothing but time. */
    static const enum {
        KNOWN,
        PENDING,
        ABSENT
    } table[POOL_STATES] = {
        [POOL_WAITING] = PENDING,   [POOL_OPENING] = PENDING,  [POOL_FENCED] = PENDING,
        [POOL_INCOMPLETE] = ABSENT, [POOL_DUPLICATE] = ABSENT,
    };
    autoerr struct err err = {0};
    bool pending = !node->disks.all_seen;
    if (pending)
        (void)err_set(&err, ERR_UNAVAILABLE, 0, object,
                      "it may be on a disk that has not been read yet");
    for (size_t i = 0; i < node->n_pools; i++) {
        const struct pool *pool = node->pools[i];
        if (pool->opened_once || table[pool->state] == KNOWN)
            continue;
        if (err.code == ERR_OK)
            (void)err_set(&err, ERR_UNAVAILABLE, 0, object, "it may be on a pool that is not open");
        err_blocker(&err, "pool %s is %s%s%s", pool->fsid, pool_state_name(pool->state),
                    *pool->reason ? ": " : "", pool->reason);
        pending |= table[pool->state] == PENDING;
    }
    if (err.code == ERR_OK)
        return false;
    if (pending)
        err_retryable(&err, RETRY_AFTER_MS);
    rpc_call_fail(call, &err);
    return true;
}
