/*
 * Release: refuses what is held, marks what is not as dying, and answers when that is committed;
 * the reaper does the rest. Of the loop, but for mark_work().
 */
#include "answer.h"
#include "base/cleanup.h"
#include "base/uuid.h"
#include "events.h"
#include "executor.h"
#include "node.h"

#include <stdlib.h>
#include <string.h>

enum { RETRY_BUSY_MS = 200 };

struct mark_job {
    struct pool_job base;
    struct volume_claim claim;
    struct space *space;
    char id[UUID_TEXT_SIZE];
};

/* The holders are known: the batch's walk of /proc has found them. */
static int mark_work(struct pool_job *base, struct err *err)
{
    struct mark_job *job = container_of(base, struct mark_job, base);
    int rc = holders_refuse(&job->claim.holders, job->id, err);
    if (rc < 0) {
        err_hint(err, "end them, or unmount it there, then release it again");
        return rc;
    }
    return volume_mark_dying(base->volume, job->id, err);
}

static void mark_done(struct pool_job *base)
{
    struct mark_job *job = container_of(base, struct mark_job, base);
    struct space *space = job->space;
    struct pool *pool = base->pool;
    if (base->rc == 0) {
        index_remove(&pool->node->index, space);
        pool->n_live--;
        space->record.state = RECORD_STATE_DYING;
        space->record.generation++;
        ledger_die(&pool->ledger, &space->booking);
        events_tell_space(space, "space.released", NULL);
        answer_released(space);
        reaper_add(&pool->reaper, space);
    } else {
        space->phase = SPACE_LIVE;
        answer_with_error(space, &base->err);
    }
    holders_clear(&job->claim.holders);
    err_clear(&base->err);
    free(job);
}

static void mark_begin(struct space *space, struct rpc_call *call)
{
    struct mark_job *job = calloc(1, sizeof *job);
    if (!job) {
        rpc_call_refuse(call, ERR_RESOURCE_EXHAUSTED, space->record.id, "no memory to release it");
        return;
    }
    if (!answer_later(space, call)) {
        free(job);
        return;
    }
    job->base = (struct pool_job){
        .work = mark_work, .done = mark_done, .changes = true, .claim = &job->claim};
    job->space = space;
    memcpy(job->id, space->record.id, sizeof job->id);
    job->claim.id = job->id;
    space->phase = SPACE_RELEASING;
    autoerr struct err err = {0};
    if (executor_submit(space->pool, &job->base, &err) == 0)
        return;
    space->phase = SPACE_LIVE;
    answer_with_error(space, &err);
    free(job);
}

static void release_space(struct space *space, struct rpc_call *call)
{
    autoerr struct err err = {0};
    if (space->phase == SPACE_RELEASING) {
        (void)answer_later(space, call);
        return;
    }
    if (space->phase == SPACE_LIVE && pool_is_serving(space->pool)) {
        mark_begin(space, call);
        return;
    }
    if (space->phase == SPACE_BUILDING) {
        (void)err_set(&err, ERR_ABORTED, 0, space->record.id, "it is being made just now");
        err_retryable(&err, RETRY_BUSY_MS);
    } else {
        (void)pool_refuse(space->pool, &err);
    }
    rpc_call_fail(call, &err);
}

void release_begin(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__ReleaseRequest *request = input;
    if (!uuid_valid(request->id)) {
        rpc_call_refuse(call, ERR_INVALID_ARGUMENT, "id", "\"%s\" is no space's id", request->id);
        return;
    }
    struct space *space = index_find_id(&node->index, request->id);
    if (space) {
        release_space(space, call);
    } else if (!answer_not_known_yet(node, call, request->id)) {
        Storage__V1__ReleaseReply reply = STORAGE__V1__RELEASE_REPLY__INIT;
        rpc_call_reply(call, &reply.base);
    }
}
