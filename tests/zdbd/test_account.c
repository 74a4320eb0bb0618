/* What zdbd keeps of a namespace, and what it reads of one: notes and NSINFO. */
#include "note.h"
#include "nsinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODE(name) STORAGE__V1__ZDBMODE__ZDB_MODE_##name

/* ---- notes ---- */

static void a_note_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct note note = {.mode = MODE(SEQUENTIAL), .public = true, .frozen = true}, read;
    uint8_t packed[NOTE_PACKED_MAX];
    memset(note.name, 'n', NAME_MAX_BYTES);
    memset(note.zdb_name, 'z', ZDB_NAME_MAX);
    size_t length = note_pack(&note, packed);
    assert_true(length < sizeof packed);
    assert_int_equal(note_unpack(packed, length, &read, NULL), 0);
    assert_string_equal(read.name, note.name);
    assert_string_equal(read.zdb_name, note.zdb_name);
    assert_int_equal(read.mode, MODE(SEQUENTIAL));
    assert_true(read.public && read.frozen && !read.locked && !read.dying);
}

static void what_is_no_note_is_told_from_a_later_ones(void **state)
{
    (void)state;
    struct note note = {.mode = MODE(USER)}, read = {.name = "untouched"};
    uint8_t packed[NOTE_PACKED_MAX], later[] = {0x08, 2};
    size_t length = note_pack(&note, packed);
    struct err err = {0};
    assert_int_equal(note_unpack(packed, 0, &read, &err), -ERR_DATA_LOSS);
    for (size_t cut = 1; cut < length; cut++)
        assert_int_equal(note_unpack(packed, cut, &read, &err), -ERR_DATA_LOSS);
    assert_int_equal(note_unpack((const uint8_t *)"garbage", 7, &read, &err), -ERR_DATA_LOSS);
    assert_int_equal(note_unpack(later, sizeof later, &read, &err), -ERR_UNIMPLEMENTED);
    assert_non_null(strstr(err.message, "version 2"));
    assert_string_equal(read.name, "untouched");
    err_clear(&err);
}

/* ---- NSINFO ---- */

static const char whole[] = "# namespace\n"
                            "name: some\n"
                            "entries: 3\n"
                            "public: yes\n"
                            "worm: no\n"
                            "locked: no\n"
                            "password: yes\n"
                            "data_size_bytes: 1024\n"
                            "data_size_mb: 0.00\n"
                            "data_limits_bytes: 4096\n"
                            "index_size_bytes: 29\n"
                            "mode: sequential\n"
                            "stats_index_io_errors: 1\n"
                            "stats_data_io_errors: 2\n"
                            "stats_data_faults: 4\n";

static void trouble_is_read(void **state)
{
    (void)state;
    struct nsinfo info;
    char text[1024];
    int length = snprintf(text, sizeof text, "%sclosed: its descriptor is lost\n", whole);
    assert_int_equal(nsinfo_parse(text, (size_t)length, "some", &info, NULL), 0);
    assert_string_equal(info.trouble, "its descriptor is lost");
    length = snprintf(text, sizeof text, "%sout_of_service: %0300d\n", whole, 0);
    assert_int_equal(nsinfo_parse(text, (size_t)length, "some", &info, NULL), 0);
    assert_int_equal(strlen(info.trouble), NSINFO_TROUBLE_MAX - 1);
}

static void an_account_is_read(void **state)
{
    (void)state;
    struct nsinfo info;
    assert_int_equal(nsinfo_parse(whole, sizeof whole - 1, "some", &info, NULL), 0);
    assert_int_equal(info.entries, 3);
    assert_string_equal(info.trouble, "");
    assert_int_equal(info.data_bytes, 1024);
    assert_int_equal(info.index_bytes, 29);
    assert_int_equal(info.limit_bytes, 4096);
    assert_int_equal(info.errors, 7);
    assert_int_equal(info.mode, MODE(SEQUENTIAL));
    assert_true(info.public && info.password && !info.locked);
}

/* The text with `what` in place of `with`. */
static int parse_changed(const char *what, const char *with)
{
    char text[sizeof whole + 256];
    struct nsinfo info = {.entries = 77};
    const char *at = strstr(whole, what);
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, with,
                   at + strlen(what));
    int rc = nsinfo_parse(text, strlen(text), "some", &info, NULL);
    assert_true(rc == 0 || info.entries == 77);
    return rc;
}

static void half_an_account_is_none(void **state)
{
    (void)state;
    static const char *const needed[] = {"entries: 3\n",          "public: yes\n",
                                         "locked: no\n",          "password: yes\n",
                                         "mode: sequential\n",    "data_size_bytes: 1024\n",
                                         "name: some\n",          "data_limits_bytes: 4096\n",
                                         "index_size_bytes: 29\n"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        assert_int_equal(parse_changed(needed[i], ""), -ERR_DATA_LOSS);
    assert_int_equal(parse_changed("name: some", "name: other"), -ERR_DATA_LOSS);
    assert_int_equal(parse_changed("public: yes", "public: maybe"), -ERR_DATA_LOSS);
    assert_int_equal(parse_changed("mode: sequential", "mode: strange"), -ERR_DATA_LOSS);
    assert_int_equal(parse_changed("entries: 3", "entries: -3"), -ERR_DATA_LOSS);
    assert_int_equal(parse_changed("entries: 3", "entries: 99999999999999999999999"),
                     -ERR_DATA_LOSS);
    assert_int_equal(parse_changed("entries: 3", "entries: 3x"), -ERR_DATA_LOSS);
    struct nsinfo info;
    assert_int_equal(nsinfo_parse("", 0, "some", &info, NULL), -ERR_DATA_LOSS);
    /* What it leaves out of its counters, and a line's CR, do not matter. */
    assert_int_equal(parse_changed("stats_data_faults: 4\n", ""), 0);
    assert_int_equal(parse_changed("mode: sequential\n", "mode: userkey\r\n"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_is_read_as_it_was_written),
        cmocka_unit_test(what_is_no_note_is_told_from_a_later_ones),
        cmocka_unit_test(an_account_is_read),
        cmocka_unit_test(trouble_is_read),
        cmocka_unit_test(half_an_account_is_none),
    };
    return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
