/*
 * Group commit. run_batch() and all it calls are on the pool's thread and see jobs only; on_done()
 * is on the loop. The batch's list is in the order of submission, and so are the answers.
 */
#include "executor.h"

#include "base/cleanup.h"
#include "pool.h"
#include "pool_end.h"

#include <errno.h>
#include <stdio.h>

enum { LANE_NAME_MAX = 64, REAPING_JOBS_MAX = 4, RETRY_ELSEWHERE_MS = 200, RETRY_BUSY_MS = 200 };

static struct pool_job *as_job(struct lane_job *lane)
{
    return container_of(lane, struct pool_job, lane);
}

/* ---- on the pool's threads ---- */

/* For whoever waits the change did not happen; asked again, it is made on another pool. */
static void fail_unwritable(struct pool_job *job, const struct err *why)
{
    const struct volume_info *info = volume_info(job->volume);
    job->unwritable = true;
    job->rc = err_set(&job->err, ERR_UNAVAILABLE, why->os_errno, info->fsid,
                      "its pool takes no writes any more: %s", why->message);
    err_retryable(&job->err, RETRY_ELSEWHERE_MS);
}

/* A change that meets what cannot be read fails alone, and the kernel goes on: the next one would
 * be tried there again. */
static bool is_dying(const struct pool_job *job)
{
    return job->err.os_errno == EIO || volume_is_read_only(job->volume);
}

static void run_job(struct pool_job *job)
{
    int entered = volume_enter(job->volume);
    job->rc = job->claim_rc < 0 ? job->claim_rc : job->work(job, &job->err);
    if (job->claim_rc < 0)
        err_move(&job->err, &job->claim_err);
    if (job->rc < 0 && job->changes && job->volume && is_dying(job)) {
        autoerr struct err why = {0};
        err_move(&why, &job->err);
        fail_unwritable(job, &why);
    }
    volume_leave(entered);
}

/* One walk of /proc for all claims of the batch; at most `HOLDERS_TARGETS_MAX` a time. */
static void find_holders(struct lane_job *first)
{
    struct lane_job *next = first;
    while (next) {
        struct volume_claim claims[HOLDERS_TARGETS_MAX];
        struct pool_job *jobs[HOLDERS_TARGETS_MAX];
        size_t n = 0;
        for (; next && n < HOLDERS_TARGETS_MAX; next = next->next) {
            if (!as_job(next)->claim)
                continue;
            jobs[n] = as_job(next);
            claims[n] = *jobs[n]->claim;
            claims[n].err = &jobs[n]->claim_err;
            n++;
        }
        if (n == 0)
            return;
        autoerr struct err err = {0};
        int rc = volume_find_holders(jobs[0]->volume, claims, n, &err);
        for (size_t i = 0; i < n; i++) {
            *jobs[i]->claim = claims[i];
            jobs[i]->claim_rc = rc < 0 ? rc : claims[i].rc;
            if (rc < 0)
                err_copy(&jobs[i]->claim_err, &err);
        }
    }
}

/* Commits what the jobs from `first` up to `end` have changed. */
static void commit(struct lane_job *first, const struct lane_job *end)
{
    struct volume *volume = NULL;
    for (struct lane_job *lane = first; lane != end; lane = lane->next)
        if (as_job(lane)->changes && as_job(lane)->rc == 0)
            volume = as_job(lane)->volume;
    if (!volume)
        return;
    autoerr struct err err = {0};
    int entered = volume_enter(volume);
    int rc = volume_commit(volume, &err);
    volume_leave(entered);
    if (rc == 0)
        return;
    for (struct lane_job *lane = first; lane != end; lane = lane->next) {
        struct pool_job *job = as_job(lane);
        if (job->changes && job->rc == 0)
            fail_unwritable(job, &err);
    }
}

static void run_batch(struct lane_job *first, void *data)
{
    (void)data;
    struct lane_job *uncommitted = first;
    find_holders(first);
    for (struct lane_job *lane = first; lane; lane = lane->next) {
        if (as_job(lane)->barrier) {
            commit(uncommitted, lane);
            uncommitted = lane;
        }
        run_job(as_job(lane));
    }
    commit(uncommitted, NULL);
}

static void run_alone(struct lane_job *lane)
{
    run_job(as_job(lane));
}

/* ---- on the loop ---- */

static void on_done(struct lane_job *lane)
{
    struct pool_job *job = as_job(lane);
    struct pool *pool = job->pool;
    pool->n_jobs--;
    if (job->unwritable)
        pool_move(pool, POOL_EVENT_UNWRITABLE, job->err.message);
    err_clear(&job->claim_err);
    job->done(job);
    pool_end_go_on(pool);
}

int executor_open(uv_loop_t *loop, const char *fsid, struct lane **out_executor,
                  struct lane **out_reaping, struct err *err)
{
    char executor_name[LANE_NAME_MAX], reaping_name[LANE_NAME_MAX];
    (void)snprintf(executor_name, sizeof executor_name, "pool %s", fsid);
    (void)snprintf(reaping_name, sizeof reaping_name, "reap %s", fsid);
    const struct lane_options executor_options = {
        .name = executor_name, .capacity = EXECUTOR_JOBS_MAX, .batch = run_batch};
    const struct lane_options reaping_options = {.name = reaping_name,
                                                 .capacity = REAPING_JOBS_MAX};
    struct lane *executor = NULL, *reaping = NULL;
    int rc = lane_open(loop, &executor_options, &executor, err);
    if (rc == 0)
        rc = lane_open(loop, &reaping_options, &reaping, err);
    if (rc < 0) {
        if (executor)
            lane_close(executor, NULL, NULL);
        return rc;
    }
    *out_executor = executor;
    *out_reaping = reaping;
    return 0;
}

static int submit(struct pool *pool, struct lane *lane, struct pool_job *job)
{
    if (pool->ending.submitted)
        return -ERR_RESOURCE_EXHAUSTED;
    job->pool = pool;
    job->volume = pool->volume;
    job->lane = (struct lane_job){.work = run_alone, .done = on_done};
    int rc = lane_submit(lane, &job->lane);
    if (rc == 0)
        pool->n_jobs++;
    return rc;
}

int executor_submit(struct pool *pool, struct pool_job *job, struct err *err)
{
    if (submit(pool, pool->executor, job) == 0)
        return 0;
    (void)err_set(err, ERR_RESOURCE_EXHAUSTED, 0, pool->fsid,
                  "too much waits for the pool already");
    err_retryable(err, RETRY_BUSY_MS);
    return -ERR_RESOURCE_EXHAUSTED;
}

int executor_submit_reaping(struct pool *pool, struct pool_job *job)
{
    return submit(pool, pool->reaping, job);
}
