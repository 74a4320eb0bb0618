/*
 * How it is proven: one descriptor on the path, and three questions about that same object, so that
 * nothing can be mounted or unmounted between them.
 *
 * 1. statx() tells the id of the mount that the descriptor is in.
 * 2. Our own mountinfo (libmount) tells of the mount with that id: it is mounted on exactly this
 *    path, and its root within its filesystem is the cache's subvolume, "/cache/data". A path that
 *    merely lies on some filesystem fails here, and so does a bind of anything else.
 * 3. BTRFS_IOC_FS_INFO on the descriptor tells the fsid of that filesystem, which is the pool's id.
 *    Device numbers would prove less: each btrfs subvolume has one of its own in st_dev, and
 *    mountinfo's differs from all of them.
 */
#include "cachemount.h"

#include "base/cleanup.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <linux/btrfs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define CACHE_ROOT "/cache/data"

static void cleanup_mounts(struct libmnt_table **mounts)
{
    mnt_unref_table(*mounts);
}

/* The mount with this id, borrowed from the table; NULL if there is none. */
static struct libmnt_fs *find_mount(struct libmnt_table *mounts, uint64_t id)
{
    struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_BACKWARD);
    struct libmnt_fs *fs = NULL, *found = NULL;
    while (iter && !found && mnt_table_next_fs(mounts, iter, &fs) == 0)
        if ((uint64_t)mnt_fs_get_id(fs) == id)
            found = fs;
    mnt_free_iter(iter);
    return found;
}

static int refuse(const char *path, const char *why, struct err *err)
{
    return err_set(err, ERR_FAILED_PRECONDITION, 0, path, "the cache path %s %s", path, why);
}

static int check_mount(const char *path, const char *real_path, uint64_t mount_id, struct err *err)
{
    __attribute__((cleanup(cleanup_mounts))) struct libmnt_table *mounts =
        mnt_new_table_from_file("/proc/self/mountinfo");
    if (!mounts)
        return err_errno(err, errno ? errno : ENOMEM, "/proc/self/mountinfo",
                         "cannot read the mounts");
    struct libmnt_fs *fs = find_mount(mounts, mount_id);
    const char *target = fs ? mnt_fs_get_target(fs) : NULL;
    const char *root = fs ? mnt_fs_get_root(fs) : NULL;
    const char *type = fs ? mnt_fs_get_fstype(fs) : NULL;
    if (!target || strcmp(target, real_path) != 0)
        return refuse(path, "is no mount", err);
    if (!type || strcmp(type, "btrfs") != 0 || !root || strcmp(root, CACHE_ROOT) != 0)
        return refuse(path, "has something else mounted on it than a pool's cache", err);
    return 0;
}

static int check_pool(const char *path, int fd, const char *pool, struct err *err)
{
    struct btrfs_ioctl_fs_info_args info = {0};
    char fsid[UUID_TEXT_SIZE];
    if (ioctl(fd, BTRFS_IOC_FS_INFO, &info) < 0)
        return err_errno(err, errno, path, "cannot ask of which filesystem %s is", path);
    uuid_format(info.fsid, fsid);
    return strcmp(fsid, pool) == 0 ? 0 : refuse(path, "is of another pool than poold says", err);
}

int cachemount_check(const char *path, const char *pool, struct err *err)
{
    struct statx facts;
    autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, path, "cannot open the cache path %s", path);
    autofree char *real_path = realpath(path, NULL);
    if (!real_path || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &facts) < 0 ||
        !(facts.stx_mask & STATX_MNT_ID))
        return err_errno(err, errno ? errno : ENOSYS, path, "cannot look at the cache path %s",
                         path);
    int rc = check_mount(path, real_path, facts.stx_mnt_id, err);
    return rc < 0 ? rc : check_pool(path, fd, pool, err);
}
