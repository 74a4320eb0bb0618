/*
 * The end. In order: timers; what waits for the reaper; the last job, behind all others on the
 * executor, which gives the volume up; the lanes. Nothing is submitted after the last job, so what
 * that one sees on the disk is all there will be.
 */
#include "pool_end.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "executor.h"
#include "node.h"
#include "pool_open.h"

#include <stdio.h>

enum { TIMERS = 3, LANES = 2, CONTENTS_LISTED_MAX = 16 };

struct close_job {
    struct pool_job base;
    struct volume *volume;
    enum pool_end how;
    bool has_cache; /* only then may the bind on the cache path be of this pool */
    char cache_path[PATH_MAX];
};

/* What was never acknowledged, or was released, is nobody's; the cache is storaged's. */
static bool is_somebodys(const struct volume_object *object)
{
    const struct record *record = object->record;
    return !record || (record->state == RECORD_STATE_LIVE &&
                       (record->kind == RECORD_KIND_SPACE || record->kind == RECORD_KIND_BOOKING));
}

static int on_object(const struct volume_object *object, void *data)
{
    struct err *err = data;
    if (is_somebodys(object) && err->n_blockers < CONTENTS_LISTED_MAX)
        err_blocker(err, "%s/%.64s%s%s", volume_place_name(object->place), object->name,
                    object->record ? "" : ": ", object->record ? "" : object->reason);
    return 0;
}

/* By the disk: the books know what the last open found, and nothing that has no record. */
static int check_empty(struct volume *volume, struct err *err)
{
    autoerr struct err found = {0};
    int rc = volume_scan(volume, on_object, &found, err);
    if (rc < 0 || found.n_blockers == 0)
        return rc;
    rc = err_set(err, ERR_FAILED_PRECONDITION, 0, volume_info(volume)->fsid, "it is not empty");
    for (size_t i = 0; i < found.n_blockers; i++)
        err_blocker(err, "%s", found.blockers[i]);
    return rc;
}

static int close_work(struct pool_job *base, struct err *err)
{
    struct close_job *job = container_of(base, struct close_job, base);
    bool unmount = job->how != POOL_END_MOUNTED;
    int rc = job->how == POOL_END_EMPTY ? check_empty(job->volume, err) : 0;
    if (rc == 0 && unmount && job->has_cache)
        rc = volume_unbind_cache(job->volume, job->cache_path, err);
    int closed = volume_close(job->volume, unmount && rc == 0, rc == 0 ? err : NULL);
    return rc == 0 ? closed : rc;
}

static void describe_left(struct pool *pool, const struct err *err)
{
    char *left = pool->ending.left;
    size_t size = sizeof pool->ending.left;
    size_t used = (size_t)snprintf(left, size, "pool %s: %s", pool->fsid, err->message);
    for (size_t i = 0; i < err->n_blockers && used < size; i++)
        used += (size_t)snprintf(left + used, size - used, "; %s", err->blockers[i]);
}

static void on_handle(struct pool *pool)
{
    if (--pool->ending.handles == 0 && pool->ending.ended)
        pool->ending.ended(pool, pool->ending.data);
}

static void on_lane_closed(void *data)
{
    on_handle(data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_handle(handle->data);
}

static void close_lanes(struct pool *pool)
{
    pool->ending.lanes_closed = true;
    lane_close(pool->reaping, on_lane_closed, pool);
    lane_close(pool->executor, on_lane_closed, pool);
}

static void close_done(struct pool_job *base)
{
    struct close_job *job = container_of(base, struct close_job, base);
    struct pool *pool = base->pool;
    if (base->rc < 0)
        describe_left(pool, &base->err);
    else
        log_info(job->how == POOL_END_MOUNTED ? "pool left mounted" : "pool unmounted", "pool",
                 pool->fsid);
    err_clear(&base->err);
    free(job);
}

static bool submit_close(struct pool *pool)
{
    struct close_job *job = calloc(1, sizeof *job);
    if (!job)
        return false;
    job->base = (struct pool_job){.work = close_work, .done = close_done, .barrier = true};
    job->volume = pool->volume;
    job->how = pool->ending.how;
    job->has_cache = pool->cache != NULL;
    (void)snprintf(job->cache_path, sizeof job->cache_path, "%s", pool->node->settings->cache_path);
    if (executor_submit(pool, &job->base, NULL) < 0) {
        free(job);
        return false;
    }
    pool->volume = NULL;
    return true;
}

void pool_end_go_on(struct pool *pool)
{
    struct pool_ending *ending = &pool->ending;
    if (!ending->begun || ending->lanes_closed || pool->reaper.running || pool->moving)
        return;
    if (!ending->submitted) {
        /* A lane that is full now has a job that ends later, and brings us here again. */
        if (pool->volume && !submit_close(pool) && pool->n_jobs > 0)
            return;
        ending->submitted = true;
    }
    if (pool->n_jobs == 0)
        close_lanes(pool);
}

void pool_end(struct pool *pool, enum pool_end how, void (*ended)(struct pool *pool, void *data),
              void *data)
{
    pool->ending = (struct pool_ending){
        .begun = true, .how = how, .handles = TIMERS + LANES, .ended = ended, .data = data};
    pool->reaper.timer.data = pool;
    uv_close((uv_handle_t *)&pool->reaper.timer, on_timer_closed);
    pool->retry.timer.data = pool;
    uv_close((uv_handle_t *)&pool->retry.timer, on_timer_closed);
    uv_close((uv_handle_t *)&pool->patience, on_timer_closed);
    pool_open_cancel(pool);
    pool_end_go_on(pool);
}

void pool_end_abandon(struct pool *pool)
{
    pool->ending.ended = NULL;
    pool->ending.submitted = pool->ending.lanes_closed = true;
    lane_abandon(pool->reaping);
    lane_abandon(pool->executor);
}
