/*
 * What the processes of a running storaged are, as /proc tells: one thread in the supervisor, every
 * task of a worker confined, nothing inherited by accident. Needs root.
 */
#include "supervised.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

enum {
    LEAKED_FD = 77,
    HANG_WINDOW_MS = 700, /* a little more than five beats */
};

static struct supervised node;

static int create(void **state)
{
    (void)state;
    supervised_create(&node);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    supervised_destroy(&node);
    return 0;
}

static int count_entries(pid_t pid, const char *what, bool (*check)(pid_t pid, const char *name))
{
    char path[64];
    int n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    autodir DIR *entries = opendir(path);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (*entry->d_name == '.')
            continue;
        n++;
        if (check && !check(pid, entry->d_name))
            fail_msg("%s/%s is not as it should be", path, entry->d_name);
    }
    return n;
}

/* CAP_CHOWN and CAP_FOWNER, as testworker keeps them. */
static bool task_is_confined(pid_t pid, const char *name)
{
    static const char *const expected[] = {"CapInh:\t0000000000000000",
                                           "CapPrm:\t0000000000000009",
                                           "CapEff:\t0000000000000009",
                                           "CapBnd:\t0000000000000009",
                                           "CapAmb:\t0000000000000000",
                                           "NoNewPrivs:\t1",
                                           "Seccomp:\t2"};
    char path[96], text[8192];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%.16s/status", (int)pid, name);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    for (size_t i = 0; i < array_length(expected); i++)
        if (!strstr(text, expected[i]))
            return false;
    return true;
}

static bool fd_is_not_leaked(pid_t pid, const char *name)
{
    (void)pid;
    return strtol(name, NULL, 10) != LEAKED_FD;
}

static void processes_are_as_promised(void **state)
{
    (void)state;
    assert_int_equal(dup2(STDERR_FILENO, LEAKED_FD), LEAKED_FD);
    supervised_start(&node, "ready", NULL);
    (void)close(LEAKED_FD);
    pid_t worker = supervised_wait_ready(&node, "ready");
    assert_int_equal(count_entries(node.pid, "task", NULL), 1);
    assert_true(count_entries(worker, "task", task_is_confined) > 1);
    (void)count_entries(worker, "fd", fd_is_not_leaked);
    supervised_stop(&node);
}

static void a_worker_does_not_run_by_itself(void **state)
{
    char path[128], text[1024];
    int ends[2], status;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/libexec/ready", node.dir);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)execl(path, path, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 1);
    ssize_t length = read(ends[0], text, sizeof text - 1);
    (void)close(ends[0]);
    assert_true(length > 0);
    text[length] = '\0';
    assert_non_null(strstr(text, "a worker does not run by itself"));
}

static void workers_ignore_what_zinit_signals(void **state)
{
    (void)state;
    supervised_start(&node, "ready", NULL);
    pid_t pid = supervised_wait_ready(&node, "ready");
    autoclose int pidfd = supervised_pidfd(pid);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(kill(pid, SIGHUP), 0);
    assert_true(supervised_outlives(pidfd, HANG_WINDOW_MS)); /* they are ignored */
    assert_int_equal(getsid(pid), pid);                      /* a session of its own */
    supervised_stop(&node);
    supervised_wait_gone(pidfd);
}

#define supervised_test(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        supervised_test(processes_are_as_promised),
        supervised_test(workers_ignore_what_zinit_signals),
        supervised_test(a_worker_does_not_run_by_itself),
    };
    if (geteuid() != 0) {
        (void)fprintf(stderr, "skipped: storaged runs as root only\n");
        return 77;
    }
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
