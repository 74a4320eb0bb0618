/*
 * Mounts: who is mounted where, by mountinfo, and mounts that nobody can see yet, by the new mount
 * calls (fsopen(2), open_tree(2), move_mount(2)). Those that change something are steps (step.h).
 * Blocking, any thread; return 0 or a negative error unless said.
 */
#ifndef WORKERS_POOLD_MOUNTS_H
#define WORKERS_POOLD_MOUNTS_H

#include "base/error.h"

#include <sys/types.h>

/* ---- who is mounted where ------------------------------------------------------------------- */

/* One line of mountinfo; see proc_pid_mountinfo(5). Texts are unescaped and live for the callback.
 */
struct mounts_entry {
    int id;
    dev_t device;       /* of the superblock */
    const char *root;   /* inside its filesystem */
    const char *target; /* as seen from the process's root */
    const char *type;   /* "btrfs" */
    const char *source;
    const char *options;    /* of the mount: "rw,nosuid" */
    const char *fs_options; /* of the superblock */
};

/* Non-zero ends the walk and is its result. */
typedef int (*mounts_fn)(const struct mounts_entry *entry, void *data);

/*
 * Walks a mountinfo file, first mounted first. NOT_FOUND when the process is gone, else an error
 * that names the file.
 */
int mounts_each(const char *mountinfo, mounts_fn fn, void *data, struct err *err);

/* Id of the mount that `fd` lies on, 0 if the kernel does not tell (before 5.8). */
int mounts_id(int fd);

/*
 * The superblock of the mount that `fd` lies on, as mountinfo has it: its device, and its options,
 * which are the same in all of its mounts. Either may be NULL; the options are the caller's to
 * free.
 */
int mounts_super(int fd, dev_t *out_device, char **out_options, struct err *err);

/* Whether `path` is `top` or lies below it. */
bool mounts_is_below(const char *path, const char *top);

/* Whether a list like "rw,nosuid" has the option. */
bool mounts_has_option(const char *options, const char *option);

/* ---- detached mounts ------------------------------------------------------------------------ */

enum { MOUNTS_SOURCES_MAX = 64 };

struct mounts_request {
    const char *const *sources; /* devices, the first is the one that is named as source */
    size_t n_sources;
    bool read_only;
    bool no_log_replay; /* with read_only */
};

/*
 * Makes a btrfs filesystem's mount: nosuid,nodev,noatime, seen by nobody, gone with its last
 * descriptor. The descriptor is good for openat() and move_mount(). The kernel's own words are in
 * the error.
 */
int mounts_make(const struct mounts_request *request, int *out_fd, struct err *err);

/* Makes a filesystem writable that was mounted read-only, and this mount of it. */
int mounts_make_writable(int fd, const char *device, struct err *err);

/* A copy of the mount at dir/name alone, nosuid,nodev; as detached as the above. */
int mounts_clone(int dir, const char *name, int *out_fd, struct err *err);

/* Attaches a detached mount to a directory, which must not be a symlink. */
int mounts_attach(int mount_fd, const char *path, struct err *err);

/* Adds nosuid,nodev,noatime to the mount at the directory. */
int mounts_harden(int fd, const char *path, struct err *err);

/* Takes away what is on top at `path`; never lazily. FAILED_PRECONDITION, EBUSY when busy. */
int mounts_detach(const char *path, struct err *err);

#endif
