/*
 * What makes a filesystem a pool: quotas before the first subvolume, folders, descriptor, and the
 * label last. Each part is made only where it is missing, so that a kill anywhere is followed by
 * the same call again. Enabling quotas commits by itself (fs/btrfs/qgroup.c, btrfs_quota_enable());
 * all that follows is one transaction as a rule, and in order always: without descriptor it is
 * unfinished, with the descriptor and the first label it only lacks the second.
 */
#include "volume_private.h"

#include "fsops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *name;
    mode_t mode;
} folders[] = {
    {VOLUME_DIR_META, 0700}, /* made before the lock is taken */
    {VOLUME_DIR_WEAK, 0700},  {VOLUME_DIR_SPACES, 0711},
    {VOLUME_DIR_CACHE, 0700}, {VOLUME_DIR_ZDB, 0700},
};

static const char *const quota_names[] = {
    [VOLUME_QUOTA_SIMPLE] = "squota",
    [VOLUME_QUOTA_FULL] = "qgroup",
};

const char *volume_quota_name(enum volume_quota quota)
{
    if (quota == VOLUME_QUOTA_SIMPLE || quota == VOLUME_QUOTA_FULL)
        return quota_names[quota];
    return "off";
}

/* Before 6.7 there was one mode, and no file that says so. */
static int read_quota_mode(const char *fsid, char *out_text, size_t size)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/sys/fs/btrfs/%s/qgroups", fsid);
    autoclose int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? 0 : -errno;
    autoclose int fd = openat(dir, "mode", O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return -errno;
    if (fd < 0)
        (void)snprintf(out_text, size, "%s", quota_names[VOLUME_QUOTA_FULL]);
    else if (read(fd, out_text, size - 1) < 0)
        return -errno;
    return 0;
}

int volume_quota_mode(const char *fsid, enum volume_quota *out_quota, struct err *err)
{
    char text[16] = "";
    int rc = read_quota_mode(fsid, text, sizeof text);
    if (rc < 0)
        return err_errno(err, -rc, fsid, "cannot read its quota mode");
    text[strcspn(text, "\n")] = '\0';
    *out_quota = 0;
    for (enum volume_quota quota = VOLUME_QUOTA_SIMPLE; quota <= VOLUME_QUOTA_FULL; quota++)
        if (strcmp(text, quota_names[quota]) == 0)
            *out_quota = quota;
    return 0;
}

/* ---- is it safe to finish ------------------------------------------------------------------- */

static bool is_folder(const char *name)
{
    for (size_t i = 0; i < array_length(folders); i++)
        if (strcmp(name, folders[i].name) == 0)
            return true;
    return false;
}

/* Walks a directory; the first entry that is not allowed, copied, or "". */
static int find_stranger(int parent, const char *name, bool (*allowed)(const char *),
                         char out_stranger[NAME_MAX + 1])
{
    int fd = fsops_open_dir(parent, name);
    if (fd < 0)
        return fd;
    autodir DIR *dir = fdopendir(fd);
    if (!dir) {
        (void)close(fd);
        return -ENOMEM;
    }
    *out_stranger = '\0';
    errno = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (allowed && allowed(entry->d_name)))
            continue;
        (void)snprintf(out_stranger, NAME_MAX + 1, "%s", entry->d_name);
        return 0;
    }
    return -errno;
}

int volume_check_empty(int root, const char *fsid, struct err *err)
{
    char stranger[NAME_MAX + 1];
    struct subvolumes subvolumes;
    int rc = find_stranger(root, ".", is_folder, stranger);
    for (size_t i = 0; rc == 0 && !*stranger && i < array_length(folders); i++) {
        rc = find_stranger(root, folders[i].name, NULL, stranger);
        rc = rc == -ENOENT ? 0 : rc;
    }
    if (rc == 0 && !*stranger) {
        rc = subvolumes_read(root, &subvolumes);
        if (rc == 0 && subvolumes.count > 0)
            (void)snprintf(stranger, sizeof stranger, "%s", subvolumes.list[0].name);
        if (rc == 0)
            subvolumes_free(&subvolumes);
    }
    if (rc < 0)
        return err_errno(err, -rc, fsid, "cannot tell whether the unfinished pool is empty");
    if (!*stranger)
        return 0;
    (void)err_set(err, ERR_FAILED_PRECONDITION, 0, fsid,
                  "labelled as an unfinished pool, and holds \"%s\", which storaged did not make",
                  stranger);
    err_hint(err, "save what it holds, then wipe the disk");
    return -ERR_FAILED_PRECONDITION;
}

/* ---- finishing ------------------------------------------------------------------------------ */

static int enable_quota(int root, const char *fsid, enum volume_quota *out_quota, struct err *err)
{
    enum volume_quota quota;
    int rc = volume_quota_mode(fsid, &quota, err);
    if (rc == 0 && !quota) {
        rc = btrfs_enable_quota(root, true);
        if (rc == -EINVAL || rc == -EOPNOTSUPP || rc == -ENOTTY)
            rc = btrfs_enable_quota(root, false);
        if (rc < 0)
            return err_errno(err, -rc, fsid, "cannot enable quotas");
        rc = volume_quota_mode(fsid, &quota, err);
    }
    if (rc < 0)
        return rc;
    if (!quota)
        return err_set(err, ERR_INTERNAL, 0, fsid,
                       "quotas were enabled, and sysfs says they are off");
    *out_quota = quota;
    return 0;
}

static int make_folder(int root, const char *name, mode_t mode)
{
    int rc = fsops_make_dir(root, name, mode);
    if (rc < 0 && rc != -EEXIST)
        return rc;
    autoclose int fd = fsops_open_dir(root, name);
    if (fd < 0)
        return fd;
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    /* The umask may have taken bits away. */
    return (status.st_mode & 07777) == mode ? 0 : fsops_set_mode(fd, mode);
}

static int make_folders(int root, const char *fsid, struct err *err)
{
    int rc = fsops_set_mode(root, 0711);
    for (size_t i = 0; rc == 0 && i < array_length(folders); i++)
        rc = make_folder(root, folders[i].name, folders[i].mode);
    return rc < 0 ? err_errno(err, -rc, fsid, "cannot make the pool's folders") : 0;
}

static int make_descriptor(int lock, const struct descriptor *descriptor, struct err *err)
{
    uint8_t data[DESCRIPTOR_MAX];
    size_t length;
    int rc = descriptor_pack(descriptor, data, &length, err);
    if (rc < 0)
        return rc;
    rc = fsops_set_attribute(lock, DESCRIPTOR_XATTR, data, length);
    return rc < 0 ? err_errno(err, -rc, descriptor->fsid, "cannot write the pool descriptor") : 0;
}

static int make_label(int root, const struct descriptor *descriptor, struct err *err)
{
    char label[BTRFS_LABEL_SIZE];
    (void)snprintf(label, sizeof label, VOLUME_LABEL "%s", descriptor->name);
    int rc = btrfs_set_label(root, label);
    return rc < 0 ? err_errno(err, -rc, descriptor->fsid, "cannot write the label") : 0;
}

int volume_finish(int root, int lock, struct descriptor *descriptor, bool fresh, struct err *err)
{
    int rc = 0;
    if (fresh) {
        rc = enable_quota(root, descriptor->fsid, &descriptor->quota, err);
        if (rc == 0)
            rc = make_folders(root, descriptor->fsid, err);
        if (rc == 0)
            rc = make_descriptor(lock, descriptor, err);
    }
    if (rc == 0)
        rc = make_label(root, descriptor, err);
    if (rc < 0)
        return rc;
    rc = btrfs_commit(root);
    return rc < 0 ? err_errno(err, -rc, descriptor->fsid, "cannot commit the finished pool") : 0;
}
