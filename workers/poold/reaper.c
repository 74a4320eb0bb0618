/*
 * The reaper. One job at a time is on the thread, with as many dying spaces as are due; what it
 * could not finish goes back into the list with a longer delay. One walk of /proc serves a job.
 */
#include "reaper.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "events.h"
#include "executor.h"
#include "node.h"
#include "pool_books.h"
#include "pool_open.h"

#include <stdio.h>

enum {
    BATCH_MAX = 64,
    CLEANER_WAIT_MS = 500, /* per space, once all of a batch are handed to the cleaner */
    DELAY_LEAST_MS = 100,
    DELAY_HELD_MS = 1000,
    DELAY_CHARGED_MS = 5000,
    DELAY_MOST_MS = 30000,
};

struct reap_item {
    struct space *space; /* the loop's */
    char id[UUID_TEXT_SIZE];
    int rc;
    struct err err;
    bool held;
    struct volume_reap_result result;
};

struct reap_job {
    struct pool_job base;
    size_t n;
    struct reap_item items[BATCH_MAX];
};

/* ---- on the thread ---- */

static void ask_holders(struct reap_job *job)
{
    struct volume_claim claims[BATCH_MAX] = {0};
    autoerr struct err err = {0};
    for (size_t i = 0; i < job->n; i++) {
        claims[i].id = job->items[i].id;
        claims[i].err = &job->items[i].err;
    }
    int rc = volume_find_holders(job->base.volume, claims, job->n, &err);
    for (size_t i = 0; i < job->n; i++) {
        struct reap_item *item = &job->items[i];
        item->rc = rc < 0 ? rc : claims[i].rc;
        if (rc < 0) {
            err_copy(&item->err, &err);
        } else if (item->rc == 0) {
            item->rc = holders_refuse(&claims[i].holders, item->id, &item->err);
            item->held = item->rc < 0;
        }
        holders_clear(&claims[i].holders);
    }
}

/* All are handed to the kernel's cleaner before any is waited for. */
static int reap_work(struct pool_job *base, struct err *err)
{
    struct reap_job *job = container_of(base, struct reap_job, base);
    (void)err;
    ask_holders(job);
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < job->n; i++) {
            struct reap_item *item = &job->items[i];
            if (item->rc < 0 || (turn > 0 && item->result.reaped != VOLUME_REAP_NOT_YET))
                continue;
            item->rc = volume_reap(base->volume, item->id, turn > 0 ? CLEANER_WAIT_MS : 0,
                                   &item->result, &item->err);
        }
    }
    return 0;
}

/* ---- on the loop ---- */

static void append(struct reaper *reaper, struct space *space, uint32_t delay_ms)
{
    space->reaping.delay_ms = delay_ms;
    space->reaping.due_ms = clock_monotonic_ms() + delay_ms;
    space->reaping.next = NULL;
    if (reaper->last)
        reaper->last->reaping.next = space;
    else
        reaper->first = space;
    reaper->last = space;
}

static uint32_t longer(const struct space *space, uint32_t least_ms)
{
    uint32_t doubled = space->reaping.delay_ms * 2;
    if (doubled < least_ms)
        return least_ms;
    return doubled > DELAY_MOST_MS ? DELAY_MOST_MS : doubled;
}

static void postpone(struct reaper *reaper, struct reap_item *item)
{
    struct space *space = item->space;
    char reason[ERR_MESSAGE_MAX + POOL_REASON_MAX];
    size_t used = (size_t)snprintf(reason, sizeof reason, "%s", item->err.message);
    for (size_t i = 0; i < item->err.n_blockers && used < sizeof reason; i++)
        used +=
            (size_t)snprintf(reason + used, sizeof reason - used, "; %s", item->err.blockers[i]);
    if (!space->reaping.held)
        events_tell_space(space, item->held ? "space.held" : "space.failed", reason);
    space->reaping.held = true;
    append(reaper, space, longer(space, DELAY_HELD_MS));
}

static void settle(struct reaper *reaper, struct reap_item *item)
{
    struct space *space = item->space;
    struct pool *pool = reaper->pool;
    if (item->rc < 0) {
        postpone(reaper, item);
        return;
    }
    space->reaping.held = false;
    switch (item->result.reaped) {
    case VOLUME_REAP_GONE:
        /* What was never finished was never told of either. */
        if (space->record.state == RECORD_STATE_DYING) {
            events_tell_space(space, "space.reaped", NULL);
            pool->cramped = false;
        }
        pool_books_drop(pool, space);
        break;
    case VOLUME_REAP_NOT_YET:
        append(reaper, space, longer(space, DELAY_LEAST_MS));
        break;
    case VOLUME_REAP_CHARGED:
        ledger_reduce(&pool->ledger, &space->booking, item->result.remaining_bytes);
        append(reaper, space, longer(space, DELAY_CHARGED_MS));
        break;
    }
}

static void reap_done(struct pool_job *base)
{
    struct reap_job *job = container_of(base, struct reap_job, base);
    struct pool *pool = base->pool;
    pool->reaper.running = false;
    for (size_t i = 0; i < job->n; i++) {
        settle(&pool->reaper, &job->items[i]);
        err_clear(&job->items[i].err);
    }
    free(job);
    pool_open_go_on(pool);
    reaper_kick(&pool->reaper);
}

/* Takes what is due out of the list. */
static struct reap_job *collect(struct reaper *reaper, uint64_t *out_next_ms)
{
    uint64_t now = clock_monotonic_ms();
    struct space *space = reaper->first;
    struct reap_job *job = calloc(1, sizeof *job);
    *out_next_ms = UINT64_MAX;
    if (!job)
        return NULL;
    reaper->first = reaper->last = NULL;
    for (struct space *next; space; space = next) {
        next = space->reaping.next;
        if (space->reaping.due_ms <= now && job->n < BATCH_MAX) {
            struct reap_item *item = &job->items[job->n++];
            item->space = space;
            (void)snprintf(item->id, sizeof item->id, "%s", space->record.id);
            continue;
        }
        if (space->reaping.due_ms < *out_next_ms)
            *out_next_ms = space->reaping.due_ms;
        uint64_t due_ms = space->reaping.due_ms;
        append(reaper, space, space->reaping.delay_ms);
        space->reaping.due_ms = due_ms;
    }
    if (job->n > 0)
        return job;
    free(job);
    return NULL;
}

static void on_timer(uv_timer_t *timer)
{
    reaper_kick(timer->data);
}

void reaper_kick(struct reaper *reaper)
{
    struct pool *pool = reaper->pool;
    uint64_t next_ms;
    if (reaper->running || !reaper->first || !pool_is_serving(pool) || pool->moving ||
        pool->ending.begun)
        return;
    struct reap_job *job = collect(reaper, &next_ms);
    if (job) {
        job->base = (struct pool_job){.work = reap_work, .done = reap_done};
        reaper->running = executor_submit_reaping(pool, &job->base) == 0;
        if (reaper->running)
            return;
        for (size_t i = 0; i < job->n; i++)
            append(reaper, job->items[i].space, DELAY_HELD_MS);
        free(job);
        next_ms = clock_monotonic_ms() + DELAY_HELD_MS;
    }
    uint64_t now = clock_monotonic_ms();
    if (next_ms != UINT64_MAX)
        (void)uv_timer_start(&reaper->timer, on_timer, next_ms > now ? next_ms - now : 0, 0);
}

void reaper_init(struct reaper *reaper, struct pool *pool, uv_loop_t *loop)
{
    *reaper = (struct reaper){.pool = pool};
    (void)uv_timer_init(loop, &reaper->timer);
    reaper->timer.data = reaper;
}

void reaper_add(struct reaper *reaper, struct space *space)
{
    space->reaping = (struct space_reaping){0};
    append(reaper, space, 0);
    reaper_kick(reaper);
}

void reaper_forget(struct reaper *reaper)
{
    while (reaper->first) {
        struct space *space = reaper->first;
        reaper->first = space->reaping.next;
        space->booking = (struct booking){0};
        space_free(space);
    }
    reaper->last = NULL;
}
