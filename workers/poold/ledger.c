/*
 * The ledger. Every change goes through rebook(), which takes an entry's old weight out of the sums
 * and puts the new one in, so the sums always are those of the entries. Sums have 128 bits: 2^64
 * entries of 2^64 bytes each would not wrap them.
 */
#include "ledger.h"

#include "base/error.h"

#include <assert.h>

static uint64_t clamp(ledger_sum sum)
{
    return sum > UINT64_MAX ? UINT64_MAX : (uint64_t)sum;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void rebook(struct ledger *ledger, struct booking *booking, struct booking next)
{
    const struct booking old = *booking;
    ledger_sum *const sums[] = {[BOOKING_LIVE] = &ledger->live, [BOOKING_DYING] = &ledger->dying};
    const struct booking *const both[] = {&old, &next};
    for (int i = 0; i < 2; i++) {
        const struct booking *of = both[i];
        if (of->state == BOOKING_NONE)
            continue;
        uint64_t weight =
            of->state == BOOKING_LIVE ? of->limit_bytes : larger(of->limit_bytes, of->usage_bytes);
        if (i == 0) {
            assert(*sums[of->state] >= weight && ledger->used >= of->usage_bytes);
            *sums[of->state] -= weight;
            ledger->used -= of->usage_bytes;
        } else {
            *sums[of->state] += weight;
            ledger->used += of->usage_bytes;
        }
    }
    *booking = next;
}

void ledger_set_capacity(struct ledger *ledger, uint64_t total_bytes, uint64_t usable_bytes)
{
    ledger->total_bytes = total_bytes;
    ledger->usable_bytes = usable_bytes;
}

void ledger_set_stray(struct ledger *ledger, uint64_t stray_bytes)
{
    ledger->stray_bytes = stray_bytes;
}

void ledger_set_excess(struct ledger *ledger, uint64_t excess_bytes)
{
    ledger->excess_bytes = excess_bytes;
}

int ledger_reserve(struct ledger *ledger, struct booking *booking, uint64_t limit_bytes)
{
    assert(booking->state == BOOKING_NONE);
    if (limit_bytes > ledger_free(ledger))
        return -ERR_RESOURCE_EXHAUSTED;
    rebook(ledger, booking, (struct booking){BOOKING_LIVE, limit_bytes, 0});
    return 0;
}

int ledger_resize(struct ledger *ledger, struct booking *booking, uint64_t limit_bytes)
{
    assert(booking->state == BOOKING_LIVE);
    uint64_t old = booking->limit_bytes;
    if (limit_bytes > old && limit_bytes - old > ledger_free(ledger))
        return -ERR_RESOURCE_EXHAUSTED;
    rebook(ledger, booking, (struct booking){BOOKING_LIVE, limit_bytes, booking->usage_bytes});
    return 0;
}

void ledger_adopt(struct ledger *ledger, struct booking *booking, enum booking_state state,
                  uint64_t limit_bytes, uint64_t usage_bytes)
{
    assert(booking->state == BOOKING_NONE && state != BOOKING_NONE);
    rebook(ledger, booking, (struct booking){state, limit_bytes, usage_bytes});
}

void ledger_set_usage(struct ledger *ledger, struct booking *booking, uint64_t usage_bytes)
{
    if (booking->state == BOOKING_NONE)
        return;
    rebook(ledger, booking, (struct booking){booking->state, booking->limit_bytes, usage_bytes});
}

void ledger_die(struct ledger *ledger, struct booking *booking)
{
    assert(booking->state == BOOKING_LIVE);
    rebook(ledger, booking,
           (struct booking){BOOKING_DYING, booking->limit_bytes, booking->usage_bytes});
}

void ledger_reduce(struct ledger *ledger, struct booking *booking, uint64_t usage_bytes)
{
    assert(booking->state == BOOKING_DYING);
    rebook(ledger, booking, (struct booking){BOOKING_DYING, 0, usage_bytes});
}

void ledger_release(struct ledger *ledger, struct booking *booking)
{
    rebook(ledger, booking, (struct booking){0});
}

uint64_t ledger_booked(const struct ledger *ledger)
{
    return clamp(ledger->live + ledger->dying + ledger->stray_bytes + ledger->excess_bytes);
}

uint64_t ledger_free(const struct ledger *ledger)
{
    uint64_t booked = ledger_booked(ledger);
    return booked >= ledger->usable_bytes ? 0 : ledger->usable_bytes - booked;
}

uint64_t ledger_releasing(const struct ledger *ledger)
{
    return clamp(ledger->dying);
}

uint64_t ledger_used(const struct ledger *ledger)
{
    return clamp(ledger->used + ledger->stray_bytes);
}

uint64_t ledger_limit(uint64_t size_bytes, uint64_t headroom_bytes)
{
    uint64_t extra = size_bytes < headroom_bytes ? size_bytes : headroom_bytes;
    return clamp((ledger_sum)size_bytes + extra);
}

uint64_t ledger_largest(uint64_t free_bytes, uint64_t headroom_bytes)
{
    uint64_t half = free_bytes / 2;
    return half < headroom_bytes ? half : free_bytes - headroom_bytes;
}
