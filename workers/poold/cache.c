/*
 * The cache. Choosing, making and binding: of the mounted pools, one that has a cache bound already
 * (a predecessor did that), else the one with the oldest cache; if none has any, it is made on an
 * SSD rather than an HDD, the oldest pool first. Making is committed before it is bound.
 *
 * Nothing is chosen before the gate is open: until then a pool with a cache may still be on its
 * way.
 */
#include "cache.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "events.h"
#include "executor.h"
#include "node.h"
#include "pool_books.h"
#include "wipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_LEAST_MS = 500,
    RETRY_MOST_MS = 30000,
    PERCENT = 100,
    LIMIT_LEAST = 16 * 1024 * 1024, /* below this a cache is of no use */
};

/* One job's way: ensure, then bind or only look. */
struct cache_job {
    struct pool_job base;
    uint64_t limit_bytes;
    struct record record;
    bool created;
    enum volume_bound bound;
    char path[PATH_MAX];
};

static void say(struct cache *cache, const char *reason)
{
    if (strcmp(cache->reason, reason) == 0)
        return;
    (void)snprintf(cache->reason, sizeof cache->reason, "%s", reason);
    if (*reason)
        log_warning("the cache is not mounted", "path", cache->node->settings->cache_path, "reason",
                    reason);
    health_review(&cache->node->health);
}

static void fail(struct cache *cache, const struct pool *pool, const struct err *err)
{
    char reason[sizeof cache->reason];
    (void)snprintf(reason, sizeof reason, "%s%s%s", err->message, *err->hint ? "; " : "",
                   err->hint);
    cache->pool = NULL;
    cache->failed = pool;
    retry_later(&cache->retry);
    say(cache, reason);
}

static struct cache_job *new_job(const struct cache *cache)
{
    struct cache_job *job = calloc(1, sizeof *job);
    if (job)
        (void)snprintf(job->path, sizeof job->path, "%s", cache->node->settings->cache_path);
    return job;
}

static void free_job(struct cache_job *job)
{
    err_clear(&job->base.err);
    free(job);
}

/* Hands the job to the pool, or gives up until later. */
static void submit(struct cache *cache, struct pool *pool, struct cache_job *job)
{
    autoerr struct err err = {0};
    cache->pool = pool;
    cache->job = job;
    if (job && executor_submit(pool, &job->base, NULL) == 0)
        return;
    cache->job = NULL;
    if (job)
        free_job(job);
    (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, pool->fsid, "its pool is too busy");
    fail(cache, pool, &err);
}

/* True if the job is the one that the cache waits for; it waits no more. */
static bool end_job(struct cache *cache, const struct cache_job *job)
{
    if (cache->job != job)
        return false;
    cache->job = NULL;
    return true;
}

/* ---- binding ---- */

static int bind_work(struct pool_job *base, struct err *err)
{
    struct cache_job *job = container_of(base, struct cache_job, base);
    return volume_bind_cache(base->volume, job->path, err);
}

static void bind_done(struct pool_job *base)
{
    struct cache_job *job = container_of(base, struct cache_job, base);
    struct pool *pool = base->pool;
    struct cache *cache = &pool->node->cache;
    bool current = end_job(cache, job);
    if (current && base->rc < 0) {
        fail(cache, pool, &base->err);
    } else if (current) {
        char reason[PATH_MAX + 32];
        (void)snprintf(reason, sizeof reason, "its cache is mounted on %s", job->path);
        cache->bound = true;
        cache->failed = NULL;
        pool->cache_bound = true;
        retry_reset(&cache->retry);
        say(cache, "");
        events_tell_pool(pool, "cache.mounted", reason);
    }
    free_job(job);
    cache_review(cache);
    node_pool_changed(pool->node);
}

static void bind_begin(struct cache *cache, struct pool *pool)
{
    struct cache_job *job = new_job(cache);
    if (job)
        job->base = (struct pool_job){.work = bind_work, .done = bind_done};
    submit(cache, pool, job);
}

/* ---- making, or finding ---- */

static int ensure_work(struct pool_job *base, struct err *err)
{
    struct cache_job *job = container_of(base, struct cache_job, base);
    return volume_cache_ensure(base->volume, job->limit_bytes, &job->record, &job->created, err);
}

/* What was booked for it before the job began is set right. */
static void settle_booking(struct pool *pool, const struct cache_job *job)
{
    struct space *space = pool->cache;
    if (job->base.rc == 0) {
        order_remove(&pool->objects, space);
        space->record = job->record;
        pool_books_add(pool, space);
        return;
    }
    if (space->record.id[0]) {
        (void)ledger_resize(&pool->ledger, &space->booking, space->record.limit_bytes);
        return;
    }
    ledger_release(&pool->ledger, &space->booking);
    space_free(take_ptr(pool->cache));
}

static void ensure_done(struct pool_job *base)
{
    struct cache_job *job = container_of(base, struct cache_job, base);
    struct pool *pool = base->pool;
    struct cache *cache = &pool->node->cache;
    bool current = end_job(cache, job);
    settle_booking(pool, job);
    if (current && base->rc < 0)
        fail(cache, pool, &base->err);
    else if (job->created)
        log_info("cache made", "pool", pool->fsid, "limit_bytes", log_u64(job->record.limit_bytes));
    if (current && base->rc == 0 && pool_is_serving(pool) && !pool->node->stop.begun)
        bind_begin(cache, pool);
    else if (current)
        cache->pool = NULL;
    free_job(job);
    cache_review(cache);
}

/* min(size, percent of usable), and for a new one not more than there is. */
static uint64_t limit_for(const struct pool *pool)
{
    const struct settings *settings = pool->node->settings;
    uint64_t share = pool->ledger.usable_bytes / PERCENT * settings->cache_percent;
    uint64_t limit = settings->cache_size_bytes < share ? settings->cache_size_bytes : share;
    uint64_t room = ledger_free(&pool->ledger);
    if (!pool->cache)
        return limit < room ? limit : room;
    uint64_t has = pool->cache->record.limit_bytes;
    return limit <= has || limit - has <= room ? limit : has;
}

/* Books it before the job begins: nobody else gets the bytes meanwhile. */
static bool book(struct pool *pool, uint64_t limit_bytes)
{
    if (pool->cache)
        return ledger_resize(&pool->ledger, &pool->cache->booking, limit_bytes) == 0;
    struct space *space = space_new(pool);
    if (!space)
        return false;
    space->record.kind = RECORD_KIND_CACHE;
    if (ledger_reserve(&pool->ledger, &space->booking, limit_bytes) < 0) {
        space_free(space);
        return false;
    }
    pool->cache = space;
    return true;
}

static void ensure_begin(struct cache *cache, struct pool *pool)
{
    autoerr struct err err = {0};
    uint64_t limit = limit_for(pool);
    if (limit < LIMIT_LEAST || !book(pool, limit)) {
        (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, pool->fsid, "the pool %s has no room for it",
                      pool->fsid);
        fail(cache, pool, &err);
        return;
    }
    struct cache_job *job = new_job(cache);
    if (job) {
        job->base = (struct pool_job){.work = ensure_work, .done = ensure_done, .changes = true};
        job->limit_bytes = limit;
    }
    submit(cache, pool, job);
    if (!cache->job) {
        struct cache_job unsent = {.base.rc = -ERR_RESOURCE_EXHAUSTED};
        settle_booking(pool, &unsent);
    }
}

/* ---- choosing ---- */

static bool comes_before(const struct pool *a, const struct pool *b)
{
    if (a->cache_bound != b->cache_bound)
        return a->cache_bound;
    if (!a->cache != !b->cache)
        return a->cache != NULL;
    if (a->cache && a->cache->record.created_us != b->cache->record.created_us)
        return a->cache->record.created_us < b->cache->record.created_us;
    if (a->type != b->type)
        return a->type == STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD;
    if (a->created_us != b->created_us)
        return a->created_us < b->created_us;
    return strcmp(a->fsid, b->fsid) < 0;
}

static struct pool *choose(const struct node *node)
{
    struct pool *best = NULL;
    for (size_t i = 0; i < node->n_pools; i++) {
        struct pool *pool = node->pools[i];
        if (pool_is_serving(pool) && (!best || comes_before(pool, best)))
            best = pool;
    }
    return best;
}

/* A pool that was lost takes its cache with it; the mount stands until another replaces it. */
static void let_go(struct cache *cache, const char *reason)
{
    struct pool *pool = cache->pool;
    bool was_bound = cache->bound;
    cache->bound = false;
    cache->pool = NULL;
    cache->job = NULL;
    pool->cache_bound = false;
    if (was_bound)
        events_tell_pool(pool, "cache.unmounted", reason);
    say(cache, reason);
}

static void let_go_of_lost(struct cache *cache)
{
    char reason[POOL_REASON_MAX + 64];
    (void)snprintf(reason, sizeof reason, "its pool is %s: %s", pool_state_name(cache->pool->state),
                   cache->pool->reason);
    let_go(cache, reason);
}

void cache_leave(struct cache *cache, struct pool *pool)
{
    if (cache->failed == pool)
        cache->failed = NULL;
    if (cache->pool == pool)
        let_go(cache, "its pool is being wiped");
}

void cache_review(struct cache *cache)
{
    struct node *node = cache->node;
    if (node->stop.begun || !node->gate.open)
        return;
    if (cache->pool && !pool_is_mounted(cache->pool))
        let_go_of_lost(cache);
    if (cache->bound || cache->job || wipe_is_under_way(node, NULL))
        return;
    struct pool *pool = choose(node);
    if (!pool)
        say(cache, "no pool is mounted");
    else if (pool != cache->failed || !retry_is_waiting(&cache->retry))
        ensure_begin(cache, pool);
}

/* ---- looking after it ---- */

static int check_work(struct pool_job *base, struct err *err)
{
    struct cache_job *job = container_of(base, struct cache_job, base);
    return volume_cache_bound(base->volume, job->path, &job->bound, err);
}

static void check_done(struct pool_job *base)
{
    struct cache_job *job = container_of(base, struct cache_job, base);
    struct pool *pool = base->pool;
    struct cache *cache = &pool->node->cache;
    if (end_job(cache, job) && base->rc == 0 && job->bound != VOLUME_BOUND_OURS && cache->bound) {
        cache->bound = false;
        cache->pool = NULL;
        pool->cache_bound = false;
        events_tell_pool(pool, "cache.unmounted", "somebody unmounted it, or mounted over it");
        say(cache, "somebody unmounted it, or mounted over it");
    }
    free_job(job);
    cache_review(cache);
}

void cache_check(struct cache *cache)
{
    if (cache->job || !cache->bound || !pool_is_mounted(cache->pool) || cache->node->stop.begun)
        return;
    struct cache_job *job = new_job(cache);
    if (!job)
        return;
    job->base = (struct pool_job){.work = check_work, .done = check_done};
    if (executor_submit(cache->pool, &job->base, NULL) == 0)
        cache->job = job;
    else
        free_job(job);
}

static void on_retry(void *data)
{
    cache_review(data);
}

void cache_init(struct cache *cache, struct node *node)
{
    *cache = (struct cache){.node = node};
    retry_init(&cache->retry, node->loop, RETRY_LEAST_MS, RETRY_MOST_MS, on_retry, cache);
}
