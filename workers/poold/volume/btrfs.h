/*
 * btrfs by its ioctls: the one door to them. Structures are those of <linux/btrfs.h> and
 * <linux/btrfs_tree.h>; what Debian 12 lacks there is defined in btrfs.c with its source.
 *
 * All functions return 0 or -errno, block, and may be called from any thread. `fd` is any directory
 * of the filesystem, opened for reading, unless another is said. Most need CAP_SYS_ADMIN. Those
 * that change something are steps (step.h).
 */
#ifndef WORKERS_POOLD_BTRFS_H
#define WORKERS_POOLD_BTRFS_H

#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the filesystem ------------------------------------------------------------------------- */

struct btrfs_filesystem {
    uint8_t fsid[BTRFS_FSID_SIZE];
    uint64_t n_devices;
    uint64_t max_devid;
};

int btrfs_read_filesystem(int fd, struct btrfs_filesystem *out_filesystem);
/* -ENODEV when no member has this id. */
int btrfs_read_device(int fd, uint64_t devid, struct btrfs_ioctl_dev_info_args *out_device);

typedef void (*btrfs_space_fn)(const struct btrfs_ioctl_space_info *space, void *data);
/* Each kind of block group that is allocated, one copy counted. */
int btrfs_read_spaces(int fd, btrfs_space_fn fn, void *data);

int btrfs_read_label(int fd, char out_label[BTRFS_LABEL_SIZE]);
int btrfs_set_label(int fd, const char *label);

/* Commits the running transaction, without writing back anyone's dirty data first. */
int btrfs_commit(int fd);
/* Has the kernel's cleaner look for destroyed subvolumes now, not within 30 s. Returns at once; may
 * be lost, so ask again for as long as it matters. */
int btrfs_wake_cleaner(int fd, const char *fsid);

/* ---- subvolumes ----------------------------------------------------------------------------- */

/* The subvolume that `fd` lies in. */
int btrfs_subvolume_id(int fd, uint64_t *out_id);
/* -ENOENT once it is gone for good, also from the cleaner's list. */
int btrfs_subvolume_exists(int fd, uint64_t id);
/* Opens its top directory, wherever it stands, by file handle; the descriptor or -errno. */
int btrfs_open_subvolume(int fd, uint64_t id);
/* In the directory `dir`, as a member of the quota group; 0: of none. */
int btrfs_create_subvolume(int dir, const char *name, uint64_t group);
/* Removes its name at once; its extents go when the cleaner has run. It must have none nested. */
int btrfs_destroy_subvolume(int dir, const char *name);
int btrfs_destroy_subvolume_by_id(int fd, uint64_t id);
/* `fd`: its top directory. */
int btrfs_is_read_only(int fd, bool *out_read_only);
int btrfs_set_read_only(int fd, bool read_only);

/* ---- quotas --------------------------------------------------------------------------------- */

/* 1/<n> is btrfs_group(1, n). */
static inline uint64_t btrfs_group(unsigned level, uint64_t number)
{
    return (uint64_t)level << BTRFS_QGROUP_LEVEL_SHIFT | number;
}

#define BTRFS_GROUP_NUMBER_MAX ((UINT64_C(1) << BTRFS_QGROUP_LEVEL_SHIFT) - 1)
#define BTRFS_NO_LIMIT         UINT64_MAX

/* -EINVAL or -EOPNOTSUPP from a kernel without simple quotas. Over another mode: 0 and no effect.
 */
int btrfs_enable_quota(int fd, bool simple);
/* Counts again what full quotas lost track of; does not wait. */
int btrfs_rescan_quota(int fd);
int btrfs_create_group(int fd, uint64_t group);
/* -EBUSY while it has members or is charged; -ENOENT. */
int btrfs_destroy_group(int fd, uint64_t group);
int btrfs_set_limit(int fd, uint64_t group, uint64_t bytes);
/* Makes `child` a member of `parent`, or ends that. 1 instead of 0: full quotas must be rescanned.
 * -EEXIST, -ENOENT when it is so already. */
int btrfs_assign_group(int fd, uint64_t child, uint64_t parent, bool member);

/* ---- trees ---------------------------------------------------------------------------------- */

/* Found items; `item` is not aligned. Non-zero ends the search and is its result. */
typedef int (*btrfs_item_fn)(const struct btrfs_key *key, const void *item, size_t length,
                             void *data);

/* All items of a tree between two keys, both included, whose type lies between theirs. */
int btrfs_search(int fd, uint64_t tree, const struct btrfs_key *first, const struct btrfs_key *last,
                 btrfs_item_fn fn, void *data);

/* Path of the inode from the top of its subvolume, "a/b/" with a slash behind; empty at the top. */
int btrfs_inode_path(int fd, uint64_t subvolume, uint64_t inode,
                     char out_path[BTRFS_INO_LOOKUP_PATH_MAX]);

#endif
