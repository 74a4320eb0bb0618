/*
 * The plain system calls that change a disk, as steps (step.h); those of btrfs are in btrfs.h. All
 * are relative to a directory and follow no symlink; all return 0 or -errno. Blocking, any thread.
 */
#ifndef WORKERS_POOLD_FSOPS_H
#define WORKERS_POOLD_FSOPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens a directory for reading; returns the descriptor or -errno. */
int fsops_open_dir(int dir, const char *name);

/* Length of the attribute, or -errno: ENODATA when there is none, ERANGE when longer than `size`.
 */
ssize_t fsops_get_attribute(int fd, const char *name, void *out_data, size_t size);

int fsops_make_dir(int dir, const char *name, mode_t mode);
int fsops_remove_dir(int dir, const char *name);
int fsops_set_attribute(int fd, const char *name, const void *data, size_t size);
int fsops_set_owner(int fd, uid_t uid, gid_t gid);
int fsops_set_mode(int fd, mode_t mode);
/* `flags`: 0, where an empty directory at the target is replaced, or RENAME_NOREPLACE. */
int fsops_rename(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);

#endif
