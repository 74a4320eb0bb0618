/*
 * A worker that SIGKILL does not end: one of its threads writes to a frozen filesystem. The
 * supervisor gives it up, names where it hangs, and starts the next; when the filesystem thaws, the
 * old one is reaped. A subscriber of the old one hears of the next in time. Needs root, a loop
 * device and ext4.
 */
#include "supervised.h"

#include "base/cleanup.h"
#include "storage.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { RESYNC_MS = 2000 }; /* the promise of the events */

static struct supervised node;
static struct {
    pid_t pid;
    int epochs; /* what it was resynced to, a uint64_t each */
} follower = {.epochs = -1};
static char mount_point[96];
static int mount_fd = -1; /* of the frozen filesystem: thawed through it, whatever happens */

/* In a mount namespace of our own, so that the mount goes with us. */
static bool mount_disk(void)
{
    char command[512];
    (void)snprintf(mount_point, sizeof mount_point, "%s/disk", node.dir);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mkdir(mount_point, 0700) < 0)
        return false;
    (void)snprintf(command, sizeof command,
                   "truncate -s 32M '%s/image' && mkfs.ext4 -q '%s/image' && mount -o loop "
                   "'%s/image' '%s'",
                   node.dir, node.dir, node.dir, mount_point);
    if (system(command) != 0)
        return false;
    mount_fd = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return mount_fd >= 0;
}

static int create(void **state)
{
    (void)state;
    supervised_create(&node);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    if (mount_fd >= 0) {
        (void)ioctl(mount_fd, FITHAW, 0);
        cleanup_fd(&mount_fd);
        (void)umount2(mount_point, MNT_DETACH);
    }
    if (follower.pid > 0) {
        (void)kill(follower.pid, SIGKILL);
        (void)waitpid(follower.pid, NULL, 0);
    }
    follower.pid = 0;
    cleanup_fd(&follower.epochs);
    follower.epochs = -1;
    supervised_destroy(&node);
    return 0;
}

/* ---- a subscriber ---- */

static int on_resync(const char *worker, uint64_t epoch, uint64_t seq, void *data)
{
    (void)worker;
    (void)seq;
    return write(*(int *)data, &epoch, sizeof epoch) == sizeof epoch ? 0 : 1;
}

static _Noreturn void follow(int out)
{
    static const char *const workers[] = {"frozen", NULL};
    const struct storage_options options = {.run_dir = node.run_dir};
    const struct storage_follower what = {.workers = workers, .on_resync = on_resync, .data = &out};
    struct storage *storage;
    if (storage_open(&options, &storage, NULL) == 0)
        (void)storage_follow(storage, &what, NULL);
    _exit(1);
}

static void start_follower(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    follower.epochs = ends[0];
    follower.pid = fork();
    assert_true(follower.pid >= 0);
    if (follower.pid == 0)
        follow(ends[1]);
    (void)close(ends[1]);
}

/* The next resync; 0 if there is none in time. */
static uint64_t wait_for_resync(int ms)
{
    uint64_t epoch;
    struct pollfd pollfd = {.fd = follower.epochs, .events = POLLIN};
    if (poll(&pollfd, 1, ms) != 1)
        return 0;
    return read(follower.epochs, &epoch, sizeof epoch) == sizeof epoch ? epoch : 0;
}

static pid_t list_stuck(char *out_where, size_t size)
{
    Storage__V1__ControlReply *reply = supervised_list(&node);
    const Storage__V1__Worker *worker = supervised_find(reply, "frozen");
    pid_t pid = worker->n_stuck == 1 ? worker->stuck[0]->pid : 0;
    if (pid)
        (void)snprintf(out_where, size, "%s", worker->stuck[0]->where);
    supervised_free(reply);
    return pid;
}

/* Waits until the kernel has the thread that writes: from then on no signal ends it. There is no
 * event to wait for. */
static void wait_until_stuck(pid_t pid)
{
    char command[128];
    (void)snprintf(
        command, sizeof command,
        "timeout 20 sh -c 'until grep -q \"^State:.D\" /proc/%d/task/*/status; do :; done'", pid);
    assert_int_equal(system(command), 0);
}

/* A thread of the worker hangs, then `signal_number` comes: SIGUSR1 hangs its loop as well. */
static void become_stuck(int signal_number)
{
    char file[128], where[64];
    if (!mount_disk()) {
        (void)fprintf(stderr, "skipped: no ext4 on a loop device here\n");
        skip();
    }
    (void)snprintf(file, sizeof file, "%s/file", mount_point);
    assert_int_equal(setenv("TESTWORKER_FILE", file, 1), 0);
    supervised_start(&node, "frozen", NULL);
    pid_t pid = supervised_wait_ready(&node, "frozen");
    start_follower();
    uint64_t epoch = wait_for_resync(SUPERVISED_WAIT_MS);
    assert_int_not_equal(epoch, 0);
    assert_int_equal(ioctl(mount_fd, FIFREEZE, 0), 0);
    assert_int_equal(kill(pid, SIGUSR2), 0);
    (void)supervised_wait_log(&node, "about to write", NULL);
    wait_until_stuck(pid);
    assert_int_equal(kill(pid, signal_number), 0);

    (void)supervised_wait_log(&node, "msg=\"worker hung\"", NULL);
    const char *line = supervised_wait_log(&node, "msg=\"worker is stuck in the kernel\"", NULL);
    assert_int_equal(supervised_number(line, " pid="), pid);
    pid_t next = supervised_wait_ready(&node, "frozen");
    assert_int_not_equal(next, pid);
    assert_true(wait_for_resync(RESYNC_MS) > epoch);
    assert_int_equal(list_stuck(where, sizeof where), pid);
    assert_string_equal(where, "the frozen file");

    assert_int_equal(ioctl(mount_fd, FITHAW, 0), 0);
    (void)supervised_wait_log(&node, "was_stuck=yes", NULL);
    assert_int_equal(list_stuck(where, sizeof where), 0);
    assert_int_equal(kill(node.pid, SIGTERM), 0);
    assert_int_equal(supervised_wait_exit(&node), 0);
}

static void a_stuck_worker_is_remembered_and_replaced(void **state)
{
    (void)state;
    become_stuck(SIGUSR1);
}

/* It never came to close its descriptors: its lock and sockets stay with the thread. */
static void a_worker_killed_by_anybody_while_stuck_is_replaced_too(void **state)
{
    (void)state;
    become_stuck(SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stuck_worker_is_remembered_and_replaced, create, destroy),
        cmocka_unit_test_setup_teardown(a_worker_killed_by_anybody_while_stuck_is_replaced_too,
                                        create, destroy),
    };
    if (geteuid() != 0) {
        (void)fprintf(stderr, "skipped: storaged runs as root only\n");
        return 77;
    }
    return cmocka_run_group_tests_name("stuck", tests, NULL, NULL);
}
