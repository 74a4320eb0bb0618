/* Wipe: what makes a disk blank, what is refused without a byte written, and what a pool is given
 * up for. */
#include "disknode.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SSD        STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD
#define DISK_BYTES (2 * GiB)

static int wipe_pool(struct node *node, const char *id, bool force,
                     Storage__V1__WipePoolReply **out_reply, struct err *err)
{
    Storage__V1__WipePoolRequest request = STORAGE__V1__WIPE_POOL_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    request.force = force;
    return storage_call(node->storage, "storage.v1.PoolService/Wipe", &request, out_reply, err);
}

static char *id_of(struct node *node, const struct disk *disk)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Disk *seen = NULL;
    assert_ok(call_disk(node->storage, disk->path, &seen, &err), &err);
    return path_format("%s", seen->id);
}

/* As others see it, not by our own eyes. */
static void assert_blank(const struct disk *disk)
{
    const struct command wipefs = {.argv = {"wipefs", "--no-act", "--noheadings", disk->path}};
    struct command_result result = command_run(&wipefs);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.out, "");
}

static void refuse_disk(struct node *node, const struct disk *disk, const char *id,
                        const char *pool, bool force, enum err_code code, const char *text)
{
    autoerr struct err err = {0};
    Storage__V1__Disk *reply = NULL;
    uint32_t before = disk_checksum(disk);
    assert_refused(disknode_wipe(node, id, pool, force, &reply, &err), &err, code, text);
    assert_int_equal(disk_checksum(disk), before);
}

static void accept_disk(struct node *node, const struct disk *disk, const char *pool, bool force)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Disk *reply = NULL;
    autofree char *id = id_of(node, disk);
    assert_ok(disknode_wipe(node, id, pool, force, &reply, &err), &err);
    assert_int_equal(reply->state, STATE(BLANK));
    assert_blank(disk);
}

/* ---- disks ---- */

static void strangers_are_wiped_by_force_alone(void)
{
    static const char *const makers[][5] = {
        {"mkfs.ext4", "-q"},
        {"mkfs.xfs", "-q"},
        {"mkfs.vfat"},
        {"mkswap", "-q"},
        {"mkfs.btrfs", "-q"},
        {"sh", "-c", "echo 'label: gpt\n,,' | sfdisk --quiet --no-reread --no-tell-kernel \"$0\""},
    };
    struct disk *disks[array_length(makers) + 1] = {0};
    for (size_t i = 0; i < array_length(makers); i++) {
        const char *argv[8] = {0};
        size_t n = 0;
        disks[i] = disk_create(DISK_BYTES, DISK_SSD);
        for (; makers[i][n]; n++)
            argv[n] = makers[i][n];
        argv[n] = disks[i]->path;
        command_must_pass(argv);
    }
    struct node *node = node_create_list(disks);
    node_set(node, "pools.create", "no");
    node_start(node);
    for (size_t i = 0; i < array_length(makers); i++) {
        node_wait_disk(node, disks[i], STATE(FOREIGN));
        autofree char *id = id_of(node, disks[i]);
        refuse_disk(node, disks[i], id, "", false, ERR_FAILED_PRECONDITION, "not ours to wipe");
        refuse_disk(node, disks[i], disks[i]->path, "", true, ERR_INVALID_ARGUMENT, id);
        node_mark(node);
        accept_disk(node, disks[i], "", true);
        (void)watch_wait(node->watch, "disk.changed", id);
        accept_disk(node, disks[i], "", false);
    }
}

static void a_disk_in_use_is_never_wiped(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = node_create(disk);
    node_set(node, "pools.create", "no");
    node_start(node);
    autofree char *id = id_of(node, disk);
    autoclose int fd = open(disk->path, O_RDONLY | O_EXCL | O_CLOEXEC);
    assert_true(fd >= 0);
    refuse_disk(node, disk, id, "", true, ERR_FAILED_PRECONDITION, "in use");
    refuse_disk(node, disk, "nothing", "", true, ERR_NOT_FOUND, "nothing");
}

/* By diskd alone, so that nobody mounts it. */
static void a_member_is_wiped_with_the_name_of_its_pool(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *maker = node_create(disk);
    node_start(maker);
    node_wait_cache(maker, true);
    autofree char *id = id_of(maker, disk);
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_pools(maker->storage, &pools, NULL), NULL);
    const char *fsid = pools->pools[0]->id;
    refuse_disk(maker, disk, id, fsid, true, ERR_FAILED_PRECONDITION, "in use");
    autoerr struct err err = {0};
    assert_ok(node_shutdown(maker, &err), &err);

    struct node *node = disknode_create(disk);
    disknode_start(node);
    node_wait_disk(node, disk, STATE(POOL_MEMBER));
    refuse_disk(node, disk, id, "", false, ERR_FAILED_PRECONDITION, fsid);
    refuse_disk(node, disk, id, "another", false, ERR_FAILED_PRECONDITION, "not another");
    accept_disk(node, disk, fsid, false);
}

/* What is left of a pool when diskd dies between the two halves of a wipe. */
static void a_wipe_that_was_cut_off_is_done_again(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *maker = node_create(disk);
    node_start(maker);
    node_wait_cache(maker, true);
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_pools(maker->storage, &pools, NULL), NULL);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(maker, &err), &err);
    autofree char *noise = malloc(8 * MiB);
    memset(noise, 0x5a, 8 * MiB);
    disk_write(disk, 64 * MiB, noise, 4096);
    disk_write(disk, DISK_BYTES - 8 * MiB, noise, 8 * MiB);

    struct node *node = disknode_create(disk);
    disknode_start(node);
    node_wait_disk(node, disk, STATE(POOL_MEMBER));
    accept_disk(node, disk, pools->pools[0]->id, false);
}

/* ---- pools ---- */

static char *only_pool(struct node *node)
{
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_pools(node->storage, &pools, NULL), NULL);
    assert_int_equal(pools->n_pools, 1);
    return path_format("%s", pools->pools[0]->id);
}

static void refuse_pool(struct node *node, const char *id, const char *text)
{
    autoerr struct err err = {0};
    Storage__V1__WipePoolReply *reply = NULL;
    assert_refused(wipe_pool(node, id, true, &reply, &err), &err, ERR_FAILED_PRECONDITION, text);
}

static bool has_no_pool(struct node *node, void *data)
{
    autoreply Storage__V1__ControlReply *reply = NULL;
    (void)data;
    if (call_workers(node->storage, &reply, NULL) != 0)
        return false;
    for (size_t i = 0; i < reply->list->n_workers; i++)
        if (strstr(reply->list->workers[i]->status, "the pool was wiped"))
            return true;
    return false;
}

static void rebear_poold(struct node *node)
{
    struct worker_info poold = node_worker(node, "poold");
    assert_int_equal(kill(poold.pid, SIGKILL), 0);
    (void)node_wait_worker(node, "poold", poold.epoch);
}

/* And does not come back, though the node is without a pool then, before the next boot. */
static void an_empty_pool_is_given_up_and_wiped(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_cache(node, true);
    autofree char *fsid = only_pool(node);
    autoreply Storage__V1__Space *space = must_reserve(node, "keep", SSD, 16 * MiB);
    refuse_pool(node, fsid, space->id);
    must_release(node, space->id);

    autoerr struct err err = {0};
    autoreply Storage__V1__WipePoolReply *reply = NULL;
    node_mark(node);
    assert_ok(wipe_pool(node, fsid, false, &reply, &err), &err);
    assert_int_equal(reply->n_disks, 1);
    assert_int_equal(reply->disks[0]->state, STATE(BLANK));
    (void)watch_wait(node->watch, "pool.wiped", fsid);
    assert_int_equal(wipe_pool(node, fsid, false, &reply, NULL), -ERR_NOT_FOUND);
    node_wait(node, has_no_pool, NULL, "the node stays without a pool");
    rebear_poold(node);
    node_wait(node, has_no_pool, NULL, "the next poold knows of the wipe");

    autofree char *note = path_format("%s/poold.wiped", node->run_dir);
    file_write(note, "8be4df61-93ca-11d2-aa0d-00e098032b8c", 36); /* another boot's */
    rebear_poold(node);
    node_wait_cache(node, true);
    autofree char *next = only_pool(node);
    assert_string_not_equal(next, fsid);
}

/* A space whose record is lost is such a stranger too: the books know nothing of it. */
static void what_storaged_does_not_know_is_wiped_by_force_alone(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_cache(node, true);
    autofree char *fsid = only_pool(node);
    autofree char *folder = path_format("%s/%s/spaces/stranger", node->mount_root, fsid);
    autofree char *path = path_format("%s/data", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    file_write(path, "x", 1);
    autoerr struct err err = {0};
    autoreply Storage__V1__WipePoolReply *reply = NULL;
    node_mark(node);
    assert_refused(wipe_pool(node, fsid, false, &reply, &err), &err, ERR_FAILED_PRECONDITION,
                   "spaces/stranger");
    (void)watch_wait(node->watch, "cache.mounted", fsid);
    autofree char *kept = file_read(path, NULL);
    assert_string_equal(kept, "x");
    assert_ok(wipe_pool(node, fsid, true, &reply, &err), &err);
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    assert_ok(call_prepare(node->storage, disk->path, &prepared, &err), &err);
    (void)watch_wait(node->watch, "cache.mounted", prepared->pools[0]->fsid);
    rebear_poold(node);
    node_wait_cache(node, true); /* the wipe is forgotten */
}

static void a_pool_that_somebody_uses_is_opened_again(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_cache(node, true);
    autofree char *fsid = only_pool(node);
    autofree char *path = path_format("%s/busy", node->cache_path);
    file_write(path, "x", 1);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    node_mark(node);
    refuse_pool(node, fsid, "cannot be given up");
    (void)watch_wait(node->watch, "cache.mounted", fsid);
    autofree char *same = only_pool(node);
    assert_string_equal(same, fsid);
    autofree char *kept = file_read(path, NULL);
    assert_string_equal(kept, "x");
    autoreply Storage__V1__Space *space = must_reserve(node, "after", SSD, 16 * MiB);
    must_release(node, space->id);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(strangers_are_wiped_by_force_alone),
        harness_case(a_disk_in_use_is_never_wiped),
        harness_case(a_member_is_wiped_with_the_name_of_its_pool),
        harness_case(a_wipe_that_was_cut_off_is_done_again),
        harness_case(an_empty_pool_is_given_up_and_wiped),
        harness_case(what_storaged_does_not_know_is_wiped_by_force_alone),
        harness_case(a_pool_that_somebody_uses_is_opened_again),
    };
    return harness_main(argc, argv, "wipe", cases, array_length(cases));
}
