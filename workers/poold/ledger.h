/*
 * The ledger of one pool: what may be promised, and what is.
 *
 *   booked = limits of live objects
 *          + max(limit, usage) of dying ones, until their subvolume and group are gone
 *          + usage of every quota group that no record covers
 *          + what live ones use beyond their limits, which were lifted for a while
 *
 * Checking and reserving are one step. Overcommitment that is found on disk (a smaller device, a
 * larger limit than there is room for) is booked as it is: then nothing is free until it is. PURE,
 * of the loop; every figure in bytes; no sum can wrap.
 */
#ifndef WORKERS_POOLD_LEDGER_H
#define WORKERS_POOLD_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

enum booking_state {
    BOOKING_NONE,
    BOOKING_LIVE,
    BOOKING_DYING,
};

/* One object's entry; zero is "not booked". Embedded in the object, changed only by the ledger. */
struct booking {
    enum booking_state state;
    uint64_t limit_bytes;
    uint64_t usage_bytes;
};

__extension__ typedef unsigned __int128 ledger_sum;

/* Zero-initialise. */
struct ledger {
    uint64_t total_bytes;  /* raw size of the members */
    uint64_t usable_bytes; /* what may be booked in all */
    uint64_t stray_bytes;  /* usage of groups that no record covers */
    uint64_t excess_bytes; /* usage of live objects beyond their limits */
    ledger_sum live, dying, used;
};

void ledger_set_capacity(struct ledger *ledger, uint64_t total_bytes, uint64_t usable_bytes);
void ledger_set_stray(struct ledger *ledger, uint64_t stray_bytes);
void ledger_set_excess(struct ledger *ledger, uint64_t excess_bytes);

/* Books a new object if it fits; -ERR_RESOURCE_EXHAUSTED changes nothing. */
int ledger_reserve(struct ledger *ledger, struct booking *booking, uint64_t limit_bytes);
/* Another limit for a live object if it fits; a smaller one always does. Otherwise as above. */
int ledger_resize(struct ledger *ledger, struct booking *booking, uint64_t limit_bytes);
/* Books what was found on disk, whether it fits or not. */
void ledger_adopt(struct ledger *ledger, struct booking *booking, enum booking_state state,
                  uint64_t limit_bytes, uint64_t usage_bytes);
void ledger_set_usage(struct ledger *ledger, struct booking *booking, uint64_t usage_bytes);
/* Live no more; its bytes come back with ledger_release(). */
void ledger_die(struct ledger *ledger, struct booking *booking);
/* A dying object of which only `usage_bytes` are left to come back. */
void ledger_reduce(struct ledger *ledger, struct booking *booking, uint64_t usage_bytes);
/* Gone: subvolume and quota group. Nothing to do for one that is not booked. */
void ledger_release(struct ledger *ledger, struct booking *booking);

uint64_t ledger_booked(const struct ledger *ledger);
uint64_t ledger_free(const struct ledger *ledger);
uint64_t ledger_releasing(const struct ledger *ledger);
uint64_t ledger_used(const struct ledger *ledger);

/* limit = size + min(size, headroom); UINT64_MAX where that is more than 64 bits hold. */
uint64_t ledger_limit(uint64_t size_bytes, uint64_t headroom_bytes);
/* The largest size whose limit is at most `free_bytes`. */
uint64_t ledger_largest(uint64_t free_bytes, uint64_t headroom_bytes);

#endif
