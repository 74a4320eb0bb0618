/*
 * Holders: who would lose something if a subvolume were destroyed.
 *
 * The kernel destroys a subvolume that is bind-mounted elsewhere, or open; so this looks first: at
 * every distinct mount namespace in /proc/<pid>/mountinfo and in that of each thread, at
 * /proc/<pid>/{cwd,root,exe,fd} and the mapped files, at /proc/swaps and at the backing files of
 * loop devices. One walk of /proc serves a whole batch of targets. Blocking (tens of ms with
 * hundreds of processes); any thread. Needs CAP_SYS_PTRACE and CAP_SYS_ADMIN.
 *
 * What it cannot see: a mount namespace that no process is in, the directories and descriptors of a
 * thread that does not share its process's, and descriptors in flight in a socket or known to
 * io_uring only. The calling process's own descriptors do not count; its mounts do.
 */
#ifndef WORKERS_POOLD_HOLDERS_H
#define WORKERS_POOLD_HOLDERS_H

#include "base/error.h"

#include <sys/types.h>

enum {
    HOLDERS_LISTED_MAX = 16,    /* holders put in words; all are counted */
    HOLDERS_TARGETS_MAX = 1024, /* targets of one walk */
    HOLDERS_PATHS_MAX = 2,
};

/* "pid 123 (bash): working directory", "mount namespace of pid 55 (container): /data". */
struct holders {
    size_t count;    /* all of them */
    size_t n_listed; /* at most HOLDERS_LISTED_MAX */
    char *listed[HOLDERS_LISTED_MAX];
};

/* One thing that may be held. */
struct holders_target {
    /*
     * st_dev of its subvolumes, in any order: each btrfs subvolume has its own anonymous device,
     * which stat() of anything inside it tells. Borrowed.
     */
    const dev_t *devices;
    size_t n_devices;
    /*
     * Where it may stand inside the filesystem: "/spaces/<id>", "/weak/<id>"; a mount whose root is
     * one of these or below holds it. NULL ends. Borrowed.
     */
    const char *paths[HOLDERS_PATHS_MAX + 1];
    struct holders found; /* zero before; holders_clear() after */
};

/*
 * Fills `found` of each target. `fs_device` is the filesystem's device as mountinfo prints it (that
 * of the superblock, not any subvolume's st_dev; see mounts_super()). A process that goes away
 * meanwhile is no holder. One whose descriptors and directories even we may not see is passed over
 * with a warning, but for its mounts; when those cannot be read either, or when we lack memory or
 * descriptors to look, that is an error, and `found` is then not to be trusted.
 */
int holders_find(dev_t fs_device, struct holders_target *targets, size_t n_targets,
                 struct err *err);

/*
 * Who uses one mount of the caller's mount namespace, and so keeps it from being unmounted: what is
 * open through it, by the caller too, and what is mounted below it. `path` is where it is mounted.
 * *out_holders is zero before; holders_clear() after, also on an error.
 */
int holders_find_on_mount(const char *path, struct holders *out_holders, struct err *err);

/*
 * Fails with FAILED_PRECONDITION, "held by <n>", each listed holder a blocker and one more for
 * those that are not listed; 0 when nobody holds it.
 */
int holders_refuse(const struct holders *holders, const char *object, struct err *err);

void holders_clear(struct holders *holders);

#endif
