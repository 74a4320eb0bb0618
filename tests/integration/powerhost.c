/* See the header. The host's own disk is sparse, on the tmpfs of the sandbox. */
#include "powerhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST_BYTES (64 * GiB)
#define TOP_BYTES  (16 * GiB)

static void mount_disk(const struct disk *disk, const char *type, const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        fail_msg("%s: %s", path, strerror(errno));
    if (mount(disk->path, path, type, MS_NOATIME, "discard") != 0)
        fail_msg("cannot mount the %s on %s: %s", type, path, strerror(errno));
}

static struct disk *disk_in(const char *folder, uint64_t size_bytes)
{
    struct disk *disk = disk_reserve(size_bytes, DISK_SSD);
    assert_int_equal(unlink(disk->file), 0);
    (void)snprintf(disk->file, sizeof disk->file, "%s/disk-%u", folder, disk->number);
    autoclose int fd = open(disk->file, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size_bytes), 0);
    disk_plug(disk);
    return disk;
}

struct powerhost powerhost_make(bool deep)
{
    struct disk *disk = disk_create(HOST_BYTES, DISK_SSD);
    struct powerhost host = {.path = path_format("%s/host-%u", harness_dir(), disk->number)};
    command_ok("mkfs.btrfs", "-q", "-K", "-d", "single", "-m", "single", disk->path);
    mount_disk(disk, "btrfs", host.path);
    if (!deep)
        return host;
    host.top = disk_in(host.path, TOP_BYTES);
    host.top_path = path_format("%s/top-%u", harness_dir(), disk->number);
    command_ok("mkfs.ext4", "-q", "-N", "64", "-J", "size=16", "-E",
               "nodiscard,lazy_itable_init=0,lazy_journal_init=0", host.top->path);
    mount_disk(host.top, "ext4", host.top_path);
    return host;
}

void powerhost_clear(struct powerhost *host)
{
    free(take_ptr(host->path));
    free(take_ptr(host->top_path));
}

struct disk *powerhost_disk(const struct powerhost *host, uint64_t size_bytes)
{
    return disk_in(host->top ? host->top_path : host->path, size_bytes);
}

char *powerhost_original(const struct powerhost *host, const struct disk *disk)
{
    return path_format("%s", host->top ? host->top->file : disk->file);
}

static int clone_file(const char *original, const char *path)
{
    autoclose int from = open(original, O_RDONLY | O_CLOEXEC);
    autoclose int to = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    return from < 0 || to < 0 || ioctl(to, FICLONE, from) != 0 ? -errno : 0;
}

char *powerhost_cut(struct powerhost *host, const struct disk *disk)
{
    char *path = path_format("%s/cut-%u", host->path, host->n_cuts++);
    autofree char *original = powerhost_original(host, disk);
    int rc = clone_file(original, path);
    if (rc != 0)
        fail_msg("cannot clone %s: %s", original, strerror(-rc));
    return path;
}

static void swap(struct disk *disk, const char *file)
{
    disk_unplug(disk);
    (void)snprintf(disk->file, sizeof disk->file, "%s", file);
    disk_plug(disk);
}

void powerhost_swap(struct powerhost *host, struct disk *const *disks, char *const *files, size_t n)
{
    if (!host->top) {
        for (size_t i = 0; i < n; i++)
            swap(disks[i], files[i]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        disk_unplug(disks[i]);
    if (umount2(host->top_path, 0) != 0)
        fail_msg("cannot unmount %s: %s", host->top_path, strerror(errno));
    swap(host->top, files[0]);
    mount_disk(host->top, "ext4", host->top_path);
    for (size_t i = 0; i < n; i++)
        disk_plug(disks[i]);
}
