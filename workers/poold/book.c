/*
 * Book: checks the request, finds what it may have made before, books the bytes on a pool, and has
 * the booking noted there. Of the loop, but for make_work().
 *
 * A booking is in the index from the moment that its bytes are, so that a second call with its id
 * joins the first. It is answered when its record is committed, and the limit raised before that.
 */
#include "booking.h"

#include "answer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "describe.h"
#include "events.h"
#include "node.h"
#include "place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE(name) STORAGE__V1__DISK_TYPE__DISK_TYPE_##name

static int check(const Storage__V1__BookRequest *request, struct err *err)
{
    int rc = booking_check_id(request->id, err);
    if (rc == 0)
        rc = booking_check_size(request->size_bytes, request->note.len, err);
    if (rc < 0)
        return rc;
    bool any = request->disk_type == TYPE(UNSPECIFIED) && *request->pool;
    if (!any && request->disk_type != TYPE(SSD) && request->disk_type != TYPE(HDD))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "disk_type",
                       "name a pool, or say which disk type: SSD or HDD");
    if (*request->pool && !uuid_valid(request->pool))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "pool", "\"%s\" is no pool's id",
                       request->pool);
    return 0;
}

/* ---- what is there already ---- */

/* Names everything that differs; 0 if nothing does. */
static int compare(const struct space *has, const Storage__V1__BookRequest *wanted,
                   enum err_code code, struct err *err)
{
    const struct record_note *note = has->note;
    bool same_note =
        note->length == wanted->note.len &&
        (note->length == 0 || memcmp(note->data, wanted->note.data, note->length) == 0);
    bool same_type =
        wanted->disk_type == TYPE(UNSPECIFIED) || wanted->disk_type == has->record.disk_type;
    const struct {
        const char *what;
        bool same;
    } fields[] = {
        {"its size is another", has->record.size_bytes == wanted->size_bytes},
        {"its disk type is another", same_type},
        {"it is on another pool", !*wanted->pool || strcmp(wanted->pool, has->pool->fsid) == 0},
        {"its note is another", same_note},
    };
    int rc = 0;
    for (size_t i = 0; i < array_length(fields); i++) {
        if (fields[i].same)
            continue;
        if (rc == 0)
            rc = err_set(err, code, 0, has->record.id,
                         "the booking %s is there with other parameters", has->record.id);
        err_blocker(err, "%s", fields[i].what);
    }
    return rc;
}

static void answer_existing(struct space *booking, const Storage__V1__BookRequest *wanted,
                            struct rpc_call *call)
{
    autoerr struct err err = {0};
    bool building = booking->phase == SPACE_BUILDING;
    if (booking->phase == SPACE_RELEASING)
        booking_refuse_busy(booking, call);
    else if (compare(booking, wanted, building ? ERR_ABORTED : ERR_ALREADY_EXISTS, &err) < 0)
        rpc_call_fail(call, &err);
    else if (building)
        (void)answer_later(booking, call);
    else
        booking_answer(call, booking, false);
}

/* What is not found may be on a pool that is on its way: booked elsewhere it would be there twice.
 * A pool that nobody can tell when to expect is not waited for, nor is any when one is named. */
static int check_pending(const struct node *node, const Storage__V1__BookRequest *request,
                         struct err *err)
{
    if (!node->disks.all_seen && !*request->pool) {
        int rc = err_set(err, ERR_UNAVAILABLE, 0, request->id,
                         "it may be on a disk that has not been read yet");
        err_retryable(err, BOOKING_RETRY_MS);
        return rc;
    }
    for (size_t i = 0; i < node->n_pools && !*request->pool; i++) {
        const struct pool *pool = node->pools[i];
        bool pending = pool->state == POOL_WAITING || pool->state == POOL_OPENING ||
                       pool->state == POOL_FENCED;
        if (pool->opened_once || !pending)
            continue;
        int rc =
            err_set(err, ERR_UNAVAILABLE, 0, request->id, "it may be on the pool %s, which is %s",
                    pool->fsid, pool_state_name(pool->state));
        err_retryable(err, BOOKING_RETRY_MS);
        return rc;
    }
    return 0;
}

/* ---- making ---- */

static int make_work(struct pool_job *base, struct err *err)
{
    struct booking_job *job = container_of(base, struct booking_job, base);
    int rc = home_apply(base->volume, &job->home, err);
    if (rc == 0)
        rc = volume_booking_make(base->volume, &job->record, &job->note, err);
    job->cramped = rc < 0 && err->os_errno == ENOSPC;
    return job->cramped ? volume_refuse_full(base->volume, err) : rc;
}

/* Nothing is left of it on the disk. */
static void forget(struct space *booking)
{
    index_remove(&booking->pool->node->bookings, booking);
    home_release(booking->pool, booking);
    space_free(booking);
}

static void make_done(struct pool_job *base)
{
    struct booking_job *job = container_of(base, struct booking_job, base);
    struct space *booking = job->booking;
    struct pool *pool = base->pool;
    if (base->rc == 0) {
        booking->record = job->record;
        booking->phase = SPACE_LIVE;
        pool->n_bookings++;
        home_end(pool, &job->home);
        events_tell_booking(booking, job->topic);
        booking_answer_all(booking, true);
    } else {
        log_err(LOG_WARNING, "a booking could not be made", &base->err);
        pool->cramped |= job->cramped;
        answer_with_error(booking, &base->err);
        forget(booking);
        home_end(pool, &job->home);
    }
    booking_job_free(job);
}

static struct place_wish wish_for(const Storage__V1__BookRequest *request, uint64_t limit_bytes)
{
    return (struct place_wish){.pool = request->pool,
                               .type = request->disk_type,
                               .size_bytes = request->size_bytes,
                               .limit_bytes = limit_bytes,
                               .room = home_room,
                               .largest = home_largest};
}

static int choose(const struct node *node, const Storage__V1__BookRequest *request,
                  uint64_t limit_bytes, struct pool **out_pool, struct err *err)
{
    const struct place_wish wish = wish_for(request, limit_bytes);
    int rc = place_choose(node, &wish, out_pool, err);
    if (rc < 0 || request->disk_type == TYPE(UNSPECIFIED) ||
        request->disk_type == (*out_pool)->type)
        return rc;
    return err_set(err, ERR_FAILED_PRECONDITION, 0, request->pool, "the pool %s is of type %s",
                   request->pool, describe_type((*out_pool)->type));
}

static int reserve(struct pool *pool, const Storage__V1__BookRequest *request, uint64_t limit_bytes,
                   struct space **out_booking, struct err *err)
{
    struct index *index = &pool->node->bookings;
    struct space *booking = index_count(index) < BOOKINGS_MAX ? space_new(pool) : NULL;
    if (booking)
        booking->note = calloc(1, sizeof *booking->note);
    int rc = booking && booking->note ? 0 : -ERR_RESOURCE_EXHAUSTED;
    if (rc == 0) {
        booking->record = (struct record){.kind = RECORD_KIND_BOOKING,
                                          .disk_type = pool->type,
                                          .size_bytes = request->size_bytes,
                                          .limit_bytes = limit_bytes,
                                          .created_us = clock_realtime_us(),
                                          .pending = true};
        booking->phase = SPACE_BUILDING;
        booking->note->length = request->note.len;
        if (request->note.len > 0)
            memcpy(booking->note->data, request->note.data, request->note.len);
        (void)snprintf(booking->record.id, sizeof booking->record.id, "%s", request->id);
        rc = index_add(index, booking);
    }
    if (rc == 0) {
        *out_booking = booking;
        return 0;
    }
    if (booking)
        space_free(booking);
    return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, NULL,
                   "no memory, or %d bookings on this node already", BOOKINGS_MAX);
}

static void make_begin(struct space *booking, const Storage__V1__BookRequest *request,
                       struct rpc_call *call)
{
    struct pool *pool = booking->pool;
    struct booking_job *job = booking_job_new(booking, call);
    if (job && home_reserve(pool, booking, booking->record.limit_bytes) == 0) {
        job->base.work = make_work;
        job->base.done = make_done;
        job->topic = "booking.made";
        job->limits = true;
        if (!booking_submit(job, SPACE_BUILDING, call))
            forget(booking);
        return;
    }
    index_remove(&pool->node->bookings, booking);
    if (job) {
        autoerr struct err err = {0};
        const struct place_wish wish = wish_for(request, booking->record.limit_bytes);
        (void)place_refuse_size(pool->node, &wish, false, &err);
        rpc_call_fail(call, &err);
        booking_job_free(job);
    }
    space_free(booking);
}

void book_begin(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__BookRequest *request = input;
    autoerr struct err err = {0};
    struct pool *pool = NULL;
    struct space *booking = NULL;
    int rc = check(request, &err);
    if (rc == 0) {
        booking = index_find_id(&node->bookings, request->id);
        if (booking) {
            answer_existing(booking, request, call);
            return;
        }
        uint64_t limit = home_limit(request->size_bytes, node->settings->zdb_overhead_bytes);
        rc = check_pending(node, request, &err);
        if (rc == 0)
            rc = choose(node, request, limit, &pool, &err);
        if (rc == 0)
            rc = reserve(pool, request, limit, &booking, &err);
    }
    if (rc < 0)
        rpc_call_fail(call, &err);
    else
        make_begin(booking, request, call);
}
