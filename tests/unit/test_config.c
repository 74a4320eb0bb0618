/* The config: defaults, file, flags, and every way in which it can be wrong. */
#include "base/cleanup.h"
#include "config/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ARGS_MAX = 16 };

static char path[] = "/tmp/storaged-config-XXXXXX";
static struct settings *loaded;
static struct err err;

static void write_file(const char *text, size_t length)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* Loads the file and one --set (NULL: none) into `loaded`, or fails into `err`. */
static int load(const char *text, const char *set)
{
    settings_free(loaded);
    loaded = NULL;
    err_clear(&err);
    write_file(text, strlen(text));
    char *argv[ARGS_MAX] = {"storaged", "--config", path, "--set", (char *)(uintptr_t)set, NULL};
    int argc = set ? 5 : 3;
    if (!set)
        argv[3] = NULL;
    int rc = settings_load(&argc, argv, &loaded, &err);
    assert_int_equal(argc, 1);
    assert_null(argv[1]);
    return rc;
}

static void must_load(const char *text, const char *set)
{
    if (load(text, set) != 0)
        fail_msg("%s", err.message);
}

/* Each of `says` (NULL-terminated) is in the message. */
static void must_fail(const char *text, const char *set, const char *const *says)
{
    assert_int_equal(load(text, set), -ERR_INVALID_ARGUMENT);
    assert_null(loaded);
    assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
    for (; *says; says++)
        if (!strstr(err.message, *says))
            fail_msg("no \"%s\" in \"%s\"", *says, err.message);
}

#define SAYS(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    must_load("", NULL);
    assert_string_equal(loaded->path, path);
    assert_string_equal(loaded->run_dir, "/run/storaged");
    assert_string_equal(loaded->cache_path, "/var/cache");
    assert_string_equal(loaded->libexec_dir, "");
    assert_string_equal(loaded->workers[0], "diskd");
    assert_string_equal(loaded->workers[1], "poold");
    assert_string_equal(loaded->workers[2], "zdbd");
    assert_null(loaded->workers[3]);
    assert_non_null(loaded->allow);
    assert_null(loaded->allow[0]);
    assert_int_equal(loaded->n_admin_uids, 0);
    assert_int_equal(loaded->log_level, LOG_INFO);
    assert_int_equal(loaded->beat_ms, 1000);
    assert_true(loaded->create);
    assert_true(loaded->cache_size_bytes == 20ull << 30);
    assert_true(loaded->headroom_bytes == 1ull << 30);
    assert_true(loaded->zdb_overhead_bytes == 64ull << 30);
    assert_int_equal(loaded->zdb_uids.first, 860000);
    assert_int_equal(loaded->zdb_uids.last, 865535);
    autofree char *socket = settings_run_path(loaded, "poold", ".sock");
    assert_string_equal(socket, "/run/storaged/poold.sock");
}

static void the_file_wins_over_defaults_and_flags_over_the_file(void **state)
{
    (void)state;
    must_load("[storaged]\nrun_dir = /tmp/run/ ; a comment\nadmins = 1000, 1001\n"
              "log_level=debug\n# another\n[disks]\nallow = /dev/loop1 /dev/loop2,/dev/vd*\n"
              "[pools]\ncreate = no\n[cache]\nsize = 512M\n",
              "cache.size= 3G ");
    assert_string_equal(loaded->run_dir, "/tmp/run");
    assert_int_equal(loaded->n_admin_uids, 2);
    assert_int_equal(loaded->admin_uids[1], 1001);
    assert_int_equal(loaded->log_level, LOG_DEBUG);
    assert_string_equal(loaded->allow[1], "/dev/loop2");
    assert_string_equal(loaded->allow[2], "/dev/vd*");
    assert_null(loaded->allow[3]);
    assert_false(loaded->create);
    assert_true(loaded->cache_size_bytes == 3ull << 30);
}

static void what_does_not_exist_is_named_with_its_place(void **state)
{
    (void)state;
    must_fail("[disks]\n\nallows = x\n", NULL,
              SAYS(path, ":3:", "allows", "[disks]", "allow ssd hdd probe_ms mkfs_ms"));
    must_fail("# one\n[disk]\n", NULL, SAYS(path, ":2:", "[disk]", "storaged supervisor disks"));
    must_fail("run_dir = /a\n", NULL, SAYS(":1:", "[]"));
    must_fail("", "cache.fill=1", SAYS("--set", "fill", "size percent"));
    must_fail("", "nothing=1", SAYS("--set", "section.key=value"));
    must_fail("[cache]\nsize 5\n", NULL, SAYS(":2:"));
}

static void a_key_stands_once_in_the_file(void **state)
{
    (void)state;
    must_fail("[cache]\nsize = 1G\npercent = 5\nsize = 2G\n", NULL,
              SAYS(":4:", "cache.size", "line 2"));
    char *argv[] = {"storaged", "--set=cache.percent=5", "--set=cache.percent=6", NULL};
    int argc = 3;
    settings_free(loaded);
    loaded = NULL;
    write_file("", 0);
    assert_int_equal(settings_load(&argc, argv, &loaded, &err), 0);
    assert_int_equal(loaded->cache_percent, 6);
}

static void values_must_parse_and_lie_in_range(void **state)
{
    (void)state;
    static const struct {
        const char *set, *says;
    } bad[] = {
        {"storaged.run_dir=run", "absolute"},
        {"storaged.run_dir=/run/blank /", "blank"},
        {"storaged.mount_root=mnt/x", "absolute"},
        {"storaged.cache_path=./cache", "absolute"},
        {"storaged.cache_path=/a/../b", "absolute"},
        {"storaged.cache_path=/a//b", "absolute"},
        {"storaged.mount_root=/", "2 to"},
        {"storaged.cache_path=/\xff", "UTF-8"},
        {"storaged.run_dir=/0123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890123456789",
         "2 to 90 bytes"},
        {"storaged.libexec_dir=bin", "absolute"},
        {"storaged.group=", "1 to 64 bytes"},
        {"storaged.admins=root", "\"root\" is none"},
        {"storaged.admins=4294967295", "is none"},
        {"storaged.log_level=loud", "debug, info, warning or error"},
        {"supervisor.workers=", "1 to 16 entries"},
        {"supervisor.beat_ms=soon", "10 to 3600000"},
        {"supervisor.beat_ms=9", "10 to 3600000"},
        {"supervisor.beat_ms=-1", "10 to 3600000"},
        {"supervisor.beat_ms=", "10 to 3600000"},
        {"supervisor.backoff_jitter_percent=91", "0 to 90"},
        {"pools.create=maybe", "yes or no"},
        {"cache.percent=101", "1 to 100"},
        {"cache.size=1X", "a size from 1M"},
        {"cache.size=1", "a size from 1M"},
        {"disks.allow=/dev/a;b", "';'"},
    };
    for (size_t i = 0; i < array_length(bad); i++)
        must_fail("", bad[i].set, SAYS("--set", bad[i].says));
}

static void values_must_fit_each_other(void **state)
{
    (void)state;
    must_fail("", "supervisor.backoff_min_ms=30001", SAYS("backoff_min_ms", "backoff_max_ms"));
    must_fail("", "supervisor.healthy_ms=60001", SAYS("healthy_ms", "forget_ms"));
    must_fail("", "supervisor.ready_ms=500", SAYS("beat_ms", "ready_ms"));
    must_fail("", "storaged.cache_path=/mnt/storaged/cache", SAYS("cache_path", "mount_root"));
    must_fail("", "storaged.mount_root=/run", SAYS("run_dir", "mount_root"));
    must_load("", "storaged.mount_root=/run/storaged2");
}

static char *print_loaded(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    settings_print(loaded, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void what_is_printed_loads_to_the_same(void **state)
{
    (void)state;
    must_load("[storaged]\nadmins = 1 2 3\nlog_level = error\n[disks]\nallow = /dev/a, /dev/b*\n"
              "[spaces]\nheadroom = 1025\n[zdb]\nuids = 7-7\n[pools]\ncreate = off\n",
              "storaged.libexec_dir=/opt/a b");
    autofree char *first = print_loaded();
    assert_non_null(strstr(first, "allow = /dev/a /dev/b*\n"));
    assert_non_null(strstr(first, "size = 20G\n"));
    assert_non_null(strstr(first, "libexec_dir = /opt/a b\n"));
    must_load(first, NULL);
    autofree char *second = print_loaded();
    assert_string_equal(first, second);
}

static void a_long_list_is_read_whole(void **state)
{
    (void)state;
    char text[8192] = "[disks]\nallow =";
    size_t used = strlen(text);
    for (int i = 0; i < 256; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " /dev/loop%d", i);
    must_load(text, NULL);
    assert_string_equal(loaded->allow[255], "/dev/loop255");
    (void)snprintf(text + used, sizeof text - used, " /dev/one-too-many");
    must_fail(text, NULL, SAYS(":2:", "0 to 256 entries"));
}

static void hostile_lines_are_refused(void **state)
{
    (void)state;
    autofree char *text = calloc(1, 40000);
    memset(text, 'x', 39999);
    must_fail(text, NULL, SAYS(":1:", "bytes"));

    char *argv[] = {"storaged", "--config", path, NULL};
    int argc = 3;
    write_file("[cache]\nsize = 1G\0\nother", 23);
    err_clear(&err);
    assert_int_equal(settings_load(&argc, argv, &loaded, &err), -ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, ":2:"));

    /* In the last line, which no newline ends. */
    write_file("[storaged]\ngroup = a\0b", 22);
    char *again[] = {"storaged", "--config", path, NULL};
    argc = 3;
    err_clear(&err);
    assert_int_equal(settings_load(&argc, again, &loaded, &err), -ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, ":2:"));
}

/* What a line just takes when it is written tightly would not fit the line that is printed. */
static void the_longest_value_still_prints_to_a_line(void **state)
{
    (void)state;
    char text[16384 + 64] = "[disks]\nallow=";
    size_t head = strlen(text), longest = 16384 - 64;
    for (size_t i = 0; i <= longest; i++)
        text[head + i] = i % 200 == 199 ? ',' : 'x';
    must_fail(text, NULL, SAYS(":2:", "disks.allow", "at most 16320 bytes"));
    text[head + longest] = '\0';
    must_load(text, NULL);
    autofree char *first = print_loaded();
    must_load(first, NULL);
    autofree char *second = print_loaded();
    assert_string_equal(first, second);
}

static void a_named_file_must_be_there(void **state)
{
    (void)state;
    char *argv[] = {"storaged", "--config", "/tmp/storaged-no-such-file", NULL};
    int argc = 3;
    assert_int_equal(settings_load(&argc, argv, &loaded, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/tmp/storaged-no-such-file"));
}

static void other_arguments_stay(void **state)
{
    (void)state;
    settings_free(loaded);
    loaded = NULL;
    write_file("", 0);
    char *argv[] = {
        "storaged", "--check", "--config", path, "--configs", "word", "--set=cache.percent=7",
        "--",       "--set",   NULL};
    int argc = 9;
    assert_int_equal(settings_load(&argc, argv, &loaded, &err), 0);
    assert_int_equal(argc, 6);
    assert_string_equal(argv[1], "--check");
    assert_string_equal(argv[2], "--configs");
    assert_string_equal(argv[3], "word");
    assert_string_equal(argv[4], "--");
    assert_string_equal(argv[5], "--set");
    assert_null(argv[6]);
    assert_int_equal(loaded->cache_percent, 7);

    char *short_argv[] = {"storaged", "--set", NULL};
    argc = 2;
    settings_free(loaded);
    loaded = NULL;
    assert_int_equal(settings_load(&argc, short_argv, &loaded, &err), -ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "--set needs a value"));
}

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    settings_free(loaded);
    err_clear(&err);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(the_file_wins_over_defaults_and_flags_over_the_file),
        cmocka_unit_test(what_does_not_exist_is_named_with_its_place),
        cmocka_unit_test(a_key_stands_once_in_the_file),
        cmocka_unit_test(values_must_parse_and_lie_in_range),
        cmocka_unit_test(values_must_fit_each_other),
        cmocka_unit_test(what_is_printed_loads_to_the_same),
        cmocka_unit_test(a_long_list_is_read_whole),
        cmocka_unit_test(hostile_lines_are_refused),
        cmocka_unit_test(the_longest_value_still_prints_to_a_line),
        cmocka_unit_test(a_named_file_must_be_there),
        cmocka_unit_test(other_arguments_stay),
    };
    return cmocka_run_group_tests_name("config", tests, setup, teardown);
}
