/*
 * Settle, ResizeBooking and Unbook: each one job, answered when it is committed. Of the loop, but
 * for the work of the jobs.
 *
 * What needs more is booked before the job, and let through before the record says it; what needs
 * less is given back after it, in the ledger and, as far as nothing is charged, by the kernel.
 */
#include "booking.h"

#include "answer.h"
#include "base/cleanup.h"
#include "events.h"
#include "node.h"
#include "place.h"
#include "pool_books.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- on the pool's thread ---- */

/* Its limit stays what it is when this fails: too high, until the loop sees that. */
static void lower(struct booking_job *job, struct volume *volume)
{
    autoerr struct err unheard = {0};
    (void)home_apply(volume, &job->home, &unheard);
}

static int change_work(struct pool_job *base, struct err *err)
{
    struct booking_job *job = container_of(base, struct booking_job, base);
    bool grows = job->limits && job->less_bytes == 0;
    int rc = grows ? home_apply(base->volume, &job->home, err) : 0;
    if (rc == 0)
        rc = volume_booking_change(base->volume, &job->record, &job->note, err);
    if (rc == 0 && job->limits && !grows)
        lower(job, base->volume);
    return rc;
}

static int end_work(struct pool_job *base, struct err *err)
{
    struct booking_job *job = container_of(base, struct booking_job, base);
    int rc = volume_booking_end(base->volume, &job->record, err);
    if (rc == 0)
        lower(job, base->volume);
    return rc;
}

/* ---- on the loop ---- */

/* What a 0-db has not given back yet is looked for again, now that it is committed. */
static void look_for_more(struct pool *pool)
{
    if (pool->home.space && pool->home.space->booking.limit_bytes > HOME_ALLOWANCE)
        pool_books_refresh(pool);
}

static void change_done(struct pool_job *base)
{
    struct booking_job *job = container_of(base, struct booking_job, base);
    struct space *booking = job->booking;
    struct pool *pool = base->pool;
    booking->phase = SPACE_LIVE;
    if (base->rc == 0) {
        booking->record = job->record;
        *booking->note = job->note;
    }
    /* A limit that was booked for what failed, or that is not needed any more, shrinks. */
    if (job->limits)
        (void)home_resize(pool, booking, booking->record.limit_bytes);
    if (job->limits)
        home_end(pool, &job->home);
    if (base->rc == 0) {
        events_tell_booking(booking, job->topic);
        booking_answer_all(booking, false);
        look_for_more(pool);
    } else {
        answer_with_error(booking, &base->err);
    }
    booking_job_free(job);
}

static void end_done(struct pool_job *base)
{
    struct booking_job *job = container_of(base, struct booking_job, base);
    struct space *booking = job->booking;
    struct pool *pool = base->pool;
    Storage__V1__UnbookReply reply = STORAGE__V1__UNBOOK_REPLY__INIT;
    if (base->rc < 0) {
        booking->phase = SPACE_LIVE;
        home_end(pool, &job->home);
        answer_with_error(booking, &base->err);
        booking_job_free(job);
        return;
    }
    index_remove(&pool->node->bookings, booking);
    pool->n_bookings--;
    home_release(pool, booking);
    home_end(pool, &job->home);
    events_tell_booking(booking, job->topic);
    reply.existed = true;
    for (struct rpc_call *call; (call = answer_next(booking));)
        rpc_call_reply(call, &reply.base);
    space_free(booking);
    look_for_more(pool);
    booking_job_free(job);
}

/* The booking, if it can be changed now; else the call is answered. */
static struct space *find(struct node *node, const char *id, struct rpc_call *call)
{
    autoerr struct err err = {0};
    struct space *booking = index_find_id(&node->bookings, id);
    if (!booking) {
        if (!answer_not_known_yet(node, call, id))
            rpc_call_refuse(call, ERR_NOT_FOUND, id, "there is no booking %s", id);
        return NULL;
    }
    if (booking->phase != SPACE_LIVE) {
        booking_refuse_busy(booking, call);
        return NULL;
    }
    if (pool_is_serving(booking->pool))
        return booking;
    (void)pool_refuse(booking->pool, &err);
    rpc_call_fail(call, &err);
    return NULL;
}

/* ---- Settle ---- */

void settle_begin(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__SettleRequest *request = input;
    autoerr struct err err = {0};
    if (booking_check_id(request->id, &err) < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    struct space *booking = find(node, request->id, call);
    if (booking && !booking->record.pending) {
        booking_answer(call, booking, false);
        return;
    }
    struct booking_job *job = booking ? booking_job_new(booking, call) : NULL;
    if (!job)
        return;
    job->base.work = change_work;
    job->base.done = change_done;
    job->topic = "booking.settled";
    job->record.pending = false;
    job->record.generation++;
    (void)booking_submit(job, SPACE_CHANGING, call);
}

/* ---- ResizeBooking ---- */

static bool is_same(const struct space *booking, const Storage__V1__ResizeBookingRequest *request)
{
    const struct record_note *has = booking->note;
    if (booking->record.size_bytes != request->size_bytes)
        return false;
    return !request->note ||
           (request->note->data.len == has->length &&
            (has->length == 0 || memcmp(request->note->data.data, has->data, has->length) == 0));
}

static void refuse_growth(const struct space *booking, uint64_t size_bytes, struct rpc_call *call)
{
    const struct pool *pool = booking->pool;
    autoerr struct err err = {0};
    uint64_t room = pool_free_bytes(pool), limit = booking->record.limit_bytes;
    uint64_t most = room > UINT64_MAX - limit ? UINT64_MAX : room + limit;
    (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, "size_bytes",
                  "%" PRIu64
                  " bytes do not fit on the pool %s; the largest possible now is %" PRIu64 " bytes",
                  size_bytes, pool->fsid, home_largest(pool->node, most));
    rpc_call_fail(call, &err);
}

static void resize(struct space *booking, const Storage__V1__ResizeBookingRequest *request,
                   struct rpc_call *call)
{
    struct pool *pool = booking->pool;
    uint64_t old = booking->record.limit_bytes;
    uint64_t limit = home_limit(request->size_bytes, pool->node->settings->zdb_overhead_bytes);
    struct booking_job *job = booking_job_new(booking, call);
    if (!job)
        return;
    job->base.work = change_work;
    job->base.done = change_done;
    job->topic = "booking.resized";
    job->record.size_bytes = request->size_bytes;
    job->record.limit_bytes = limit;
    job->record.generation++;
    job->limits = limit != old;
    job->less_bytes = limit < old ? old - limit : 0;
    if (request->note) {
        job->note.length = request->note->data.len;
        if (job->note.length > 0)
            memcpy(job->note.data, request->note->data.data, job->note.length);
    }
    if (limit > old && home_resize(pool, booking, limit) < 0) {
        booking_job_free(job);
        refuse_growth(booking, request->size_bytes, call);
        return;
    }
    if (!booking_submit(job, SPACE_CHANGING, call))
        (void)home_resize(pool, booking, old);
}

void resize_begin(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__ResizeBookingRequest *request = input;
    autoerr struct err err = {0};
    int rc = booking_check_id(request->id, &err);
    if (rc == 0)
        rc = booking_check_size(request->size_bytes, request->note ? request->note->data.len : 0,
                                &err);
    if (rc < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    struct space *booking = find(node, request->id, call);
    if (booking && is_same(booking, request))
        booking_answer(call, booking, false);
    else if (booking)
        resize(booking, request, call);
}

/* ---- Unbook ---- */

static void end_begin(struct space *booking, struct rpc_call *call)
{
    struct booking_job *job = booking_job_new(booking, call);
    if (!job)
        return;
    job->base.work = end_work;
    job->base.done = end_done;
    job->topic = "booking.gone";
    job->limits = true;
    job->less_bytes = booking->record.limit_bytes;
    (void)booking_submit(job, SPACE_RELEASING, call);
}

void unbook_begin(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__UnbookRequest *request = input;
    autoerr struct err err = {0};
    struct space *booking = index_find_id(&node->bookings, request->id);
    if (booking_check_id(request->id, &err) < 0) {
        rpc_call_fail(call, &err);
    } else if (booking && booking->phase == SPACE_RELEASING) {
        (void)answer_later(booking, call);
    } else if (booking) {
        booking = find(node, request->id, call);
        if (booking)
            end_begin(booking, call);
    } else if (!answer_not_known_yet(node, call, request->id)) {
        Storage__V1__UnbookReply reply = STORAGE__V1__UNBOOK_REPLY__INIT;
        rpc_call_reply(call, &reply.base);
    }
}
