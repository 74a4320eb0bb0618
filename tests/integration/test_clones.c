/* Doubles and strangers on one node: each has its own error, and none is in another's way. */
#include "poolnode.h"

#include <stdio.h>

#define DISK_SIZE (2 * GiB)

static struct disk *disk_with(const char *label)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    command_ok("mkfs.btrfs", "-q", "-K", "-L", label, disk->path);
    return disk;
}

static char *fsid_of(const struct disk *disk)
{
    struct command command = {.argv = {"blkid", "-p", "-s", "UUID", "-o", "value", disk->path}};
    struct command_result result = command_run(&command);
    assert_int_equal(result.status, 0);
    result.out[strcspn(result.out, "\n")] = '\0';
    return path_format("%s", result.out);
}

static void each_has_its_own_error_and_blocks_nobody(void)
{
    struct disk *one = disk_with("storaged:new:same"), *other = disk_with("storaged:new:same");
    struct disk *strange = disk_with("storaged:new:../\x1b[2Jx\ny");
    struct disk *copied = disk_with("storaged:new:copied");
    struct disk *copy = disk_reserve(DISK_SIZE, DISK_SSD);
    command_ok("cp", "--sparse=always", copied->file, copy->file);
    disk_plug(copy);
    struct disk *half = disk_create(DISK_SIZE, DISK_SSD);
    struct disk *missing = disk_create(DISK_SIZE, DISK_SSD);
    command_ok("mkfs.btrfs", "-q", "-K", "-d", "raid1", "-m", "raid1", "-L", "storaged:new:half",
               half->path, missing->path);
    autofree char *fsid_one = fsid_of(one), *fsid_other = fsid_of(other);
    autofree char *fsid_strange = fsid_of(strange), *fsid_copied = fsid_of(copied);
    autofree char *fsid_half = fsid_of(half);
    disk_unplug(missing);
    struct disk *const left_alone[] = {strange, copied, copy, half};
    uint32_t before[array_length(left_alone)];
    for (size_t i = 0; i < array_length(left_alone); i++)
        before[i] = disk_checksum(left_alone[i]);

    struct node *node = node_create(one, other, strange, copied, copy, half);
    node_set(node, "pools.incomplete_ms", "200");
    node_set(node, "spaces.headroom", "0");
    node_start(node);
    node_wait_cache(node, true);
    poolnode_wait(node, fsid_one, POOL_STATE(MOUNTED), NULL);
    poolnode_wait(node, fsid_other, POOL_STATE(MOUNTED), NULL);
    poolnode_wait(node, fsid_strange, POOL_STATE(FAILED), "names no pool");
    poolnode_wait(node, fsid_copied, POOL_STATE(DUPLICATE), "two disks");
    poolnode_wait(node, fsid_half, POOL_STATE(INCOMPLETE), "1 of its 2 disks");
    node_wait_pools(node, 2);

    const char *const serving[] = {fsid_one, fsid_other};
    for (size_t i = 0; i < array_length(serving); i++) {
        autoreply Storage__V1__Space *space = poolnode_reserve_on(node, serving[i], 64 * MiB);
        must_release(node, space->id);
    }
    /* What a stranger wrote on his disk commands no terminal. */
    struct command_result list = node_ctl(node, "pool", "list");
    assert_int_equal(list.status, 0);
    assert_null(strchr(list.out, '\x1b'));
    list = node_ctl(node, "disk", "list");
    assert_int_equal(list.status, 0);
    assert_null(strchr(list.out, '\x1b'));
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    for (size_t i = 0; i < array_length(left_alone); i++)
        assert_int_equal(disk_checksum(left_alone[i]), before[i]);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(each_has_its_own_error_and_blocks_nobody),
    };
    return harness_main(argc, argv, "clones", cases, array_length(cases));
}
