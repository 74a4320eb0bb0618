/*
 * A pool's life. pool_review() compares what the disks make of it with its state and feeds the
 * table; entering a state has one action. An open volume cares for one thing about its disks: that
 * they are there; everything else about them matters at the next open.
 */
#include "pool.h"

#include "assembly.h"
#include "base/clock.h"
#include "base/log.h"
#include "events.h"
#include "executor.h"
#include "node.h"
#include "pool_books.h"
#include "pool_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_LEAST_MS = 250, RETRY_MOST_MS = 30000, RETRY_FENCED_MS = 2000, TRIES_APART_MS = 1000 };

/* ---- the table ---- */

#define ILLEGAL POOL_STATES

/* Disk events are not fed while a volume is opened: its outcome comes first. A change that was on
 * its way when a disk vanished fails in whatever state that led to, and changes nothing there. */
static const unsigned char table[POOL_STATES][POOL_EVENTS] = {
    /* COMPLETE, MISSING, INCOMPLETE, DUPLICATE, UNUSABLE, VANISHED, OPENED, FENCED, REFUSED,
       UNWRITABLE, LEAVES */
    [POOL_WAITING] = {POOL_OPENING, POOL_WAITING, POOL_INCOMPLETE, POOL_DUPLICATE, POOL_FAILED,
                      POOL_FAILED, ILLEGAL, ILLEGAL, POOL_FAILED, POOL_WAITING, ILLEGAL},
    [POOL_OPENING] = {ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, POOL_MOUNTED,
                      POOL_FENCED, POOL_FAILED, POOL_OPENING, ILLEGAL},
    [POOL_MOUNTED] = {ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, POOL_FAILED, ILLEGAL, ILLEGAL,
                      ILLEGAL, POOL_READ_ONLY, POOL_LEAVING},
    [POOL_READ_ONLY] = {ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, POOL_FAILED, ILLEGAL, ILLEGAL,
                        ILLEGAL, POOL_READ_ONLY, POOL_LEAVING},
    [POOL_INCOMPLETE] = {POOL_OPENING, POOL_INCOMPLETE, POOL_INCOMPLETE, POOL_DUPLICATE,
                         POOL_FAILED, POOL_FAILED, ILLEGAL, ILLEGAL, POOL_FAILED, POOL_INCOMPLETE,
                         ILLEGAL},
    [POOL_DUPLICATE] = {POOL_OPENING, POOL_WAITING, POOL_INCOMPLETE, POOL_DUPLICATE, POOL_FAILED,
                        POOL_FAILED, ILLEGAL, ILLEGAL, POOL_FAILED, POOL_DUPLICATE, ILLEGAL},
    [POOL_FENCED] = {POOL_OPENING, POOL_WAITING, POOL_INCOMPLETE, POOL_DUPLICATE, POOL_FAILED,
                     POOL_FAILED, ILLEGAL, ILLEGAL, POOL_FAILED, POOL_FENCED, ILLEGAL},
    [POOL_FAILED] = {POOL_OPENING, POOL_WAITING, POOL_INCOMPLETE, POOL_DUPLICATE, POOL_FAILED,
                     POOL_FAILED, ILLEGAL, ILLEGAL, POOL_FAILED, POOL_FAILED, ILLEGAL},
    [POOL_LEAVING] = {ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL,
                      ILLEGAL, POOL_LEAVING, ILLEGAL},
};

static const char *const state_names[POOL_STATES] = {
    [POOL_WAITING] = "waiting",       [POOL_OPENING] = "opening",
    [POOL_MOUNTED] = "mounted",       [POOL_READ_ONLY] = "read-only",
    [POOL_INCOMPLETE] = "incomplete", [POOL_DUPLICATE] = "duplicate",
    [POOL_FENCED] = "fenced",         [POOL_FAILED] = "failed",
    [POOL_LEAVING] = "leaving",
};

/* What is told on entry; NULL: nothing. */
static const char *const topics[POOL_STATES] = {
    [POOL_MOUNTED] = "pool.mounted",       [POOL_READ_ONLY] = "pool.readonly",
    [POOL_INCOMPLETE] = "pool.incomplete", [POOL_DUPLICATE] = "pool.duplicate",
    [POOL_FENCED] = "pool.fenced",         [POOL_FAILED] = "pool.failed",
    [POOL_LEAVING] = "pool.leaving",
};

const char *pool_state_name(enum pool_state state)
{
    return state_names[state];
}

/* One event a change. A retry that ends as the try before it is none. */
static void tell(struct pool *pool)
{
    const char *topic = topics[pool->state];
    if (!topic) {
        log_debug("pool", "pool", pool->fsid, "state", state_names[pool->state], "reason",
                  pool->reason);
        return;
    }
    if (pool->told_topic == topic && strcmp(pool->told_reason, pool->reason) == 0)
        return;
    pool->told_topic = topic;
    memcpy(pool->told_reason, pool->reason, sizeof pool->told_reason);
    events_tell_pool(pool, topic, *pool->reason ? pool->reason : NULL);
}

bool pool_move(struct pool *pool, enum pool_event event, const char *reason)
{
    enum pool_state next = table[pool->state][event];
    if (next == ILLEGAL) {
        log_error("an illegal move was refused", "pool", pool->fsid, "state",
                  state_names[pool->state], "event", log_u64(event));
        return false;
    }
    bool again = next == pool->state;
    bool same_words = strncmp(pool->reason, reason, sizeof pool->reason - 1) == 0;
    if (again && (same_words || event == POOL_EVENT_UNWRITABLE))
        return true;
    (void)snprintf(pool->reason, sizeof pool->reason, "%s", reason);
    pool->state = next;
    tell(pool);
    node_pool_changed(pool->node);
    return true;
}

/* ---- what it is ---- */

bool pool_is_serving(const struct pool *pool)
{
    return pool->state == POOL_MOUNTED;
}

bool pool_is_mounted(const struct pool *pool)
{
    return pool->state == POOL_MOUNTED || pool->state == POOL_READ_ONLY;
}

const char *pool_trouble(const struct pool *pool)
{
    bool well = !pool->told_topic || pool->told_topic == topics[POOL_MOUNTED];
    return well ? NULL : pool->told_topic + strlen("pool.");
}

bool pool_is_slow(const struct pool *pool)
{
    return lane_busy_ms(pool->executor) > POOL_SLOW_MS;
}

uint64_t pool_free_bytes(const struct pool *pool)
{
    return pool->cramped ? 0 : ledger_free(&pool->ledger);
}

int pool_refuse(const struct pool *pool, struct err *err)
{
    int rc = err_set(err, ERR_UNAVAILABLE, 0, pool->fsid, "its pool %s is %s%s%s", pool->fsid,
                     state_names[pool->state], *pool->reason ? ": " : "", pool->reason);
    if (pool->state == POOL_OPENING || pool->state == POOL_WAITING || pool->state == POOL_FENCED)
        err_retryable(err, RETRY_LEAST_MS);
    return rc;
}

bool pool_is_forgotten(const struct pool *pool)
{
    if (pool->opened_once || pool->moving || pool->volume || pool->n_jobs > 0)
        return false;
    struct assembly assembly;
    const struct disks *disks = &pool->node->disks;
    assembly_judge((const Storage__V1__Disk *const *)disks->list, disks->n, pool->fsid,
                   disks->settled, false, &assembly);
    return assembly.verdict == ASSEMBLY_GONE;
}

/* ---- its disks ---- */

/* The names of the members of the open volume that diskd has no more. */
static size_t count_vanished(const struct pool *pool, char *out_names, size_t size)
{
    size_t n = 0, used = 0;
    for (size_t i = 0; i < pool->n_members; i++) {
        if (disks_find(&pool->node->disks, pool->members[i].disk_id))
            continue;
        int wrote =
            snprintf(out_names + used, size - used, "%s%s", n ? ", " : "", pool->members[i].path);
        used = wrote < 0 || used + (size_t)wrote >= size ? size - 1 : used + (size_t)wrote;
        n++;
    }
    return n;
}

static void review_open(struct pool *pool)
{
    char names[POOL_REASON_MAX / 2], reason[POOL_REASON_MAX];
    if (count_vanished(pool, names, sizeof names) == 0)
        return;
    (void)snprintf(reason, sizeof reason, "its disk %s vanished", names);
    pool->tried_stamp = 0;
    pool_move(pool, POOL_EVENT_VANISHED, reason);
}

/*
 * Worth another try when its disks are others than at the last one, or when it is time. Trying may
 * itself make diskd look at the disks again: so soon after a try, a change waits its turn.
 */
static bool may_open(struct pool *pool, const struct assembly *assembly)
{
    if ((pool->state != POOL_FENCED && pool->state != POOL_FAILED) || pool->retry_due)
        return true;
    if (pool->tried_stamp == assembly->stamp)
        return false;
    if (clock_monotonic_ms() - pool->tried_ms >= TRIES_APART_MS)
        return true;
    retry_later(&pool->retry);
    return false;
}

static void begin_open(struct pool *pool, const struct assembly *assembly)
{
    if (!may_open(pool, assembly))
        return;
    retry_cancel(&pool->retry);
    pool->retry_due = false;
    pool->tried_ms = clock_monotonic_ms();
    pool->tried_stamp = assembly->stamp;
    pool_open_begin(pool, assembly);
}

static void on_patience(uv_timer_t *timer)
{
    struct pool *pool = timer->data;
    pool->patience_over = true;
    pool_review(pool);
}

static enum pool_awaited awaited_by(enum assembly_verdict verdict)
{
    switch (verdict) {
    case ASSEMBLY_WAITING:
    case ASSEMBLY_INCOMPLETE:
        return POOL_AWAITS_MEMBERS;
    case ASSEMBLY_UNSETTLED:
        return POOL_AWAITS_SETTLING;
    default:
        return POOL_AWAITS_NOTHING;
    }
}

/* True once what is missing has been waited for long enough; then the pool is looked at again. */
static bool is_patience_over(struct pool *pool, enum assembly_verdict verdict)
{
    enum pool_awaited awaited = awaited_by(verdict);
    if (awaited != pool->awaited) {
        const uint64_t patience_ms[] = {
            [POOL_AWAITS_MEMBERS] = pool->node->settings->incomplete_ms,
            [POOL_AWAITS_SETTLING] = POOL_SETTLING_MS,
        };
        pool->awaited = awaited;
        pool->patience_over = false;
        (void)uv_timer_stop(&pool->patience);
        if (awaited != POOL_AWAITS_NOTHING)
            (void)uv_timer_start(&pool->patience, on_patience, patience_ms[awaited], 0);
    }
    return pool->patience_over;
}

static void review_closed(struct pool *pool)
{
    const struct disks *disks = &pool->node->disks;
    const Storage__V1__Disk *const *list = (const Storage__V1__Disk *const *)disks->list;
    struct assembly assembly;
    char reason[POOL_REASON_MAX];
    assembly_judge(list, disks->n, pool->fsid, disks->settled, false, &assembly);
    if (is_patience_over(pool, assembly.verdict))
        assembly_judge(list, disks->n, pool->fsid, disks->settled, true, &assembly);
    pool_open_describe(pool, &assembly);
    (void)snprintf(reason, sizeof reason, "%zu of its %llu disks are there", assembly.n_members,
                   (unsigned long long)assembly.wanted);
    switch (assembly.verdict) {
    case ASSEMBLY_GONE:
        if (pool->opened_once)
            pool_move(pool, POOL_EVENT_VANISHED,
                      pool->state == POOL_FAILED ? pool->reason : "its disks are not there");
        break;
    case ASSEMBLY_UNSETTLED:
        break;
    case ASSEMBLY_WAITING:
        pool_move(pool, POOL_EVENT_MISSING, reason);
        break;
    case ASSEMBLY_INCOMPLETE:
        pool_move(pool, POOL_EVENT_INCOMPLETE, reason);
        break;
    case ASSEMBLY_DUPLICATE:
        pool_move(pool, POOL_EVENT_DUPLICATE,
                  "two disks claim to be the same member; neither is used until one is gone");
        break;
    case ASSEMBLY_MISMATCH:
        pool_move(pool, POOL_EVENT_UNUSABLE, "more disks claim to be its members than it can have");
        break;
    case ASSEMBLY_COMPLETE:
    case ASSEMBLY_UNFINISHED:
        begin_open(pool, &assembly);
        break;
    }
}

void pool_review(struct pool *pool)
{
    if (pool->moving || pool->ending.begun || !pool->node->disks.known ||
        pool->state == POOL_LEAVING)
        return;
    if (pool_is_mounted(pool))
        review_open(pool);
    else
        review_closed(pool);
}

void pool_retry_later(struct pool *pool, bool fenced)
{
    pool->retry.most_ms = fenced ? RETRY_FENCED_MS : RETRY_MOST_MS;
    if (pool->retry.next_ms > pool->retry.most_ms)
        pool->retry.next_ms = pool->retry.most_ms;
    retry_later(&pool->retry);
}

static void on_retry(void *data)
{
    struct pool *pool = data;
    pool->retry_due = true;
    /* Its disks may have lost it while it was being opened: then it is forgotten now. */
    node_disks_changed(pool->node);
}

/* ---- birth and death ---- */

static int compare_groups(const void *a, const void *b)
{
    const struct space *left = a, *right = b;
    if (left->record.qgroup != right->record.qgroup)
        return left->record.qgroup < right->record.qgroup ? -1 : 1;
    return (a > b) - (a < b);
}

int pool_new(struct node *node, const char *fsid, struct pool **out_pool, struct err *err)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, fsid, "no memory for a pool");
    int rc = executor_open(node->loop, fsid, &pool->executor, &pool->reaping, err);
    if (rc < 0) {
        free(pool);
        return rc;
    }
    pool->node = node;
    pool->quota_mode = "";
    pool->type = STORAGE__V1__DISK_TYPE__DISK_TYPE_UNKNOWN;
    (void)snprintf(pool->fsid, sizeof pool->fsid, "%s", fsid);
    retry_init(&pool->retry, node->loop, RETRY_LEAST_MS, RETRY_MOST_MS, on_retry, pool);
    (void)uv_timer_init(node->loop, &pool->patience);
    pool->patience.data = pool;
    order_init(&pool->objects, compare_groups);
    reaper_init(&pool->reaper, pool, node->loop);
    *out_pool = pool;
    return 0;
}

void pool_free(struct pool *pool)
{
    pool_books_end(pool);
    order_free(&pool->objects);
    free(pool->nested);
    free(pool->gone_groups);
    pool_open_free_members(pool);
    free(pool);
}
