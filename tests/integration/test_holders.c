/* Release of a space that somebody holds: refused, with every holder named, in any mount namespace;
 * and the reaper waits for one that came too late for that. */
#include "harness.h"
#include "volume.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define SSD STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD

static struct node *start_node(void)
{
    struct node *node = node_create(disk_create(4 * GiB, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

/* A child that takes hold of the space in some way, says so, and waits to be killed. */
typedef void (*hold_fn)(const char *path);

static pid_t hold(hold_fn take, const char *path)
{
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        take(path);
        (void)!write(ready[1], "", 1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    char byte;
    ssize_t n = read(ready[0], &byte, 1);
    (void)close(ready[0]);
    assert_int_equal(n, 1);
    return pid;
}

static void must(bool holds)
{
    if (!holds)
        _exit(1); /* the pipe closes without the byte */
}

static void by_cwd(const char *path)
{
    must(chdir(path) == 0);
}

static void by_root(const char *path)
{
    must(chroot(path) == 0);
}

static void by_open_file(const char *path)
{
    autofree char *file = path_format("%s/open", path);
    int fd = open(file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    must(fd >= 0);
}

static void by_map(const char *path)
{
    autofree char *file = path_format("%s/mapped", path);
    int fd = open(file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    must(fd >= 0 && ftruncate(fd, 4096) == 0);
    const void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    must(map != MAP_FAILED);
    (void)close(fd);
}

static void by_bind_mount_elsewhere(const char *path)
{
    must(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    must(mount(path, "/mnt", NULL, MS_BIND, NULL) == 0);
}

static void by_bind_mount_of_a_folder_within(const char *path)
{
    autofree char *folder = path_format("%s/within", path);
    must(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    must(mkdir(folder, 0755) == 0 && mount(folder, "/mnt", NULL, MS_BIND, NULL) == 0);
}

static void is_refused_while_held(hold_fn take)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "held", SSD, 64 * MiB);
    pid_t holder = hold(take, space->path);
    autofree char *pid = path_format("%d", holder);
    autoerr struct err err = {0};
    int rc = call_release(node->storage, space->id, NULL, &err);
    assert_refused(rc, &err, ERR_FAILED_PRECONDITION, pid);
    assert_true(err.n_blockers >= 1);
    autoreply Storage__V1__Space *still = NULL;
    assert_ok(call_get(node->storage, space->id, &still, &err), &err);
    assert_int_equal(access(space->path, F_OK), 0);
    (void)kill(holder, SIGKILL);
    (void)child_wait(holder);
    must_release(node, space->id);
}

static void held_by_a_cwd(void)
{
    is_refused_while_held(by_cwd);
}

static void held_by_a_root(void)
{
    is_refused_while_held(by_root);
}

static void held_by_an_open_file(void)
{
    is_refused_while_held(by_open_file);
}

static void held_by_a_mapping(void)
{
    is_refused_while_held(by_map);
}

static void held_by_a_bind_mount_in_another_namespace(void)
{
    is_refused_while_held(by_bind_mount_elsewhere);
}

static void held_by_a_bind_mount_of_a_folder_within(void)
{
    is_refused_while_held(by_bind_mount_of_a_folder_within);
}

static void held_by_a_bind_mount_here(void)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "held", SSD, 64 * MiB);
    autofree char *target = path_format("%s/bound", node->dir);
    assert_int_equal(mkdir(target, 0755), 0);
    assert_int_equal(mount(space->path, target, NULL, MS_BIND, NULL), 0);
    autoerr struct err err = {0};
    assert_refused(call_release(node->storage, space->id, NULL, &err), &err,
                   ERR_FAILED_PRECONDITION, target);
    assert_int_equal(umount2(target, 0), 0);
    must_release(node, space->id);
}

/* A refusal names every blocker, not the first. */
static void every_holder_is_named(void)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "held", SSD, 64 * MiB);
    pid_t first = hold(by_cwd, space->path);
    pid_t second = hold(by_open_file, space->path);
    autofree char *pid1 = path_format("%d", first);
    autofree char *pid2 = path_format("%d", second);
    autoerr struct err err = {0};
    int rc = call_release(node->storage, space->id, NULL, &err);
    assert_refused(rc, &err, ERR_FAILED_PRECONDITION, pid1);
    assert_refused(rc, &err, ERR_FAILED_PRECONDITION, pid2);
    (void)kill(first, SIGKILL);
    (void)kill(second, SIGKILL);
    (void)child_wait(first);
    (void)child_wait(second);
    must_release(node, space->id);
}

/* As a release leaves it whose poold died before the reaper came. */
static void mark_dying(const struct node *node, const struct disk *disk,
                       const Storage__V1__Space *space)
{
    struct stat status;
    assert_int_equal(stat(disk->path, &status), 0);
    const struct volume_member member = {
        .path = disk->path,
        .devid = 1,
        .serial = "",
        .disk_id = "",
        .major = major(status.st_rdev),
        .minor = minor(status.st_rdev),
    };
    const struct volume_spec spec = {.mount_root = node->mount_root,
                                     .fsid = space->pool,
                                     .label = VOLUME_LABEL,
                                     .members = &member,
                                     .n_members = 1};
    enum volume_problem problem;
    struct volume *volume = NULL;
    autoerr struct err err = {0};
    assert_ok(volume_open(&spec, &volume, &problem, &err), &err);
    assert_ok(volume_mark_dying(volume, space->id, &err), &err);
    assert_ok(volume_commit(volume, &err), &err);
    assert_ok(volume_close(volume, false, &err), &err);
}

/* Asked of poold's memory: the event may be older than the watch's connection to the new poold. */
static bool was_told_held(struct node *node, void *holder)
{
    struct command_result events = node_ctl(node, "events", "--topic", "space.held");
    return events.status == 0 && strstr(events.out, holder);
}

static void a_holder_that_came_late_postpones_the_reaper(void)
{
    struct disk *disk = disk_create(4 * GiB, DISK_SSD);
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *space = must_reserve(node, "held", SSD, 64 * MiB);
    node_stop(node);
    pid_t holder = hold(by_open_file, space->path);
    mark_dying(node, disk, space);

    node_start(node);
    autofree char *pid = path_format("pid %d ", holder);
    node_wait(node, was_told_held, pid, "the holder is named by an event");
    autoerr struct err err = {0};
    autoreply Storage__V1__CapacityReply *capacity = NULL;
    assert_ok(call_capacity(node->storage, SSD, &capacity, &err), &err);
    assert_true(capacity->capacity->releasing >= 64 * MiB);
    /* To everybody else it is gone; for him it is all there. */
    autoreply Storage__V1__Space *found = NULL;
    assert_refused(call_get(node->storage, space->id, &found, &err), &err, ERR_NOT_FOUND, "");
    assert_int_equal(access(space->path, F_OK), 0);

    (void)kill(holder, SIGKILL);
    (void)child_wait(holder);
    watch_wait(node->watch, "space.reaped", space->id);
    assert_int_not_equal(access(space->path, F_OK), 0);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(held_by_a_cwd),
        harness_case(held_by_a_root),
        harness_case(held_by_an_open_file),
        harness_case(held_by_a_mapping),
        harness_case(held_by_a_bind_mount_in_another_namespace),
        harness_case(held_by_a_bind_mount_of_a_folder_within),
        harness_case(held_by_a_bind_mount_here),
        harness_case(every_holder_is_named),
        harness_case(a_holder_that_came_late_postpones_the_reaper),
    };
    return harness_main(argc, argv, "holders", cases, array_length(cases));
}
