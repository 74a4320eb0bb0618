/* Reading sysfs, from a tree that has what real ones have, and what they should not. */
#include "base/cleanup.h"
#include "sysfs.h"
#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk_tree.h"

static void write_disk(const char *name, const char *dev, const char *sectors)
{
    char path[128];
    (void)snprintf(path, sizeof path, "class/block/%s/dev", name);
    tree_write(path, dev);
    (void)snprintf(path, sizeof path, "class/block/%s/size", name);
    tree_write(path, sectors);
}

static void a_disk_is_read(void **state)
{
    struct sysfs_device device;
    (void)state;
    write_disk("sda", "8:0\n", "8388608\n");
    tree_write("class/block/sda/ro", "1\n");
    tree_write("class/block/sda/diskseq", "42\n");
    assert_int_equal(sysfs_read_device(tree_root, "sda", &device), 0);
    assert_string_equal(device.path, "/dev/sda");
    assert_int_equal(device.major, 8);
    assert_int_equal(device.minor, 0);
    assert_int_equal(device.size_bytes, UINT64_C(4) << 30);
    assert_int_equal(device.diskseq, 42);
    assert_true(device.read_only);
}

static void a_slash_hides_in_the_name(void **state)
{
    struct sysfs_device device;
    (void)state;
    write_disk("cciss!c0d0", "104:0\n", "100\n");
    assert_int_equal(sysfs_read_device(tree_root, "cciss!c0d0", &device), 0);
    assert_string_equal(device.path, "/dev/cciss/c0d0");
}

static void what_is_no_disk_is_not_found(void **state)
{
    static const char *const names[] = {"sda1",  "nvme0c0n1", "ram0", "sr0",  "dm-0",
                                        "md127", "fd0",       "gone", "torn", "../sda"};
    struct sysfs_device device;
    (void)state;
    for (size_t i = 0; i < 7; i++)
        write_disk(names[i], "8:1\n", "2048\n");
    tree_write("class/block/sda1/partition", "1\n");
    tree_write("class/block/nvme0c0n1/hidden", "1\n");
    tree_write("class/block/torn/dev", "nonsense");
    tree_write("class/block/torn/size", "12");
    for (size_t i = 0; i < array_length(names); i++)
        assert_int_equal(sysfs_read_device(tree_root, names[i], &device), -ERR_NOT_FOUND);
}

static void the_identity_is_read_where_it_is(void **state)
{
    struct sysfs_identity identity;
    (void)state;
    tree_write("class/block/sda/device/model", "ST4000NM0035    \n");
    tree_write("class/block/sda/device/wwid", "naa.5000c500a1b2c3d4\n");
    tree_write("class/block/sda/queue/rotational", "1\n");
    tree_link("class/block/sda/device/subsystem", "../../../../bus/scsi");
    sysfs_read_identity(tree_root, "sda", &identity);
    assert_string_equal(identity.model, "ST4000NM0035");
    assert_string_equal(identity.wwid, "naa.5000c500a1b2c3d4");
    assert_string_equal(identity.serial, "");
    assert_string_equal(identity.transport, "scsi");
    assert_int_equal(identity.rotational, 1);

    tree_write("class/block/vda/serial", "vol-1");
    tree_write("class/block/vda/device/", "");
    tree_link("class/block/vda/device/subsystem", "../../bus/virtio");
    sysfs_read_identity(tree_root, "vda", &identity);
    assert_string_equal(identity.serial, "vol-1");
    assert_string_equal(identity.transport, "virtio");
    assert_int_equal(identity.rotational, -1);

    tree_write("class/block/nvme0n1/device/", "");
    tree_link("class/block/nvme0n1/device/subsystem", "../../class/nvme-subsystem");
    sysfs_read_identity(tree_root, "nvme0n1", &identity);
    assert_string_equal(identity.transport, "nvme");

    sysfs_read_identity(tree_root, "loop7", &identity);
    assert_string_equal(identity.transport, "loop");
}

static void an_id_comes_from_the_hardware_if_it_says(void **state)
{
    static const struct {
        struct sysfs_identity identity;
        const char *id;
    } cases[] = {
        {{.wwid = "naa.5000c500a1b2c3d4", .serial = "S1", .model = "M"},
         "wwn-naa.5000c500a1b2c3d4"},
        {{.wwid = "t10.ATA     QEMU HARDDISK    QM00001"}, "wwn-t10.ATA_QEMU_HARDDISK_QM00001"},
        {{.serial = "S3Z1 NB0K", .model = "Samsung SSD/860"}, "serial-Samsung_SSD_860_S3Z1_NB0K"},
        {{.serial = "vol-1"}, "serial-vol-1"},
        {{.model = "without a serial"}, "loop7"},
        {{.serial = ""}, "loop7"},
    };
    (void)state;
    for (size_t i = 0; i < array_length(cases); i++) {
        char id[96];
        sysfs_make_id(&cases[i].identity, "loop7", id, sizeof id);
        assert_string_equal(id, cases[i].id);
    }
}

static void counters_are_in_bytes(void **state)
{
    struct sysfs_counters c;
    autoerr struct err err = {0};
    (void)state;
    tree_write("class/block/sda/stat",
               "  10  1  20  3  4  5  60  7  2  9  10  11  12  130  14  15  16\n");
    assert_int_equal(sysfs_read_counters(tree_root, "sda", &c, &err), 0);
    assert_int_equal(c.reads, 10);
    assert_int_equal(c.read_bytes, 20 * 512);
    assert_int_equal(c.read_ms, 3);
    assert_int_equal(c.writes, 4);
    assert_int_equal(c.written_bytes, 60 * 512);
    assert_int_equal(c.in_flight, 2);
    assert_int_equal(c.busy_ms, 9);
    assert_int_equal(c.discards, 11);
    assert_int_equal(c.discarded_bytes, 130 * 512);
    assert_int_equal(c.flushes, 15);
    tree_write("class/block/sdb/stat", "1 2 3\n");
    assert_int_equal(sysfs_read_counters(tree_root, "sdb", &c, &err), -ERR_INTERNAL);
    assert_int_equal(sysfs_read_counters(tree_root, "sdc", &c, &err), -ERR_NOT_FOUND);
}

static void count_name(const char *name, void *data)
{
    (void)name;
    (*(int *)data)++;
}

static void a_list_holds_what_may_be_disks(void **state)
{
    int n = 0;
    (void)state;
    write_disk("sda", "8:0", "1");
    write_disk("loop0", "7:0", "1");
    write_disk("dm-1", "252:1", "1");
    assert_int_equal(sysfs_each_disk(tree_root, count_name, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_true(sysfs_each_disk("/nowhere", count_name, &n, NULL) < 0);
}

static void texts_are_cleaned(void **state)
{
    static const struct {
        const char *raw;
        size_t size;
        const char *clean;
    } cases[] = {
        {"  plain \n", 16, "plain"},
        {"Größe", 16, "Größe"},
        {"a\nb\x1b[0m", 16, "a?b?[0m"},
        {"\xff\xc3x", 16, "??x"},
        {"\xed\xa0\x80", 16, "???"},
        {"\xc2\x9b", 16, "??"},
        {"\xf0\x9f\x92\xbe!", 16, "\xf0\x9f\x92\xbe!"},
        {"\xf0\x9f\x92\xbe!", 4, ""},
        {"abcdef", 4, "abc"},
        {"aöb", 3, "a"},
        {"   ", 16, ""},
        {"\xc3", 16, "?"},
    };
    (void)state;
    for (size_t i = 0; i < array_length(cases); i++) {
        char out[16];
        text_clean(out, cases[i].size, cases[i].raw, strlen(cases[i].raw));
        assert_string_equal(out, cases[i].clean);
    }
}

int main(void)
{
#define tree_test(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)
    const struct CMUnitTest tests[] = {
        tree_test(a_disk_is_read),
        tree_test(a_slash_hides_in_the_name),
        tree_test(what_is_no_disk_is_not_found),
        tree_test(the_identity_is_read_where_it_is),
        tree_test(counters_are_in_bytes),
        tree_test(a_list_holds_what_may_be_disks),
        cmocka_unit_test(an_id_comes_from_the_hardware_if_it_says),
        cmocka_unit_test(texts_are_cleaned),
    };
    return cmocka_run_group_tests_name("disk sysfs", tests, NULL, NULL);
}
