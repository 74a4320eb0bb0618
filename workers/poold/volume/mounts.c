/*
 * Mounts, see the header. libmount parses mountinfo and knows its escapes. glibc's <sys/mount.h>
 * has the calls, and cannot be included beside <linux/mount.h>.
 */
#include "mounts.h"

#include "base/cleanup.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* ---- who is mounted where ------------------------------------------------------------------- */

static void cleanup_table(struct libmnt_table **table)
{
    mnt_unref_table(*table);
}

static void cleanup_iter(struct libmnt_iter **iter)
{
    mnt_free_iter(*iter);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

int mounts_each(const char *mountinfo, mounts_fn fn, void *data, struct err *err)
{
    __attribute__((cleanup(cleanup_table))) struct libmnt_table *table = mnt_new_table();
    __attribute__((cleanup(cleanup_iter))) struct libmnt_iter *iter =
        mnt_new_iter(MNT_ITER_FORWARD);
    if (!table || !iter)
        return err_errno(err, ENOMEM, mountinfo, "cannot read the mounts");
    int rc = mnt_table_parse_file(table, mountinfo);
    if (rc != 0)
        return err_errno(err,
                         rc == -ESRCH || rc == -EINVAL ? ENOENT
                         : rc < 0                      ? -rc
                                                       : EIO,
                         mountinfo, "cannot read the mounts");
    for (struct libmnt_fs *fs; mnt_table_next_fs(table, iter, &fs) == 0;) {
        struct mounts_entry entry = {
            .id = mnt_fs_get_id(fs),
            .device = mnt_fs_get_devno(fs),
            .root = or_empty(mnt_fs_get_root(fs)),
            .target = or_empty(mnt_fs_get_target(fs)),
            .type = or_empty(mnt_fs_get_fstype(fs)),
            .source = or_empty(mnt_fs_get_srcpath(fs)),
            .options = or_empty(mnt_fs_get_vfs_options(fs)),
            .fs_options = or_empty(mnt_fs_get_fs_options(fs)),
        };
        rc = fn(&entry, data);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int mounts_id(int fd)
{
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) < 0 ||
        !(status.stx_mask & STATX_MNT_ID))
        return 0;
    return (int)status.stx_mnt_id;
}

struct super_search {
    int id;
    dev_t device;
    char *options;
};

static int match_id(const struct mounts_entry *entry, void *data)
{
    struct super_search *search = data;
    if (entry->id != search->id)
        return 0;
    search->device = entry->device;
    search->options = strdup(entry->fs_options);
    return search->options ? 1 : -ENOMEM;
}

int mounts_super(int fd, dev_t *out_device, char **out_options, struct err *err)
{
    struct super_search search = {.id = mounts_id(fd)};
    int rc = mounts_each("/proc/self/mountinfo", match_id, &search, err);
    if (rc == -ENOMEM && !search.options)
        return err_errno(err, ENOMEM, NULL, "cannot read the mounts");
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(err, ERR_NOT_FOUND, 0, NULL, "mount %d is not in mountinfo", search.id);
    if (out_device)
        *out_device = search.device;
    if (out_options)
        *out_options = search.options;
    else
        free(search.options);
    return 0;
}

bool mounts_is_below(const char *path, const char *top)
{
    size_t length = strlen(top);
    if (length == 1 && *top == '/')
        return *path == '/';
    return strncmp(path, top, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

bool mounts_has_option(const char *options, const char *option)
{
    size_t length = strlen(option);
    for (const char *at = options; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, option, length) == 0 && (at[length] == '\0' || at[length] == ','))
            return true;
    }
    return false;
}

/* ---- detached mounts ------------------------------------------------------------------------ */

static const unsigned hardened = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME;

/* The kernel's last message for this context, "e message"; fsopen(2). */
static int refuse(int context, int os_errno, const char *device, const char *what, struct err *err)
{
    char said[256] = "";
    for (;;) {
        char line[256];
        ssize_t length = read(context, line, sizeof line - 1);
        if (length <= 2)
            break;
        line[length] = '\0';
        memcpy(said, line, sizeof said);
    }
    if (*said)
        return err_errno(err, os_errno, device, "%s (%s)", what, said + 2);
    return err_errno(err, os_errno, device, "%s", what);
}

static int configure(int context, const struct mounts_request *request, struct err *err)
{
    const char *first = request->sources[0];
    if (fsconfig(context, FSCONFIG_SET_STRING, "source", first, 0) < 0)
        return refuse(context, errno, first, "the kernel refuses the device", err);
    for (size_t i = 0; i < request->n_sources; i++)
        if (fsconfig(context, FSCONFIG_SET_STRING, "device", request->sources[i], 0) < 0)
            return refuse(context, errno, request->sources[i], "the kernel refuses the device",
                          err);
    if (request->read_only && fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
        return refuse(context, errno, first, "the kernel refuses to read only", err);
    if (request->no_log_replay &&
        fsconfig(context, FSCONFIG_SET_STRING, "rescue", "nologreplay", 0) < 0)
        return refuse(context, errno, first, "the kernel refuses rescue=nologreplay", err);
    int rc = request->read_only
                 ? fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0)
                 : step_around(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    return rc < 0 ? refuse(context, errno, first, "cannot mount", err) : 0;
}

int mounts_make(const struct mounts_request *request, int *out_fd, struct err *err)
{
    autoclose int context = fsopen("btrfs", FSOPEN_CLOEXEC);
    if (context < 0)
        return err_errno(err, errno, request->sources[0], "this kernel cannot mount btrfs");
    int rc = configure(context, request, err);
    if (rc < 0)
        return rc;
    unsigned attributes = hardened | (request->read_only ? MOUNT_ATTR_RDONLY : 0);
    int fd = fsmount(context, FSMOUNT_CLOEXEC, attributes);
    if (fd < 0)
        return refuse(context, errno, request->sources[0], "cannot mount", err);
    *out_fd = fd;
    return 0;
}

int mounts_make_writable(int fd, const char *device, struct err *err)
{
    struct mount_attr attributes = {.attr_clr = MOUNT_ATTR_RDONLY};
    autoclose int context = fspick(fd, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
    if (context < 0)
        return err_errno(err, errno, device, "cannot change the mount");
    if (fsconfig(context, FSCONFIG_SET_FLAG, "rw", NULL, 0) < 0 ||
        step_around(fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0)) < 0)
        return refuse(context, errno, device, "cannot make it writable", err);
    if (mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
        return err_errno(err, errno, device, "cannot make the mount writable");
    return 0;
}

static int add_attributes(int fd, uint64_t set, const char *path, struct err *err)
{
    struct mount_attr attributes = {.attr_set = set};
    if (set & MOUNT_ATTR_NOATIME)
        attributes.attr_clr = MOUNT_ATTR__ATIME;
    if (step_around(mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes)) < 0)
        return err_errno(err, errno, path, "cannot set the mount's flags");
    return 0;
}

int mounts_harden(int fd, const char *path, struct err *err)
{
    return add_attributes(fd, hardened, path, err);
}

int mounts_clone(int dir, const char *name, int *out_fd, struct err *err)
{
    autoclose int fd = open_tree(
        dir, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
    if (fd < 0)
        return err_errno(err, errno, name, "cannot clone the mount");
    int rc = add_attributes(fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, name, err);
    if (rc < 0)
        return rc;
    *out_fd = take_fd(&fd);
    return 0;
}

int mounts_attach(int mount_fd, const char *path, struct err *err)
{
    autoclose int dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return err_errno(err, errno, path, "cannot be mounted on");
    int rc = step_around(
        move_mount(mount_fd, "", dir, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
    return rc < 0 ? err_errno(err, errno, path, "cannot attach the mount") : 0;
}

int mounts_detach(const char *path, struct err *err)
{
    int rc = step_around(umount2(path, UMOUNT_NOFOLLOW));
    return rc < 0 ? err_errno(err, errno, path, "cannot unmount") : 0;
}
