/* The harness itself: disks come and go for real, and a test that dies leaves nothing. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void a_loop_is_plugged_and_unplugged(void)
{
    struct disk *disk = disk_reserve(256 * MiB, DISK_HDD);
    assert_int_not_equal(access(disk->path, F_OK), 0);
    disk_plug(disk);
    autofree char *flag =
        path_format("/sys/block/%s/queue/rotational", disk->path + strlen("/dev/"));
    autofree char *rotational = file_read(flag, NULL);
    assert_string_equal(rotational, "1\n");

    uint32_t blank = disk_checksum(disk);
    command_ok("mkfs.btrfs", "-q", "-K", disk->path);
    assert_int_not_equal(disk_checksum(disk), blank);
    disk_unplug(disk);
    assert_int_not_equal(access(disk->path, F_OK), 0);
    disk_plug(disk);
    assert_int_equal(access(disk->path, F_OK), 0);
}

static void a_zram_is_added_and_removed(void)
{
    struct disk *disk = disk_create(64 * MiB, DISK_ZRAM);
    assert_int_equal(access(disk->path, F_OK), 0);
    disk_unplug(disk);
    assert_int_not_equal(access(disk->path, F_OK), 0);
}

static void mounts_are_counted_and_undone(void)
{
    autofree char *path = path_format("%s/a folder", harness_dir());
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(mount_id(path), 0);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, NULL), 0);
    assert_int_not_equal(mount_id(path), 0);
    assert_int_equal(mounts_below(path), 1);
    unmount_below(path);
    assert_int_equal(mounts_below(path), 0);
}

static void a_command_runs_as_another_user(void)
{
    struct command command = {.argv = {"id", "-u"}, .uid = 4711, .gid = HARNESS_GID};
    struct command_result result = command_run(&command);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.out, "4711\n");
    command.argv[1] = "-gn";
    result = command_run(&command);
    assert_string_equal(result.out, HARNESS_GROUP "\n");
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_loop_is_plugged_and_unplugged),
        harness_case(a_zram_is_added_and_removed),
        harness_case(mounts_are_counted_and_undone),
        harness_case(a_command_runs_as_another_user),
    };
    return harness_main(argc, argv, "sandbox", cases, array_length(cases));
}
