/* What a pool may promise, by the size of its devices: the chunk allocator replayed. */
#include "capacity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

static void room_is_what_the_profile_leaves(void **state)
{
    static const struct {
        uint64_t free_gib[3];
        enum capacity_profile profile;
        uint64_t room_gib;
    } cases[] = {
        {{10, 0, 0}, CAPACITY_SINGLE, 10}, {{10, 4, 6}, CAPACITY_SINGLE, 20},
        {{10, 4, 6}, CAPACITY_DUP, 10},    {{10, 0, 0}, CAPACITY_RAID1, 0},
        {{10, 4, 0}, CAPACITY_RAID1, 4},   {{10, 4, 6}, CAPACITY_RAID1, 10},
        {{20, 4, 6}, CAPACITY_RAID1, 10},  {{6, 6, 6}, CAPACITY_RAID1, 9},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t free_bytes[3];
        for (size_t k = 0; k < 3; k++)
            free_bytes[k] = cases[i].free_gib[k] * GIB;
        assert_int_equal(capacity_room(free_bytes, 3, cases[i].profile), cases[i].room_gib * GIB);
    }
    assert_int_equal(capacity_room(NULL, 0, CAPACITY_RAID1), 0);
}

static void allocation_takes_the_roomiest(void **state)
{
    uint64_t free_bytes[3] = {10 * GIB, 4 * GIB, 6 * GIB};
    (void)state;
    assert_int_equal(capacity_allocate(free_bytes, 3, CAPACITY_SINGLE, 4 * GIB), 4 * GIB);
    assert_int_equal(free_bytes[0], 6 * GIB);
    assert_int_equal(capacity_allocate(free_bytes, 3, CAPACITY_RAID1, 4 * GIB), 4 * GIB);
    assert_int_equal(free_bytes[0] + free_bytes[1] + free_bytes[2], 8 * GIB);
    assert_true(free_bytes[0] <= 3 * GIB && free_bytes[2] <= 3 * GIB);
    assert_int_equal(capacity_allocate(free_bytes, 3, CAPACITY_DUP, 100 * GIB), 4 * GIB);
    assert_int_equal(free_bytes[0] + free_bytes[1] + free_bytes[2], 0);
    assert_int_equal(capacity_allocate(free_bytes, 3, CAPACITY_SINGLE, GIB), 0);
}

/* The exact room is never more than what chunk after chunk could be laid out, within chunks. */
static void room_agrees_with_the_replay(void **state)
{
    (void)state;
    srand(1);
    for (unsigned turn = 0; turn < 500; turn++) {
        uint64_t free_bytes[8], replayed[8];
        size_t n = 1 + (size_t)rand() % 8;
        for (size_t i = 0; i < n; i++)
            free_bytes[i] = (uint64_t)(rand() % 4096) * MIB;
        memcpy(replayed, free_bytes, sizeof free_bytes);
        for (enum capacity_profile profile = CAPACITY_SINGLE; profile <= CAPACITY_RAID1;
             profile++) {
            uint64_t room = capacity_room(free_bytes, n, profile);
            memcpy(replayed, free_bytes, sizeof free_bytes);
            uint64_t got = capacity_allocate(replayed, n, profile, room);
            assert_true(got <= room);
            assert_true(room - got <= room / 50 + 64 * MIB);
        }
    }
}

static void usable_leaves_metadata_and_a_spare(void **state)
{
    struct capacity_input input = {.device_bytes = {4 * GIB},
                                   .n_devices = 1,
                                   .data = CAPACITY_SINGLE,
                                   .metadata = CAPACITY_DUP};
    (void)state;
    /* 4 GiB - 1 MiB - 2 * 512 MiB, less a 64th. */
    uint64_t room = 3 * GIB - MIB;
    assert_int_equal(capacity_usable(&input), room - room / 64);
    input.metadata = CAPACITY_SINGLE;
    room = 3 * GIB + 512 * MIB - MIB;
    assert_int_equal(capacity_usable(&input), room - room / 64);
    /* What is allocated counts once it is more. */
    input.metadata_allocated_bytes = GIB;
    room = 3 * GIB - MIB;
    assert_int_equal(capacity_usable(&input), room - room / 64);
    /* 2 % of large devices, and a spare of 1 GiB at most. */
    input.device_bytes[0] = 10 * TIB;
    room = 10 * TIB - MIB - 10 * TIB / 100 * 2;
    assert_int_equal(capacity_usable(&input), room - GIB);
    assert_int_equal(capacity_total(&input), 10 * TIB);
}

static void a_disk_too_small_promises_nothing(void **state)
{
    struct capacity_input input = {.device_bytes = {256 * MIB},
                                   .n_devices = 1,
                                   .data = CAPACITY_SINGLE,
                                   .metadata = CAPACITY_DUP};
    (void)state;
    assert_int_equal(capacity_usable(&input), 0);
    input.device_bytes[0] = 0;
    assert_int_equal(capacity_usable(&input), 0);
    input.n_devices = 0;
    assert_int_equal(capacity_usable(&input), 0);
    /* Nothing to mirror on. */
    input = (struct capacity_input){.device_bytes = {100 * GIB},
                                    .n_devices = 1,
                                    .data = CAPACITY_RAID1,
                                    .metadata = CAPACITY_RAID1};
    assert_int_equal(capacity_usable(&input), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_what_the_profile_leaves),
        cmocka_unit_test(allocation_takes_the_roomiest),
        cmocka_unit_test(room_agrees_with_the_replay),
        cmocka_unit_test(usable_leaves_metadata_and_a_spare),
        cmocka_unit_test(a_disk_too_small_promises_nothing),
    };
    return cmocka_run_group_tests_name("poold_capacity", tests, NULL, NULL);
}
