/*
 * Usage, limits and capacity: what the kernel counts and enforces, and what the devices could hold.
 */
#include "volume_private.h"

#include "capacity.h"
#include "fsops.h"
#include "quota.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

_Static_assert((int)CAPACITY_DEVICES_MAX == (int)VOLUME_MEMBERS_MAX, "a pool's members fit");
_Static_assert(VOLUME_NO_LIMIT == BTRFS_NO_LIMIT, "they are handed on");

/* ---- usage ---------------------------------------------------------------------------------- */

/* n of 1/<n>; what is on another level is no object's. */
static uint64_t number_of(uint64_t group)
{
    return group >> BTRFS_QGROUP_LEVEL_SHIFT == 1 ? group & BTRFS_GROUP_NUMBER_MAX : 0;
}

int volume_usage(const struct volume *volume, volume_group_fn fn, void *data, struct err *err)
{
    struct quota_tree tree;
    int rc = quota_read(volume->root, &tree);
    if (rc < 0)
        return err_errno(err, -rc, volume->info.fsid, "cannot read its quota groups");
    for (size_t i = 0; rc == 0 && i < tree.n_groups; i++) {
        const struct quota_group *found = &tree.groups[i];
        struct volume_group group = {
            .level = (unsigned)(found->id >> BTRFS_QGROUP_LEVEL_SHIFT),
            .number = found->id & BTRFS_GROUP_NUMBER_MAX,
            .usage_bytes = found->usage_bytes,
            .limit_bytes = found->limit_bytes,
            .parent = number_of(found->lowest_parent),
            .n_parents = found->n_parents,
        };
        rc = fn(&group, data);
    }
    quota_free(&tree);
    return rc;
}

int volume_read_charge(const char *fsid, unsigned level, uint64_t number, uint64_t *out_bytes)
{
    char path[160], text[32] = "";
    (void)snprintf(path, sizeof path, "/sys/fs/btrfs/%s/qgroups/%u_%" PRIu64 "/referenced", fsid,
                   level, number);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        return -errno;
    *out_bytes = strtoull(text, NULL, 10);
    return 0;
}

int volume_group_usage(const struct volume *volume, uint64_t n, uint64_t *out_bytes,
                       struct err *err)
{
    int rc = volume_read_charge(volume->info.fsid, 1, n, out_bytes);
    return rc < 0 ? err_errno(err, -rc, volume->info.fsid, "cannot read quota group 1/%" PRIu64, n)
                  : 0;
}

/* ---- limits --------------------------------------------------------------------------------- */

static int open_record_dir(const struct volume *volume, const struct record *record)
{
    if (record->kind == RECORD_KIND_SPACE)
        return fsops_open_dir(volume->spaces, record->id);
    return fsops_open_dir(volume->root,
                          record->kind == RECORD_KIND_CACHE ? VOLUME_DIR_CACHE : VOLUME_DIR_ZDB);
}

int volume_enforce_limit(const struct volume *volume, const struct record *record, bool *repaired)
{
    struct quota_tree tree;
    uint64_t group = btrfs_group(1, record->qgroup);
    uint64_t wanted = record->limit_bytes ? record->limit_bytes : BTRFS_NO_LIMIT;
    int rc = quota_read_group(volume->root, group, &tree);
    if (rc < 0)
        return rc;
    const struct quota_group *found = quota_find(&tree, group);
    uint64_t has = found ? found->limit_bytes : BTRFS_NO_LIMIT;
    if (!found) {
        rc = btrfs_create_group(volume->root, group);
        rc = rc == -EEXIST ? 0 : rc;
        *repaired = true;
    }
    if (rc == 0 && has != wanted) {
        rc = btrfs_set_limit(volume->root, group, wanted);
        *repaired = true;
    }
    quota_free(&tree);
    return rc;
}

/* `btrfs qgroup limit` sets it on the subvolume: less than what its user was promised. */
static int lift_own_limit(const struct volume *volume, const struct quota_tree *tree,
                          uint64_t group, bool *repaired)
{
    const struct quota_group *found = quota_find(tree, group);
    if (!found || found->limit_bytes == BTRFS_NO_LIMIT)
        return 0;
    *repaired = true;
    return btrfs_set_limit(volume->root, group, BTRFS_NO_LIMIT);
}

static int enforce_membership(const struct volume *volume, const struct record *record,
                              bool *repaired)
{
    struct quota_tree tree;
    uint64_t subvolume;
    bool added = false;
    unsigned taken = 0;
    autoclose int object = open_record_dir(volume, record);
    if (object < 0)
        return object;
    autoclose int data = volume_open_data(object);
    if (data < 0)
        return data;
    int rc = btrfs_subvolume_id(data, &subvolume);
    if (rc == 0)
        rc = quota_read_group(volume->root, btrfs_group(0, subvolume), &tree);
    if (rc < 0)
        return rc;
    rc = quota_claim(volume->root, &tree, btrfs_group(0, subvolume), btrfs_group(1, record->qgroup),
                     &added, &taken);
    *repaired |= added || taken > 0;
    if (rc == 0)
        rc = lift_own_limit(volume, &tree, btrfs_group(0, subvolume), repaired);
    quota_free(&tree);
    return rc;
}

/* A group that is made for what was reaped meanwhile would be nobody's. */
static int check_live(const struct volume *volume, const struct record *record, struct err *err)
{
    struct record now = *record;
    int rc =
        record->kind == RECORD_KIND_SPACE ? volume_read_record(volume, record->id, &now, err) : 0;
    if (rc == 0 && now.state != RECORD_STATE_LIVE)
        rc = err_set(err, ERR_FAILED_PRECONDITION, 0, record->id, "it is %s",
                     record_state_name(now.state));
    return rc;
}

int volume_enforce(const struct volume *volume, const struct record *record, bool *out_repaired,
                   struct err *err)
{
    bool repaired = false;
    int rc = check_live(volume, record, err);
    if (rc < 0)
        return rc;
    rc = volume_enforce_limit(volume, record, &repaired);
    if (rc == 0)
        rc = enforce_membership(volume, record, &repaired);
    if (rc < 0)
        return err_errno(err, -rc, record->id, "cannot enforce its limit");
    *out_repaired = repaired;
    return 0;
}

/* ---- capacity ------------------------------------------------------------------------------- */

/* Profiles that make no pool of ours count as the nearest that promises no more. */
static enum capacity_profile profile_of(uint64_t flags)
{
    if (flags & (BTRFS_BLOCK_GROUP_RAID1 | BTRFS_BLOCK_GROUP_RAID10))
        return CAPACITY_RAID1;
    return flags & BTRFS_BLOCK_GROUP_DUP ? CAPACITY_DUP : CAPACITY_SINGLE;
}

static void take_space(const struct btrfs_ioctl_space_info *space, void *data)
{
    struct capacity_input *input = data;
    /* Not an allocation: the kernel's own reserve, which is part of metadata. */
    if (space->flags & BTRFS_SPACE_INFO_GLOBAL_RSV)
        return;
    /* While profiles are converted there are two: the one that takes more counts. */
    enum capacity_profile profile = profile_of(space->flags);
    if (space->flags & BTRFS_BLOCK_GROUP_DATA && profile > input->data)
        input->data = profile;
    if (space->flags & BTRFS_BLOCK_GROUP_METADATA && profile > input->metadata)
        input->metadata = profile;
    if (space->flags & (BTRFS_BLOCK_GROUP_METADATA | BTRFS_BLOCK_GROUP_SYSTEM))
        input->metadata_allocated_bytes += space->total_bytes;
}

static int read_devices(const struct volume *volume, struct volume_capacity *capacity)
{
    struct btrfs_filesystem filesystem;
    int rc = btrfs_read_filesystem(volume->root, &filesystem);
    if (rc < 0)
        return rc;
    for (uint64_t devid = 1;
         devid <= filesystem.max_devid && capacity->n_devices < VOLUME_MEMBERS_MAX; devid++) {
        struct btrfs_ioctl_dev_info_args device;
        rc = btrfs_read_device(volume->root, devid, &device);
        if (rc == -ENODEV)
            continue;
        if (rc < 0)
            return rc;
        capacity->devids[capacity->n_devices] = devid;
        capacity->device_bytes[capacity->n_devices++] = device.total_bytes;
    }
    return 0;
}

int volume_capacity(const struct volume *volume, struct volume_capacity *out_capacity,
                    struct err *err)
{
    struct volume_capacity capacity = {0};
    struct capacity_input input = {0};
    int rc = read_devices(volume, &capacity);
    if (rc == 0)
        rc = btrfs_read_spaces(volume->root, take_space, &input);
    if (rc < 0)
        return err_errno(err, -rc, volume->info.fsid, "cannot read how large it is");
    memcpy(input.device_bytes, capacity.device_bytes, sizeof capacity.device_bytes);
    input.n_devices = capacity.n_devices;
    capacity.total_bytes = capacity_total(&input);
    capacity.usable_bytes = capacity_usable(&input);
    *out_capacity = capacity;
    return 0;
}

struct metadata {
    uint64_t used_bytes, total_bytes;
};

static void take_metadata(const struct btrfs_ioctl_space_info *space, void *data)
{
    struct metadata *metadata = data;
    if (space->flags & BTRFS_SPACE_INFO_GLOBAL_RSV)
        metadata->used_bytes += space->total_bytes;
    else if (space->flags & BTRFS_BLOCK_GROUP_METADATA) {
        metadata->used_bytes += space->used_bytes;
        metadata->total_bytes += space->total_bytes;
    }
}

int volume_refuse_full(const struct volume *volume, struct err *err)
{
    struct metadata metadata = {0};
    (void)btrfs_read_spaces(volume->root, take_metadata, &metadata);
    int rc = err_set(err, ERR_RESOURCE_EXHAUSTED, ENOSPC, volume->info.fsid,
                     "pool %s has no room to note another space: of %" PRIu64
                     " bytes for metadata %" PRIu64 " are used or held back",
                     volume->info.fsid, metadata.total_bytes, metadata.used_bytes);
    err_hint(err, "release spaces that hold many files, or remove what is not of storaged");
    return rc;
}
