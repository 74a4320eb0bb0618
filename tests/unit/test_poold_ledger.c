/* The ledger: the sums by hand, and a model over random histories. */
#include "ledger.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void sums_are_those_of_the_design(void **state)
{
    (void)state;
    struct ledger ledger = {0};
    struct booking live = {0}, dying = {0}, full = {0};
    ledger_set_capacity(&ledger, 2000, 1000);
    assert_int_equal(ledger_reserve(&ledger, &live, 300), 0);
    ledger_adopt(&ledger, &dying, BOOKING_DYING, 100, 20);
    ledger_adopt(&ledger, &full, BOOKING_DYING, 50, 70); /* usage beyond its limit counts */
    ledger_set_stray(&ledger, 30);
    ledger_set_usage(&ledger, &live, 5);
    assert_int_equal(ledger_booked(&ledger), 300 + 100 + 70 + 30);
    assert_int_equal(ledger_free(&ledger), 500);
    assert_int_equal(ledger_releasing(&ledger), 170);
    assert_int_equal(ledger_used(&ledger), 5 + 20 + 70 + 30);
    ledger_set_excess(&ledger, 10);
    assert_int_equal(ledger_booked(&ledger), 300 + 100 + 70 + 30 + 10);
    ledger_set_excess(&ledger, 0);

    struct booking other = {0};
    assert_int_equal(ledger_reserve(&ledger, &other, 501), -ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(other.state, BOOKING_NONE);
    assert_int_equal(ledger_reserve(&ledger, &other, 500), 0);
    assert_int_equal(ledger_free(&ledger), 0);

    ledger_reduce(&ledger, &full, 40);
    assert_int_equal(ledger_releasing(&ledger), 140);
    ledger_release(&ledger, &dying);
    ledger_release(&ledger, &dying); /* nothing to do */
    assert_int_equal(ledger_releasing(&ledger), 40);
    ledger_die(&ledger, &live);
    assert_int_equal(ledger_booked(&ledger), 300 + 40 + 30 + 500);
}

static void resizes_are_checked_when_they_grow(void **state)
{
    (void)state;
    struct ledger ledger = {0};
    struct booking booking = {0};
    ledger_set_capacity(&ledger, 100, 100);
    assert_int_equal(ledger_reserve(&ledger, &booking, 60), 0);
    assert_int_equal(ledger_resize(&ledger, &booking, 101), -ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(ledger_resize(&ledger, &booking, UINT64_MAX), -ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(ledger_booked(&ledger), 60);
    assert_int_equal(ledger_resize(&ledger, &booking, 100), 0);
    assert_int_equal(ledger_resize(&ledger, &booking, 10), 0);
    /* A device that shrank: nothing is free, and shrinking still goes. */
    ledger_set_capacity(&ledger, 5, 5);
    assert_int_equal(ledger_free(&ledger), 0);
    assert_int_equal(ledger_resize(&ledger, &booking, 11), -ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(ledger_resize(&ledger, &booking, 9), 0);
}

static void nothing_wraps(void **state)
{
    (void)state;
    struct ledger ledger = {0};
    struct booking huge[3] = {0};
    ledger_set_capacity(&ledger, UINT64_MAX, UINT64_MAX);
    for (int i = 0; i < 3; i++)
        ledger_adopt(&ledger, &huge[i], i == 2 ? BOOKING_DYING : BOOKING_LIVE, UINT64_MAX,
                     UINT64_MAX);
    ledger_set_stray(&ledger, UINT64_MAX);
    assert_true(ledger_booked(&ledger) == UINT64_MAX);
    assert_true(ledger_used(&ledger) == UINT64_MAX);
    assert_int_equal(ledger_free(&ledger), 0);
    for (int i = 0; i < 3; i++)
        ledger_release(&ledger, &huge[i]);
    ledger_set_stray(&ledger, 1);
    assert_true(ledger_free(&ledger) == UINT64_MAX - 1);
    assert_true(ledger_limit(UINT64_MAX, 5) == UINT64_MAX);
    assert_true(ledger_limit(UINT64_MAX - 5, 5) == UINT64_MAX);
}

static void the_largest_fits_and_one_byte_more_does_not(void **state)
{
    (void)state;
    const uint64_t frees[] = {0, 1, 2, 3, 9, 10, 11, 19, 20, 21, 22, 1000, UINT64_MAX};
    const uint64_t headrooms[] = {0, 1, 10, 500, UINT64_MAX};
    for (size_t i = 0; i < sizeof frees / sizeof *frees; i++) {
        for (size_t k = 0; k < sizeof headrooms / sizeof *headrooms; k++) {
            uint64_t largest = ledger_largest(frees[i], headrooms[k]);
            assert_true(ledger_limit(largest, headrooms[k]) <= frees[i]);
            if (largest < UINT64_MAX && frees[i] < UINT64_MAX)
                assert_true(ledger_limit(largest + 1, headrooms[k]) > frees[i]);
        }
    }
}

/* ---- the property --------------------------------------------------------------------------- */

enum { OBJECTS = 64, STEPS = 200000, SEED = 20261120 };

struct model {
    struct ledger ledger;
    struct booking bookings[OBJECTS];
    uint64_t usable, stray;
};

static uint64_t expected_booked(const struct model *model)
{
    uint64_t sum = model->stray;
    for (int i = 0; i < OBJECTS; i++) {
        const struct booking *of = &model->bookings[i];
        uint64_t most = of->limit_bytes > of->usage_bytes ? of->limit_bytes : of->usage_bytes;
        sum += of->state == BOOKING_LIVE ? of->limit_bytes : of->state == BOOKING_DYING ? most : 0;
    }
    return sum;
}

/* One random step. Whether it could oversell is checked against what was free before it. */
static void step(struct model *model)
{
    struct ledger *ledger = &model->ledger;
    struct booking *booking = &model->bookings[random() % OBJECTS];
    uint64_t bytes = (uint64_t)random() % 3000, before = expected_booked(model);
    uint64_t room = before < model->usable ? model->usable - before : 0;
    switch (random() % 6) {
    case 0:
        if (booking->state == BOOKING_NONE)
            assert_int_equal(ledger_reserve(ledger, booking, bytes),
                             bytes <= room ? 0 : -ERR_RESOURCE_EXHAUSTED);
        break;
    case 1:
        if (booking->state == BOOKING_LIVE) {
            uint64_t old = booking->limit_bytes;
            bool fits = bytes <= old || bytes - old <= room;
            assert_int_equal(ledger_resize(ledger, booking, bytes),
                             fits ? 0 : -ERR_RESOURCE_EXHAUSTED);
        }
        break;
    case 2:
        if (booking->state == BOOKING_LIVE)
            ledger_die(ledger, booking);
        break;
    case 3:
        if (booking->state == BOOKING_DYING)
            ledger_release(ledger, booking);
        break;
    case 4:
        /* The kernel lets usage go to the limit, and a block beyond. */
        if (booking->state != BOOKING_NONE)
            ledger_set_usage(ledger, booking, bytes % (booking->limit_bytes + 16));
        break;
    default:
        if (booking->state == BOOKING_DYING && booking->usage_bytes > 0)
            ledger_reduce(ledger, booking, bytes % booking->usage_bytes);
        break;
    }
}

static void random_histories_never_oversell(void **state)
{
    (void)state;
    struct model model = {.usable = 20000};
    srandom(SEED);
    ledger_set_capacity(&model.ledger, 30000, model.usable);
    for (int i = 0; i < STEPS; i++) {
        uint64_t live_before = (uint64_t)model.ledger.live;
        uint64_t booked_before = ledger_booked(&model.ledger);
        step(&model);
        uint64_t booked = ledger_booked(&model.ledger);
        assert_int_equal(booked, expected_booked(&model));
        /* Only a promise makes `live` grow, and no promise goes beyond what is usable. */
        if ((uint64_t)model.ledger.live > live_before && booked > booked_before)
            assert_true(booked <= model.usable);
        assert_int_equal(ledger_free(&model.ledger),
                         booked < model.usable ? model.usable - booked : 0);
        if (i % 1000 == 0) {
            model.stray = (uint64_t)random() % 500;
            ledger_set_stray(&model.ledger, model.stray);
        }
    }
    for (int i = 0; i < OBJECTS; i++)
        ledger_release(&model.ledger, &model.bookings[i]);
    assert_int_equal(ledger_booked(&model.ledger), model.stray);
    assert_int_equal(ledger_releasing(&model.ledger), 0);
    assert_int_equal(ledger_used(&model.ledger), model.stray);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_design),
        cmocka_unit_test(resizes_are_checked_when_they_grow),
        cmocka_unit_test(nothing_wraps),
        cmocka_unit_test(the_largest_fits_and_one_byte_more_does_not),
        cmocka_unit_test(random_histories_never_oversell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
