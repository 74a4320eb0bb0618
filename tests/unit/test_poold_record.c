/* What storaged writes on a pool: comes back as it was, or not at all. */
#include "base/cleanup.h"
#include "descriptor.h"
#include "disk.pb-c.h"
#include "record.h"
#include "seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct seal_kind record_kind = {.magic = "sRec", .version = 1, .what = "record"};

static struct record make_record(void)
{
    struct record record = {
        .request_uid = 1000,
        .kind = RECORD_KIND_SPACE,
        .state = RECORD_STATE_LIVE,
        .disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD,
        .size_bytes = UINT64_C(1) << 40,
        .limit_bytes = UINT64_MAX,
        .qgroup = (UINT64_C(1) << 48) - 1,
        .uid = UINT32_MAX,
        .gid = 7,
        .mode = 07777,
        .created_us = 1,
        .generation = 42,
    };
    uuid_random(record.id);
    memset(record.name, 'n', RECORD_NAME_MAX);
    memset(record.request_id, 'r', RECORD_REQUEST_ID_MAX);
    return record;
}

static void a_record_comes_back_as_it_was(void **state)
{
    struct record record = make_record(), back;
    uint8_t data[RECORD_MAX];
    size_t length;
    (void)state;
    assert_int_equal(record_pack(&record, data, &length, NULL), 0);
    assert_true(length <= RECORD_MAX);
    assert_int_equal(record_unpack(data, length, &back, NULL), 0);
    assert_memory_equal(&record, &back, sizeof record);
}

static void a_booking_comes_back_with_its_note(void **state)
{
    struct record record = make_record(), back;
    struct record_note note = {.length = RECORD_NOTE_MAX}, note_back;
    uint8_t data[RECORD_MAX];
    size_t length;
    (void)state;
    memset(note.data, 0xa5, sizeof note.data);
    record.kind = RECORD_KIND_BOOKING;
    record.pending = true;
    assert_int_equal(record_pack_noted(&record, &note, data, &length, NULL), -ERR_INVALID_ARGUMENT);
    record.qgroup = 0; /* it has none */
    assert_int_equal(record_pack_noted(&record, &note, data, &length, NULL), 0);
    assert_int_equal(record_unpack_noted(data, length, &back, &note_back, NULL), 0);
    assert_memory_equal(&record, &back, sizeof record);
    assert_memory_equal(&note, &note_back, sizeof note);
    assert_int_equal(record_pack(&record, data, &length, NULL), 0);
    assert_int_equal(record_unpack_noted(data, length, &back, &note_back, NULL), 0);
    assert_int_equal(note_back.length, 0);
}

static void every_flipped_bit_is_seen(void **state)
{
    struct record record = make_record(), back;
    uint8_t data[RECORD_MAX];
    size_t length;
    (void)state;
    assert_int_equal(record_pack(&record, data, &length, NULL), 0);
    for (size_t bit = 0; bit < length * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(record_unpack(data, length, &back, NULL), -ERR_DATA_LOSS);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < length; cut++)
        assert_int_equal(record_unpack(data, cut, &back, NULL), -ERR_DATA_LOSS);
    assert_int_equal(record_unpack(data, length, &back, NULL), 0);
}

static void a_newer_record_is_not_a_damaged_one(void **state)
{
    const struct seal_kind newer = {.magic = "sRec", .version = 2, .what = "record"};
    uint8_t data[64] = {0};
    struct record back;
    autoerr struct err err = {0};
    (void)state;
    seal_close(&newer, data, 8);
    assert_int_equal(record_unpack(data, SEAL_SIZE + 8, &back, &err), -ERR_UNIMPLEMENTED);
    assert_non_null(strstr(err.message, "version 2"));
}

/* Seals a message as it is, past the checks of record_pack(). */
static size_t seal_message(Storaged__Disk__Record *message, uint8_t data[RECORD_MAX])
{
    size_t length = storaged__disk__record__get_packed_size(message);
    assert_true(length <= RECORD_MAX - SEAL_SIZE);
    (void)storaged__disk__record__pack(message, data + SEAL_SIZE);
    seal_close(&record_kind, data, length);
    return SEAL_SIZE + length;
}

static void make_message(Storaged__Disk__Record *out_message)
{
    static char id[] = "5c1df6a0-0000-4000-8000-000000000001", empty[] = "";
    storaged__disk__record__init(out_message);
    out_message->id = id;
    out_message->name = out_message->request_id = empty;
    out_message->kind = RECORD_KIND_SPACE;
    out_message->state = RECORD_STATE_LIVE;
    out_message->qgroup = 1;
    out_message->generation = 1;
}

static void sealed_nonsense_is_refused(void **state)
{
    static char long_name[RECORD_NAME_MAX + 2], upper[] = "../../../../etc/passwd";
    Storaged__Disk__Record message;
    uint8_t data[RECORD_MAX];
    struct record back;
    (void)state;
    memset(long_name, 'n', sizeof long_name - 1);
    make_message(&message);
    assert_int_equal(record_unpack(data, seal_message(&message, data), &back, NULL), 0);
#define refused_with(field, value)                                                                 \
    make_message(&message);                                                                        \
    message.field = (value);                                                                       \
    assert_int_equal(record_unpack(data, seal_message(&message, data), &back, NULL), -ERR_DATA_LOSS)
    refused_with(id, upper);
    refused_with(name, long_name);
    refused_with(request_id, long_name);
    refused_with(kind, 5);
    refused_with(state, 0);
    refused_with(state, 4);
    refused_with(disk_type, 99);
    refused_with(qgroup, 0);
    refused_with(qgroup, UINT64_C(1) << 48);
    refused_with(mode, 010000);
    refused_with(generation, 0);
}

static void what_could_not_be_read_is_not_written(void **state)
{
    struct record record = make_record();
    uint8_t data[RECORD_MAX];
    size_t length = 7;
    autoerr struct err err = {0};
    (void)state;
    record.qgroup = 0;
    assert_int_equal(record_pack(&record, data, &length, &err), -ERR_INVALID_ARGUMENT);
    assert_string_equal(err.object, record.id);
    assert_int_equal(length, 7);
}

static void a_change_of_state_keeps_what_is_newer(void **state)
{
    static uint8_t future[] = {0xfa, 0x01, 3, 'n', 'e', 'w'}; /* field 31, three bytes */
    uint8_t data[RECORD_MAX], changed[RECORD_MAX];
    size_t length, changed_length;
    Storaged__Disk__Record message;
    struct record back;
    (void)state;
    make_message(&message);
    length = storaged__disk__record__pack(&message, data + SEAL_SIZE);
    memcpy(data + SEAL_SIZE + length, future, sizeof future);
    length += sizeof future;
    seal_close(&record_kind, data, length);
    assert_int_equal(record_restate(data, SEAL_SIZE + length, RECORD_STATE_DYING, changed,
                                    &changed_length, NULL),
                     0);
    assert_int_equal(record_unpack(changed, changed_length, &back, NULL), 0);
    assert_int_equal(back.state, RECORD_STATE_DYING);
    assert_int_equal(back.generation, 2);
    assert_non_null(memmem(changed, changed_length, future, sizeof future));
}

static void a_record_too_large_is_refused(void **state)
{
    static uint8_t data[2 * RECORD_MAX];
    struct record back;
    (void)state;
    seal_close(&record_kind, data, sizeof data - SEAL_SIZE);
    assert_int_equal(record_unpack(data, sizeof data, &back, NULL), -ERR_DATA_LOSS);
}

/* ---- descriptors ---------------------------------------------------------------------------- */

static void make_spec(struct volume_spec *out_spec, struct volume_member members[2])
{
    members[0] = (struct volume_member){.path = "/a", .devid = 1, .serial = "one", .disk_id = "a"};
    members[1] = (struct volume_member){.path = "/b", .devid = 2, .serial = "", .disk_id = "b"};
    *out_spec = (struct volume_spec){
        .fsid = "5c1df6a0-0000-4000-8000-000000000001",
        .members = members,
        .n_members = 2,
        .disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD,
        .type_evidence = "config",
    };
}

static void a_descriptor_tells_its_disks(void **state)
{
    struct volume_member members[2];
    struct volume_spec spec;
    struct descriptor made, back;
    uint8_t data[DESCRIPTOR_MAX];
    size_t length;
    autoerr struct err err = {0};
    (void)state;
    make_spec(&spec, members);
    descriptor_make(&spec, "alpha", &made);
    made.quota = VOLUME_QUOTA_SIMPLE;
    assert_int_equal(descriptor_pack(&made, data, &length, &err), 0);
    assert_int_equal(descriptor_unpack(data, length, &back, &err), VOLUME_PROBLEM_NONE);
    assert_memory_equal(&made, &back, sizeof made);
    assert_int_equal(descriptor_compare(&back, &spec, &err), VOLUME_PROBLEM_NONE);
    members[1].serial = "any"; /* made without one: cannot be told */
    assert_int_equal(descriptor_compare(&back, &spec, &err), VOLUME_PROBLEM_NONE);
    members[0].serial = "two";
    assert_int_equal(descriptor_compare(&back, &spec, &err), VOLUME_PROBLEM_OTHER_DISKS);
    members[0].serial = "";
    assert_int_equal(descriptor_compare(&back, &spec, &err), VOLUME_PROBLEM_OTHER_DISKS);
    members[0] = members[1];
    assert_int_equal(descriptor_compare(&back, &spec, &err), VOLUME_PROBLEM_OTHER_DISKS);
    spec.n_members = 1;
    assert_int_equal(descriptor_compare(&back, &spec, &err), VOLUME_PROBLEM_OTHER_DISKS);
    spec.fsid = "5c1df6a0-0000-4000-8000-000000000002";
    assert_int_equal(descriptor_compare(&back, &spec, &err), VOLUME_PROBLEM_WRONG_FSID);
}

static void the_largest_descriptor_fits(void **state)
{
    static char serial[DESCRIPTOR_SERIAL_MAX + 20], evidence[300];
    struct volume_member members[VOLUME_MEMBERS_MAX];
    struct volume_spec spec;
    struct descriptor made, back;
    uint8_t data[DESCRIPTOR_MAX];
    size_t length;
    autoerr struct err err = {0};
    (void)state;
    memset(serial, 's', sizeof serial - 1);
    memset(evidence, 'e', sizeof evidence - 1);
    make_spec(&spec, members);
    for (size_t i = 0; i < VOLUME_MEMBERS_MAX; i++)
        members[i] = (struct volume_member){
            .path = "/x", .devid = UINT64_MAX - i, .serial = serial, .disk_id = serial};
    spec.n_members = VOLUME_MEMBERS_MAX;
    spec.type_evidence = evidence;
    descriptor_make(&spec, "alpha", &made);
    made.quota = VOLUME_QUOTA_FULL;
    assert_int_equal(descriptor_pack(&made, data, &length, &err), 0);
    assert_int_equal(descriptor_unpack(data, length, &back, &err), VOLUME_PROBLEM_NONE);
    assert_int_equal(descriptor_compare(&back, &spec, &err), VOLUME_PROBLEM_NONE);
}

static void unknown_features_forbid_or_not(void **state)
{
    struct volume_member members[2];
    struct volume_spec spec;
    struct descriptor made, back;
    uint8_t data[DESCRIPTOR_MAX];
    size_t length;
    autoerr struct err err = {0};
    (void)state;
    make_spec(&spec, members);
    descriptor_make(&spec, "alpha", &made);
    made.quota = VOLUME_QUOTA_SIMPLE;
    made.compat = 1;
    assert_int_equal(descriptor_pack(&made, data, &length, &err), 0);
    assert_int_equal(descriptor_unpack(data, length, &back, &err), VOLUME_PROBLEM_NONE);
    made.incompat = 1;
    made.quota = 9; /* only the newer one knows what this is */
    assert_int_equal(descriptor_pack(&made, data, &length, &err), 0);
    assert_int_equal(descriptor_unpack(data, length, &back, &err), VOLUME_PROBLEM_TOO_NEW);
    made.incompat = 0;
    assert_int_equal(descriptor_pack(&made, data, &length, &err), 0);
    assert_int_equal(descriptor_unpack(data, length, &back, &err), VOLUME_PROBLEM_CORRUPT);
}

static void names_of_pools_are_plain(void **state)
{
    char name[VOLUME_NAME_MAX + 2] = {0};
    (void)state;
    assert_true(descriptor_name_valid("Pool_1.x-y"));
    static const char *const bad[] = {"", ".", "..", ".a", "a/b", "a b", "a\n", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(descriptor_name_valid(bad[i]));
    memset(name, 'n', VOLUME_NAME_MAX);
    assert_true(descriptor_name_valid(name));
    name[VOLUME_NAME_MAX] = 'n';
    assert_false(descriptor_name_valid(name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_was),
        cmocka_unit_test(a_booking_comes_back_with_its_note),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(a_newer_record_is_not_a_damaged_one),
        cmocka_unit_test(sealed_nonsense_is_refused),
        cmocka_unit_test(what_could_not_be_read_is_not_written),
        cmocka_unit_test(a_change_of_state_keeps_what_is_newer),
        cmocka_unit_test(a_record_too_large_is_refused),
        cmocka_unit_test(a_descriptor_tells_its_disks),
        cmocka_unit_test(the_largest_descriptor_fits),
        cmocka_unit_test(unknown_features_forbid_or_not),
        cmocka_unit_test(names_of_pools_are_plain),
    };
    return cmocka_run_group_tests_name("poold_record", tests, NULL, NULL);
}
