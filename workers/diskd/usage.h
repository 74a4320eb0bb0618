/*
 * Who uses a disk, as the kernel tells without the disk being opened: mounts (of this mount
 * namespace), mounted btrfs filesystems (of any), swap, device-mapper, md and loop devices on top,
 * each of the disk itself and of its partitions.
 *
 * What the kernel does not tell - an exclusive open by a program, a mount of another kind in
 * another mount namespace - only an exclusive open finds out: see probe.h.
 */
#ifndef DISKD_USAGE_H
#define DISKD_USAGE_H

#include "base/uuid.h"
#include "sysfs.h"

enum {
    USAGE_TEXT_MAX = 256,
};

#define POOL_LABEL_PREFIX            "storaged:"
#define POOL_LABEL_UNFINISHED_PREFIX "storaged:new:"

/* The tables of the kernel, as they were when they were read. */
struct usage;

struct disk_usage {
    char by[USAGE_TEXT_MAX];    /* "mounted on /home", "swap on sda2"; "": by nobody */
    bool by_pool;               /* by a mounted btrfs of ours, and by nobody else */
    char label[USAGE_TEXT_MAX]; /* of the btrfs that has it, as the kernel knows it now */
    char fsid[UUID_TEXT_SIZE];  /* of the same; "": of none */
};

int usage_read(const char *sys, const char *proc, struct usage **out_usage, struct err *err);
void usage_free(struct usage *usage);

void usage_of_disk(const struct usage *usage, const struct sysfs_device *device,
                   struct disk_usage *out_use);

#endif
