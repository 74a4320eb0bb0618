/* Doubles and strangers on one node: each has its own error, and none is in another's way. */
#include "poolnode.h"

#include "descriptor.h"
#include "seal.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

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

/* ---- descriptors ---- */

struct sealed {
    uint8_t data[DESCRIPTOR_MAX];
    size_t length;
};

static void flip_a_bit(struct sealed *sealed)
{
    sealed->data[sealed->length / 2] ^= 1;
}

static void cut_short(struct sealed *sealed)
{
    sealed->length /= 2;
}

static void remove_all(struct sealed *sealed)
{
    sealed->length = 0;
}

static void keep(struct sealed *sealed)
{
    (void)sealed;
}

static void be_newer(struct sealed *sealed)
{
    struct seal_kind kind = {.version = 9};
    memcpy(kind.magic, sealed->data, sizeof kind.magic - 1);
    seal_close(&kind, sealed->data, sealed->length - SEAL_SIZE);
}

static void need_a_feature(struct sealed *sealed)
{
    struct descriptor descriptor;
    autoerr struct err err = {0};
    assert_int_equal(descriptor_unpack(sealed->data, sealed->length, &descriptor, &err),
                     VOLUME_PROBLEM_NONE);
    descriptor.incompat = 1u << 7;
    assert_ok(descriptor_pack(&descriptor, sealed->data, &sealed->length, &err), &err);
}

/* The one that was changed before it is left in this. */
static void take_another_ones(struct sealed *sealed)
{
    static struct sealed first;
    if (first.length == 0)
        first = *sealed;
    *sealed = first;
}

static const struct {
    void (*change)(struct sealed *sealed);
    Storage__V1__PoolState state;
    const char *reason;
} descriptors[] = {
    {keep, POOL_STATE(MOUNTED), ""},
    {take_another_ones, POOL_STATE(MOUNTED), ""},
    {take_another_ones, POOL_STATE(FAILED), "descriptor is that of"},
    {need_a_feature, POOL_STATE(FAILED), "features that this storaged does not know: 0x80"},
    {be_newer, POOL_STATE(FAILED), "has version 9, and this storaged knows"},
    {flip_a_bit, POOL_STATE(FAILED), "checksum"},
    {cut_short, POOL_STATE(FAILED), "checksum"},
    {remove_all, POOL_STATE(FAILED), "no pool descriptor"},
};

static void change_descriptor(const struct disk *disk, void (*change)(struct sealed *sealed))
{
    struct sealed sealed;
    autofree char *at = path_format("%s/changed", harness_dir());
    autofree char *meta = path_format("%s/.storaged", at);
    (void)mkdir(at, 0755);
    assert_int_equal(mount(disk->path, at, "btrfs", MS_NOATIME, NULL), 0);
    ssize_t length = getxattr(meta, DESCRIPTOR_XATTR, sealed.data, sizeof sealed.data);
    assert_true(length > 0);
    sealed.length = (size_t)length;
    change(&sealed);
    if (sealed.length > 0)
        assert_int_equal(setxattr(meta, DESCRIPTOR_XATTR, sealed.data, sealed.length, 0), 0);
    else
        assert_int_equal(removexattr(meta, DESCRIPTOR_XATTR), 0);
    assert_int_equal(umount(at), 0);
}

static void descriptors_that_are_wrong_each_in_their_way(void)
{
    enum { N = array_length(descriptors) };
    struct disk *disks[N + 1] = {0};
    char *fsids[N];
    uint32_t before[N];
    autoerr struct err err = {0};
    for (size_t i = 0; i < N; i++) {
        disks[i] = disk_with("storaged:new:tank");
        fsids[i] = fsid_of(disks[i]);
    }
    struct node *node = node_create_list(disks);
    node_set(node, "spaces.headroom", "0");
    node_start(node);
    node_wait_cache(node, true);
    node_wait_pools(node, N);
    assert_ok(node_shutdown(node, &err), &err);
    for (size_t i = 0; i < N; i++) {
        change_descriptor(disks[i], descriptors[i].change);
        before[i] = disk_checksum(disks[i]);
    }

    node_mark(node);
    node_start(node);
    for (size_t i = 0; i < N; i++)
        poolnode_wait(node, fsids[i], descriptors[i].state, descriptors[i].reason);
    struct command_result list = node_ctl(node, "--json", "pool", "list");
    for (size_t i = 0; i < N; i++) {
        assert_non_null(strstr(list.out, descriptors[i].reason));
        if (descriptors[i].state == POOL_STATE(FAILED)) {
            const Storage__V1__Event *failed = watch_wait(node->watch, "pool.failed", fsids[i]);
            assert_non_null(strstr(failed->reason, descriptors[i].reason));
            continue;
        }
        autoreply Storage__V1__Space *space = poolnode_reserve_on(node, fsids[i], 64 * MiB);
        must_release(node, space->id);
    }
    assert_ok(node_shutdown(node, &err), &err);
    for (size_t i = 0; i < N; i++) {
        if (descriptors[i].state == POOL_STATE(FAILED))
            assert_int_equal(disk_checksum(disks[i]), before[i]);
        free(fsids[i]);
    }
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(each_has_its_own_error_and_blocks_nobody),
        harness_case(descriptors_that_are_wrong_each_in_their_way),
    };
    return harness_main(argc, argv, "clones", cases, array_length(cases));
}
