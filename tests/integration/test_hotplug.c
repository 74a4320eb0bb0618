/* Hotplug: loops and zrams come and go while the node runs. */
#include "harness.h"

#include <stdio.h>

#define STATE(s)  STORAGE__V1__DISK_STATE__DISK_STATE_##s
#define POOL(s)   STORAGE__V1__POOL_STATE__POOL_STATE_##s
#define SSD       STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD
#define DISK_SIZE (2 * GiB)

static void a_first_disk_plugged_in_later_is_used(void)
{
    struct disk *disk = disk_reserve(DISK_SIZE, DISK_SSD);
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_cache(node, false);
    struct worker_info diskd = node_worker(node, "diskd");
    struct worker_info poold = node_worker(node, "poold");
    disk_plug(disk);
    node_wait_cache(node, true);
    node_wait_pools(node, 1);
    watch_wait(node->watch, "disk.added", NULL);
    watch_wait(node->watch, "pool.mounted", NULL);
    watch_wait(node->watch, "cache.mounted", NULL);
    assert_true(node_worker(node, "diskd").epoch == diskd.epoch);
    assert_true(node_worker(node, "poold").epoch == poold.epoch);
}

static void a_pool_plugged_in_later_is_mounted(void)
{
    struct disk *late = disk_create(DISK_SIZE, DISK_SSD);
    struct node *before = node_create(late);
    node_start(before);
    node_wait_cache(before, true);
    autoreply Storage__V1__Space *space = must_reserve(before, "kept", SSD, 64 * MiB);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(before, &err), &err);
    disk_unplug(late);

    struct disk *other = disk_create(DISK_SIZE, DISK_SSD);
    struct node *node = node_create(other, late);
    node_start(node);
    node_wait_pools(node, 1);
    disk_plug(late);
    node_wait_pools(node, 2);
    autoreply Storage__V1__Space *found = NULL;
    assert_ok(call_get(node->storage, space->id, &found, &err), &err);
    assert_string_equal(found->name, "kept");
    assert_int_equal(found->state, STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE);
}

/* A name is known for as long as poold lives; one on a disk that only comes later is not waited
 * for. Then there are two of that name, each with its id. */
static void a_name_may_come_back_on_another_disk(void)
{
    struct disk *late = disk_create(DISK_SIZE, DISK_SSD), *other = disk_create(DISK_SIZE, DISK_SSD);
    struct node *before = node_create(late);
    node_start(before);
    node_wait_cache(before, true);
    autoreply Storage__V1__Space *first = must_reserve(before, "mine", SSD, 64 * MiB);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(before, &err), &err);
    disk_unplug(late);

    struct node *node = node_create(other, late);
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *second = must_reserve(node, "mine", SSD, 64 * MiB);
    assert_true(second->created);
    disk_plug(late);
    node_wait_pools(node, 2);
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    assert_int_equal(list->n_spaces, 2);
    autoreply Storage__V1__Space *again = must_reserve(node, "mine", SSD, 64 * MiB);
    assert_false(again->created);
    assert_string_equal(again->id, list->spaces[0]->id);

    node_mark(node);
    disk_uevent(late, "remove");
    (void)watch_wait(node->watch, "pool.failed", first->pool);
    must_release(node, second->id);
    autoreply Storage__V1__Space *kept = must_reserve(node, "mine", SSD, 64 * MiB);
    assert_string_equal(kept->id, first->id);
    assert_int_equal(kept->state, STORAGE__V1__SPACE_STATE__SPACE_STATE_FAILED);
    node_mark(node);
    disk_uevent(late, "add");
    (void)watch_wait(node->watch, "pool.mounted", first->pool);
    must_release(node, first->id);
    autoreply Storage__V1__Space *third = must_reserve(node, "mine", SSD, 64 * MiB);
    assert_true(third->created);
}

static bool is_incomplete(struct node *node, void *data)
{
    autoreply Storage__V1__ListPoolsReply *list = NULL;
    (void)data;
    return call_pools(node->storage, &list, NULL) == 0 && list->n_pools == 1 &&
           list->pools[0]->state == POOL(INCOMPLETE);
}

/* What it holds is not known, and nobody is told that it is not there. */
static void a_pool_of_two_waits_for_its_other_disk(void)
{
    struct disk *first = disk_create(DISK_SIZE, DISK_SSD);
    struct disk *second = disk_create(DISK_SIZE, DISK_SSD);
    command_ok("mkfs.btrfs", "-q", "-K", "-d", "raid1", "-m", "raid1", "-L", "storaged:new:twin",
               first->path, second->path);
    struct node *node = node_create(first, second);
    node_set(node, "pools.incomplete_ms", "200");
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *space = must_reserve(node, "kept", SSD, 64 * MiB);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    disk_unplug(second);

    node_start(node);
    node_wait(node, is_incomplete, NULL, "the pool is incomplete");
    autoreply Storage__V1__ListPoolsReply *list = NULL;
    assert_ok(call_pools(node->storage, &list, &err), &err);
    assert_string_equal(list->pools[0]->name, "twin");
    assert_int_equal(list->pools[0]->disk_type, SSD);
    assert_int_equal(list->pools[0]->n_members, 1);
    assert_string_equal(list->pools[0]->members[0]->path, first->path);
    assert_non_null(strstr(list->pools[0]->reason, "1 of its 2 disks"));
    autoreply Storage__V1__Space *found = NULL;
    assert_refused(call_get(node->storage, space->id, &found, &err), &err, ERR_UNAVAILABLE,
                   "incomplete");
    assert_refused(call_release(node->storage, space->id, NULL, &err), &err, ERR_UNAVAILABLE,
                   "incomplete");

    disk_plug(second);
    node_wait_pools(node, 1);
    assert_ok(call_get(node->storage, space->id, &found, &err), &err);
    assert_int_equal(found->state, STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE);
    must_release(node, space->id);
}

static void a_blank_disk_comes_and_goes(void)
{
    struct disk *first = disk_create(DISK_SIZE, DISK_SSD);
    struct disk *disk = disk_reserve(DISK_SIZE, DISK_SSD);
    struct node *node = node_create(first, disk);
    node_start(node);
    node_wait_cache(node, true);
    for (int i = 0; i < 3; i++) {
        node_mark(node);
        disk_plug(disk);
        node_wait_disk(node, disk, STATE(BLANK));
        watch_wait(node->watch, "disk.added", NULL);
        disk_unplug(disk);
        node_wait_no_disk(node, disk);
        watch_wait(node->watch, "disk.removed", NULL);
    }
    node_wait_pools(node, 1);
}

static void a_zram_comes_and_goes(void)
{
    struct disk *first = disk_create(DISK_SIZE, DISK_SSD);
    struct node *node = node_create(first);
    /* Its number is the kernel's choice, so it is allowed by a number that it then must get. */
    struct disk *zram = disk_create(512 * MiB, DISK_ZRAM);
    char path[sizeof zram->path];
    memcpy(path, zram->path, sizeof path);
    node_allow(node, zram);
    disk_unplug(zram);
    node_start(node);
    node_wait_cache(node, true);
    disk_plug(zram);
    if (strcmp(zram->path, path) != 0)
        harness_skip("another zram took the number meanwhile");
    disk_uevent(zram, "change");
    node_wait_disk(node, zram, STATE(BLANK));
    disk_unplug(zram);
    node_wait_no_disk(node, zram);
}

static void what_a_disk_becomes_is_seen(void)
{
    struct disk *first = disk_create(DISK_SIZE, DISK_SSD);
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    struct node *node = node_create(first, disk);
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ListPoolsReply *list = NULL;
    autoerr struct err err = {0};
    assert_ok(call_pools(node->storage, &list, &err), &err);
    struct disk *blank = strcmp(list->pools[0]->members[0]->path, disk->path) == 0 ? first : disk;
    command_ok("mkfs.ext4", "-q", blank->path);
    disk_uevent(blank, "change"); /* as udevd does when a writer closes a disk */
    node_wait_disk(node, blank, STATE(FOREIGN));
    watch_wait(node->watch, "disk.changed", NULL);
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

/* A mounted loop cannot be pulled, so the kernel's word for it is given in its stead. */
static void a_pool_whose_disk_vanishes_fails_alone(void)
{
    struct disk *a = disk_create(DISK_SIZE, DISK_SSD);
    struct disk *b = disk_create(DISK_SIZE, DISK_SSD);
    struct node *node = node_create(a, b);
    node_start(node);
    node_wait_pools(node, 1);
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *one = NULL;
    assert_ok(call_pools(node->storage, &one, &err), &err);
    bool a_is_first = strcmp(one->pools[0]->members[0]->path, a->path) == 0;
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    assert_ok(call_prepare(node->storage, a_is_first ? b->path : a->path, &prepared, &err), &err);
    node_wait_pools(node, 2);
    char *fsid = prepared->pools[0]->fsid;

    disk_uevent(a_is_first ? b : a, "remove");
    node_wait(node, pool_has_failed, fsid, "the pool has failed, with a reason");
    watch_wait(node->watch, "pool.failed", fsid);
    node_wait_pools(node, 1);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *space = must_reserve(node, "other", SSD, 64 * MiB);
    assert_string_not_equal(space->pool, fsid);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_first_disk_plugged_in_later_is_used),
        harness_case(a_pool_plugged_in_later_is_mounted),
        harness_case(a_name_may_come_back_on_another_disk),
        harness_case(a_pool_of_two_waits_for_its_other_disk),
        harness_case(a_blank_disk_comes_and_goes),
        harness_case(a_zram_comes_and_goes),
        harness_case(what_a_disk_becomes_is_seen),
        harness_case(a_pool_whose_disk_vanishes_fails_alone),
    };
    return harness_main(argc, argv, "hotplug", cases, array_length(cases));
}
