/*
 * diskd beside a running udevd. That one gets a /run and a /dev of its own, the latter with nothing
 * in it but what these tests use: it is no business of a test to run udev's rules over the devices
 * of this machine.
 */
#include "disknode.h"

#include <errno.h>
#include <fcntl.h>
#include <libudev.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DISK_BYTES (512 * MiB)
#define UDEVD      "/lib/systemd/systemd-udevd"

static void make_node(const char *path, mode_t type, unsigned major, unsigned minor)
{
    if (mknod(path, type | 0666, makedev(major, minor)) < 0)
        fail_msg("%s: %s", path, strerror(errno));
}

static void make_private_folders(void)
{
    static bool made;
    if (made)
        return;
    made = true;
    assert_int_equal(mount("tmpfs", "/run", "tmpfs", 0, NULL), 0);
    assert_int_equal(mount("tmpfs", "/dev", "tmpfs", 0, NULL), 0);
    make_node("/dev/null", S_IFCHR, 1, 3);
    make_node("/dev/zero", S_IFCHR, 1, 5);
    make_node("/dev/urandom", S_IFCHR, 1, 9);
    make_node("/dev/loop-control", S_IFCHR, 10, 237);
}

/* The disk's node, which devtmpfs would have made. */
static struct disk *reserve_disk(void)
{
    struct disk *disk = disk_reserve(DISK_BYTES, DISK_SSD);
    make_node(disk->path, S_IFBLK, 7, disk->number);
    return disk;
}

static pid_t start_udevd(void)
{
    if (access(UDEVD, X_OK) < 0)
        harness_skip("no " UDEVD);
    const struct command command = {.argv = {UDEVD, "--children-max=2"}};
    autofree char *log = path_format("%s/udevd.log", harness_dir());
    autoclose int out = open(log, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0644);
    pid_t pid = command_spawn(&command, out, out);
    for (int tries = 0; access("/run/udev/control", F_OK) < 0; tries++) {
        if (tries == HARNESS_WAIT_MS / 20)
            fail_msg("udevd does not come up");
        (void)poll(NULL, 0, 20); /* it tells nobody but systemd */
    }
    return pid;
}

static void end_udevd(pid_t pid)
{
    (void)kill(pid, SIGTERM);
    (void)child_wait(pid);
    (void)unlink("/run/udev/control");
}

/* udev's own events: they come when its rules have run. */
static struct udev_monitor *hear_udev(struct udev *udev)
{
    struct udev_monitor *monitor = udev_monitor_new_from_netlink(udev, "udev");
    assert_non_null(monitor);
    assert_true(udev_monitor_filter_add_match_subsystem_devtype(monitor, "block", NULL) >= 0);
    assert_true(udev_monitor_enable_receiving(monitor) >= 0);
    return monitor;
}

static void wait_udev(struct udev_monitor *monitor, const struct disk *disk, const char *action)
{
    struct pollfd wait = {.fd = udev_monitor_get_fd(monitor), .events = POLLIN};
    for (bool seen = false; !seen;) {
        if (poll(&wait, 1, HARNESS_WAIT_MS) != 1)
            fail_msg("udevd does not tell of %s %s", action, disk->path);
        struct udev_device *device = udev_monitor_receive_device(monitor);
        if (!device)
            continue;
        seen = strcmp(udev_device_get_sysname(device), disk_name(disk)) == 0 &&
               strcmp(udev_device_get_action(device), action) == 0;
        udev_device_unref(device);
    }
}

static void it_works_with_udevd(void)
{
    make_private_folders();
    struct disk *disk = reserve_disk();
    struct udev *udev = udev_new();
    pid_t udevd = start_udevd();
    struct udev_monitor *monitor = hear_udev(udev);
    struct node *node = disknode_create(disk);
    disknode_start(node);
    assert_true(node_log_count(node, "udevd=yes") == 1);
    disk_plug(disk);
    wait_udev(monitor, disk, "change");
    node_wait_disk(node, disk, STATE(BLANK));
    assert_int_equal(watch_wait(node->watch, "disk.added", disk_name(disk))->disk->size_bytes,
                     DISK_BYTES);
    /* udevd announces a change whenever a writer closes: mkfs is seen without being told of. */
    node_mark(node);
    command_ok("mkfs.ext4", "-q", disk->path);
    node_wait_disk(node, disk, STATE(FOREIGN));
    /* It goes while udevd still has its removal before it. */
    disk_unplug(disk);
    (void)watch_wait(node->watch, "disk.removed", disk_name(disk));
    node_wait_no_disk(node, disk);
    node_stop(node);
    udev_monitor_unref(monitor);
    udev_unref(udev);
    end_udevd(udevd);
}

static void it_outlives_udevd(void)
{
    make_private_folders();
    struct disk *disk = reserve_disk();
    pid_t udevd = start_udevd();
    struct node *node = disknode_create(disk);
    disknode_start(node);
    end_udevd(udevd);
    disk_plug(disk);
    node_wait_disk(node, disk, STATE(BLANK));
    disk_unplug(disk);
    node_wait_no_disk(node, disk);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(it_works_with_udevd),
        harness_case(it_outlives_udevd),
    };
    return harness_main(argc, argv, "disk udev", cases, array_length(cases));
}
