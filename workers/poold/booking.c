/* What the changes of bookings share: the way of a job, and answers. */
#include "booking.h"

#include "answer.h"
#include "base/cleanup.h"
#include "describe.h"
#include "node.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is asked for ---- */

int booking_check_id(const char *id, struct err *err)
{
    return uuid_valid(id)
               ? 0
               : err_set(err, ERR_INVALID_ARGUMENT, 0, "id", "\"%s\" is no UUID in lower case", id);
}

int booking_check_size(uint64_t size_bytes, size_t note_length, struct err *err)
{
    if (size_bytes == 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "size_bytes",
                       "a size of 0 books nothing; it is in bytes");
    if (note_length > RECORD_NOTE_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "note",
                       "the note has %zu bytes, and %d is the limit", note_length, RECORD_NOTE_MAX);
    return 0;
}

/* ---- jobs ---- */

struct booking_job *booking_job_new(struct space *booking, struct rpc_call *call)
{
    struct booking_job *job = calloc(1, sizeof *job);
    if (!job) {
        rpc_call_refuse(call, ERR_RESOURCE_EXHAUSTED, booking->record.id,
                        "no memory to change a booking");
        return NULL;
    }
    job->base.changes = true;
    job->booking = booking;
    job->record = booking->record;
    job->note = *booking->note;
    return job;
}

void booking_job_free(struct booking_job *job)
{
    err_clear(&job->base.err);
    free(job);
}

bool booking_submit(struct booking_job *job, enum space_phase phase, struct rpc_call *call)
{
    struct space *booking = job->booking;
    struct pool *pool = booking->pool;
    enum space_phase before = booking->phase;
    if (!answer_later(booking, call)) {
        booking_job_free(job);
        return false;
    }
    booking->phase = phase;
    if (job->limits)
        home_begin(pool, &job->home, job->less_bytes);
    autoerr struct err err = {0};
    if (executor_submit(pool, &job->base, &err) == 0)
        return true;
    booking->phase = before;
    answer_with_error(booking, &err);
    if (job->limits)
        home_cancel(pool);
    booking_job_free(job);
    return false;
}

/* ---- answers ---- */

void booking_answer(struct rpc_call *call, const struct space *booking, bool made)
{
    struct described_booking described;
    describe_booking(booking, &described);
    described.booking.created = made;
    rpc_call_reply(call, &described.booking.base);
}

void booking_answer_all(struct space *booking, bool made)
{
    for (struct rpc_call *call; (call = answer_next(booking)); made = false)
        booking_answer(call, booking, made);
}

void booking_refuse_busy(const struct space *booking, struct rpc_call *call)
{
    static const char *const what[] = {
        [SPACE_BUILDING] = "made", [SPACE_RELEASING] = "ended", [SPACE_CHANGING] = "changed"};
    autoerr struct err err = {0};
    (void)err_set(&err, ERR_ABORTED, 0, booking->record.id, "it is being %s just now",
                  what[booking->phase]);
    err_retryable(&err, BOOKING_RETRY_MS);
    rpc_call_fail(call, &err);
}
