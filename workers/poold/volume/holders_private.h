/* What the files of the walk for holders share; see holders.h. */
#ifndef WORKERS_POOLD_HOLDERS_PRIVATE_H
#define WORKERS_POOLD_HOLDERS_PRIVATE_H

#include "holders.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

enum { HOLDERS_COMM_SIZE = 32 };

struct holders_device {
    dev_t device;
    size_t target;
};

/* mountinfo shows what can be reached from the process's root: a chroot sees other mounts. */
struct holders_view {
    uint64_t namespace_inode;
    dev_t root_device;
    uint64_t root_inode;
};

struct holders_walk {
    dev_t fs_device;
    int mount_id;           /* not 0: whatever lies on this mount holds the only target */
    const char *mount_path; /* of that mount */
    struct holders_target *targets;
    size_t n_targets;
    struct holders_device *devices; /* sorted by device */
    size_t n_devices;
    unsigned *counts; /* per target: matches in what is being looked at */
    struct holders_view *views;
    size_t n_views;
    uint64_t own_namespace;
    char own_pid[16];
    struct err *err;
};

/* The process being looked at, or one of its threads. */
struct holders_process {
    const char *pid;
    int dir;
    char comm[HOLDERS_COMM_SIZE];
};

/* One more holder; words with the names of others in them are made printable. */
__attribute__((format(printf, 2, 3))) void holders_add(struct holders *holders, const char *fmt,
                                                       ...);

/* The target that it lies in, or NULL. */
struct holders_target *holders_match(const struct holders_walk *walk, const struct statx *status);

/* Asks nobody but this kernel; 0 or -errno. */
int holders_look(int dir, const char *name, struct statx *out_status);

/*
 * For what could not be opened or read: 0 when that says something of the object, which then is
 * gone or not ours to look at; an error when we lacked memory or descriptors, for then whoever was
 * not seen may still be there.
 */
int holders_check_want(const struct holders_walk *walk, int os_errno, const char *object);

/* As above, and tells once that there is one that not even we may look into. */
int holders_pass_over(const struct holders_walk *walk, const struct holders_process *process,
                      int os_errno, const char *what);

dev_t holders_device_of(const struct statx *status);

/* ---- holders_mounts.c ----------------------------------------------------------------------- */

/* What it has mounted, and its threads, where nobody was seen with the same view yet. */
int holders_check_mounts(struct holders_walk *walk, const struct holders_process *process);

/* ---- holders_kernel.c ----------------------------------------------------------------------- */

/* Files that the kernel itself has open: swap, and what loop devices stand on. */
int holders_check_kernel(struct holders_walk *walk);

#endif
