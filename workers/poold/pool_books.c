/*
 * The books. An object is in pool->objects from the moment that it has a quota group until that is
 * gone: built and live spaces, which the node's index holds as well; dying ones, which the reaper
 * holds; the cache; and the directory of the 0-db, whose limit is home.c's.
 *
 * A survey is as old as its pass over the disk. Groups that were reaped while it was on its way are
 * remembered in pool->gone_groups, so that they are not taken for strays; numbers of groups are
 * never given twice.
 */
#include "pool_books.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "events.h"
#include "executor.h"
#include "node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- objects ---- */

void pool_books_add(struct pool *pool, struct space *space)
{
    if (space->record.qgroup != 0 && order_add(&pool->objects, space) < 0)
        log_error("no memory to follow a space's usage", "space", space->record.id);
}

static void remember_gone(struct pool *pool, uint64_t group)
{
    uint64_t *grown = reallocarray(pool->gone_groups, pool->n_gone_groups + 1, sizeof *grown);
    if (!grown)
        return;
    pool->gone_groups = grown;
    pool->gone_groups[pool->n_gone_groups++] = group;
}

void pool_books_drop(struct pool *pool, struct space *space)
{
    if (pool->surveying && space->record.qgroup != 0)
        remember_gone(pool, space->record.qgroup);
    order_remove(&pool->objects, space);
    ledger_release(&pool->ledger, &space->booking);
    space_free(space);
}

/* Dying objects and the cache are the books' alone; what is indexed stays. */
static void forget_all(struct pool *pool)
{
    for (size_t i = 0; i < order_count(&pool->objects); i++) {
        struct space *space = order_at(&pool->objects, i);
        space->booking = (struct booking){0};
    }
    order_free(&pool->objects);
    reaper_forget(&pool->reaper);
    if (pool->cache)
        space_free(take_ptr(pool->cache));
    home_forget(pool);
    pool->ledger = (struct ledger){0};
    pool->n_live = pool->n_bookings = 0;
}

/* Live spaces of the pool that the last scan did not find: released, or lost, meanwhile. */
static void drop_unseen(struct pool *pool, struct index *index)
{
    for (size_t i = index_count(index); i-- > 0;) {
        struct space *space = index_at(index, i);
        if (space->pool != pool || space->seen_scan == pool->n_scans)
            continue;
        index_remove(index, space);
        space_free(space);
    }
}

/* A live one, in the index again or for the first time; NULL without memory. */
static struct space *index_found(struct pool *pool, struct index *index,
                                 const struct pool_found *found)
{
    struct space *space = pool->n_scans > 1 ? index_find_id(index, found->record.id) : NULL;
    if (space && space->pool == pool)
        index_remove(index, space);
    else
        space = space_new(pool);
    if (space) {
        space->record = found->record;
        space->phase = SPACE_LIVE;
        space->seen_scan = pool->n_scans;
    }
    if (space && index_add(index, space) == 0)
        return space;
    log_error("no memory for what was found", "object", found->record.id);
    if (space)
        space_free(space);
    return NULL;
}

static void adopt_booking(struct pool *pool, struct pool_found *found)
{
    struct index *index = &pool->node->bookings;
    struct space *space = index_found(pool, index, found);
    if (!space)
        return;
    free(space->note);
    space->note = take_ptr(found->note);
    if (home_adopt_booking(pool, space)) {
        pool->n_bookings++;
        return;
    }
    log_error("no memory for a booking", "booking", found->record.id);
    index_remove(index, space);
    space_free(space);
}

static void adopt_live(struct pool *pool, const struct pool_found *found)
{
    struct space *space = index_found(pool, &pool->node->index, found);
    if (!space)
        return;
    ledger_adopt(&pool->ledger, &space->booking, BOOKING_LIVE, found->record.limit_bytes, 0);
    pool_books_add(pool, space);
    pool->n_live++;
    if (!found->has_data)
        events_tell_space(space, "space.failed", "its data is not there");
}

static void adopt_other(struct pool *pool, const struct pool_found *found, enum booking_state state)
{
    struct space *space = space_new(pool);
    if (!space) {
        log_error("no memory for what was found", "object", found->record.id);
        return;
    }
    space->record = found->record;
    space->phase = SPACE_LIVE;
    space->seen_scan = pool->n_scans;
    if (state != BOOKING_DYING && found->record.kind == RECORD_KIND_HOME) {
        home_adopt(pool, space);
        return;
    }
    ledger_adopt(&pool->ledger, &space->booking, state, found->record.limit_bytes, 0);
    pool_books_add(pool, space);
    if (state == BOOKING_DYING)
        reaper_add(&pool->reaper, space);
    else
        pool->cache = space;
}

void pool_books_begin(struct pool *pool, struct pool_found *found, size_t n)
{
    forget_all(pool);
    pool->n_scans++;
    for (size_t i = 0; i < n; i++) {
        const struct record *record = &found[i].record;
        if (record->state != RECORD_STATE_LIVE)
            adopt_other(pool, &found[i], BOOKING_DYING);
        else if (record->kind == RECORD_KIND_BOOKING)
            adopt_booking(pool, &found[i]);
        else if (record->kind != RECORD_KIND_SPACE)
            adopt_other(pool, &found[i], BOOKING_LIVE);
        else
            adopt_live(pool, &found[i]);
    }
    drop_unseen(pool, &pool->node->index);
    drop_unseen(pool, &pool->node->bookings);
}

void pool_books_end(struct pool *pool)
{
    forget_all(pool);
    pool->n_scans++;
    drop_unseen(pool, &pool->node->index);
    drop_unseen(pool, &pool->node->bookings);
}

/* ---- repairs ---- */

struct repair_job {
    struct pool_job base;
    size_t n_repaired;
    size_t n;
    struct record records[];
};

static int repair_work(struct pool_job *base, struct err *err)
{
    struct repair_job *job = container_of(base, struct repair_job, base);
    int result = 0;
    for (size_t i = 0; i < job->n; i++) {
        bool repaired = false;
        autoerr struct err one = {0};
        int rc = volume_enforce(base->volume, &job->records[i], &repaired, &one);
        bool released = rc == -ERR_FAILED_PRECONDITION || rc == -ERR_NOT_FOUND;
        if (rc < 0 && !released && result == 0) {
            result = rc;
            err_move(err, &one);
        }
        job->n_repaired += repaired;
    }
    return result;
}

static void repair_done(struct pool_job *base)
{
    struct repair_job *job = container_of(base, struct repair_job, base);
    if (base->rc < 0)
        log_err(LOG_WARNING, "a limit could not be repaired", &base->err);
    if (job->n_repaired > 0)
        log_warning("limits repaired", "pool", base->pool->fsid, "count", log_u64(job->n_repaired));
    err_clear(&base->err);
    free(job);
}

static bool needs_repair(const struct space *space, const struct survey_group *group)
{
    if (space->booking.state != BOOKING_LIVE || space->phase == SPACE_BUILDING)
        return false;
    uint64_t limit = space->record.limit_bytes ? space->record.limit_bytes : VOLUME_NO_LIMIT;
    return !group || group->limit_bytes != limit || group->members == 0 || group->is_odd;
}

static void repair(struct pool *pool, struct space *const *spaces, size_t n)
{
    struct repair_job *job = calloc(1, sizeof *job + n * sizeof *job->records);
    if (!job)
        return;
    job->base = (struct pool_job){.work = repair_work, .done = repair_done, .changes = true};
    job->n = n;
    for (size_t i = 0; i < n; i++)
        job->records[i] = spaces[i]->record;
    if (executor_submit(pool, &job->base, NULL) < 0)
        free(job);
}

/* ---- surveys ---- */

static bool is_gone(const struct pool *pool, uint64_t group)
{
    for (size_t i = 0; i < pool->n_gone_groups; i++)
        if (pool->gone_groups[i] == group)
            return true;
    return false;
}

static int match_group(const void *item, const void *key)
{
    uint64_t number = ((const struct space *)item)->record.qgroup;
    uint64_t wanted = *(const uint64_t *)key;
    return (number > wanted) - (number < wanted);
}

static int compare_group_numbers(const void *key, const void *group)
{
    uint64_t wanted = *(const uint64_t *)key;
    uint64_t number = ((const struct survey_group *)group)->number;
    return (wanted > number) - (wanted < number);
}

/* What needs repair, at most `REPAIRS_MAX` a survey. */
enum { REPAIRS_MAX = 256 };
struct repairs {
    struct space *spaces[REPAIRS_MAX];
    size_t n;
};

static void check(struct repairs *repairs, struct space *space, const struct survey_group *group)
{
    if (space == space->pool->home.space)
        home_review(space->pool, group && group->members > 0 && !group->is_odd,
                    group ? group->limit_bytes : 0, group ? group->usage_bytes : 0);
    else if (needs_repair(space, group) && repairs->n < REPAIRS_MAX)
        repairs->spaces[repairs->n++] = space;
}

/* The limit was lifted for a while, behind our back: nobody else can have those bytes. What is in
 * the home is booked with the bookings. */
static uint64_t excess(const struct space *space, uint64_t usage_bytes)
{
    const struct booking *booking = &space->booking;
    bool counts = booking->state == BOOKING_LIVE && space != space->pool->home.space;
    return counts && usage_bytes > booking->limit_bytes ? usage_bytes - booking->limit_bytes : 0;
}

/* Every group is an object's, gone meanwhile, or a stray. */
static void apply_groups(struct pool *pool, const struct survey *survey, struct repairs *repairs)
{
    ledger_sum stray = survey->orphan_bytes, over = 0;
    for (size_t i = 0; i < survey->n_groups; i++) {
        const struct survey_group *group = &survey->groups[i];
        struct space *space = order_find(&pool->objects, match_group, &group->number);
        if (space) {
            ledger_set_usage(&pool->ledger, &space->booking, group->usage_bytes);
            over += excess(space, group->usage_bytes);
            check(repairs, space, group);
        } else if (!is_gone(pool, group->number)) {
            stray += group->usage_bytes;
        }
    }
    if (survey->top_bytes > POOL_TOP_ALLOWANCE)
        stray += survey->top_bytes - POOL_TOP_ALLOWANCE;
    ledger_set_stray(&pool->ledger, stray > UINT64_MAX ? UINT64_MAX : (uint64_t)stray);
    ledger_set_excess(&pool->ledger, over > UINT64_MAX ? UINT64_MAX : (uint64_t)over);
}

/* Objects that lack their group. One that this incarnation built may be younger than the survey. */
static void find_groupless(struct pool *pool, const struct survey *survey, struct repairs *repairs)
{
    for (size_t i = 0; i < order_count(&pool->objects); i++) {
        struct space *space = order_at(&pool->objects, i);
        if (space->seen_scan == 0)
            continue;
        if (survey->n_groups == 0 ||
            !bsearch(&space->record.qgroup, survey->groups, survey->n_groups,
                     sizeof *survey->groups, compare_group_numbers))
            check(repairs, space, NULL);
    }
}

static int compare_subvolumes(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void tell_nested(struct pool *pool, const struct survey_nested *nested)
{
    char reason[POOL_REASON_MAX];
    (void)snprintf(reason, sizeof reason, "the nested subvolume %llu, %.400s, %s",
                   (unsigned long long)nested->subvolume, nested->path ? nested->path : "",
                   nested->changed ? "was put in its space's quota group alone"
                                   : "belongs to the space");
    struct space *space = index_find_id(&pool->node->index, nested->id);
    if (space)
        events_tell_space(space, "space.nested", reason);
    else
        events_tell(pool->node, "space.nested", nested->id, reason);
}

/* Each is told once, and again when its groups had to be put right. */
static void apply_nested(struct pool *pool, const struct survey *survey)
{
    uint64_t *numbers = reallocarray(NULL, survey->n_nested + 1, sizeof *numbers);
    if (!numbers)
        return;
    for (size_t i = 0; i < survey->n_nested; i++) {
        const struct survey_nested *nested = &survey->nested[i];
        numbers[i] = nested->subvolume;
        bool known = pool->n_nested > 0 && bsearch(&nested->subvolume, pool->nested, pool->n_nested,
                                                   sizeof *pool->nested, compare_subvolumes);
        if (!known || nested->changed)
            tell_nested(pool, nested);
    }
    qsort(numbers, survey->n_nested, sizeof *numbers, compare_subvolumes);
    free(pool->nested);
    pool->nested = numbers;
    pool->n_nested = survey->n_nested;
}

void pool_books_apply(struct pool *pool, const struct survey *survey)
{
    struct repairs repairs = {.n = 0};
    pool->cramped = false;
    ledger_set_capacity(&pool->ledger, survey->capacity.total_bytes, survey->capacity.usable_bytes);
    apply_groups(pool, survey, &repairs);
    find_groupless(pool, survey, &repairs);
    apply_nested(pool, survey);
    if (repairs.n > 0)
        repair(pool, repairs.spaces, repairs.n);
}

struct survey_job {
    struct pool_job base;
    struct survey survey;
    bool read_only; /* noticed even when nobody changes anything */
};

static int survey_work(struct pool_job *base, struct err *err)
{
    struct survey_job *job = container_of(base, struct survey_job, base);
    int rc = survey_take(base->volume, &job->survey, err);
    base->changes = job->survey.changed;
    job->read_only = volume_is_read_only(base->volume);
    return rc;
}

static void survey_done(struct pool_job *base)
{
    struct survey_job *job = container_of(base, struct survey_job, base);
    struct pool *pool = base->pool;
    /* The pool may have been lost, and even opened again, since this was asked for. */
    bool still_ours = pool_is_mounted(pool) && pool->volume == base->volume;
    if (base->rc < 0)
        log_err(LOG_WARNING, "a pool could not be surveyed", &base->err);
    else if (still_ours)
        pool_books_apply(pool, &job->survey);
    if (still_ours && job->read_only)
        pool_move(pool, POOL_EVENT_UNWRITABLE, "the kernel takes no writes for it any more");
    pool->surveying = false;
    pool->n_gone_groups = 0;
    survey_free(&job->survey);
    err_clear(&base->err);
    free(job);
}

void pool_books_refresh(struct pool *pool)
{
    if (pool->surveying || !pool_is_mounted(pool))
        return;
    struct survey_job *job = calloc(1, sizeof *job);
    if (!job)
        return;
    job->base = (struct pool_job){.work = survey_work, .done = survey_done};
    pool->n_gone_groups = 0;
    pool->surveying = executor_submit(pool, &job->base, NULL) == 0;
    if (!pool->surveying)
        free(job);
}
