/* MakeHome: a pool's 0-db directory without a booking. Of the loop, but for make_work(). */
#include "home.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/uuid.h"
#include "booking.h"
#include "describe.h"
#include "node.h"

#include <stdlib.h>

struct make_job {
    struct pool_job base;
    struct home_change change;
    struct rpc_call *call;
};

static int make_work(struct pool_job *base, struct err *err)
{
    struct make_job *job = container_of(base, struct make_job, base);
    return home_apply(base->volume, &job->change, err);
}

static void answer(struct rpc_call *call, const struct pool *pool)
{
    struct described_booking described;
    describe_home(pool, &described);
    rpc_call_reply(call, &described.home.base);
}

static void make_done(struct pool_job *base)
{
    struct make_job *job = container_of(base, struct make_job, base);
    home_end(base->pool, &job->change);
    if (base->rc < 0) {
        log_err(LOG_WARNING, "the directory of a 0-db could not be made", &base->err);
        rpc_call_fail(job->call, &base->err);
    } else {
        answer(job->call, base->pool);
    }
    err_clear(&base->err);
    free(job);
}

static int begin(struct pool *pool, struct rpc_call *call, struct err *err)
{
    int rc = pool_is_serving(pool) ? 0 : pool_refuse(pool, err);
    if (rc < 0)
        return rc;
    if (home_reserve_own(pool) < 0)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, pool->fsid,
                       "the pool %s has no room for the directory of a 0-db", pool->fsid);
    struct make_job *job = calloc(1, sizeof *job);
    rc = job ? 0 : err_set(err, ERR_RESOURCE_EXHAUSTED, 0, pool->fsid, "no memory to make it");
    if (job) {
        job->base = (struct pool_job){.work = make_work, .done = make_done, .changes = true};
        job->call = call;
        home_begin(pool, &job->change, 0);
        rc = executor_submit(pool, &job->base, err);
        if (rc == 0)
            return 0;
        home_cancel(pool);
        free(job);
    }
    home_drop_unmade(pool);
    return rc;
}

void home_make_begin(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__MakeHomeRequest *request = input;
    autoerr struct err err = {0};
    struct pool *pool = node_find_pool(node, request->pool);
    int rc = 0;
    if (!uuid_valid(request->pool))
        rc =
            err_set(&err, ERR_INVALID_ARGUMENT, 0, "pool", "\"%s\" is no pool's id", request->pool);
    else if (!pool)
        rc = err_set(&err, ERR_NOT_FOUND, 0, request->pool, "there is no pool %s", request->pool);
    else if (pool->home.space && pool->home.space->record.id[0] && pool_is_mounted(pool))
        answer(call, pool);
    else
        rc = begin(pool, call, &err);
    if (rc < 0)
        rpc_call_fail(call, &err);
}
