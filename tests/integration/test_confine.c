/*
 * Confinement and locks, as the kernel tells of them: every task of a confined process, and what a
 * confined root executes. Each test confines a child; needs root, since only root has something to
 * give up.
 */
#include "base/cleanup.h"
#include "worker/confine.h"
#include "worker/landlock.h"
#include "worker/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { TASKS = 4 };

static const int keep[] = {CAP_CHOWN, CAP_FOWNER, -1};
static const uint64_t keep_mask = 1u << CAP_CHOWN | 1u << CAP_FOWNER;

struct status {
    uint64_t inheritable, permitted, effective, bounding, ambient, no_new_privs;
};

static void parse_status(const char *text, struct status *out_status)
{
    const struct {
        const char *key;
        int base;
        uint64_t *value;
    } fields[] = {
        {"CapInh:", 16, &out_status->inheritable}, {"CapPrm:", 16, &out_status->permitted},
        {"CapEff:", 16, &out_status->effective},   {"CapBnd:", 16, &out_status->bounding},
        {"CapAmb:", 16, &out_status->ambient},     {"NoNewPrivs:", 10, &out_status->no_new_privs},
    };
    for (size_t i = 0; i < array_length(fields); i++) {
        const char *at = strstr(text, fields[i].key);
        *fields[i].value =
            at ? strtoull(at + strlen(fields[i].key), NULL, fields[i].base) : UINT64_MAX;
    }
}

static bool is_confined(const struct status *status)
{
    return status->inheritable == 0 && status->ambient == 0 && status->permitted == keep_mask &&
           status->effective == keep_mask && status->bounding == keep_mask &&
           status->no_new_privs == 1;
}

static bool read_text(const char *path, char *text, size_t size)
{
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    if (length < 0)
        return false;
    text[length] = '\0';
    return true;
}

/* Runs `work` in a child; its exit code. */
static int in_child(int (*work)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(work());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static pthread_barrier_t all_here;

static void *stay(void *data)
{
    (void)data;
    (void)pthread_barrier_wait(&all_here); /* all run */
    (void)pthread_barrier_wait(&all_here); /* all were looked at */
    return NULL;
}

static int count_confined_tasks(void)
{
    autodir DIR *tasks = opendir("/proc/self/task");
    int confined = 0;
    for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
        char path[64], text[8192];
        struct status status;
        if (*entry->d_name == '.')
            continue;
        (void)snprintf(path, sizeof path, "/proc/self/task/%.16s/status", entry->d_name);
        if (!read_text(path, text, sizeof text))
            return -1;
        parse_status(text, &status);
        if (!is_confined(&status)) {
            (void)fprintf(stderr, "%s:\n%s", path, text);
            return -1;
        }
        confined++;
    }
    return confined;
}

static int confine_then_start_threads(void)
{
    pthread_t threads[TASKS];
    autoerr struct err err = {0};
    if (confine_apply(keep, false, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    (void)pthread_barrier_init(&all_here, NULL, TASKS + 1);
    for (int i = 0; i < TASKS; i++)
        if (pthread_create(&threads[i], NULL, stay, NULL) != 0)
            return 2;
    (void)pthread_barrier_wait(&all_here);
    int confined = count_confined_tasks();
    (void)pthread_barrier_wait(&all_here);
    for (int i = 0; i < TASKS; i++)
        (void)pthread_join(threads[i], NULL);
    return confined >= TASKS + 1 ? 0 : 3;
}

static void every_task_is_confined(void **state)
{
    (void)state;
    assert_int_equal(in_child(confine_then_start_threads), 0);
}

static int output[2];

static int confine_then_exec(void)
{
    if (dup2(output[1], STDOUT_FILENO) < 0 || confine_apply(keep, false, NULL) < 0)
        return 1;
    (void)execl("/bin/cat", "cat", "/proc/self/status", (char *)NULL);
    return 2;
}

/* As diskd executes mkfs: the program of a confined root has what was kept, and no more. */
static void what_it_executes_has_what_was_kept(void **state)
{
    char text[8192];
    struct status status;
    (void)state;
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    assert_int_equal(in_child(confine_then_exec), 0);
    (void)close(output[1]);
    ssize_t length = read(output[0], text, sizeof text - 1);
    (void)close(output[0]);
    assert_true(length > 0);
    text[length] = '\0';
    parse_status(text, &status);
    assert_true(is_confined(&status));
}

static int confine_twice(void)
{
    return confine_apply(keep, false, NULL) < 0 || confine_apply(keep, false, NULL) < 0;
}

static void a_confined_process_may_be_confined_again(void **state)
{
    (void)state;
    assert_int_equal(in_child(confine_twice), 0);
}

/* As itself, a process may do this. */
static bool may_read_memory(void)
{
    char from = 'x', to = 0;
    struct iovec local = {&to, 1}, remote = {&from, 1};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

/* Fails otherwise than by EPERM when it is let in: nothing is mounted. */
static bool may_mount(void)
{
    return mount("", "/none", "none", 0, NULL) == 0 || errno != EPERM;
}

static int confine_and_call(void)
{
    static const int admin[] = {CAP_SYS_ADMIN, -1};
    if (!may_read_memory() || !may_mount())
        return 1;
    if (confine_apply(admin, true, NULL) < 0 || may_read_memory() || errno != EPERM || !may_mount())
        return 2;
    return confine_apply(admin, false, NULL) < 0 || may_mount() ? 3 : 0;
}

static void calls_are_denied_whatever_the_capabilities(void **state)
{
    (void)state;
    assert_int_equal(in_child(confine_and_call), 0);
}

/* ---- where it writes ---- */

static char top[] = "/tmp/storaged-confine-XXXXXX";
static char inside[64], own[64], other[64];

static bool make_file(const char *path)
{
    autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0;
}

static int make_places(void **state)
{
    (void)state;
    if (!mkdtemp(top))
        return -1;
    (void)snprintf(inside, sizeof inside, "%s/inside", top);
    (void)snprintf(own, sizeof own, "%s/inside/file", top);
    (void)snprintf(other, sizeof other, "%s/file", top);
    return mkdir(inside, 0700) < 0 || !make_file(other) ? -1 : 0;
}

static int remove_places(void **state)
{
    (void)state;
    return unlink(other) | rmdir(inside) | rmdir(top);
}

static bool is_denied(int rc)
{
    return rc < 0 && errno == EACCES;
}

static bool executed_is_denied(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", ": 2>/dev/null >\"$0\"", other, (char *)NULL);
        _exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) != 0;
}

static int confine_and_write(void)
{
    if (confine_apply(keep, false, NULL) < 0 || landlock_confine_writes(inside, NULL) < 0)
        return 2;
    autoclose int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    autoclose int reading = open(other, O_RDONLY | O_CLOEXEC);
    if (!make_file(own) || truncate(own, 0) < 0 || unlink(own) < 0 || null < 0 || reading < 0)
        return 3;
    if (!is_denied(open(other, O_WRONLY | O_CLOEXEC)) || !is_denied(truncate(other, 0)) ||
        !is_denied(unlink(other)) || !is_denied(mkdir("/dev/storaged-confine", 0700)))
        return 4;
    return executed_is_denied() ? 0 : 5;
}

static void it_writes_where_it_may_alone(void **state)
{
    (void)state;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 3)
        skip(); /* truncate(2) is not told from reading */
    assert_int_equal(in_child(confine_and_write), 0);
}

/* ---- locks ---- */

static char lock_path[64];

static int make_lock_path(void **state)
{
    (void)state;
    (void)snprintf(lock_path, sizeof lock_path, "/tmp/storaged-lock-%ld", (long)getpid());
    return 0;
}

static int remove_lock(void **state)
{
    (void)state;
    return unlink(lock_path);
}

static void a_held_lock_names_its_holder(void **state)
{
    autoclose int held = -1;
    int second;
    char expected[64];
    autoerr struct err err = {0};
    (void)state;
    assert_int_equal(lock_take(lock_path, 0, &held, &err), 0);
    assert_int_equal(lock_take(lock_path, 50, &second, &err), -ERR_FAILED_PRECONDITION);
    (void)snprintf(expected, sizeof expected, "pid %ld holds the lock", (long)getpid());
    assert_string_equal(err.message, expected);
}

/* The child holds the lock until it is killed, by a timer of its own. */
static void a_dying_holder_is_waited_for(void **state)
{
    int ready[2], taken = -1;
    char byte;
    (void)state;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd;
        if (lock_take(lock_path, 0, &fd, NULL) < 0)
            _exit(1);
        (void)ualarm(100000, 0);
        (void)!write(ready[1], "", 1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(lock_take(lock_path, 5000, &taken, NULL), 0);
    (void)close(taken);
    (void)close(ready[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_is_confined),
        cmocka_unit_test(what_it_executes_has_what_was_kept),
        cmocka_unit_test(a_confined_process_may_be_confined_again),
        cmocka_unit_test(calls_are_denied_whatever_the_capabilities),
        cmocka_unit_test_setup_teardown(it_writes_where_it_may_alone, make_places, remove_places),
        cmocka_unit_test_setup_teardown(a_held_lock_names_its_holder, make_lock_path, remove_lock),
        cmocka_unit_test_setup_teardown(a_dying_holder_is_waited_for, make_lock_path, remove_lock),
    };
    if (geteuid() != 0) {
        (void)fprintf(stderr, "skipped: only root has capabilities to give up\n");
        return 77;
    }
    return cmocka_run_group_tests_name("confine", tests, NULL, NULL);
}
