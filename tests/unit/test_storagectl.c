/* storagectl's pure parts: the command line, escaping, values, tables, JSON, exit codes. */
#include "base/cleanup.h"
#include "cachemount.h"
#include "command.h"
#include "text.h"
#include "value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ARGV_MAX = 16 };

static struct session session;
static struct err err;

static char *printed; /* what session.out got */
static size_t printed_size;

static int setup(void **state)
{
    (void)state;
    session = (struct session){0};
    session.out = open_memstream(&printed, &printed_size);
    return session.out ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    err_clear(&err);
    (void)fclose(session.out);
    free(printed);
    return 0;
}

static void must_have_printed(const char *text)
{
    (void)fflush(session.out);
    assert_string_equal(printed, text);
}

/* --- the command line ------------------------------------------------------------------------ */

static int parse(const char *const *words)
{
    char *argv[ARGV_MAX] = {"storagectl"};
    int argc = 1;
    for (; *words; words++)
        argv[argc++] = (char *)(uintptr_t)*words;
    FILE *out = session.out;
    session = (struct session){.out = out};
    err_clear(&err);
    return session_parse(&session, argc, argv, &err);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void flags_may_stand_anywhere(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--json", "space", "reserve", "--type", "ssd", "--timeout=500ms",
                           "--size=1G", "--run-dir", "/x", "--type", "hdd"),
                     0);
    assert_string_equal(session.command->noun, "space");
    assert_string_equal(session.verb->name, "reserve");
    assert_true(session.json);
    assert_int_equal(session.timeout_ms, 500);
    assert_string_equal(session.run_dir, "/x");
    assert_string_equal(session_flag(&session, "type"), "hdd");
    assert_null(session_flag(&session, "name"));
    uint64_t size = 0;
    assert_int_equal(session_flag_size(&session, "size", &size, &err), 0);
    assert_int_equal(size, 1 << 30);
    assert_int_equal(session_flag_size(&session, "name", &size, &err), 0);
}

static void words_become_arguments(void **state)
{
    (void)state;
    assert_int_equal(PARSE("disk", "prepare", "/dev/a", "/dev/b", "--", "--json"), 0);
    assert_int_equal(session.n_args, 3);
    assert_string_equal(session.args[2], "--json");
    assert_false(session.json);
    assert_int_equal(session.timeout_ms, 30000);
    assert_int_equal(PARSE("status"), 0);
    assert_null(session.verb->name);
    assert_int_equal(PARSE("--help"), 0);
    assert_int_equal(PARSE("disk", "--help"), 0);
}

static void wrong_use_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *says;
    } wrong[] = {
        {{NULL}, "noun"},
        {{"nonsense"}, "no noun \"nonsense\""},
        {{"space"}, "what to do with space"},
        {{"space", "nonsense"}, "no verb \"nonsense\""},
        {{"space", "get"}, "it takes SPACE"},
        {{"space", "get", "a", "b"}, "\"b\" is one argument too many"},
        {{"status", "now"}, "one argument too many"},
        {{"disk", "list", "--nonsense"}, "no flag --nonsense here"},
        {{"disk", "list", "--size", "1G"}, "no flag --size here"},
        {{"--jso", "status"}, "no flag --jso"},
        {{"status", "-j"}, "two dashes"},
        {{"status", "--json=yes"}, "takes no value"},
        {{"status", "--timeout"}, "takes a value"},
        {{"status", "--timeout", "5"}, "--timeout takes a time"},
        {{"status", "--timeout", "0s"}, "--timeout takes a time"},
        {{"status", "--timeout", "61m"}, "--timeout takes a time"},
        {{"status", "--run-dir="}, "takes a value"},
    };
    for (size_t i = 0; i < array_length(wrong); i++) {
        assert_int_equal(parse(wrong[i].words), -ERR_INVALID_ARGUMENT);
        if (!strstr(err.message, wrong[i].says))
            fail_msg("no \"%s\" in \"%s\"", wrong[i].says, err.message);
        assert_non_null(strstr(err.hint, "--help"));
    }
}

static void quantities_are_checked(void **state)
{
    (void)state;
    uint32_t number = 0;
    assert_int_equal(PARSE("space", "reserve", "--mode", "0750", "--uid", "4294967295"), 0);
    assert_int_equal(session_flag_u32(&session, "mode", 8, &number, &err), 0);
    assert_int_equal(number, 0750);
    assert_int_equal(session_flag_u32(&session, "uid", 10, &number, &err), 0);
    assert_true(number == UINT32_MAX);
    static const char *const bad[] = {"", "8", "-1", "+7", "0x1", "7 ", "77777777777", "rwx"};
    for (size_t i = 0; i < array_length(bad); i++) {
        assert_int_equal(PARSE("space", "reserve", "--mode", bad[i]), 0);
        assert_int_equal(session_flag_u32(&session, "mode", 8, &number, &err),
                         -ERR_INVALID_ARGUMENT);
    }
    uint64_t size;
    assert_int_equal(PARSE("space", "reserve", "--size", "1GB"), 0);
    assert_int_equal(session_flag_size(&session, "size", &size, &err), -ERR_INVALID_ARGUMENT);
    Storage__V1__DiskType type;
    assert_int_equal(session_parse_type("SSD", &type, &err), 0);
    assert_int_equal(type, STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD);
    assert_int_equal(session_parse_type("unspecified", &type, &err), -ERR_INVALID_ARGUMENT);
    assert_int_equal(session_parse_type("", &type, &err), -ERR_INVALID_ARGUMENT);
}

static void every_verb_is_in_the_help(void **state)
{
    (void)state;
    help_print(NULL, session.out);
    (void)fflush(session.out);
    for (const struct command *const *command = commands; *command; command++) {
        for (const struct verb *verb = (*command)->verbs; verb->run; verb++) {
            autofree char *line = NULL;
            assert_true(asprintf(&line, "  %s%s%s", (*command)->noun, verb->name ? " " : "",
                                 verb->name ? verb->name : "") > 0);
            assert_non_null(strstr(printed, line));
            assert_non_null(verb->help);
        }
    }
    assert_non_null(strstr(printed, "Exit codes:"));
}

static void exit_codes_follow_the_status(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        int exit_code;
    } codes[] = {
        {ERR_OK, 0},
        {ERR_INTERNAL, 1},
        {ERR_UNKNOWN, 1},
        {ERR_DATA_LOSS, 1},
        {ERR_INVALID_ARGUMENT, 2},
        {ERR_NOT_FOUND, 3},
        {ERR_ALREADY_EXISTS, 4},
        {ERR_FAILED_PRECONDITION, 4},
        {ERR_ABORTED, 4},
        {ERR_RESOURCE_EXHAUSTED, 5},
        {ERR_OUT_OF_RANGE, 5},
        {ERR_PERMISSION_DENIED, 6},
        {ERR_UNAUTHENTICATED, 6},
        {ERR_UNAVAILABLE, 7},
        {ERR_DEADLINE_EXCEEDED, 7},
        {ERR_UNIMPLEMENTED, 8},
        {(enum err_code)99, 1},
    };
    for (size_t i = 0; i < array_length(codes); i++)
        assert_int_equal(report_exit_code(codes[i].code), codes[i].exit_code);
}

/* --- text ------------------------------------------------------------------------------------ */

static void hostile_text_is_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *text, *escaped;
    } cases[] = {
        {"plain /dev/sda", "plain /dev/sda"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x92\xbe", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x92\xbe"},
        {"\x1b[31mred\n", "\\x1b[31mred\\x0a"},
        {"\x7f", "\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\x9b31m"}, /* CSI as C1 */
        {"a\xe2\x80\xae"
         "b",
         "a\\u202eb"}, /* right-to-left override */
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xc0\xaf", "\\xc0\\xaf"},                   /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
        {"\xe2\x82", "\\xe2\\x82"},                   /* cut */
        {"", ""},
    };
    for (size_t i = 0; i < array_length(cases); i++) {
        autofree char *escaped = text_escape(cases[i].text);
        assert_string_equal(escaped, cases[i].escaped);
    }
}

/* --- messages -------------------------------------------------------------------------------- */

#define DISK(name_, path_, size_)                                                                  \
    Storage__V1__Disk name_ = STORAGE__V1__DISK__INIT;                                             \
    name_.id = (char *)(uintptr_t)(path_);                                                         \
    name_.path = (char *)(uintptr_t)(path_);                                                       \
    name_.size_bytes = (size_);                                                                    \
    name_.type = STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD;                                            \
    name_.state = STORAGE__V1__DISK_STATE__DISK_STATE_POOL_MEMBER

static void values_are_told_for_people(void **state)
{
    (void)state;
    DISK(disk, "/dev/\x1b[1m", 3ull << 29);
    Storage__V1__PoolMembership membership = STORAGE__V1__POOL_MEMBERSHIP__INIT;
    membership.fsid = (char *)(uintptr_t) "f-1";
    Storage__V1__Signature a = STORAGE__V1__SIGNATURE__INIT, b = a;
    a.type = (char *)(uintptr_t) "gpt";
    b.type = (char *)(uintptr_t) "ext4";
    Storage__V1__Signature *signatures[] = {&a, &b};
    disk.signatures = signatures;
    disk.n_signatures = 2;
    static const char *const paths[][2] = {
        {"path", "/dev/\\x1b[1m"},
        {"size_bytes", "1.5G"},
        {"type", "ssd"},
        {"state", "pool_member"},
        {"read_only", "no"},
        {"pool.fsid", ""},
        {"major", "0"},
        {"signatures.type", "gpt ext4"},
    };
    for (size_t i = 0; i < array_length(paths); i++) {
        autofree char *text = value_text(&disk.base, paths[i][0]);
        assert_string_equal(text, paths[i][1]);
    }
    disk.pool = &membership;
    autofree char *fsid = value_text(&disk.base, "pool.fsid");
    assert_string_equal(fsid, "f-1");

    Storage__V1__Space space = STORAGE__V1__SPACE__INIT;
    space.mode = 0750;
    space.created_us = 1700000000123456;
    autofree char *mode = value_text(&space.base, "mode");
    assert_string_equal(mode, "0750");
    autofree char *created = value_text(&space.base, "created_us");
    assert_string_equal(created, "2023-11-14T22:13:20.123Z");
}

static void every_column_is_a_field(void **state)
{
    (void)state;
    const struct {
        const struct column *columns;
        const ProtobufCMessageDescriptor *type;
    } tables[] = {
        {disk_columns, &storage__v1__disk__descriptor},
        {pool_columns, &storage__v1__pool_info__descriptor},
        {capacity_columns, &storage__v1__capacity_reply__descriptor},
        {worker_columns, &storage__v1__worker__descriptor},
        {namespace_columns, &storage__v1__zdbnamespace__descriptor},
        {zdb_columns, &storage__v1__zdbinstance__descriptor},
    };
    for (size_t i = 0; i < array_length(tables); i++)
        for (const struct column *column = tables[i].columns; column->header; column++)
            if (!value_find(tables[i].type, column->path))
                fail_msg("%s has no %s", tables[i].type->name, column->path);
    assert_null(value_find(&storage__v1__disk__descriptor, "pool.nothing"));
    assert_null(value_find(&storage__v1__disk__descriptor, "path.fsid"));
}

static void enums_are_named_without_their_prefix(void **state)
{
    (void)state;
    char name[64];
    assert_string_equal(value_enum_name(&storage__v1__worker_state__descriptor,
                                        STORAGE__V1__WORKER_STATE__WORKER_STATE_HUNG, name),
                        "hung");
    assert_string_equal(value_enum_name(&storage__v1__code__descriptor, 5, name), "not_found");
    assert_string_equal(value_enum_name(&storage__v1__zdbmode__descriptor, 2, name), "sequential");
    assert_string_equal(value_enum_name(&storage__v1__zdbnamespace_state__descriptor, 1, name),
                        "live");
    assert_null(value_enum_name(&storage__v1__code__descriptor, 99, name));
    for (int i = 1; i <= STORAGE__V1__DISK_STATE__DISK_STATE_UNKNOWN; i++) {
        int number = 0;
        assert_non_null(value_enum_name(&storage__v1__disk_state__descriptor, i, name));
        assert_int_equal(value_enum_parse(&storage__v1__disk_state__descriptor, name, &number), 0);
        assert_int_equal(number, i);
    }
}

static void a_table_and_json_show_the_same_rows(void **state)
{
    (void)state;
    static const struct column columns[] = {
        {"PATH", "path"}, {"SIZE", "size_bytes"}, {"REASON", "reason"}, {0}};
    DISK(a, "/dev/a", 1ull << 30);
    DISK(b, "/dev/longer", 512);
    b.reason = (char *)(uintptr_t) "broken\tby \"x\"";
    const ProtobufCMessage *rows[] = {&a.base, &b.base};
    assert_int_equal(session_print_rows(&session, "disks", columns, rows, 2, &err), 0);
    must_have_printed("PATH        SIZE REASON\n"
                      "/dev/a      1.0G -\n"
                      "/dev/longer  512 broken\\x09by \"x\"\n");

    (void)teardown(NULL);
    (void)setup(NULL);
    session.json = true;
    assert_int_equal(session_print_rows(&session, "disks", columns, rows, 2, &err), 0);
    (void)fflush(session.out);
    assert_non_null(strstr(printed, "\"disks\": ["));
    assert_non_null(strstr(printed, "\"size_bytes\": 1073741824,"));
    assert_non_null(strstr(printed, "\"reason\": \"broken\\u0009by \\\"x\\\"\""));
    assert_non_null(strstr(printed, "\"read_only\": false"));
    assert_non_null(strstr(printed, "\"signatures\": []"));
    assert_non_null(strstr(printed, "\"pool\": null"));
}

static void an_empty_table_has_its_header(void **state)
{
    (void)state;
    static const struct column columns[] = {{"A", "path"}, {"B", "id"}, {0}};
    assert_int_equal(session_print_rows(&session, "disks", columns, NULL, 0, &err), 0);
    must_have_printed("A B\n");
    session.json = true;
    assert_int_equal(session_print_rows(&session, "disks", columns, NULL, 0, &err), 0);
    must_have_printed("A B\n{\n  \"disks\": []\n}\n");
}

static void json_is_exact(void **state)
{
    (void)state;
    struct json json = {.out = session.out, .lines = true};
    Storage__V1__DiskStats stats = STORAGE__V1__DISK_STATS__INIT;
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    Storage__V1__StuckProcess stuck = STORAGE__V1__STUCK_PROCESS__INIT;
    stuck.pid = -7;
    stuck.where = (char *)(uintptr_t) "\xff\xc2\x9b\\";
    json_open(&json, NULL, '[');
    json_message(&json, NULL, &stuck.base);
    json_u64(&json, NULL, UINT64_MAX);
    json_message(&json, NULL, NULL);
    json_close(&json, '[');
    must_have_printed(
        "[{\"pid\":-7,\"where\":\"\\ufffd\\u009b\\\\\"},18446744073709551615,null]\n");

    json_message(&json, NULL, &event.base);
    (void)fflush(session.out);
    assert_null(strstr(printed, "\"disk\""));
    Storage__V1__Disk disk = STORAGE__V1__DISK__INIT;
    event.body_case = STORAGE__V1__EVENT__BODY_DISK;
    event.disk = &disk;
    json_message(&json, NULL, &event.base);
    json_message(&json, NULL, &stats.base);
    (void)fflush(session.out);
    assert_non_null(strstr(printed, "\"disk\":{\"id\":\"\""));
    assert_null(strstr(printed, "\"pool\":{"));
    assert_non_null(strstr(printed, "\"type\":\"unspecified\""));
}

static void a_record_has_a_line_per_field(void **state)
{
    (void)state;
    Storage__V1__CacheInfo cache = STORAGE__V1__CACHE_INFO__INIT;
    cache.mounted = true;
    cache.path = (char *)(uintptr_t) "/var/cache";
    cache.limit_bytes = 20ull << 30;
    assert_int_equal(session_print_object(&session, &cache.base, &err), 0);
    must_have_printed("mounted     yes\n"
                      "path        /var/cache\n"
                      "pool        \n"
                      "limit_bytes 20G\n"
                      "used_bytes  0\n"
                      "reason      \n");
}

/* --- the cache mount ------------------------------------------------------------------------- */

static void what_is_no_cache_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum err_code code;
        const char *says;
    } cases[] = {
        {"/tmp/no-such-folder", ERR_NOT_FOUND, "no-such-folder"},
        {"/proc", ERR_FAILED_PRECONDITION, "something else"},
        {"/proc/self", ERR_FAILED_PRECONDITION, "no mount"},
    };
    for (size_t i = 0; i < array_length(cases); i++) {
        assert_int_equal(cachemount_check(cases[i].path, "f-1", &err), -(int)cases[i].code);
        assert_non_null(strstr(err.message, cases[i].says));
    }
}

#define ctl_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ctl_test(flags_may_stand_anywhere),
        ctl_test(words_become_arguments),
        ctl_test(wrong_use_is_told),
        ctl_test(quantities_are_checked),
        ctl_test(every_verb_is_in_the_help),
        ctl_test(exit_codes_follow_the_status),
        ctl_test(hostile_text_is_escaped),
        ctl_test(values_are_told_for_people),
        ctl_test(every_column_is_a_field),
        ctl_test(enums_are_named_without_their_prefix),
        ctl_test(a_table_and_json_show_the_same_rows),
        ctl_test(an_empty_table_has_its_header),
        ctl_test(json_is_exact),
        ctl_test(a_record_has_a_line_per_field),
        ctl_test(what_is_no_cache_is_refused),
    };
    return cmocka_run_group_tests_name("storagectl", tests, NULL, NULL);
}
