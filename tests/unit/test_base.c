/* The small values that everything else stands on: errors, log lines, checksums, ids. */
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "base/log.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static void error_names_object_and_errno(void **state)
{
    (void)state;
    autoerr struct err err = {0};
    int rc = err_errno(&err, ENOSPC, "pool-1", "cannot create %s", "a space");
    assert_int_equal(rc, -ERR_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message, "cannot create a space: No space left on device");
    assert_string_equal(err.object, "pool-1");
    assert_int_equal(err.os_errno, ENOSPC);
}

static void error_may_be_rewritten_from_itself(void **state)
{
    (void)state;
    autoerr struct err err = {0};
    (void)err_set(&err, ERR_INTERNAL, 0, "a", "inner");
    err_blocker(&err, "gone after the rewrite");
    (void)err_set(&err, ERR_UNAVAILABLE, 0, err.object, "outer: %s", err.message);
    assert_string_equal(err.message, "outer: inner");
    assert_string_equal(err.object, "a");
    assert_int_equal(err.n_blockers, 0);
}

static void error_copies_are_deep(void **state)
{
    (void)state;
    autoerr struct err from = {0}, to = {0};
    (void)err_set(&from, ERR_FAILED_PRECONDITION, 0, "space", "is held");
    err_blocker(&from, "pid %d", 7);
    err_copy(&to, &from);
    err_clear(&from);
    assert_int_equal(to.n_blockers, 1);
    assert_string_equal(to.blockers[0], "pid 7");
}

/* What `speak` writes to stderr, into `out`. */
static void capture_stderr(void (*speak)(void), char *out, size_t size)
{
    autoclose int memory = memfd_create("stderr", MFD_CLOEXEC);
    autoclose int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(memory >= 0 && saved >= 0);
    assert_true(dup2(memory, STDERR_FILENO) >= 0);
    speak();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    ssize_t n = pread(memory, out, size - 1, 0);
    assert_true(n >= 0);
    out[n] = '\0';
}

static void speak_hostile(void)
{
    log_info("label read", "label", "a \"b\"\nforged=1", "empty", "", "none", (char *)NULL, "size",
             log_u64(7));
}

static void speak_long(void)
{
    char text[2 * LOG_LINE_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_info("long", "text", text);
}

static void log_lines_cannot_be_forged(void **state)
{
    (void)state;
    char out[LOG_LINE_MAX + 1];
    log_init("test", LOG_INFO);
    capture_stderr(speak_hostile, out, sizeof out);
    assert_non_null(strstr(
        out, " info test msg=\"label read\" label=\"a \\\"b\\\"\\nforged=1\" empty=\"\" size=7\n"));
    assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

static void long_log_lines_are_cut_at_the_end(void **state)
{
    (void)state;
    char out[2 * LOG_LINE_MAX];
    capture_stderr(speak_long, out, sizeof out);
    assert_true(strlen(out) <= LOG_LINE_MAX);
    assert_non_null(strstr(out, "…\n"));
}

static void crc32c_has_the_known_value(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void uuids_are_valid_and_differ(void **state)
{
    (void)state;
    char a[UUID_TEXT_SIZE], b[UUID_TEXT_SIZE];
    uuid_random(a);
    uuid_random(b);
    assert_true(uuid_valid(a) && uuid_valid(b));
    assert_string_not_equal(a, b);
    assert_false(uuid_valid(""));
    assert_false(uuid_valid("00000000-0000-0000-0000-00000000000G"));
    assert_false(uuid_valid("00000000-0000-0000-0000-0000000000000"));
}

static void want_is_exhaustion(void **state)
{
    (void)state;
    static const int wants[] = {ENOMEM, EMFILE, ENFILE, ENOSPC, EDQUOT};
    for (size_t i = 0; i < array_length(wants); i++)
        assert_int_equal(err_errno(NULL, wants[i], NULL, "it wants"), -ERR_RESOURCE_EXHAUSTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_names_object_and_errno),
        cmocka_unit_test(want_is_exhaustion),
        cmocka_unit_test(error_may_be_rewritten_from_itself),
        cmocka_unit_test(error_copies_are_deep),
        cmocka_unit_test(log_lines_cannot_be_forged),
        cmocka_unit_test(long_log_lines_are_cut_at_the_end),
        cmocka_unit_test(crc32c_has_the_known_value),
        cmocka_unit_test(uuids_are_valid_and_differ),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
