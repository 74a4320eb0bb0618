/* Pools that take no writes any more: it is said, and nothing is promised on them. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define SSD       STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD
#define DISK_SIZE (2 * GiB)

static Storage__V1__PoolInfo *find_pool(Storage__V1__ListPoolsReply *list, const char *fsid)
{
    for (size_t i = 0; i < list->n_pools; i++)
        if (strcmp(list->pools[i]->id, fsid) == 0)
            return list->pools[i];
    fail_msg("no pool %s", fsid);
    return NULL;
}

static bool is_degraded(struct node *node, void *data)
{
    autoreply Storage__V1__ControlReply *reply = NULL;
    if (call_workers(node->storage, &reply, NULL) != 0)
        return false;
    for (size_t i = 0; i < reply->list->n_workers; i++)
        if (strcmp(reply->list->workers[i]->name, "poold") == 0)
            return strstr(reply->list->workers[i]->status, data) != NULL;
    return false;
}

/* As the kernel does it after an error, for the whole filesystem. */
static void remount(const struct node *node, const char *fsid, bool read_only)
{
    autofree char *path = path_format("%s/%s", node->mount_root, fsid);
    unsigned long flags = MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOATIME;
    assert_int_equal(mount(NULL, path, NULL, flags | (read_only ? MS_RDONLY : 0), NULL), 0);
}

static void a_pool_that_turned_read_only_is_passed_over(void)
{
    struct disk *disks[] = {disk_create(DISK_SIZE, DISK_SSD), disk_create(2 * DISK_SIZE, DISK_SSD)};
    struct node *node = node_create(disks[0], disks[1]);
    node_set(node, "spaces.headroom", "0");
    node_start(node);
    node_wait_cache(node, true);
    autoerr struct err err = {0};
    autoreply Storage__V1__Disk *first = NULL;
    assert_ok(call_disk(node->storage, disks[0]->path, &first, &err), &err);
    bool is_first = first->state != STORAGE__V1__DISK_STATE__DISK_STATE_BLANK;
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    assert_ok(call_prepare(node->storage, disks[is_first]->path, &prepared, &err), &err);
    node_wait_pools(node, 2);
    autoreply Storage__V1__Space *before = must_reserve(node, "before", SSD, 64 * MiB);
    node_mark(node);

    /* The next one would go where there is most room. */
    remount(node, before->pool, true);
    autoreply Storage__V1__Space *after = must_reserve(node, "after", SSD, 64 * MiB);
    assert_string_not_equal(after->pool, before->pool);
    assert_true(after->created);
    watch_wait(node->watch, "pool.readonly", before->pool);
    autoreply Storage__V1__ListPoolsReply *list = NULL;
    assert_ok(call_pools(node->storage, &list, &err), &err);
    const Storage__V1__PoolInfo *pool = find_pool(list, before->pool);
    assert_int_equal(pool->state, STORAGE__V1__POOL_STATE__POOL_STATE_READ_ONLY);
    assert_non_null(strstr(pool->reason, "Read-only file system"));
    assert_int_equal(pool->capacity->largest, 0);
    node_wait(node, is_degraded, (char[]){"is readonly"}, "poold says so");

    /* What is there can be read, not released. */
    autoreply Storage__V1__Space *found = NULL;
    assert_ok(call_get(node->storage, before->id, &found, &err), &err);
    assert_int_equal(found->state, STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE);
    assert_refused(call_release(node->storage, before->id, NULL, &err), &err, ERR_UNAVAILABLE,
                   "read-only");
    for (size_t i = 0; i < watch_count(node->watch); i++)
        assert_string_not_equal(watch_at(node->watch, i)->topic, "space.reaped");
    remount(node, before->pool, false);
}

/* A disk whose file lies on a filesystem of its own, which can be filled up. */
static struct disk *create_disk_on(const char *folder, const char *options)
{
    struct disk *disk = disk_reserve(DISK_SIZE, DISK_SSD);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_int_equal(mount("small", folder, "tmpfs", 0, options), 0);
    assert_int_equal(unlink(disk->file), 0);
    (void)snprintf(disk->file, sizeof disk->file, "%s/disk", folder);
    autoclose int file = open(disk->file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, (off_t)DISK_SIZE), 0);
    disk_plug(disk);
    return disk;
}

static void fill_up(const char *path)
{
    static const char zeros[4096];
    autoclose int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof zeros) > 0)
        continue;
    assert_int_equal(errno, ENOSPC);
}

static void a_commit_that_fails_promises_nothing(void)
{
    autofree char *folder = path_format("%s/small", harness_dir());
    autofree char *filler = path_format("%s/filler", folder);
    struct node *node = node_create(create_disk_on(folder, "size=96m"));
    node_set(node, "spaces.headroom", "0");
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *before = must_reserve(node, "before", SSD, 64 * MiB);
    node_mark(node);

    fill_up(filler);
    struct command_result refused = node_ctl(node, "--timeout", "5s", "space", "reserve", "--type",
                                             "ssd", "--size", "64M", "--name", "lost");
    assert_int_equal(refused.status, 7);
    assert_non_null(strstr(refused.err, "read-only"));
    watch_wait(node->watch, "pool.readonly", before->pool);
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    assert_int_equal(list->n_spaces, 1);

    /* The disk is well again: the next poold reads what is there. */
    assert_int_equal(unlink(filler), 0);
    struct worker_info poold = node_worker(node, "poold");
    struct command_result restart = node_ctl(node, "worker", "restart", "poold");
    assert_int_equal(restart.status, 0);
    node_wait_worker(node, "poold", poold.epoch);
    node_wait_pools(node, 1);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *lost = must_reserve(node, "lost", SSD, 64 * MiB);
    assert_true(lost->created);
    autoreply Storage__V1__Space *found = NULL;
    assert_ok(call_get(node->storage, before->id, &found, &err), &err);
    assert_ok(node_shutdown(node, &err), &err);
    assert_int_equal(umount2(folder, MNT_DETACH), 0);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_pool_that_turned_read_only_is_passed_over),
        harness_case(a_commit_that_fails_promises_nothing),
    };
    return harness_main(argc, argv, "readonly", cases, array_length(cases));
}
