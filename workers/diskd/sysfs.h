/*
 * What the kernel says of a disk under /sys/class/block, without opening the disk itself. `sys` is
 * where sysfs is mounted: a test gives a folder of its own.
 *
 * Formats: Documentation/ABI/stable/sysfs-block.
 */
#ifndef DISKD_SYSFS_H
#define DISKD_SYSFS_H

#include "base/error.h"

enum {
    SYSFS_NAME_MAX = 32, /* DISK_NAME_LEN, with its NUL */
    SYSFS_NODE_MAX = SYSFS_NAME_MAX + 8,
    SYSFS_TEXT_MAX = 128,
    SYSFS_PATH_MAX = 160,
};

/* Kept by the block layer itself: reading it never waits for the hardware. */
struct sysfs_device {
    char name[SYSFS_NAME_MAX]; /* "sda", "cciss!c0d0" */
    char path[SYSFS_NODE_MAX]; /* "/dev/sda", "/dev/cciss/c0d0" */
    uint32_t major, minor;
    uint64_t size_bytes; /* 0: no medium, nothing attached */
    uint64_t diskseq;    /* another one: another medium; 0: the kernel has none (< 5.15) */
    bool read_only;
};

/* What drivers are asked for: virtio sends a request to the disk for its serial. Texts are "" where
 * there is none. */
struct sysfs_identity {
    char model[SYSFS_TEXT_MAX];
    char serial[SYSFS_TEXT_MAX];
    char wwid[SYSFS_TEXT_MAX];
    char transport[16]; /* "nvme", "scsi", "virtio", "loop", "zram" */
    int rotational;     /* -1: the queue does not say */
};

/* Column meanings: Documentation/block/stat.rst; sectors there are of 512 bytes. */
struct sysfs_counters {
    uint64_t reads, read_bytes, read_ms;
    uint64_t writes, written_bytes, write_ms;
    uint64_t in_flight, busy_ms;
    uint64_t discards, discarded_bytes;
    uint64_t flushes;
};

/* -ERR_NOT_FOUND when there is no such device, or it is no disk by itself: a partition, a hidden
 * path, or of a kind that sysfs_is_disk_name() turns down. */
int sysfs_read_device(const char *sys, const char *name, struct sysfs_device *out_device);

/* May block: for a lane. Fills in what there is. */
void sysfs_read_identity(const char *sys, const char *name, struct sysfs_identity *out_identity);

int sysfs_read_counters(const char *sys, const char *name, struct sysfs_counters *out_counters,
                        struct err *err);

/* Where the node of a disk is: "/dev/cciss/c0d0" of "cciss!c0d0". */
void sysfs_node_path(const char *name, char out_path[SYSFS_NODE_MAX]);

/* False for what only looks like a disk: ram, sr, fd, and dm and md, which stand on disks. */
bool sysfs_is_disk_name(const char *name);

/* Calls `each` for all names in /sys/class/block that are disks by name. */
int sysfs_each_disk(const char *sys, void (*each)(const char *name, void *data), void *data,
                    struct err *err);

/* The id of a disk: stable over reboots where the hardware says who it is, else the kernel's name.
 */
void sysfs_make_id(const struct sysfs_identity *identity, const char *name, char *out_id,
                   size_t size);

/* One attribute, cleaned; -1 with errno, and "" in `out`, when it cannot be read. */
int sysfs_read_text(char *out, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
