/* storagectl's verbs about 0-db: what each asks of zdbd, and what it refuses by itself. */
#include "base/cleanup.h"
#include "command.h"
#include "zdbd_double.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ARGV_MAX = 16 };

static char dir[64];
static struct err err;
static char *printed;
static size_t printed_size;

static char *in_dir(const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    autofree char *path = in_dir(name);
    autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/storaged-verbs-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    write_file("secret", "open sesame\nand more\n", 21);
    double_start(dir);
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"secret", "zdbd.sock"};
    (void)state;
    double_stop();
    err_clear(&err);
    free(printed);
    printed = NULL;
    for (size_t i = 0; i < array_length(files); i++) {
        autofree char *path = in_dir(files[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

/* As main() does; words that begin with '@' name files in the directory. */
static int run(const char *const *words)
{
    char *argv[ARGV_MAX] = {"storagectl", "--run-dir", dir};
    char *paths[ARGV_MAX] = {NULL};
    int argc = 3;
    for (; *words; words++, argc++) {
        if (**words == '@')
            paths[argc] = in_dir(*words + 1);
        argv[argc] = paths[argc] ? paths[argc] : (char *)(uintptr_t)*words;
    }
    err_clear(&err);
    free(printed);
    printed = NULL;
    struct session session = {.out = open_memstream(&printed, &printed_size)};
    assert_non_null(session.out);
    int rc = session_parse(&session, argc, argv, &err);
    if (rc == 0)
        rc = session.verb->run(&session, &err);
    session_close(&session);
    (void)fclose(session.out);
    for (int i = 0; i < argc; i++)
        free(paths[i]);
    return rc;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void must_have_heard(const char *text)
{
    autofree char *heard = double_heard();
    assert_string_equal(heard, text);
}

/* --- what is asked --------------------------------------------------------------------------- */

#define BY_ID   DOUBLE_ID
#define ID      "{\"id\":\"" DOUBLE_ID "\""
#define GET     "Get {\"id\":\"\",\"name\":\"vm7\"}\n"
#define PASSED  "--password-file", "@secret"
#define SESAME  "6f70656e20736573616d65" /* "open sesame" */
#define IMPORT  "Import {\"pool\":\"f-1\",\"data_path\":\"/d\",\"index_path\":\"/i\",\"dry_run\":"
#define RESERVE "namespace", "reserve", "--type", "ssd", "--size", "1G", "--mode"

static void each_verb_asks_for_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *words[ARGV_MAX];
        const char *heard;
    } cases[] = {
        {{RESERVE, "user", PASSED, "--name", "vm7"},
         "Reserve {\"disk_type\":\"ssd\",\"size_bytes\":1073741824,\"mode\":\"user\","
         "\"password\":\"" SESAME "\",\"name\":\"vm7\",\"public\":false}\n"},
        {{RESERVE, "sequential", PASSED, "--public"},
         "Reserve {\"disk_type\":\"ssd\",\"size_bytes\":1073741824,\"mode\":\"sequential\","
         "\"password\":\"" SESAME "\",\"name\":\"\",\"public\":true}\n"},
        {{"namespace", "list", "--pool", "f-1", "--type", "hdd"},
         "List {\"page_token\":\"\",\"page_size\":0,\"pool\":\"f-1\",\"disk_type\":\"hdd\"}\n"},
        {{"namespace", "get", "vm7"}, GET},
        {{"namespace", "get", BY_ID}, "Get " ID ",\"name\":\"\"}\n"},
        {{"namespace", "usage", "vm7"}, GET "Usage " ID "}\n"},
        {{"namespace", "usage", BY_ID}, "Usage " ID "}\n"},
        {{"namespace", "release", "vm7"}, GET "Release " ID "}\n"},
        {{"namespace", "release", BY_ID}, "Release " ID "}\n"},
        {{"namespace", "resize", "vm7", "--size", "2M"},
         GET "Resize " ID ",\"size_bytes\":2097152}\n"},
        {{"namespace", "password", "vm7", PASSED},
         GET "SetPassword " ID ",\"password\":\"" SESAME "\"}\n"},
        {{"namespace", "public", "vm7", "yes"}, GET "SetPublic " ID ",\"public\":true}\n"},
        {{"namespace", "public", BY_ID, "no"}, "SetPublic " ID ",\"public\":false}\n"},
        {{"namespace", "lock", "vm7"}, GET "Lock " ID ",\"locked\":true}\n"},
        {{"namespace", "unlock", BY_ID}, "Lock " ID ",\"locked\":false}\n"},
        {{"namespace", "freeze", "vm7"}, GET "Freeze " ID ",\"frozen\":true}\n"},
        {{"namespace", "unfreeze", BY_ID}, "Freeze " ID ",\"frozen\":false}\n"},
        {{"zdb", "list"}, "List {}\n"},
        {{"zdb", "get", "f-1"}, "Get {\"pool\":\"f-1\"}\n"},
        {{"zdb", "restart", "f-1"}, "Restart {\"pool\":\"f-1\"}\n"},
        {{"zdb", "import", "f-1", "--data", "/d", "--index", "/i"}, IMPORT "false}\n"},
        {{"zdb", "import", "f-1", "--index", "/i", "--data", "/d", "--dry-run"}, IMPORT "true}\n"},
    };
    for (size_t i = 0; i < array_length(cases); i++) {
        if (run(cases[i].words) < 0)
            fail_msg("%s %s: %s", cases[i].words[0], cases[i].words[1], err.message);
        must_have_heard(cases[i].heard);
        assert_null(strstr(printed, "sesame"));
        assert_null(strstr(printed, SESAME));
    }
}

static void what_is_released_is_named(void **state)
{
    (void)state;
    assert_int_equal(RUN("namespace", "release", "vm7"), 0);
    assert_string_equal(printed, DOUBLE_ID " was not there\n");
    assert_int_equal(RUN("--json", "namespace", "release", "vm7"), 0);
    assert_string_equal(printed, "{\n  \"existed\": false\n}\n");
}

/* --- passwords ------------------------------------------------------------------------------- */

static void a_password_is_the_first_line_of_a_file(void **state)
{
    (void)state;
    static const char longest[] = "123456789012345678901234567890123456789012345678901234567890123";
    static const struct {
        const char *file;
        size_t size;
        const char *hex; /* NULL: refused */
        const char *says;
    } cases[] = {
        {"a\n", 2, "61", NULL},
        {"a", 1, "61", NULL},
        {" a \r\n", 5, "2061200d", NULL},
        {"\xff\0b\n", 4, "ff0062", NULL}, /* whether bytes are allowed is for zdbd to say */
        {"a\nb\nc", 5, "61", NULL},
        {"", 0, NULL, "no password"},
        {"\nb", 2, NULL, "no password"},
        {"12345678901234567890123456789012345678901234567890123456789012345\n", 66, NULL,
         "longer than 63 bytes"},
    };
    for (size_t i = 0; i < array_length(cases); i++) {
        autofree char *expected = NULL;
        write_file("secret", cases[i].file, cases[i].size);
        int rc = RUN("namespace", "password", BY_ID, PASSED);
        assert_int_equal(rc, cases[i].hex ? 0 : -ERR_INVALID_ARGUMENT);
        assert_true(rc == 0 || strstr(err.message, cases[i].says));
        assert_true(asprintf(&expected, "SetPassword " ID ",\"password\":\"%s\"}\n",
                             cases[i].hex ? cases[i].hex : "") > 0);
        must_have_heard(cases[i].hex ? expected : "");
    }
    write_file("secret", longest, sizeof longest - 1);
    assert_int_equal(RUN("namespace", "password", BY_ID, PASSED), 0);
}

/* What follows the line is left for who reads the stream next. */
static void a_dash_is_stdin(void **state)
{
    (void)state;
    static const char lines[] = "one\ntwo\n";
    int ends[2], kept = dup(STDIN_FILENO);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], lines, sizeof lines - 1), sizeof lines - 1);
    (void)close(ends[1]);
    (void)dup2(ends[0], STDIN_FILENO);
    (void)close(ends[0]);
    int first = RUN("namespace", "password", BY_ID, "--password-file", "-");
    int second = RUN("namespace", "password", BY_ID, "--password-file=-");
    int third = RUN("namespace", "password", BY_ID, "--password-file=-");
    (void)dup2(kept, STDIN_FILENO);
    (void)close(kept);
    assert_int_equal(first, 0);
    assert_int_equal(second, 0);
    assert_int_equal(third, -ERR_INVALID_ARGUMENT);
    assert_string_equal(err.object, "stdin");
    must_have_heard("SetPassword " ID ",\"password\":\"6f6e65\"}\n"
                    "SetPassword " ID ",\"password\":\"74776f\"}\n");
}

static void a_password_does_not_stay_in_memory(void **state)
{
    (void)state;
    struct password password = {.length = 3, .bytes = "abc"};
    struct password empty = {0};
    password_clear(&password);
    assert_memory_equal(&password, &empty, sizeof empty);
}

/* --- what is refused ------------------------------------------------------------------------- */

static void wrong_use_asks_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *words[ARGV_MAX];
        const char *says;
    } wrong[] = {
        {{"namespace"}, "what to do with namespace"},
        {{"namespace", "nonsense"}, "no verb \"nonsense\""},
        {{"namespace", "reserve"}, "--type, --size and --mode are required"},
        {{"namespace", "reserve", "--type", "ssd", "--size", "1G"}, "--mode are required"},
        {{RESERVE, "user"}, "--password-file is required"},
        {{RESERVE, "direct", PASSED}, "a mode is user or sequential"},
        {{RESERVE, "", PASSED}, "a mode is user or sequential"},
        {{RESERVE, "user", "--type", "tape", PASSED}, "a disk type is ssd"},
        {{RESERVE, "user", "--size", "1GB", PASSED}, "--size takes a size"},
        {{RESERVE, "user", "--password-file", "@none"}, "cannot open the password's file"},
        {{RESERVE, "user", "--password-file", "@"}, "cannot read the password"},
        {{RESERVE, "user", "--password", "secret"}, "no flag --password here"},
        {{RESERVE, "user", PASSED, "--public=yes"}, "takes no value"},
        {{RESERVE, "user", PASSED, "vm7"}, "one argument too many"},
        {{"namespace", "release"}, "it takes NAMESPACE"},
        {{"namespace", "release", "a", "b"}, "one argument too many"},
        {{"namespace", "list", "vm7"}, "one argument too many"},
        {{"namespace", "list", "--type", "tape"}, "a disk type is ssd"},
        {{"namespace", "get"}, "it takes NAMESPACE"},
        {{"namespace", "usage"}, "it takes NAMESPACE"},
        {{"namespace", "resize", "vm7"}, "--size is required"},
        {{"namespace", "resize", "vm7", "--size", "big"}, "--size takes a size"},
        {{"namespace", "resize", "vm7", "2G"}, "one argument too many"},
        {{"namespace", "password", "vm7"}, "--password-file is required"},
        {{"namespace", "password", "vm7", "secret"}, "one argument too many"},
        {{"namespace", "public", "vm7"}, "it takes NAMESPACE yes|no"},
        {{"namespace", "public", "vm7", "on"}, "yes or no; not \"on\""},
        {{"namespace", "lock"}, "it takes NAMESPACE"},
        {{"namespace", "unlock"}, "it takes NAMESPACE"},
        {{"namespace", "freeze"}, "it takes NAMESPACE"},
        {{"namespace", "unfreeze", "a", "b"}, "one argument too many"},
        {{"zdb", "list", "f-1"}, "one argument too many"},
        {{"zdb", "get"}, "it takes POOL"},
        {{"zdb", "restart"}, "it takes POOL"},
        {{"zdb", "import", "--data", "/d", "--index", "/i"}, "it takes POOL"},
        {{"zdb", "import", "f-1", "--data", "/d"}, "--data and --index are required"},
    };
    for (size_t i = 0; i < array_length(wrong); i++) {
        int rc = run(wrong[i].words);
        if (rc == 0 || report_exit_code(err.code) == 7 || !strstr(err.message, wrong[i].says))
            fail_msg("%zu: %d, and no \"%s\" in \"%s\"", i, rc, wrong[i].says, err.message);
    }
    must_have_heard("");
}

#define verb_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        verb_test(each_verb_asks_for_what_it_says),           verb_test(what_is_released_is_named),
        verb_test(a_password_is_the_first_line_of_a_file),    verb_test(a_dash_is_stdin),
        cmocka_unit_test(a_password_does_not_stay_in_memory), verb_test(wrong_use_asks_nothing),
    };
    return cmocka_run_group_tests_name("verbs about 0-db", tests, NULL, NULL);
}
