/* Prepare: what it makes, what it refuses, and what is left when it is cut short. */
#include "disknode.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_BYTES (512 * MiB)
#define MKFS       "/usr/sbin/mkfs.btrfs"

static int prepare(struct storage *storage, Storage__V1__PoolProfile profile,
                   const struct disk *const *disks, Storage__V1__PrepareReply **out_reply,
                   struct err *err)
{
    Storage__V1__PreparePolicy policy = STORAGE__V1__PREPARE_POLICY__INIT;
    char *paths[8];
    policy.profile = profile;
    policy.disks = paths;
    for (; disks[policy.n_disks]; policy.n_disks++)
        paths[policy.n_disks] = (char *)(uintptr_t)disks[policy.n_disks]->path;
    return storage_call(storage, "storage.v1.DiskService/Prepare", &policy, out_reply, err);
}

#define PROFILE(name) STORAGE__V1__POOL_PROFILE__POOL_PROFILE_##name
#define prepare_disks(node, r, e, ...)                                                             \
    prepare((node)->storage, PROFILE(SINGLE), (const struct disk *const[]){__VA_ARGS__, NULL}, r, e)

/* ---- what it makes ---- */

static void blank_disks_become_unfinished_pools(void)
{
    struct disk *first = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *second = disk_create(DISK_BYTES, DISK_HDD);
    struct node *node = disknode_create(first, second);
    disknode_start(node);
    autoerr struct err err = {0};
    autoreply Storage__V1__PrepareReply *reply = NULL;
    node_mark(node);
    assert_ok(prepare_disks(node, &reply, &err, first, second), &err);
    assert_int_equal(reply->n_pools, 2);
    assert_string_not_equal(reply->pools[0]->fsid, reply->pools[1]->fsid);
    for (size_t i = 0; i < 2; i++) {
        const Storage__V1__PreparedPool *pool = reply->pools[i];
        const Storage__V1__Disk *disk = pool->disks[0];
        autofree char *label = path_format("storaged:new:%.8s", pool->fsid);
        assert_int_equal(pool->profile, PROFILE(SINGLE));
        assert_int_equal(disk->state, STATE(UNFINISHED));
        assert_string_equal(disk->path, i == 0 ? first->path : second->path);
        assert_string_equal(disk->pool->fsid, pool->fsid);
        assert_string_equal(disk->pool->label, label);
        assert_int_equal(strlen(pool->name), 8);
    }
    const Storage__V1__Event *event = watch_wait(node->watch, "disk.changed", disk_name(first));
    assert_int_equal(event->disk->state, STATE(UNFINISHED));
    autoreply Storage__V1__PrepareReply *again = NULL;
    assert_refused(prepare_disks(node, &again, &err, first), &err, ERR_FAILED_PRECONDITION,
                   "not blank");
    command_ok("btrfs", "check", first->path);
}

/* ---- what it refuses ---- */

static void a_disk_with_anything_on_it_is_refused(void)
{
    struct disk *blank = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *foreign = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *small = disk_create(128 * MiB, DISK_SSD);
    struct node *node = disknode_create(blank, foreign, small);
    disknode_start(node);
    /* Behind its back: only the probe that Prepare makes can see it. */
    command_ok("mkfs.ext4", "-q", foreign->path);
    uint32_t before = disk_checksum(foreign);
    uint32_t blank_before = disk_checksum(blank);
    autoerr struct err err = {0};
    autoreply Storage__V1__PrepareReply *reply = NULL;
    int rc = prepare_disks(node, &reply, &err, blank, foreign, small);
    assert_refused(rc, &err, ERR_FAILED_PRECONDITION, "nothing was written");
    assert_int_equal(err.n_blockers, 2);
    assert_non_null(strstr(err.blockers[0], "ext4 at 1080"));
    assert_non_null(strstr(err.blockers[0], foreign->path));
    assert_non_null(strstr(err.blockers[1], "too small"));
    assert_int_equal(disk_checksum(foreign), before);
    assert_int_equal(disk_checksum(blank), blank_before);
    disknode_expect(node, foreign, STATE(FOREIGN), "ext4");
    disknode_expect(node, blank, STATE(BLANK), "");
}

static void a_disk_in_use_is_refused(void)
{
    struct disk *mounted = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *claimed = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(mounted, claimed);
    autofree char *at = path_format("%s/refused", harness_dir());
    assert_int_equal(mkdir(at, 0755), 0);
    disknode_start(node);
    command_ok("mkfs.ext4", "-q", mounted->path);
    command_ok("mount", mounted->path, at);
    autoclose int fd = open(claimed->path, O_RDWR | O_EXCL | O_CLOEXEC);
    assert_true(fd >= 0);
    autoerr struct err err = {0};
    autoreply Storage__V1__PrepareReply *reply = NULL;
    int rc = prepare_disks(node, &reply, &err, mounted, claimed);
    assert_refused(rc, &err, ERR_FAILED_PRECONDITION, at);
    assert_refused(rc, &err, ERR_FAILED_PRECONDITION, "exclusively");
    assert_int_equal(err.n_blockers, 2);
    disknode_expect(node, claimed, STATE(IN_USE), "exclusively");
    (void)close(fd);
    fd = -1;
    autoreply Storage__V1__Disk *freed = disknode_probe(node, claimed);
    assert_int_equal(freed->state, STATE(BLANK));
    assert_int_equal(umount(at), 0);
}

static void nonsense_is_refused(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *other = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    disknode_start(node);
    const struct disk *const one[] = {disk, NULL};
    const struct {
        Storage__V1__PoolProfile profile;
        const struct disk *const *disks;
        enum err_code code;
        const char *text;
    } cases[] = {
        {PROFILE(SINGLE), one + 1, ERR_INVALID_ARGUMENT, "0 disks"},
        {PROFILE(SINGLE), (const struct disk *const[]){disk, disk, NULL}, ERR_INVALID_ARGUMENT,
         "twice"},
        {PROFILE(SINGLE), (const struct disk *const[]){disk, other, NULL}, ERR_NOT_FOUND,
         "no such disk"},
        {PROFILE(UNSPECIFIED), one, ERR_INVALID_ARGUMENT, "profile"},
        {PROFILE(RAID1), one, ERR_UNIMPLEMENTED, "single disk"},
        {PROFILE(RAID10), one, ERR_UNIMPLEMENTED, "single disk"},
    };
    for (size_t i = 0; i < array_length(cases); i++) {
        autoerr struct err err = {0};
        autoreply Storage__V1__PrepareReply *reply = NULL;
        int rc = prepare(node->storage, cases[i].profile, cases[i].disks, &reply, &err);
        assert_refused(rc, &err, cases[i].code, cases[i].text);
    }
    disknode_expect(node, disk, STATE(BLANK), "");
}

/* ---- cut short: mkfs.btrfs replaced in this mount namespace ---- */

/* What stands in for it says its pid in the fifo "pid", where diskd may write, and waits for the
 * fifo "go". */
static void replace_mkfs(const struct node *node, const char *tail)
{
    const char *dir = harness_dir();
    autofree char *real = path_format("%s/real", dir);
    autofree char *script = path_format("%s/stand-in", dir);
    autofree char *pid = path_format("%s/pid", node->run_dir);
    autofree char *go = path_format("%s/go", dir);
    autofree char *text = path_format("#!/bin/sh\necho $$ > %s\nread x < %s\n%s\n", pid, go, tail);
    (void)unlink(pid);
    (void)unlink(go);
    if (access(real, X_OK) < 0)
        command_ok("cp", "--dereference", MKFS, real);
    assert_int_equal(mkfifo(pid, 0600) | mkfifo(go, 0600), 0);
    file_write(script, text, strlen(text));
    assert_int_equal(chmod(script, 0755), 0);
    assert_int_equal(mount(script, MKFS, NULL, MS_BIND, NULL), 0);
}

static void restore_mkfs(void)
{
    assert_int_equal(umount(MKFS), 0);
}

static pid_t wait_mkfs(const struct node *node)
{
    autofree char *path = path_format("%s/pid", node->run_dir);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char text[16] = "";
    if (fd < 0 || poll(&wait, 1, HARNESS_WAIT_MS) != 1 || read(fd, text, sizeof text - 1) <= 0)
        fail_msg("mkfs was not started");
    return (pid_t)strtol(text, NULL, 10);
}

static void let_mkfs_go(void)
{
    autofree char *path = path_format("%s/go", harness_dir());
    file_write(path, "\n", 1);
}

struct caller {
    pthread_t thread;
    struct storage *storage;
    const struct disk *disk;
    Storage__V1__PrepareReply *reply;
    struct err err;
    int rc;
};

static void *call(void *data)
{
    struct caller *caller = data;
    caller->rc = call_prepare(caller->storage, caller->disk->path, &caller->reply, &caller->err);
    return NULL;
}

static void caller_start(struct caller *caller, struct node *node, const struct disk *disk)
{
    const struct storage_options options = {.run_dir = node->run_dir,
                                            .timeout_ms = HARNESS_WAIT_MS};
    autoerr struct err err = {0};
    *caller = (struct caller){.disk = disk};
    assert_ok(storage_open(&options, &caller->storage, &err), &err);
    assert_int_equal(pthread_create(&caller->thread, NULL, call, caller), 0);
}

static void caller_join(struct caller *caller)
{
    assert_int_equal(pthread_join(caller->thread, NULL), 0);
    storage_close(caller->storage);
}

static void caller_end(struct caller *caller)
{
    storage_free(caller->reply);
    err_clear(&caller->err);
}

static void mkfs_dies_with_diskd(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    struct caller caller;
    disknode_start(node);
    struct worker_info old = node_worker(node, "diskd");
    replace_mkfs(node, "exec " MKFS ".never \"$@\"");
    caller_start(&caller, node, disk);
    pid_t mkfs = wait_mkfs(node);
    assert_int_equal(kill(old.pid, SIGKILL), 0);
    process_wait_gone(mkfs);
    caller_join(&caller);
    assert_refused(caller.rc, &caller.err, ERR_UNAVAILABLE, "");
    caller_end(&caller);
    restore_mkfs();
    (void)node_wait_worker(node, "diskd", old.epoch);
    node_wait_disk(node, disk, STATE(BLANK));
    /* Nothing of it stands in the way of the next one. */
    autoerr struct err err = {0};
    autoreply Storage__V1__PrepareReply *reply = NULL;
    assert_ok(prepare_disks(node, &reply, &err, disk), &err);
}

static void a_kill_at_any_moment_leaves_blank_or_unfinished(void)
{
    enum { ROUNDS = 12 };
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    node_set(node, "supervisor.backoff_max_ms", "100"); /* so young, each kill is a failure */
    disknode_start(node);
    for (int round = 0; round < ROUNDS; round++) {
        struct worker_info old = node_wait_worker(node, "diskd", 0);
        struct caller caller;
        caller_start(&caller, node, disk);
        /* Somewhere between the first byte of the call and its answer. */
        (void)poll(NULL, 0, round * 3);
        assert_int_equal(kill(old.pid, SIGKILL), 0);
        caller_join(&caller);
        caller_end(&caller);
        (void)node_wait_worker(node, "diskd", old.epoch);
        autoreply Storage__V1__Disk *after = disknode_probe(node, disk);
        if (after->state != STATE(BLANK) && after->state != STATE(UNFINISHED))
            fail_msg("round %d: state %d, %s", round, after->state, after->reason);
        if (after->state == STATE(UNFINISHED)) {
            command_ok("btrfs", "check", disk->path);
            command_ok("blkdiscard", "--force", disk->path);
        }
    }
}

static void one_operation_at_a_time(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *other = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk, other);
    struct caller caller;
    disknode_start(node);
    autofree char *tail = path_format("exec %s/real \"$@\"", harness_dir());
    replace_mkfs(node, tail);
    caller_start(&caller, node, disk);
    (void)wait_mkfs(node);
    autoerr struct err err = {0};
    autoreply Storage__V1__PrepareReply *reply = NULL;
    assert_refused(prepare_disks(node, &reply, &err, other, disk), &err, ERR_ABORTED,
                   "another operation");
    assert_true(err.retryable);
    disknode_expect(node, disk, STATE(BLANK), "");
    autoreply Storage__V1__Disk *probed = disknode_probe(node, other);
    assert_int_equal(probed->state, STATE(BLANK));
    let_mkfs_go();
    caller_join(&caller);
    assert_ok(caller.rc, &caller.err);
    caller_end(&caller);
    restore_mkfs();
    disknode_expect(node, disk, STATE(UNFINISHED), "");
}

static void a_failing_mkfs_says_why(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    struct caller caller;
    disknode_start(node);
    replace_mkfs(node, "echo 'ERROR: no such luck' >&2\necho again >&2\nexit 3");
    caller_start(&caller, node, disk);
    (void)wait_mkfs(node);
    let_mkfs_go();
    caller_join(&caller);
    restore_mkfs();
    assert_refused(caller.rc, &caller.err, ERR_INTERNAL,
                   "mkfs.btrfs failed with 3: ERROR: no such luck again");
    caller_end(&caller);
    disknode_expect(node, disk, STATE(BLANK), "");
}

static void a_slow_mkfs_is_ended(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    struct caller caller;
    node_set(node, "disks.mkfs_ms", "1000");
    disknode_start(node);
    replace_mkfs(node, "exit 0");
    caller_start(&caller, node, disk);
    pid_t mkfs = wait_mkfs(node);
    caller_join(&caller);
    restore_mkfs();
    process_wait_gone(mkfs);
    assert_refused(caller.rc, &caller.err, ERR_DEADLINE_EXCEEDED, "1000 ms");
    caller_end(&caller);
    disknode_expect(node, disk, STATE(BLANK), "");
}

static void a_stop_does_not_wait_for_mkfs(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    struct caller caller;
    disknode_start(node);
    replace_mkfs(node, "exit 0");
    caller_start(&caller, node, disk);
    pid_t mkfs = wait_mkfs(node);
    node_stop(node);
    process_wait_gone(mkfs);
    caller_join(&caller);
    restore_mkfs();
    assert_refused(caller.rc, &caller.err, ERR_UNAVAILABLE, "");
    caller_end(&caller);
}

static void a_disk_may_vanish_under_mkfs(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    struct caller caller;
    disknode_start(node);
    autofree char *tail = path_format("exec %s/real \"$@\"", harness_dir());
    replace_mkfs(node, tail);
    caller_start(&caller, node, disk);
    (void)wait_mkfs(node);
    disk_uevent(disk, "remove");
    node_wait_no_disk(node, disk);
    let_mkfs_go();
    caller_join(&caller);
    restore_mkfs();
    assert_refused(caller.rc, &caller.err, ERR_FAILED_PRECONDITION, "unplugged");
    caller_end(&caller);
    disk_uevent(disk, "add");
    node_wait_disk(node, disk, STATE(UNFINISHED));
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(blank_disks_become_unfinished_pools),
        harness_case(a_disk_with_anything_on_it_is_refused),
        harness_case(a_disk_in_use_is_refused),
        harness_case(nonsense_is_refused),
        harness_case(mkfs_dies_with_diskd),
        harness_case(a_kill_at_any_moment_leaves_blank_or_unfinished),
        harness_case(one_operation_at_a_time),
        harness_case(a_failing_mkfs_says_why),
        harness_case(a_slow_mkfs_is_ended),
        harness_case(a_stop_does_not_wait_for_mkfs),
        harness_case(a_disk_may_vanish_under_mkfs),
    };
    return harness_main(argc, argv, "disk prepare", cases, array_length(cases));
}
