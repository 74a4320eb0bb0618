/*
 * poold is killed at its n-th step, for every n of what becomes of a booking: made, settled, grown,
 * shrunk, ended; in a pool that has no directory for a 0-db yet, and in one that has. Afterwards
 * what was acknowledged is there, nothing is there by halves, and nothing is booked for nobody.
 */
#include "poolnode.h"
#include "steps.h"

#include "base/uuid.h"

#include <unistd.h>

#define DISK_BYTES (2 * GiB)
#define FIRST      (16 * MiB)
#define GROWN      (48 * MiB)
#define SHRUNK     (8 * MiB)
#define ALLOWANCE  (64 * MiB)

enum { STEPS_MAX = 400, STEPS_LEAST = 16 };

#define STATE(s) STORAGE__V1__BOOKING_STATE__BOOKING_STATE_##s

/* What a booking is when so many of its changes have been acknowledged. */
static const struct {
    uint64_t size_bytes; /* 0: there is none */
    Storage__V1__BookingState state;
} stages[] = {
    {0, STATE(UNSPECIFIED)}, {FIRST, STATE(PENDING)}, {FIRST, STATE(LIVE)},
    {GROWN, STATE(LIVE)},    {SHRUNK, STATE(LIVE)},   {0, STATE(UNSPECIFIED)},
};

static struct steps *steps;

/* The change that leads to the stage. */
static int change(struct storage *storage, const char *id, size_t stage, struct err *err)
{
    autoreply Storage__V1__Booking *booking = NULL;
    switch (stage) {
    case 1:
        return call_book(storage, id, "", FIRST, &booking, err);
    case 2:
        return call_settle(storage, id, &booking, err);
    case 3:
    case 4:
        return call_resize_booking(storage, id, stages[stage].size_bytes, &booking, err);
    default:
        return call_unbook(storage, id, NULL, err);
    }
}

static bool is_at(struct node *node, const char *id, size_t stage)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Booking *booking = NULL;
    int rc = call_get_booking(node->storage, id, &booking, &err);
    if (stages[stage].size_bytes == 0)
        return rc == -ERR_NOT_FOUND;
    return rc == 0 && booking->size_bytes == stages[stage].size_bytes &&
           booking->state == stages[stage].state;
}

/* In the ledger and on the disk: the cache, the directory's own, and `bytes`. */
static void must_have_booked(struct node *node, uint64_t bytes)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__CacheInfo *cache = NULL;
    assert_ok(call_cache(node->storage, &cache, &err), &err);
    autofree char *data = poolnode_path(node, cache->pool, "zdb/data");
    uint64_t own = access(data, F_OK) == 0 ? ALLOWANCE : 0;
    poolnode_wait_reaped(node);
    assert_int_equal(poolnode_capacity(node).booked, cache->limit_bytes + own + bytes);
    poolnode_must_balance(node);
}

/* False when all was done before the n-th step. */
static bool booking_is_cut(struct node *node, unsigned n)
{
    char id[UUID_TEXT_SIZE];
    autoerr struct err err = {0};
    struct worker_info old = node_worker(node, "poold");
    const struct storage_options options = {.run_dir = node->run_dir,
                                            .timeout_ms = HARNESS_WAIT_MS};
    struct storage *storage = NULL;
    size_t stage = 1;
    uuid_random(id);
    assert_int_equal(storage_open(&options, &storage, NULL), 0);
    steps_allow(steps, n);
    while (stage < array_length(stages) && change(storage, id, stage, &err) == 0)
        stage++;
    bool killed = stage < array_length(stages);
    steps_spare(steps);
    storage_close(storage);
    if (killed) {
        assert_int_equal(err.code, ERR_UNAVAILABLE);
        (void)node_wait_worker(node, "poold", old.epoch);
        node_wait_cache(node, true);
        /* The change that was cut happened as a whole, or not at all. */
        if (!is_at(node, id, stage))
            assert_true(is_at(node, id, stage - 1));
        /* Asked for again, it happens; or it has. */
        err_clear(&err);
        assert_ok(change(node->storage, id, stage, &err), &err);
        assert_true(is_at(node, id, stage));
        must_have_booked(node, stages[stage].size_bytes);
        assert_ok(call_unbook(node->storage, id, NULL, &err), &err);
    }
    must_have_booked(node, 0);
    return killed;
}

static void a_booking_is_cut_at_every_step(void)
{
    struct node *node = node_create(disk_create(DISK_BYTES, DISK_SSD));
    node_set(node, "spaces.headroom", "0");
    node_set(node, "zdb.overhead", "0");
    node_set(node, "supervisor.healthy_ms", "1"); /* a death is no failure, to be waited for */
    steps = steps_watch(node, "poold");
    steps_spare(steps);
    node_start(node);
    node_wait_cache(node, true);
    /* The directory is made once: by the first turn in which poold gets so far. */
    for (int turn = 0; turn < 2; turn++) {
        unsigned n = 1;
        while (n < STEPS_MAX && booking_is_cut(node, n))
            n++;
        assert_in_range(n, STEPS_LEAST, STEPS_MAX - 1);
    }
    steps_forget(steps);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_booking_is_cut_at_every_step),
    };
    return harness_main(argc, argv, "booking_steps", cases, array_length(cases));
}
