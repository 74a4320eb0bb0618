/*
 * Changes of bookings: what Book, Settle, ResizeBooking and Unbook share. A booking is a struct
 * space of RECORD_KIND_BOOKING in the node's own index of them. One change of it is with its pool
 * at a time. Of the loop, but for the work of its job.
 */
#ifndef WORKERS_POOLD_BOOKING_H
#define WORKERS_POOLD_BOOKING_H

#include "executor.h"
#include "home.h"
#include "rpc/server.h"
#include "space.h"

struct node;

enum { BOOKINGS_MAX = 16384, BOOKING_RETRY_MS = 200 };

struct booking_job {
    struct pool_job base;
    struct space *booking;
    struct record record; /* as it shall be */
    struct record_note note;
    const char *topic;       /* of the event, when it is done */
    bool limits;             /* it changes what the home's group lets through */
    struct home_change home; /* for that */
    uint64_t less_bytes;     /* of its limit that the ledger gives back when it is done */
    bool cramped;            /* there was no room in the metadata */
};

/* A job with the record and the note as they are; the caller changes them. NULL without memory: the
 * call is then refused. */
struct booking_job *booking_job_new(struct space *booking, struct rpc_call *call);

/*
 * Makes the call wait and hands the job to the pool; `phase` is what the booking is in meanwhile.
 * False, with everyone answered and the job freed, if that cannot be done: the caller then undoes
 * what he has booked.
 */
bool booking_submit(struct booking_job *job, enum space_phase phase, struct rpc_call *call);

/* Frees the job of a change that has ended; last of all. */
void booking_job_free(struct booking_job *job);

/* To one call, and to all who wait: the booking as it is. The first of them made it, if `made`. */
void booking_answer(struct rpc_call *call, const struct space *booking, bool made);
void booking_answer_all(struct space *booking, bool made);

/* ABORTED: another change of it is in flight. */
void booking_refuse_busy(const struct space *booking, struct rpc_call *call);

int booking_check_id(const char *id, struct err *err);
int booking_check_size(uint64_t size_bytes, size_t note_length, struct err *err);

#endif
