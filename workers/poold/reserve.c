/*
 * Reserve: checks the request, finds what it may have made before, books the space on a pool, and
 * has it built there. Of the loop, but for build_work().
 *
 * A space is in the index from the moment that it is booked, so that a second call under the same
 * key joins the first. It is answered when its record is committed. What failed half-way is handed
 * to the reaper with its booking, which comes back when nothing is left on the disk.
 */
#include "answer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/name.h"
#include "events.h"
#include "executor.h"
#include "node.h"
#include "place.h"
#include "pool_books.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MODE_DEFAULT = 0700,
    MODE_ALLOWED = 07777 & ~S_ISUID,
    RETRY_BUSY_MS = 200,
    OPENING_PATIENCE_MS = 30000, /* large filesystems take long; a call's default deadline */
};

/* ---- the request ---- */

static int check(const Storage__V1__ReserveRequest *request, struct err *err)
{
    if (request->disk_type != STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD &&
        request->disk_type != STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "disk_type",
                       "the disk type must be SSD or HDD");
    if (request->size_bytes == 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "size_bytes",
                       "a size of 0 is no space; it is in bytes");
    if (request->mode & ~(uint32_t)MODE_ALLOWED)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "mode",
                       "the mode %" PRIo32 " has more than permission bits, setgid and sticky",
                       request->mode);
    if (request->owner && (request->owner->uid == UINT32_MAX || request->owner->gid == UINT32_MAX))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "owner", "%" PRIu32 " is no uid or gid",
                       UINT32_MAX);
    return *request->name ? name_check(request->name, err) : 0;
}

/* What the space shall be, but for its id. */
static struct record record_of(const struct node *node, const Storage__V1__ReserveRequest *request,
                               const struct rpc_call *call)
{
    struct record record = {
        .kind = RECORD_KIND_SPACE,
        .request_uid = rpc_call_uid(call),
        .disk_type = request->disk_type,
        .size_bytes = request->size_bytes,
        .limit_bytes = ledger_limit(request->size_bytes, node->settings->headroom_bytes),
        .uid = request->owner ? request->owner->uid : rpc_call_uid(call),
        .gid = request->owner ? request->owner->gid : rpc_call_gid(call),
        .mode = request->mode ? request->mode : MODE_DEFAULT,
        .created_us = clock_realtime_us(),
    };
    (void)snprintf(record.name, sizeof record.name, "%s", request->name);
    (void)snprintf(record.request_id, sizeof record.request_id, "%s", rpc_call_request_id(call));
    return record;
}

/* ---- what is there already ---- */

/* Names everything that differs; 0 if nothing does. The headroom is not the caller's to choose, so
 * a limit made under another one is no difference. */
static int compare(const struct record *has, const struct record *wanted, enum err_code code,
                   struct err *err)
{
    const struct {
        const char *what;
        uint64_t has, wanted;
    } fields[] = {
        {"disk type", has->disk_type, wanted->disk_type},
        {"size in bytes", has->size_bytes, wanted->size_bytes},
        {"uid", has->uid, wanted->uid},
        {"gid", has->gid, wanted->gid},
        {"mode", has->mode, wanted->mode},
    };
    const char *key = *has->name ? has->name : has->request_id;
    int rc = 0;
    for (size_t i = 0; i < array_length(fields); i++) {
        if (fields[i].has == fields[i].wanted)
            continue;
        if (rc == 0)
            rc = err_set(err, code, 0, has->id, "\"%s\" is there with other parameters", key);
        err_blocker(err, "its %s is %" PRIu64 ", not %" PRIu64, fields[i].what, fields[i].has,
                    fields[i].wanted);
    }
    return rc;
}

static void answer_existing(struct space *space, const struct record *wanted, struct rpc_call *call)
{
    autoerr struct err err = {0};
    enum err_code code = space->phase == SPACE_BUILDING ? ERR_ABORTED : ERR_ALREADY_EXISTS;
    if (space->phase == SPACE_RELEASING) {
        (void)err_set(&err, ERR_ABORTED, 0, space->record.id, "it is being released just now");
        err_retryable(&err, RETRY_BUSY_MS);
        rpc_call_fail(call, &err);
    } else if (compare(&space->record, wanted, code, &err) < 0) {
        rpc_call_fail(call, &err);
    } else if (space->phase == SPACE_BUILDING) {
        (void)answer_later(space, call);
    } else {
        answer_space(call, space, false);
    }
}

static bool may_come(const struct pool *pool)
{
    if (pool->opened_once)
        return false;
    return pool->state == POOL_WAITING ||
           (pool->state == POOL_OPENING &&
            clock_monotonic_ms() - pool->tried_ms < OPENING_PATIENCE_MS);
}

/*
 * What is not found may be on a pool that is on its way: made elsewhere, it would be there twice.
 * Pools of another type cannot hold it. One that is fenced, or hangs while it is opened, is not
 * waited for: nobody can tell when it comes, and the others go on.
 */
static int check_pending(const struct node *node, const struct record *wanted, struct err *err)
{
    const char *key = *wanted->name ? wanted->name : wanted->request_id;
    int rc = 0;
    if (!node->disks.all_seen)
        rc =
            err_set(err, ERR_UNAVAILABLE, 0, key, "it may be on a disk that has not been read yet");
    for (size_t i = 0; rc == 0 && i < node->n_pools; i++) {
        const struct pool *pool = node->pools[i];
        if (pool->type == wanted->disk_type && may_come(pool))
            rc = err_set(err, ERR_UNAVAILABLE, 0, key, "it may be on the pool %s, which is %s",
                         pool->fsid, pool_state_name(pool->state));
    }
    if (rc < 0)
        err_retryable(err, RETRY_BUSY_MS);
    return rc;
}

/* ---- where it goes ---- */

static uint64_t largest(const struct node *node, uint64_t room_bytes)
{
    return ledger_largest(room_bytes, node->settings->headroom_bytes);
}

static struct place_wish wish_for(const struct record *wanted)
{
    return (struct place_wish){.pool = "",
                               .type = wanted->disk_type,
                               .size_bytes = wanted->size_bytes,
                               .limit_bytes = wanted->limit_bytes,
                               .room = pool_free_bytes,
                               .largest = largest};
}

static int place(const struct node *node, const struct record *wanted, struct pool **out_pool,
                 struct err *err)
{
    const struct place_wish wish = wish_for(wanted);
    return place_choose(node, &wish, out_pool, err);
}

/* ---- building ---- */

struct build_job {
    struct pool_job base;
    struct space *space;
    struct record record;
    bool cramped; /* there was no room in the metadata */
};

static int build_work(struct pool_job *base, struct err *err)
{
    struct build_job *job = container_of(base, struct build_job, base);
    int rc = volume_build_space(base->volume, &job->record, err);
    job->cramped = rc < 0 && err->os_errno == ENOSPC;
    return job->cramped ? volume_refuse_full(base->volume, err) : rc;
}

/* Nobody was promised it, and perhaps something is left of it. */
static void abandon(struct space *space)
{
    struct pool *pool = space->pool;
    index_remove(&pool->node->index, space);
    ledger_die(&pool->ledger, &space->booking);
    pool_books_add(pool, space);
    reaper_add(&pool->reaper, space);
}

/* Whoever asks again gets it elsewhere, if there is such a pool. */
static void pass_over(struct pool *pool, const struct record *wanted, struct err *err)
{
    autoerr struct err unheard = {0};
    struct pool *other;
    pool->cramped = true;
    if (place(pool->node, wanted, &other, &unheard) < 0)
        return;
    err->code = ERR_UNAVAILABLE;
    err_retryable(err, RETRY_BUSY_MS);
}

static void build_done(struct pool_job *base)
{
    struct build_job *job = container_of(base, struct build_job, base);
    struct space *space = job->space;
    struct pool *pool = base->pool;
    /* Its keys are those that it was indexed by. */
    space->record = job->record;
    if (base->rc == 0) {
        space->phase = SPACE_LIVE;
        pool->n_live++;
        pool_books_add(pool, space);
        events_tell_space(space, "space.reserved", NULL);
        answer_with_space(space, true);
    } else {
        if (job->cramped)
            pass_over(pool, &space->record, &base->err);
        log_err(LOG_WARNING, "a space could not be built", &base->err);
        answer_with_error(space, &base->err);
        abandon(space);
    }
    err_clear(&base->err);
    free(job);
}

static int book(struct pool *pool, const struct record *wanted, struct space **out_space,
                struct err *err)
{
    struct node *node = pool->node;
    struct space *space = index_count(&node->index) < INDEX_SPACES_MAX ? space_new(pool) : NULL;
    if (!space)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, NULL,
                       "no memory, or %d spaces on this node already", INDEX_SPACES_MAX);
    space->record = *wanted;
    space->phase = SPACE_BUILDING;
    uuid_random(space->record.id);
    if (ledger_reserve(&pool->ledger, &space->booking, wanted->limit_bytes) < 0) {
        const struct place_wish wish = wish_for(wanted);
        space_free(space);
        return place_refuse_size(node, &wish, false, err);
    }
    if (index_add(&node->index, space) < 0) {
        ledger_release(&pool->ledger, &space->booking);
        space_free(space);
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, NULL, "no memory for a space");
    }
    *out_space = space;
    return 0;
}

static void unbook(struct space *space)
{
    index_remove(&space->pool->node->index, space);
    ledger_release(&space->pool->ledger, &space->booking);
    space_free(space);
}

static void build_begin(struct space *space, struct rpc_call *call)
{
    struct build_job *job = calloc(1, sizeof *job);
    if (!job || !answer_later(space, call)) {
        if (!job)
            rpc_call_refuse(call, ERR_RESOURCE_EXHAUSTED, NULL, "no memory to build a space");
        free(job);
        unbook(space);
        return;
    }
    job->base = (struct pool_job){.work = build_work, .done = build_done, .changes = true};
    job->space = space;
    job->record = space->record;
    autoerr struct err err = {0};
    if (executor_submit(space->pool, &job->base, &err) == 0)
        return;
    answer_with_error(space, &err);
    free(job);
    unbook(space);
}

void reserve_begin(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__ReserveRequest *request = input;
    autoerr struct err err = {0};
    struct pool *pool = NULL;
    struct space *space = NULL;
    int rc = check(request, &err);
    if (rc == 0) {
        struct record wanted = record_of(node, request, call);
        space = *wanted.name
                    ? index_find_name(&node->index, wanted.name)
                    : index_find_request(&node->index, wanted.request_uid, wanted.request_id);
        if (space) {
            answer_existing(space, &wanted, call);
            return;
        }
        rc = check_pending(node, &wanted, &err);
        if (rc == 0)
            rc = place(node, &wanted, &pool, &err);
        if (rc == 0)
            rc = book(pool, &wanted, &space, &err);
    }
    if (rc < 0)
        rpc_call_fail(call, &err);
    else
        build_begin(space, call);
}
