/* What is kept of a worker's stderr: whole lines, the last ones, fit for a reply. */
#include "base/cleanup.h"
#include "tail.h"
#include "text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static struct tail tail;
static int passed_on = -1, saved = -1;

/* Our stderr is a memory file while a test runs. */
static int capture(void **state)
{
    (void)state;
    tail = (struct tail){0};
    saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    passed_on = memfd_create("stderr", MFD_CLOEXEC);
    return saved < 0 || passed_on < 0 || dup2(passed_on, STDERR_FILENO) < 0 ? -1 : 0;
}

static int give_back(void **state)
{
    (void)state;
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    (void)close(passed_on);
    return 0;
}

static void feed(const char *text)
{
    tail_feed(&tail, text, strlen(text));
}

static void assert_passed_on(const char *expected)
{
    char text[4 * LOG_LINE_MAX];
    ssize_t length = pread(passed_on, text, sizeof text - 1, 0);
    assert_true(length >= 0);
    text[length] = '\0';
    assert_string_equal(text, expected);
}

static void lines_are_passed_on_whole(void **state)
{
    (void)state;
    feed("one\ntw");
    assert_int_equal(tail.n_kept, 1);
    assert_passed_on("one\n");
    feed("o\n\nthree");
    tail_finish(&tail);
    assert_passed_on("one\ntwo\nthree\n");
    assert_int_equal(tail.n_kept, 3);
    assert_string_equal(tail_line(&tail, 1), "two");
    assert_string_equal(tail_line(&tail, 2), "three");
}

static void the_last_lines_are_kept(void **state)
{
    char text[16];
    (void)state;
    for (int i = 0; i < 3 * TAIL_LINES; i++) {
        (void)snprintf(text, sizeof text, "line %d\n", i);
        feed(text);
    }
    assert_int_equal(tail.n_kept, TAIL_LINES);
    assert_string_equal(tail_line(&tail, 0), "line 40");
    assert_string_equal(tail_line(&tail, TAIL_LINES - 1), "line 59");
}

static void a_line_without_end_is_bounded(void **state)
{
    char text[3 * LOG_LINE_MAX];
    (void)state;
    memset(text, 'x', sizeof text);
    tail_feed(&tail, text, sizeof text);
    assert_int_equal(tail.n_kept, 3);
    assert_int_equal(strlen(tail_line(&tail, 0)), TAIL_LINE_MAX - 1);
}

static void assert_clean(const char *bytes, const char *expected)
{
    char text[64];
    text_copy(text, sizeof text, bytes, strlen(bytes));
    assert_string_equal(text, expected);
}

static void what_is_no_text_is_marked(void **state)
{
    char text[8];
    (void)state;
    assert_clean("plain", "plain");
    assert_clean("bell\a tab\t del\x7f", "bell? tab? del?");
    assert_clean("cut… ß 💾", "cut… ß 💾");
    assert_clean("\xff\xc3", "??");
    assert_clean("\xc0\x80 overlong", "?? overlong");
    assert_clean("\xed\xa0\x80 surrogate", "??? surrogate");
    assert_clean("\xf4\x90\x80\x80 beyond", "???? beyond");
    text_copy(text, sizeof text, "12345…", strlen("12345…")); /* 8 bytes: one too many */
    assert_string_equal(text, "12345");
}

#define tail_test(test) cmocka_unit_test_setup_teardown(test, capture, give_back)

int main(void)
{
    const struct CMUnitTest tests[] = {
        tail_test(lines_are_passed_on_whole),
        tail_test(the_last_lines_are_kept),
        tail_test(a_line_without_end_is_bounded),
        cmocka_unit_test(what_is_no_text_is_marked),
    };
    return cmocka_run_group_tests_name("tail", tests, NULL, NULL);
}
