/* What stands on a pool's disks: records and descriptors that only a hostile hand could have
 * sealed. */
#include "descriptor.h"
#include "record.h"
#include "seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct seal_kind record_kind = {.magic = "sRec", .version = 1, .what = "record"};

struct sealed {
    uint8_t bytes[RECORD_MAX];
    size_t length;
};

static struct record make_record(void)
{
    return (struct record){
        .id = "0f8fad5b-d9cb-469f-a165-70867728950e",
        .name = "vm7",
        .kind = RECORD_KIND_SPACE,
        .state = RECORD_STATE_LIVE,
        .qgroup = 7,
        .generation = 1,
    };
}

static struct sealed pack(const struct record *record)
{
    struct sealed sealed;
    assert_int_equal(record_pack(record, sealed.bytes, &sealed.length, NULL), 0);
    return sealed;
}

/* A field more inside, with a good seal around it. */
static void append(struct sealed *sealed, const void *field, size_t length)
{
    memcpy(sealed->bytes + sealed->length, field, length);
    sealed->length += length;
    seal_close(&record_kind, sealed->bytes, sealed->length - SEAL_SIZE);
}

static void the_last_generation_can_die(void **state)
{
    (void)state;
    struct record record = make_record();
    record.generation = UINT64_MAX;
    struct sealed sealed = pack(&record), dying;
    assert_int_equal(record_restate(sealed.bytes, sealed.length, RECORD_STATE_DYING, dying.bytes,
                                    &dying.length, NULL),
                     0);
    assert_int_equal(record_unpack(dying.bytes, dying.length, &record, NULL), 0);
    assert_int_equal(record.state, RECORD_STATE_DYING);
    assert_true(record.generation == UINT64_MAX);
}

static void new_fields_survive_and_false_ones_are_refused(void **state)
{
    (void)state;
    struct record record = make_record();
    struct sealed sealed = pack(&record), dying;
    append(&sealed, "\xf8\x07\x05", 3); /* field 127 */
    assert_int_equal(record_restate(sealed.bytes, sealed.length, RECORD_STATE_DYING, dying.bytes,
                                    &dying.length, NULL),
                     0);
    assert_memory_equal(dying.bytes + dying.length - 3, "\xf8\x07\x05", 3);
    append(&sealed, "\x80\x00\x80\x00", 4); /* field 0: nobody can read it once it is written */
    assert_int_equal(record_unpack(sealed.bytes, sealed.length, &record, NULL), -ERR_DATA_LOSS);
}

static void texts_are_utf8(void **state)
{
    (void)state;
    struct record record = make_record();
    struct sealed sealed = pack(&record);
    append(&sealed, "\x12\x03vm\xff", 5); /* the name again */
    assert_int_equal(record_unpack(sealed.bytes, sealed.length, &record, NULL), -ERR_DATA_LOSS);
    (void)snprintf(record.name, sizeof record.name, "vm\xff");
    assert_int_equal(record_pack(&record, sealed.bytes, &sealed.length, NULL),
                     -ERR_INVALID_ARGUMENT);
}

static void a_descriptor_names_each_disk_once(void **state)
{
    (void)state;
    static const struct volume_member members[] = {
        {.path = "/dev/a", .devid = 1, .serial = "one", .disk_id = "a"},
        {.path = "/dev/b", .devid = 2, .serial = "two", .disk_id = "b"},
    };
    const struct volume_spec spec = {
        .fsid = "0f8fad5b-d9cb-469f-a165-70867728950e", .members = members, .n_members = 2};
    struct descriptor descriptor, again;
    uint8_t bytes[DESCRIPTOR_MAX];
    size_t length;
    descriptor_make(&spec, "tank", &descriptor);
    descriptor.quota = VOLUME_QUOTA_SIMPLE;
    assert_int_equal(descriptor_pack(&descriptor, bytes, &length, NULL), 0);
    assert_int_equal(descriptor_unpack(bytes, length, &again, NULL), VOLUME_PROBLEM_NONE);
    assert_int_equal(descriptor_compare(&again, &spec, NULL), VOLUME_PROBLEM_NONE);
    descriptor.members[1].devid = 1;
    assert_int_equal(descriptor_pack(&descriptor, bytes, &length, NULL), 0);
    assert_int_equal(descriptor_unpack(bytes, length, &again, NULL), VOLUME_PROBLEM_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_generation_can_die),
        cmocka_unit_test(new_fields_survive_and_false_ones_are_refused),
        cmocka_unit_test(texts_are_utf8),
        cmocka_unit_test(a_descriptor_names_each_disk_once),
    };
    return cmocka_run_group_tests_name("records and descriptors", tests, NULL, NULL);
}
