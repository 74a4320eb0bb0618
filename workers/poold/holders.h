/*
 * Holders: who would lose something if a subvolume were destroyed.
 *
 * The kernel destroys a subvolume that is bind-mounted elsewhere, or open; so this looks first: at
 * every distinct mount namespace in /proc/<pid>/mountinfo, at /proc/<pid>/{cwd,root,exe,fd} and the
 * mapped files, at /proc/swaps and at the backing files of loop devices. One walk of /proc serves
 * a whole batch of targets. Blocking (tens of ms with hundreds of processes); any thread.
 *
 * What it cannot see: a mount namespace that no process is in, and descriptors in flight in a
 * socket or registered with io_uring only.
 */
#ifndef WORKERS_POOLD_HOLDERS_H
#define WORKERS_POOLD_HOLDERS_H

#include "base/error.h"

#include <sys/types.h>

enum {
    HOLDERS_LISTED_MAX = 16,   /* holders put in words; all are counted */
    HOLDERS_DEVICES_MAX = 256, /* subvolumes of one target told apart; beyond, all of it is held */
    HOLDERS_TARGETS_MAX = 256, /* targets of one walk */
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
     * st_dev of its subvolumes: each btrfs subvolume has its own anonymous device, which stat() of
     * anything inside it tells. In any order.
     */
    const dev_t *devices;
    size_t n_devices;
    /*
     * Where it may stand inside the filesystem: "/spaces/<id>", "/weak/<id>"; a mount whose root is
     * one of these or below holds it. NULL ends.
     */
    const char *paths[HOLDERS_PATHS_MAX + 1];
    struct holders found; /* zero before; holders_clear() after */
};

/*
 * Fills `found` of each target. `fs_device` is the filesystem's device as mountinfo prints it (that
 * of the superblock, not any subvolume's st_dev; see mounts_device()). A process that goes away
 * meanwhile is no holder. Nothing is skipped silently: a process that cannot be looked into
 * (EACCES) is an error, code PERMISSION_DENIED.
 */
int holders_find(dev_t fs_device, struct holders_target *targets, size_t n_targets,
                 struct err *err);

/*
 * Fails with FAILED_PRECONDITION, "<object> is held", each listed holder a blocker and one more
 * for those that are not listed; 0 when nobody holds it.
 */
int holders_refuse(const struct holders *holders, const char *object, struct err *err);

void holders_clear(struct holders *holders);

#endif
