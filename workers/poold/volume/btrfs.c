/*
 * btrfs by its ioctls, see the header. No state, no policy: one function per question or change.
 * Buffers of tree searches are on the heap, 64 KiB each.
 */
#include "btrfs.h"

#include "base/cleanup.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* Linux 6.7, include/uapi/linux/btrfs.h. */
#ifndef BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA
#define BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA 4
#endif

enum {
    SEARCH_BUFFER = 65536,
    /* fs/btrfs/export.h, struct btrfs_fid; include/linux/exportfs.h, FILEID_BTRFS_WITHOUT_PARENT */
    FILEID_BTRFS_WITHOUT_PARENT = 0x4d,
    FID_LENGTH = 20,
};

#define ask(fd, request, argument) (ioctl((fd), (request), (argument)) < 0 ? -errno : 0)
#define change(fd, request, argument)                                                              \
    (step_around(ioctl((fd), (request), (argument))) < 0 ? -errno : 0)

/* ---- the filesystem ------------------------------------------------------------------------- */

int btrfs_read_filesystem(int fd, struct btrfs_filesystem *out_filesystem)
{
    struct btrfs_ioctl_fs_info_args args = {0};
    int rc = ask(fd, BTRFS_IOC_FS_INFO, &args);
    if (rc < 0)
        return rc;
    memcpy(out_filesystem->fsid, args.fsid, sizeof out_filesystem->fsid);
    out_filesystem->n_devices = args.num_devices;
    out_filesystem->max_devid = args.max_id;
    return 0;
}

int btrfs_read_device(int fd, uint64_t devid, struct btrfs_ioctl_dev_info_args *out_device)
{
    *out_device = (struct btrfs_ioctl_dev_info_args){.devid = devid};
    return ask(fd, BTRFS_IOC_DEV_INFO, out_device);
}

int btrfs_read_spaces(int fd, btrfs_space_fn fn, void *data)
{
    struct btrfs_ioctl_space_args count = {0};
    int rc = ask(fd, BTRFS_IOC_SPACE_INFO, &count);
    if (rc < 0)
        return rc;
    autofree struct btrfs_ioctl_space_args *args =
        calloc(1, sizeof *args + count.total_spaces * sizeof args->spaces[0]);
    if (!args)
        return -ENOMEM;
    args->space_slots = count.total_spaces;
    rc = ask(fd, BTRFS_IOC_SPACE_INFO, args);
    if (rc < 0)
        return rc;
    for (uint64_t i = 0; i < args->total_spaces && i < args->space_slots; i++)
        fn(&args->spaces[i], data);
    return 0;
}

/* The kernel copies the text without its end (fs/btrfs/ioctl.c, btrfs_ioctl_get_fslabel()). */
int btrfs_read_label(int fd, char out_label[BTRFS_LABEL_SIZE])
{
    char label[BTRFS_LABEL_SIZE] = {0};
    int rc = ask(fd, BTRFS_IOC_GET_FSLABEL, label);
    label[rc < 0 ? 0 : BTRFS_LABEL_SIZE - 1] = '\0';
    memcpy(out_label, label, sizeof label);
    return rc;
}

int btrfs_set_label(int fd, const char *label)
{
    char text[BTRFS_LABEL_SIZE] = {0};
    if (snprintf(text, sizeof text, "%s", label) >= (int)sizeof text)
        return -EINVAL;
    return change(fd, BTRFS_IOC_SET_FSLABEL, text);
}

/*
 * Setting the label that is set already commits the running transaction in the calling thread, and
 * like START_SYNC with WAIT_SYNC writes back nobody's dirty data. Those two hand the commit to the
 * kernel's transaction thread, and lose its wake-up when that is about to go to sleep after the
 * commit before (fs/btrfs/disk-io.c, transaction_kthread(); seen on 6.18 several times, as
 * the stacks have it): then they wait for its next turn, up to 30 s.
 */
int btrfs_commit(int fd)
{
    char label[BTRFS_LABEL_SIZE];
    int rc = btrfs_read_label(fd, label);
    return rc < 0 ? rc : change(fd, BTRFS_IOC_SET_FSLABEL, label);
}

/*
 * Writing the label in sysfs wakes the transaction thread, and that one the cleaner before it goes
 * to sleep again (fs/btrfs/sysfs.c, btrfs_label_store(); fs/btrfs/disk-io.c,
 * transaction_kthread()).
 */
int btrfs_wake_cleaner(int fd, const char *fsid)
{
    char path[PATH_MAX], label[BTRFS_LABEL_SIZE];
    int rc = btrfs_read_label(fd, label);
    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof path, "/sys/fs/btrfs/%s/label", fsid);
    autoclose int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    return write(file, label, strlen(label)) < 0 ? -errno : 0;
}

/* ---- subvolumes ----------------------------------------------------------------------------- */

int btrfs_subvolume_id(int fd, uint64_t *out_id)
{
    struct btrfs_ioctl_ino_lookup_args args = {.objectid = BTRFS_FIRST_FREE_OBJECTID};
    int rc = ask(fd, BTRFS_IOC_INO_LOOKUP, &args);
    if (rc == 0)
        *out_id = args.treeid;
    return rc;
}

static int found(const struct btrfs_key *key, const void *item, size_t length, void *data)
{
    (void)key, (void)item, (void)length, (void)data;
    return 1;
}

int btrfs_subvolume_exists(int fd, uint64_t id)
{
    struct btrfs_key first = {.objectid = id, .type = BTRFS_ROOT_ITEM_KEY};
    struct btrfs_key last = {.objectid = id, .type = BTRFS_ROOT_ITEM_KEY, .offset = UINT64_MAX};
    int rc = btrfs_search(fd, BTRFS_ROOT_TREE_OBJECTID, &first, &last, found, NULL);
    return rc < 0 ? rc : rc == 1 ? 0 : -ENOENT;
}

int btrfs_open_subvolume(int fd, uint64_t id)
{
    union {
        struct file_handle handle;
        char bytes[sizeof(struct file_handle) + FID_LENGTH];
    } fid = {.handle = {.handle_bytes = FID_LENGTH, .handle_type = FILEID_BTRFS_WITHOUT_PARENT}};
    const uint64_t inode = BTRFS_FIRST_FREE_OBJECTID;
    /* Inode, subvolume, and generation 0: any. */
    memcpy(fid.bytes + sizeof fid.handle, &inode, sizeof inode);
    memcpy(fid.bytes + sizeof fid.handle + sizeof inode, &id, sizeof id);
    int opened = open_by_handle_at(fd, &fid.handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return opened < 0 ? -errno : opened;
}

int btrfs_create_subvolume(int dir, const char *name, uint64_t group)
{
    union {
        struct btrfs_qgroup_inherit inherit;
        uint64_t words[sizeof(struct btrfs_qgroup_inherit) / sizeof(uint64_t) + 1];
    } groups = {.inherit = {.num_qgroups = 1}};
    groups.words[sizeof groups.inherit / sizeof(uint64_t)] = group;
    struct btrfs_ioctl_vol_args_v2 args = {0};
    if (group) {
        args.flags = BTRFS_SUBVOL_QGROUP_INHERIT;
        args.size = sizeof groups;
        args.qgroup_inherit = &groups.inherit;
    }
    (void)snprintf(args.name, sizeof args.name, "%s", name);
    return change(dir, BTRFS_IOC_SUBVOL_CREATE_V2, &args);
}

int btrfs_destroy_subvolume(int dir, const char *name)
{
    struct btrfs_ioctl_vol_args_v2 args = {0};
    (void)snprintf(args.name, sizeof args.name, "%s", name);
    return change(dir, BTRFS_IOC_SNAP_DESTROY_V2, &args);
}

int btrfs_destroy_subvolume_by_id(int fd, uint64_t id)
{
    struct btrfs_ioctl_vol_args_v2 args = {.flags = BTRFS_SUBVOL_SPEC_BY_ID, .subvolid = id};
    return change(fd, BTRFS_IOC_SNAP_DESTROY_V2, &args);
}

int btrfs_is_read_only(int fd, bool *out_read_only)
{
    uint64_t flags = 0;
    int rc = ask(fd, BTRFS_IOC_SUBVOL_GETFLAGS, &flags);
    if (rc == 0)
        *out_read_only = flags & BTRFS_SUBVOL_RDONLY;
    return rc;
}

int btrfs_set_read_only(int fd, bool read_only)
{
    uint64_t flags = 0;
    int rc = ask(fd, BTRFS_IOC_SUBVOL_GETFLAGS, &flags);
    if (rc < 0)
        return rc;
    flags = read_only ? flags | BTRFS_SUBVOL_RDONLY : flags & ~BTRFS_SUBVOL_RDONLY;
    return change(fd, BTRFS_IOC_SUBVOL_SETFLAGS, &flags);
}

/* ---- quotas --------------------------------------------------------------------------------- */

int btrfs_enable_quota(int fd, bool simple)
{
    struct btrfs_ioctl_quota_ctl_args args = {.cmd = simple ? BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA
                                                            : BTRFS_QUOTA_CTL_ENABLE};
    return change(fd, BTRFS_IOC_QUOTA_CTL, &args);
}

int btrfs_rescan_quota(int fd)
{
    struct btrfs_ioctl_quota_rescan_args args = {0};
    int rc = change(fd, BTRFS_IOC_QUOTA_RESCAN, &args);
    return rc == -EINPROGRESS ? 0 : rc;
}

int btrfs_create_group(int fd, uint64_t group)
{
    struct btrfs_ioctl_qgroup_create_args args = {.create = 1, .qgroupid = group};
    return change(fd, BTRFS_IOC_QGROUP_CREATE, &args);
}

int btrfs_destroy_group(int fd, uint64_t group)
{
    struct btrfs_ioctl_qgroup_create_args args = {.create = 0, .qgroupid = group};
    return change(fd, BTRFS_IOC_QGROUP_CREATE, &args);
}

int btrfs_set_limit(int fd, uint64_t group, uint64_t bytes)
{
    struct btrfs_ioctl_qgroup_limit_args args = {
        .qgroupid = group,
        .lim = {.flags = BTRFS_QGROUP_LIMIT_MAX_RFER, .max_rfer = bytes},
    };
    return change(fd, BTRFS_IOC_QGROUP_LIMIT, &args);
}

int btrfs_assign_group(int fd, uint64_t child, uint64_t parent, bool member)
{
    struct btrfs_ioctl_qgroup_assign_args args = {.assign = member, .src = child, .dst = parent};
    int rc = step_around(ioctl(fd, BTRFS_IOC_QGROUP_ASSIGN, &args));
    return rc < 0 ? -errno : rc;
}

/* ---- trees ---------------------------------------------------------------------------------- */

/* The key right behind, or false at the end of all keys. */
static bool advance(struct btrfs_ioctl_search_key *at, const struct btrfs_key *seen)
{
    at->min_objectid = seen->objectid;
    at->min_type = seen->type;
    at->min_offset = seen->offset + 1;
    if (at->min_offset != 0)
        return true;
    if (++at->min_type <= UINT8_MAX)
        return true;
    at->min_type = 0;
    return ++at->min_objectid != 0;
}

/* Hands on what one ioctl returned; the last key seen is left in *seen. */
static int hand_on(const struct btrfs_ioctl_search_args_v2 *args, const struct btrfs_key *first,
                   const struct btrfs_key *last, btrfs_item_fn fn, void *data,
                   struct btrfs_key *seen)
{
    const char *at = (const char *)args->buf;
    for (uint32_t i = 0; i < args->key.nr_items; i++) {
        struct btrfs_ioctl_search_header header;
        memcpy(&header, at, sizeof header);
        at += sizeof header;
        *seen = (struct btrfs_key){
            .objectid = header.objectid, .type = (uint8_t)header.type, .offset = header.offset};
        /* The kernel compares whole keys: a type in between comes along. */
        if (seen->type >= first->type && seen->type <= last->type) {
            int rc = fn(seen, at, header.len, data);
            if (rc != 0)
                return rc;
        }
        at += header.len;
    }
    return 0;
}

int btrfs_search(int fd, uint64_t tree, const struct btrfs_key *first, const struct btrfs_key *last,
                 btrfs_item_fn fn, void *data)
{
    autofree struct btrfs_ioctl_search_args_v2 *args = malloc(sizeof *args + SEARCH_BUFFER);
    if (!args)
        return -ENOMEM;
    *args = (struct btrfs_ioctl_search_args_v2){
        .key =
            {
                .tree_id = tree,
                .min_objectid = first->objectid,
                .max_objectid = last->objectid,
                .min_offset = first->offset,
                .max_offset = last->offset,
                .max_transid = UINT64_MAX,
                .min_type = first->type,
                .max_type = last->type,
            },
        .buf_size = SEARCH_BUFFER,
    };
    for (struct btrfs_key seen;;) {
        args->key.nr_items = UINT32_MAX;
        args->buf_size = SEARCH_BUFFER;
        int rc = ask(fd, BTRFS_IOC_TREE_SEARCH_V2, args);
        if (rc < 0)
            return rc;
        if (args->key.nr_items == 0)
            return 0;
        rc = hand_on(args, first, last, fn, data, &seen);
        if (rc != 0)
            return rc;
        if (!advance(&args->key, &seen) || args->key.min_objectid > last->objectid)
            return 0;
    }
}

int btrfs_inode_path(int fd, uint64_t subvolume, uint64_t inode,
                     char out_path[BTRFS_INO_LOOKUP_PATH_MAX])
{
    struct btrfs_ioctl_ino_lookup_args args = {.treeid = subvolume, .objectid = inode};
    int rc = ask(fd, BTRFS_IOC_INO_LOOKUP, &args);
    if (rc == 0)
        (void)snprintf(out_path, BTRFS_INO_LOOKUP_PATH_MAX, "%s", args.name);
    return rc;
}
