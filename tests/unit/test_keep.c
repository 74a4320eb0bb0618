/* What a dying process keeps open: the guard of whatever hangs, and nothing else. */
#include "base/keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FIRST = 100, FDS = 6 };

static void open_all(void)
{
    for (int fd = FIRST; fd < FIRST + FDS; fd++)
        assert_int_equal(dup2(STDERR_FILENO, fd), fd);
}

/* A bit for each that is open. */
static int open_ones(void)
{
    int mask = 0;
    for (int i = 0; i < FDS; i++)
        mask |= (fcntl(FIRST + i, F_GETFD) >= 0) << i;
    return mask;
}

/* In a child, since it closes what it can: the bits of what it left. */
static int left_by(void (*work)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        open_all();
        work();
        keep_close_others(FIRST);
        _exit(open_ones());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void nothing(void)
{
}

static void two_hang(void)
{
    (void)keep_begin(FIRST + 4);
    (void)keep_begin(FIRST + 1);
    (void)keep_begin(FIRST + 1); /* two threads of one */
}

static void all_ended(void)
{
    int first = keep_begin(FIRST), second = keep_begin(FIRST + 5);
    keep_end(first);
    keep_end(second);
    keep_end(KEEP_NONE);
}

static void *be_busy(void *begun)
{
    for (;;) {
        int kept = keep_begin(FIRST + 2);
        atomic_store((atomic_bool *)begun, true);
        keep_end(kept);
    }
    return NULL;
}

static void one_hangs_and_one_is_busy(void)
{
    static atomic_bool begun;
    pthread_t thread;
    (void)keep_begin(FIRST + 3);
    if (pthread_create(&thread, NULL, be_busy, &begun) != 0)
        _exit(0xff);
    while (!begun)
        ;
}

static void more_than_the_table_holds(void)
{
    for (int i = 0; i < KEEP_MAX; i++)
        (void)keep_begin(FIRST);
    if (keep_begin(FIRST + 1) != KEEP_NONE)
        _exit(0xff);
}

static void only_what_hangs_is_kept(void **state)
{
    (void)state;
    assert_int_equal(left_by(nothing), 0);
    assert_int_equal(left_by(two_hang), 1 << 4 | 1 << 1);
    assert_int_equal(left_by(all_ended), 0);
    assert_int_equal(left_by(one_hangs_and_one_is_busy), 1 << 3);
    assert_int_equal(left_by(more_than_the_table_holds), 1 << 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_what_hangs_is_kept)};
    return cmocka_run_group_tests_name("keep", tests, NULL, NULL);
}
