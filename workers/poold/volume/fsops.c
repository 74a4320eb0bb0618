/* Plain changes to a disk, see the header. */
#include "fsops.h"

#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

int fsops_open_dir(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

ssize_t fsops_get_attribute(int fd, const char *name, void *out_data, size_t size)
{
    ssize_t length = fgetxattr(fd, name, out_data, size);
    return length < 0 ? -errno : length;
}

int fsops_make_dir(int dir, const char *name, mode_t mode)
{
    return step_around(mkdirat(dir, name, mode)) < 0 ? -errno : 0;
}

int fsops_remove_dir(int dir, const char *name)
{
    return step_around(unlinkat(dir, name, AT_REMOVEDIR)) < 0 ? -errno : 0;
}

int fsops_set_attribute(int fd, const char *name, const void *data, size_t size)
{
    return step_around(fsetxattr(fd, name, data, size, 0)) < 0 ? -errno : 0;
}

int fsops_set_owner(int fd, uid_t uid, gid_t gid)
{
    return step_around(fchown(fd, uid, gid)) < 0 ? -errno : 0;
}

int fsops_set_mode(int fd, mode_t mode)
{
    return step_around(fchmod(fd, mode)) < 0 ? -errno : 0;
}

int fsops_rename(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return step_around(renameat2(from_dir, from, to_dir, to, flags)) < 0 ? -errno : 0;
}
