/*
 * Disks: loops over sparse files, and zrams. A loop gets a number of its own by LOOP_CTL_ADD, far
 * from those that `losetup -f` hands out, so that a name in an allow list never means anybody
 * else's disk, and so that unplugging it removes the device for real.
 */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/crc32c.h"

enum { LOOP_FIRST = 10000, LOOP_RANGE = 900000, LOOP_TRIES = 64 };

static struct disk *disks;

/* --- uevents --------------------------------------------------------------------------------- */

int uevent_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        harness_fatal("uevent socket");
    return fd;
}

void uevent_wait(int fd, uint64_t deadline_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    /* Not everything that frees a device is announced: at least look again now and then. */
    int left = ms_until(deadline_ms);
    (void)poll(&wait, 1, left < 100 ? left : 100);
    char drain[8192];
    while (recv(fd, drain, sizeof drain, 0) > 0)
        ;
}

static int sysfs_write(const char *path, const char *text)
{
    autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* --- loops ----------------------------------------------------------------------------------- */

static int loop_control(unsigned long request, unsigned number)
{
    autoclose int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        harness_fatal("/dev/loop-control");
    return ioctl(fd, request, (unsigned long)number) < 0 ? -errno : 0;
}

bool loop_exists(unsigned number)
{
    autofree char *path = path_format("/sys/block/loop%u", number);
    return access(path, F_OK) == 0;
}

bool loop_remove(unsigned number, uint64_t deadline_ms)
{
    autoclose int uevents = uevent_open();
    while (loop_control(LOOP_CTL_REMOVE, number) != 0 && loop_exists(number)) {
        if (ms_until(deadline_ms) == 0)
            return false;
        autofree char *path = path_format("/dev/loop%u", number);
        autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            (void)ioctl(fd, LOOP_CLR_FD, 0);
        cleanup_fd(&fd);
        fd = -1;
        uevent_wait(uevents, deadline_ms);
    }
    return true;
}

static unsigned loop_reserve_number(void)
{
    for (int i = 0; i < LOOP_TRIES; i++) {
        unsigned number = 0;
        if (getrandom(&number, sizeof number, 0) != sizeof number)
            harness_fatal("getrandom");
        number = LOOP_FIRST + number % LOOP_RANGE;
        if (!loop_exists(number))
            return number;
    }
    harness_fatal("no free loop number");
}

static void loop_plug(struct disk *disk)
{
    int rc = loop_control(LOOP_CTL_ADD, disk->number);
    if (rc != 0)
        fail_msg("cannot add %s: %s", disk->path, strerror(-rc));
    autoclose int file = open(disk->file, O_RDWR | O_CLOEXEC);
    disk->fd = open(disk->path, O_RDONLY | O_CLOEXEC);
    autoclose int writable = open(disk->path, O_RDWR | O_CLOEXEC); /* else the loop is read-only */
    struct loop_config config = {.fd = (uint32_t)file, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
    (void)snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "storaged-test");
    if (file < 0 || disk->fd < 0 || ioctl(writable, LOOP_CONFIGURE, &config) != 0)
        fail_msg("cannot attach %s to %s: %s", disk->file, disk->path, strerror(errno));
    autofree char *flag = path_format("/sys/block/loop%u/queue/rotational", disk->number);
    rc = sysfs_write(flag, disk->kind == DISK_HDD ? "1" : "0");
    if (rc != 0)
        fail_msg("%s: %s", flag, strerror(-rc));
}

/* --- zrams ----------------------------------------------------------------------------------- */

bool zram_exists(unsigned number)
{
    autofree char *path = path_format("/sys/block/zram%u", number);
    return access(path, F_OK) == 0;
}

bool zram_remove(unsigned number, uint64_t deadline_ms)
{
    autoclose int uevents = uevent_open();
    autofree char *text = path_format("%u", number);
    while (sysfs_write("/sys/class/zram-control/hot_remove", text) != 0 && zram_exists(number)) {
        if (ms_until(deadline_ms) == 0)
            return false;
        uevent_wait(uevents, deadline_ms);
    }
    return true;
}

static void zram_plug(struct disk *disk)
{
    if (access("/sys/class/zram-control/hot_add", R_OK) != 0)
        harness_skip("no zram in this kernel");
    autofree char *number = file_read("/sys/class/zram-control/hot_add", NULL);
    disk->number = (unsigned)strtoul(number, NULL, 10);
    sandbox_ledger->zrams[sandbox_ledger->n_zrams++] = disk->number;
    (void)snprintf(disk->path, sizeof disk->path, "/dev/zram%u", disk->number);
    autofree char *size = path_format("%llu", (unsigned long long)disk->size_bytes);
    autofree char *file = path_format("/sys/block/zram%u/disksize", disk->number);
    int rc = sysfs_write(file, size);
    if (rc != 0)
        fail_msg("%s: %s", file, strerror(-rc));
}

/* --- disks ----------------------------------------------------------------------------------- */

static struct disk *disk_new(uint64_t size_bytes, enum disk_kind kind)
{
    if (sandbox_ledger->n_loops == LEDGER_MAX || sandbox_ledger->n_zrams == LEDGER_MAX)
        harness_fatal("more disks than the ledger holds");
    struct disk *disk = calloc(1, sizeof *disk);
    if (!disk)
        harness_fatal("memory");
    *disk = (struct disk){.kind = kind, .size_bytes = size_bytes, .fd = -1, .next = disks};
    disks = disk;
    return disk;
}

struct disk *disk_reserve(uint64_t size_bytes, enum disk_kind kind)
{
    assert_true(kind != DISK_ZRAM);
    struct disk *disk = disk_new(size_bytes, kind);
    disk->number = loop_reserve_number();
    sandbox_ledger->loops[sandbox_ledger->n_loops++] = disk->number;
    (void)snprintf(disk->path, sizeof disk->path, "/dev/loop%u", disk->number);
    (void)snprintf(disk->file, sizeof disk->file, "%s/disk-%u.img", harness_dir(), disk->number);
    autoclose int file = open(disk->file, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, (off_t)size_bytes) != 0)
        fail_msg("%s: %s", disk->file, strerror(errno));
    return disk;
}

struct disk *disk_create(uint64_t size_bytes, enum disk_kind kind)
{
    struct disk *disk =
        kind == DISK_ZRAM ? disk_new(size_bytes, kind) : disk_reserve(size_bytes, kind);
    disk_plug(disk);
    return disk;
}

void disk_plug(struct disk *disk)
{
    if (disk->kind == DISK_ZRAM)
        zram_plug(disk);
    else
        loop_plug(disk);
}

static bool disk_remove(struct disk *disk)
{
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    cleanup_fd(&disk->fd);
    disk->fd = -1;
    if (disk->kind == DISK_ZRAM)
        return !zram_exists(disk->number) || zram_remove(disk->number, deadline);
    return !loop_exists(disk->number) || loop_remove(disk->number, deadline);
}

void disk_unplug(struct disk *disk)
{
    if (!disk_remove(disk))
        fail_msg("%s cannot be unplugged: something holds it", disk->path);
}

void disk_uevent(const struct disk *disk, const char *action)
{
    autofree char *path = path_format("/sys/block/%s/uevent", disk->path + strlen("/dev/"));
    int rc = sysfs_write(path, action);
    if (rc != 0)
        fail_msg("%s: %s", path, strerror(-rc));
}

uint32_t disk_checksum(const struct disk *disk)
{
    autoclose int fd = open(disk->file, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    static const char zero[4096];
    char page[4096];
    uint32_t crc = 0;
    /* Holes and pages of zeroes are the same content; the offset of every other page counts. */
    for (off_t at = lseek(fd, 0, SEEK_DATA); at >= 0; at = lseek(fd, at, SEEK_DATA)) {
        ssize_t n = pread(fd, page, sizeof page, at);
        if (n <= 0)
            break;
        if (memcmp(page, zero, (size_t)n) != 0) {
            crc = crc32c(crc, &at, sizeof at);
            crc = crc32c(crc, page, (size_t)n);
        }
        at += n;
    }
    return crc;
}

void disks_remove_all(void)
{
    while (disks) {
        struct disk *disk = disks;
        disks = disk->next;
        if (!disk_remove(disk))
            teardown_problem("%s cannot be removed: something holds it", disk->path);
        (void)unlink(disk->file);
        free(disk);
    }
}
