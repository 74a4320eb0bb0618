/* Who uses a disk, told from tables like the kernel's. */
#include "base/cleanup.h"
#include "usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk_tree.h"

#define FSID "0b1f3a52-7a5c-4b0e-9a6c-6f5d1d1c2b3a"

static const struct sysfs_device sda = {.name = "sda", .path = "/dev/sda", .major = 8};

static struct disk_usage look(const struct sysfs_device *device)
{
    struct usage *usage;
    struct disk_usage use;
    autoerr struct err err = {0};
    assert_int_equal(usage_read(tree_root, tree_root, &usage, &err), 0);
    usage_of_disk(usage, device, &use);
    usage_free(usage);
    return use;
}

static void write_partition(void)
{
    tree_write("class/block/sda/sda1/dev", "8:1\n");
    tree_write("class/block/sda/sda1/partition", "1\n");
    tree_write("class/block/sda/sda1/holders/", "");
}

static void by_nobody(void **state)
{
    (void)state;
    tree_write("self/mountinfo", "36 35 8:16 / /mnt rw - ext4 /dev/sdb rw\n");
    tree_write("class/block/sda/holders/", "");
    write_partition();
    struct disk_usage use = look(&sda);
    assert_string_equal(use.by, "");
    assert_false(use.by_pool);
}

static void by_a_mount(void **state)
{
    (void)state;
    tree_write("self/mountinfo", "22 1 0:5 / /proc rw shared:1 - proc proc rw\n"
                                 "36 35 8:0 / /my\\040disk rw,noatime shared:9 master:2 - ext4 "
                                 "/dev/sda rw\n"
                                 "nonsense\n");
    assert_string_equal(look(&sda).by, "mounted on /my disk");
}

static void by_a_mount_of_a_partition(void **state)
{
    (void)state;
    write_partition();
    tree_write("self/mountinfo", "36 35 8:1 / / rw - ext4 /dev/root rw\n");
    assert_string_equal(look(&sda).by, "mounted on /");
}

static void by_swap(void **state)
{
    (void)state;
    write_partition();
    tree_write("swaps", "Filename\tType\tSize\tUsed\tPriority\n"
                        "/swap/file  file  1  0  -2\n"
                        "/dev/sda1   partition\t8388604\t0\t-3\n");
    assert_string_equal(look(&sda).by, "swap on sda1");
}

static void by_a_holder(void **state)
{
    (void)state;
    write_partition();
    tree_write("class/block/sda/sda1/holders/dm-0", "");
    tree_write("class/block/sda/holders/md127", "");
    assert_string_equal(look(&sda).by, "held by md127, held by dm-0");
}

static void by_a_loop(void **state)
{
    (void)state;
    tree_write("class/block/loop3/loop/backing_file", "/dev/sda\n");
    tree_write("class/block/loop4/loop/backing_file", "/tmp/sda\n");
    assert_string_equal(look(&sda).by, "held by loop3");
}

static void by_a_btrfs(void **state)
{
    (void)state;
    tree_write("fs/btrfs/features/", "");
    tree_write("fs/btrfs/" FSID "/label", "home\n");
    tree_write("fs/btrfs/" FSID "/devices/sda", "");
    struct disk_usage use = look(&sda);
    assert_string_equal(use.by, "part of the mounted btrfs " FSID);
    assert_string_equal(use.label, "home");
    assert_false(use.by_pool);
}

static void by_a_pool_of_ours(void **state)
{
    (void)state;
    tree_write("fs/btrfs/" FSID "/label", "storaged:tank\n");
    tree_write("fs/btrfs/" FSID "/devices/sda", "");
    assert_true(look(&sda).by_pool);
    assert_string_equal(look(&sda).label, "storaged:tank");
    tree_write("class/block/sda/holders/md127", "");
    assert_false(look(&sda).by_pool);
}

static void a_pool_on_a_partition_is_not_the_disk(void **state)
{
    (void)state;
    write_partition();
    tree_write("fs/btrfs/" FSID "/label", "storaged:tank\n");
    tree_write("fs/btrfs/" FSID "/devices/sda1", "");
    struct disk_usage use = look(&sda);
    assert_true(*use.by && !use.by_pool);
}

static void by_more_than_fits(void **state)
{
    char name[64];
    (void)state;
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "class/block/sda/holders/dm-%d", i);
        tree_write(name, "");
    }
    assert_int_equal(strlen(look(&sda).by), USAGE_TEXT_MAX - 1);
}

int main(void)
{
#define tree_test(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)
    const struct CMUnitTest tests[] = {
        tree_test(by_nobody),
        tree_test(by_a_mount),
        tree_test(by_a_mount_of_a_partition),
        tree_test(by_swap),
        tree_test(by_a_holder),
        tree_test(by_a_loop),
        tree_test(by_a_btrfs),
        tree_test(by_a_pool_of_ours),
        tree_test(a_pool_on_a_partition_is_not_the_disk),
        tree_test(by_more_than_fits),
    };
    return cmocka_run_group_tests_name("disk usage", tests, NULL, NULL);
}
