/*
 * Want of descriptors and memory while a pool is opened, at every call that takes some: it is
 * refused for something that passes, or opened as what it is; nothing on it is overlooked.
 */
#include "volume_fixture.h"
#include "want.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define LABEL VOLUME_LABEL_NEW "alpha"

/* Those that poold tries again by itself. */
static bool passes(enum volume_problem problem)
{
    return problem == VOLUME_PROBLEM_MOUNT_FAILED || problem == VOLUME_PROBLEM_FINISH_FAILED ||
           problem == VOLUME_PROBLEM_PATH_TAKEN || problem == VOLUME_PROBLEM_INTERNAL;
}

struct seen {
    size_t n, n_bookings, n_unknown;
};

static int count(const struct volume_object *object, void *data)
{
    struct seen *seen = data;
    seen->n += object->record != NULL;
    seen->n_bookings += object->record && object->record->kind == RECORD_KIND_BOOKING;
    seen->n_unknown += object->record == NULL;
    return 0;
}

/* Opens it while the call fails; NULL if that is refused, or nothing was found out. */
static struct volume *open_wanting(struct pool *pool, long at, bool *out_came, struct seen *seen)
{
    autoerr struct err err = {0};
    struct volume *volume = NULL;
    enum volume_problem problem = VOLUME_PROBLEM_NONE;
    *seen = (struct seen){0};
    want_begin(at);
    int opened = volume_open(&pool->spec, &volume, &problem, &err);
    int scanned = opened == 0 ? volume_scan(volume, count, seen, &err) : -1;
    *out_came = want_end();
    if (opened < 0 && !passes(problem))
        fail_msg("call %ld: %s: %s", at, volume_problem_name(problem), err.message);
    if (opened == 0 && scanned < 0)
        pool_close(volume);
    return opened == 0 && scanned == 0 ? volume : NULL;
}

static void book(struct volume *volume)
{
    autoerr struct err err = {0};
    struct record home = {.limit_bytes = 64 * MiB}, booking = {.size_bytes = 1, .limit_bytes = 1};
    struct record_note note = {.length = 0};
    booking.disk_type = volume_info(volume)->disk_type;
    booking.created_us = clock_realtime_us();
    uuid_random(booking.id);
    assert_ok(volume_home_ensure(volume, &home, &home, &err), &err);
    assert_ok(volume_booking_make(volume, &booking, &note, &err), &err);
    assert_ok(volume_commit(volume, &err), &err);
}

static void nothing_on_it_is_overlooked(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    (void)space_make(volume, 16 * MiB);
    book(volume);
    pool_close(volume);
    bool came = true;
    for (long at = 1; came; at++) {
        struct seen seen;
        volume = open_wanting(&pool, at, &came, &seen);
        if (!volume)
            continue;
        if (seen.n != 3 || seen.n_bookings != 1 || seen.n_unknown > 0)
            fail_msg("call %ld: %zu objects, %zu bookings, %zu unknown", at, seen.n,
                     seen.n_bookings, seen.n_unknown);
        pool_close(volume);
    }
}

static void a_pool_is_finished_as_the_kernel_has_it(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    struct volume *volume = NULL;
    bool came = true;
    for (long at = 1; came; at++) {
        struct seen seen;
        volume = open_wanting(&pool, at, &came, &seen);
        if (volume)
            pool_close(volume);
    }
    pool_close(pool_open(&pool));
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(nothing_on_it_is_overlooked),
        harness_case(a_pool_is_finished_as_the_kernel_has_it),
    };
    return harness_main(argc, argv, "volume_want", cases, array_length(cases));
}
