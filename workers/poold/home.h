/*
 * The books of a pool's 0-db directory: which bytes are promised in it, and what its quota group
 * has to let through.
 *
 *   limit of the group = limits of the pool's bookings + HOME_ALLOWANCE, or what is charged to it
 *                        where that is more and was let through before
 *
 * The ledger holds each booking's limit with the booking; the home's own entry is what the group's
 * limit is beyond those. Every change of a booking carries a home_change to the pool's thread,
 * which sets the limit; where changes overtook each other or failed, one more job sets it right.
 * Of the loop, but for home_apply().
 */
#ifndef WORKERS_POOLD_HOME_H
#define WORKERS_POOLD_HOME_H

#include "ledger.h"
#include "volume/volume.h"

struct node;
struct pool;
struct rpc_call;
struct space;

enum { HOME_ALLOWANCE = 64 * 1024 * 1024 }; /* for what the 0-db keeps for itself */

/* Part of struct pool; zero-initialise. */
struct home {
    struct space *space;  /* NULL: there is none; it has no id until it is made */
    ledger_sum promised;  /* the limits of all bookings of the pool */
    uint64_t limit_bytes; /* of its quota group, as it was last set or seen */
    unsigned n_changes;   /* in flight */
};

/* BookingService/MakeHome; passed by the gate. */
void home_make_begin(struct node *node, const void *input, struct rpc_call *call);

/* What a job carries. */
struct home_change {
    struct record wanted; /* as whose it would be made */
    uint64_t limit_bytes; /* the group's, when the change is made */
    struct record record;
    bool found; /* `record` is filled */
    bool set;   /* so is `set_bytes`: the limit that is enforced now */
    uint64_t set_bytes;
};

/* size + min(size / 4 + 64 MiB, overhead); UINT64_MAX where that is more than 64 bits hold. */
uint64_t home_limit(uint64_t size_bytes, uint64_t overhead_bytes);
/* The largest size whose limit is at most `room_bytes`; for struct place_wish. */
uint64_t home_largest(const struct node *node, uint64_t room_bytes);
/* What a booking could get on the pool: the first one makes the home as well. */
uint64_t home_room(const struct pool *pool);

/* Books the home itself, where there is none. */
int home_reserve_own(struct pool *pool);
/* Books for a booking, and the home where there is none; -ERR_RESOURCE_EXHAUSTED changes nothing.
 */
int home_reserve(struct pool *pool, struct space *booking, uint64_t limit_bytes);
int home_resize(struct pool *pool, struct space *booking, uint64_t limit_bytes);
void home_release(struct pool *pool, struct space *booking);

/* A change of the bookings by `more_bytes - less_bytes` that the ledger does not know yet begins,
 * and ends however it went. Between the two its job is with the pool. */
void home_begin(struct pool *pool, struct home_change *change, uint64_t less_bytes);
int home_apply(struct volume *volume, struct home_change *change, struct err *err);
/* Its job was not taken by the pool; what was reserved for it is the caller's to release. */
void home_cancel(struct pool *pool);
/* Gives up a home that was reserved, and not made for anybody. */
void home_drop_unmade(struct pool *pool);
void home_end(struct pool *pool, const struct home_change *change);

/* What a scan has found; the home first, which is taken. False without memory. */
void home_adopt(struct pool *pool, struct space *space);
bool home_adopt_booking(struct pool *pool, struct space *booking);
/* The pool's books are made anew. */
void home_forget(struct pool *pool);
/* What a survey says of its group; `seen_limit` and `usage` mean nothing unless `intact`. */
void home_review(struct pool *pool, bool intact, uint64_t seen_limit_bytes, uint64_t usage_bytes);

#endif
