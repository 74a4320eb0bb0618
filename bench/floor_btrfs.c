/* The bare ioctls, see the header. Fails the bench at the first error. */
#include "floor_btrfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { QUOTA_CTL_ENABLE_SIMPLE = 4 }; /* BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA of Linux 6.7 */
enum { LIMIT_BYTES = 1 << 20 };

static void must(int rc, const char *what)
{
    if (rc < 0)
        fail_msg("floor: %s: %s", what, strerror(errno));
}

void floor_btrfs_open(struct floor_btrfs *floor, const struct disk *disk)
{
    command_ok("mkfs.btrfs", "-q", "-K", disk->path);
    floor->path = path_format("%s/floor-%u", harness_dir(), disk->number);
    must(mkdir(floor->path, 0755), "mkdir");
    must(mount(disk->path, floor->path, "btrfs", MS_NOATIME | MS_NODEV | MS_NOSUID, NULL), "mount");
    floor->fd = open(floor->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(floor->fd, "open");
    floor->next = 1;
    struct btrfs_ioctl_quota_ctl_args quota = {.cmd = QUOTA_CTL_ENABLE_SIMPLE};
    must(ioctl(floor->fd, BTRFS_IOC_QUOTA_CTL, &quota), "simple quotas");
}

void floor_btrfs_create(struct floor_btrfs *floor)
{
    unsigned number = floor->next++;
    uint64_t group = (UINT64_C(1) << 48) | number;
    struct btrfs_ioctl_qgroup_create_args create = {.create = 1, .qgroupid = group};
    must(ioctl(floor->fd, BTRFS_IOC_QGROUP_CREATE, &create), "quota group");
    struct btrfs_ioctl_qgroup_limit_args limit = {
        .qgroupid = group, .lim = {.flags = BTRFS_QGROUP_LIMIT_MAX_RFER, .max_rfer = LIMIT_BYTES}};
    must(ioctl(floor->fd, BTRFS_IOC_QGROUP_LIMIT, &limit), "limit");
    struct {
        struct btrfs_qgroup_inherit head;
        uint64_t group;
    } inherit = {.head = {.num_qgroups = 1}, .group = group};
    struct btrfs_ioctl_vol_args_v2 subvolume = {.flags = BTRFS_SUBVOL_QGROUP_INHERIT,
                                                .size = sizeof inherit,
                                                .qgroup_inherit = &inherit.head};
    (void)snprintf(subvolume.name, sizeof subvolume.name, "s%u", number);
    must(ioctl(floor->fd, BTRFS_IOC_SUBVOL_CREATE_V2, &subvolume), "subvolume");
}

/* As poold does it, and for its reason: Linux 6.18 loses the wake-up of START_SYNC now and then,
 * and the commit comes up to 30 s late. */
void floor_btrfs_commit(struct floor_btrfs *floor)
{
    char label[BTRFS_LABEL_SIZE] = "floor";
    must(ioctl(floor->fd, BTRFS_IOC_SET_FSLABEL, label), "commit");
}

void floor_btrfs_fill(struct floor_btrfs *floor, unsigned count)
{
    while (floor->next <= count)
        floor_btrfs_create(floor);
    floor_btrfs_commit(floor);
}

void floor_btrfs_measure(struct floor_btrfs *floor, unsigned count, struct samples *samples)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
        floor_btrfs_create(floor);
        floor_btrfs_commit(floor);
        samples_add(samples, (double)(clock_read_ns(CLOCK_MONOTONIC) - start) / 1e6);
    }
}

struct crowd {
    struct floor_btrfs *floor;
    _Atomic int left;
};

static void *crowd_member(void *data)
{
    struct crowd *crowd = data;
    while (crowd->left-- > 0) {
        floor_btrfs_create(crowd->floor);
        floor_btrfs_commit(crowd->floor);
    }
    return NULL;
}

double floor_btrfs_rate(struct floor_btrfs *floor, unsigned threads, unsigned count)
{
    struct crowd crowd = {.floor = floor, .left = (int)count};
    pthread_t members[FLOOR_THREADS_MAX];
    assert_true(threads <= FLOOR_THREADS_MAX);
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < threads; i++)
        must(-pthread_create(&members[i], NULL, crowd_member, &crowd), "thread");
    for (unsigned i = 0; i < threads; i++)
        (void)pthread_join(members[i], NULL);
    return count / ((double)(clock_read_ns(CLOCK_MONOTONIC) - start) / 1e9);
}

void floor_btrfs_close(struct floor_btrfs *floor)
{
    (void)close(floor->fd);
    must(umount2(floor->path, 0), "umount");
    free(floor->path);
}
