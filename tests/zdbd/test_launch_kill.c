/* Launchers that are killed at each of their steps: what they leave is whole, and the next one goes
 * on with it. */
#include "launcher.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

enum { STEPS_MAX = 200 };

static struct launcher one;

#ifdef STORAGED_SEAMS
/* A launch that is killed at its n-th step; false if it had fewer. */
static bool killed_at(long n)
{
    autofree char *path = path_format("%s/steps", harness_dir());
    autofree char *text = path_format("zdblaunch:%s", path);
    file_write(path, &n, sizeof n);
    assert_int_equal(setenv("STORAGED_STEPS", text, 1), 0);
    struct launch_report report = launcher_try(&one);
    assert_int_equal(unsetenv("STORAGED_STEPS"), 0);
    if (report.failure)
        fail_msg("step %ld: %s", n, report.message);
    long left;
    autofree char *after = file_read(path, NULL);
    memcpy(&left, after, sizeof left);
    assert_int_equal(launcher_end(&one), 128 + SIGKILL);
    return left <= 0;
}

/* All or nothing: the file as it was before, or none, and whoever reads it now reads the same. */
static char *instance(void)
{
    return file_try_read(launcher_home(&one, "instance"), NULL);
}

static void must_launch_with(const char *before)
{
    launcher_start(&one);
    autofree char *after = instance();
    autofree char *password = launcher_password(&one);
    autofree char *expected =
        path_format("port=%u\npassword=%s\n", launcher_record(&one).port, password);
    assert_string_equal(after, before ? before : expected);
    assert_string_equal(after, expected);
    assert_int_equal(access(launcher_home(&one, "instance.new"), F_OK), -1);
    assert_int_equal(access(launcher_run(&one, "record.new"), F_OK), -1);
    assert_int_equal(access(launcher_run(&one, "password.new"), F_OK), -1);
    launcher_end(&one);
}

static long kill_at_each_step(bool used)
{
    for (long n = 1; n < STEPS_MAX; n++) {
        launcher_init(&one);
        if (used)
            must_launch_with(NULL);
        autofree char *first = instance();
        if (!killed_at(n))
            return n - 1;
        autofree char *before = instance();
        if (first)
            assert_string_equal(first, before);
        must_launch_with(before);
    }
    fail_msg("it does not come to an end");
    return 0;
}

static void a_first_launch_can_be_killed_at_any_step(void)
{
    long n = kill_at_each_step(false);
    print_message("%ld steps\n", n);
    assert_true(n > 30);
}

static void a_later_launch_can_be_killed_at_any_step(void)
{
    long n = kill_at_each_step(true);
    print_message("%ld steps\n", n);
    assert_true(n > 20);
}

#endif

/* One gets through, the others are told that the home is taken. */
static void launchers_that_race_make_one_0_db(void)
{
    enum { RACERS = 6 };
    struct launcher racers[RACERS];
    pid_t pids[RACERS];
    launcher_init(&one);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = one;
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0)
            continue;
        struct launch_report report = launcher_try(&racers[i]);
        _exit((int)report.failure);
    }
    int launched = 0;
    for (int i = 0; i < RACERS; i++) {
        int code = child_wait(pids[i]);
        launched += code == 0;
        if (code != 0)
            assert_int_equal(code, LAUNCH_LOCKED);
    }
    assert_int_equal(launched, 1);
    pid_t pid = launcher_record(&one).pid;
    assert_int_equal(kill(pid, SIGKILL), 0);
    process_wait_gone(pid);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(launchers_that_race_make_one_0_db),
#ifdef STORAGED_SEAMS
        harness_case(a_first_launch_can_be_killed_at_any_step),
        harness_case(a_later_launch_can_be_killed_at_any_step),
#endif
    };
    return harness_main(argc, argv, "zdbd_launch_kill", cases, array_length(cases));
}
