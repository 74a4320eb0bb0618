/* Boot: from no disk to three, with pools, with strangers, with what a power cut left; and nothing
 * is ever made or mounted by guess. */
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define SSD       STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD
#define HDD       STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD
#define STATE(s)  STORAGE__V1__DISK_STATE__DISK_STATE_##s
#define POOL(s)   STORAGE__V1__POOL_STATE__POOL_STATE_##s
#define DISK_SIZE (2 * GiB)

static Storage__V1__ListPoolsReply *must_list_pools(struct node *node, size_t n_expected)
{
    autoerr struct err err = {0};
    Storage__V1__ListPoolsReply *list = NULL;
    assert_ok(call_pools(node->storage, &list, &err), &err);
    if (list->n_pools != n_expected)
        fail_msg("%zu pools, not %zu", list->n_pools, n_expected);
    return list;
}

/* Boots a node of its own on the disk, so that it carries a pool, with `note` in its cache. */
static char *make_pool(struct disk *disk, const char *note)
{
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ListPoolsReply *list = must_list_pools(node, 1);
    char *fsid = path_format("%s", list->pools[0]->id);
    autofree char *path = path_format("%s/note", node->cache_path);
    file_write(path, note, strlen(note));
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    return fsid;
}

/* --- boots ----------------------------------------------------------------------------------- */

static void boots_without_a_disk(void)
{
    struct node *node = node_create_list((struct disk *const[]){NULL});
    node_start(node);
    autoerr struct err err = {0};
    autoreply Storage__V1__CacheInfo *cache = NULL;
    assert_ok(call_cache(node->storage, &cache, &err), &err);
    assert_false(cache->mounted);
    assert_string_not_equal(cache->reason, "");
    assert_int_equal(mount_id(node->cache_path), 0);
    autoreply Storage__V1__ListPoolsReply *pools = must_list_pools(node, 0);
    autoreply Storage__V1__ControlReply *workers = NULL;
    assert_ok(call_workers(node->storage, &workers, &err), &err);
    for (size_t i = 0; i < workers->list->n_workers; i++) {
        const Storage__V1__Worker *worker = workers->list->workers[i];
        assert_int_equal(worker->state, STORAGE__V1__WORKER_STATE__WORKER_STATE_READY);
        if (strcmp(worker->name, "poold") == 0)
            assert_non_null(strstr(worker->status, "degraded"));
    }
    Storage__V1__Space *space = NULL;
    int rc = call_reserve(node->storage, "a", SSD, GiB, &space, &err);
    assert_int_not_equal(rc, 0);
    node_stop(node);
}

static void boots_with_one_ssd(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ListPoolsReply *list = must_list_pools(node, 1);
    const Storage__V1__PoolInfo *pool = list->pools[0];
    assert_int_equal(pool->state, POOL(MOUNTED));
    assert_int_equal(pool->disk_type, SSD);
    assert_string_not_equal(pool->disk_type_evidence, "");
    assert_true(pool->has_cache);
    assert_int_equal(pool->n_members, 1);
    assert_string_equal(pool->members[0]->path, disk->path);
    autofree char *mount = path_format("%s/%s", node->mount_root, pool->id);
    assert_string_equal(pool->path, mount);
    assert_int_not_equal(mount_id(mount), 0);
    assert_int_not_equal(mount_id(node->cache_path), 0);
    struct statvfs of;
    assert_int_equal(statvfs(node->cache_path, &of), 0);
    assert_int_equal(of.f_flag & (ST_NOSUID | ST_NODEV), ST_NOSUID | ST_NODEV);
    node_wait_disk(node, disk, STATE(POOL_MEMBER));
    node_stop(node);
}

static void boots_with_one_hdd(void)
{
    struct node *node = node_create(disk_create(DISK_SIZE, DISK_HDD));
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ListPoolsReply *list = must_list_pools(node, 1);
    assert_int_equal(list->pools[0]->disk_type, HDD);
}

static void passes_over_an_ssd_that_is_too_small(void)
{
    struct disk *tiny = disk_create(128 * MiB, DISK_SSD);
    struct disk *small = disk_create(1 * GiB, DISK_SSD);
    struct disk *hdd = disk_create(DISK_SIZE, DISK_HDD);
    struct node *node = node_create(tiny, small, hdd);
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ListPoolsReply *list = must_list_pools(node, 1);
    assert_string_equal(list->pools[0]->members[0]->path, hdd->path);
    node_wait_disk(node, tiny, STATE(BLANK));
    node_wait_disk(node, small, STATE(BLANK));
}

static void boots_with_three_and_takes_an_ssd(void)
{
    struct disk *hdd = disk_create(DISK_SIZE, DISK_HDD);
    struct disk *ssd1 = disk_create(DISK_SIZE, DISK_SSD);
    struct disk *ssd2 = disk_create(DISK_SIZE, DISK_SSD);
    uint32_t blank = disk_checksum(hdd);
    struct node *node = node_create(hdd, ssd1, ssd2);
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ListPoolsReply *list = must_list_pools(node, 1);
    const char *taken = list->pools[0]->members[0]->path;
    assert_int_equal(list->pools[0]->disk_type, SSD);
    struct disk *other = strcmp(taken, ssd1->path) == 0 ? ssd2 : ssd1;
    assert_true(other == ssd2 || strcmp(taken, ssd2->path) == 0);
    node_wait_disk(node, hdd, STATE(BLANK));
    node_wait_disk(node, other, STATE(BLANK));
    assert_int_equal(disk_checksum(hdd), blank);
    assert_int_equal(disk_checksum(other), blank);
}

static void opens_the_pools_that_are_there(void)
{
    struct disk *a = disk_create(DISK_SIZE, DISK_SSD);
    struct disk *b = disk_create(DISK_SIZE, DISK_HDD);
    struct disk *blank = disk_create(DISK_SIZE, DISK_SSD);
    autofree char *fsid_a = make_pool(a, "on a");
    autofree char *fsid_b = make_pool(b, "on b");
    struct node *node = node_create(a, b, blank);
    node_start(node);
    node_wait_pools(node, 2);
    node_wait_cache(node, true);
    autoreply Storage__V1__ListPoolsReply *list = must_list_pools(node, 2);
    for (size_t i = 0; i < 2; i++) {
        const Storage__V1__PoolInfo *pool = list->pools[i];
        bool is_a = strcmp(pool->id, fsid_a) == 0;
        assert_true(is_a || strcmp(pool->id, fsid_b) == 0);
        assert_int_equal(pool->disk_type, is_a ? SSD : HDD);
    }
    autofree char *path = path_format("%s/note", node->cache_path);
    autofree char *note = file_read(path, NULL);
    assert_true(strcmp(note, "on a") == 0 || strcmp(note, "on b") == 0);
    node_wait_disk(node, blank, STATE(BLANK));
}

/* Who uses what is looked up for all disks at once: when the stranger shows as used, the pool's
 * disk has been judged as well, and a look at it that followed from that comes before the one asked
 * for. */
static void a_disk_is_not_read_again_for_its_pool(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    struct disk *stranger = disk_create(DISK_SIZE, DISK_SSD);
    autofree char *fsid = make_pool(disk, "");
    autofree char *at = path_format("%s/used", harness_dir());
    assert_int_equal(mkdir(at, 0755), 0);
    command_ok("mkfs.ext4", "-q", stranger->path);
    struct node *node = node_create(disk, stranger);
    node_start(node);
    node_wait_cache(node, true);
    command_ok("mount", stranger->path, at);
    node_wait_disk(node, stranger, STATE(IN_USE));
    struct command_result probe = node_ctl(node, "disk", "probe", disk->path);
    assert_int_equal(probe.status, 0);
    autoerr struct err err = {0};
    autoreply Storage__V1__Disk *found = NULL;
    assert_ok(call_disk(node->storage, disk->path, &found, &err), &err);
    assert_int_equal(found->probed_generation, 2);
    assert_int_equal(umount(at), 0);
}

static void the_type_is_decided_once(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_HDD);
    autofree char *fsid = make_pool(disk, "as hdd");
    disk_unplug(disk);
    disk->kind = DISK_SSD;
    disk_plug(disk);
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_pools(node, 1);
    autoreply Storage__V1__ListPoolsReply *list = must_list_pools(node, 1);
    assert_string_equal(list->pools[0]->id, fsid);
    assert_int_equal(list->pools[0]->disk_type, HDD);
}

/* --- strangers ------------------------------------------------------------------------------- */

static void stays_away_from(struct disk *disk, const char *signature)
{
    uint32_t before = disk_checksum(disk);
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_disk(node, disk, STATE(FOREIGN));
    autoerr struct err err = {0};
    autoreply Storage__V1__Disk *seen = NULL;
    assert_ok(call_disk(node->storage, disk->path, &seen, &err), &err);
    assert_true(seen->n_signatures >= 1);
    assert_string_equal(seen->signatures[0]->type, signature);
    assert_string_not_equal(seen->reason, "");
    autoreply Storage__V1__ListPoolsReply *pools = must_list_pools(node, 0);
    Storage__V1__PrepareReply *reply = NULL;
    assert_refused(call_prepare(node->storage, disk->path, &reply, &err), &err,
                   ERR_FAILED_PRECONDITION, signature);
    node_stop(node);
    assert_int_equal(disk_checksum(disk), before);
}

static void leaves_ext4_alone(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    command_ok("mkfs.ext4", "-q", disk->path);
    stays_away_from(disk, "ext4");
}

static void leaves_somebody_elses_btrfs_alone(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    command_ok("mkfs.btrfs", "-q", "-L", "photos", disk->path);
    stays_away_from(disk, "btrfs");
}

static void leaves_a_partition_table_alone(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    static const uint8_t mbr_end[2] = {0x55, 0xaa};
    static const uint8_t linux_partition[16] = {0, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0};
    autoclose int fd = open(disk->path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, linux_partition, 16, 446), 16);
    assert_int_equal(pwrite(fd, mbr_end, 2, 510), 2);
    assert_int_equal(fsync(fd), 0);
    stays_away_from(disk, "dos");
}

/* A btrfs that says it is ours by its label only: whatever has no descriptor is not. */
static void does_not_believe_a_label(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    command_ok("mkfs.btrfs", "-q", "-L", "storaged:photos", disk->path);
    uint32_t before = disk_checksum(disk);
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_cache(node, false);
    node_wait_pools(node, 0);
    node_stop(node);
    assert_int_equal(disk_checksum(disk), before);
}

/* --- what was left half done, or broken ------------------------------------------------------ */

static void finishes_an_unfinished_pool(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    command_ok("mkfs.btrfs", "-q", "-K", "-L", "storaged:new:half", disk->path);
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ListPoolsReply *list = must_list_pools(node, 1);
    assert_string_equal(list->pools[0]->name, "half");
    assert_int_equal(list->pools[0]->state, POOL(MOUNTED));
}

/* Destroys all but the superblocks, so that the pool is known and cannot be mounted. */
static void break_pool(struct disk *disk)
{
    enum { SUPERBLOCK_MIB = 64, END_MIB = 512 }; /* the first one is within the first MiB */
    static const char zeroes[MiB];
    autoclose int fd = open(disk->path, O_RDWR | O_CLOEXEC);
    for (off_t at = 1; at < END_MIB; at++)
        if (at != SUPERBLOCK_MIB)
            assert_int_equal(pwrite(fd, zeroes, sizeof zeroes, at << 20), sizeof zeroes);
    assert_int_equal(fsync(fd), 0);
}

static bool pool_has_failed(struct node *node, void *fsid)
{
    autoreply Storage__V1__ListPoolsReply *list = NULL;
    if (call_pools(node->storage, &list, NULL) != 0)
        return false;
    for (size_t i = 0; i < list->n_pools; i++)
        if (strcmp(list->pools[i]->id, fsid) == 0)
            return list->pools[i]->state == POOL(FAILED) && list->pools[i]->reason[0];
    return false;
}

static void a_broken_pool_costs_nobody_else_anything(void)
{
    struct disk *good = disk_create(DISK_SIZE, DISK_SSD);
    struct disk *bad = disk_create(DISK_SIZE, DISK_SSD);
    autofree char *fsid_good = make_pool(good, "good");
    autofree char *fsid_bad = make_pool(bad, "bad");
    break_pool(bad);
    struct node *node = node_create(good, bad);
    node_start(node);
    node_wait_pools(node, 1);
    node_wait(node, pool_has_failed, fsid_bad, "the broken pool is failed, with a reason");
    node_wait_cache(node, true);
    must_release(node, "00000000-0000-4000-8000-000000000000");
}

static void a_broken_pool_is_not_replaced(void)
{
    struct disk *bad = disk_create(DISK_SIZE, DISK_SSD);
    struct disk *blank = disk_create(DISK_SIZE, DISK_SSD);
    autofree char *fsid = make_pool(bad, "bad");
    break_pool(bad);
    struct node *node = node_create(bad, blank);
    node_start(node);
    node_wait(node, pool_has_failed, fsid, "the broken pool is failed, with a reason");
    node_wait_disk(node, blank, STATE(BLANK));
    node_wait_cache(node, false);
}

static void of_two_copies_neither_is_mounted(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    autofree char *fsid = make_pool(disk, "twice");
    struct disk *copy = disk_reserve(DISK_SIZE, DISK_SSD);
    command_ok("cp", "--sparse=always", disk->file, copy->file);
    disk_plug(copy);
    uint32_t before = disk_checksum(disk);
    struct node *node = node_create(disk, copy);
    node_start(node);
    node_wait_disk(node, disk, STATE(DUPLICATE));
    node_wait_disk(node, copy, STATE(DUPLICATE));
    node_wait_pools(node, 0);
    node_wait_cache(node, false);
    node_stop(node);
    assert_int_equal(disk_checksum(disk), before);
    assert_int_equal(disk_checksum(copy), before);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(boots_without_a_disk),
        harness_case(boots_with_one_ssd),
        harness_case(boots_with_one_hdd),
        harness_case(passes_over_an_ssd_that_is_too_small),
        harness_case(boots_with_three_and_takes_an_ssd),
        harness_case(opens_the_pools_that_are_there),
        harness_case(a_disk_is_not_read_again_for_its_pool),
        harness_case(the_type_is_decided_once),
        harness_case(leaves_ext4_alone),
        harness_case(leaves_somebody_elses_btrfs_alone),
        harness_case(leaves_a_partition_table_alone),
        harness_case(does_not_believe_a_label),
        harness_case(finishes_an_unfinished_pool),
        harness_case(a_broken_pool_costs_nobody_else_anything),
        harness_case(a_broken_pool_is_not_replaced),
        harness_case(of_two_copies_neither_is_mounted),
    };
    return harness_main(argc, argv, "boot", cases, array_length(cases));
}
