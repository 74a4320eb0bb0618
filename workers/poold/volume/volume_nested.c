/*
 * Nested subvolumes: who made subvolumes inside spaces, and whom they are charged to.
 *
 * All links between subvolumes are read in one pass; only those whose parent is not the top are
 * nested, and only for them is anything else asked. The space that one lies in is told by the
 * directory of the outermost subvolume around it, and by that directory's record.
 */
#include "volume_private.h"

#include "fsops.h"
#include "quota.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct adoption {
    const struct volume *volume;
    struct subvolumes subvolumes;
    struct quota_tree quotas;
    bool has_quotas; /* read once something is nested */
    volume_nested_fn fn;
    void *data;
    struct err *err;
};

static int refuse(const struct adoption *adoption, int os_errno, const char *what)
{
    return err_errno(adoption->err, os_errno, adoption->volume->info.fsid, "%s", what);
}

/* The subvolume right below the top around this one; NULL when the links make no sense. */
static const struct subvolume *find_outermost(const struct subvolumes *all,
                                              const struct subvolume *subvolume)
{
    for (size_t depth = 0; subvolume && depth <= all->count; depth++) {
        if (subvolume->parent == BTRFS_FS_TREE_OBJECTID)
            return subvolume;
        subvolume = subvolumes_find(all, subvolume->parent);
    }
    return NULL;
}

/* A record that was copied to another directory would charge a space for what is in that one. */
static bool is_its_place(const char *path, const struct record *record)
{
    char in_spaces[64], in_weak[64];
    (void)snprintf(in_spaces, sizeof in_spaces, VOLUME_DIR_SPACES "/%s/", record->id);
    (void)snprintf(in_weak, sizeof in_weak, VOLUME_DIR_WEAK "/%s/", record->id);
    switch (record->kind) {
    case RECORD_KIND_CACHE:
        return strcmp(path, VOLUME_DIR_CACHE "/") == 0;
    case RECORD_KIND_HOME:
        return strcmp(path, VOLUME_DIR_ZDB "/") == 0;
    case RECORD_KIND_SPACE:
        return strcmp(path, in_spaces) == 0 || strcmp(path, in_weak) == 0;
    case RECORD_KIND_BOOKING:
        break;
    }
    return false;
}

/* The record of the object whose data this is; NOT_FOUND when it is nothing of ours. */
static int find_owner(const struct adoption *adoption, const struct subvolume *data,
                      struct record *out_record)
{
    char path[BTRFS_INO_LOOKUP_PATH_MAX];
    if (strcmp(data->name, VOLUME_DATA) != 0 ||
        btrfs_inode_path(adoption->volume->root, BTRFS_FS_TREE_OBJECTID, data->directory, path) < 0)
        return -ERR_NOT_FOUND;
    autoclose int fd = fsops_open_dir(adoption->volume->root, path);
    if (fd < 0)
        return -ERR_NOT_FOUND;
    int rc = volume_load_record(fd, path, out_record, NULL);
    return rc == 0 && !is_its_place(path, out_record) ? -ERR_NOT_FOUND : rc;
}

/* Without the space's group there is nothing to put it in: the kernel says EINVAL. Of a dying one
 * it is gone for good. */
static int obtain_group(const struct adoption *adoption, const struct record *owner)
{
    bool made;
    if (quota_find(&adoption->quotas, btrfs_group(1, owner->qgroup)))
        return 0;
    if (owner->state != RECORD_STATE_LIVE)
        return -ENOENT;
    return volume_enforce_limit(adoption->volume, owner, &made);
}

static int adopt(struct adoption *adoption, const struct subvolume *nested,
                 const struct record *owner)
{
    char path[PATH_MAX];
    struct volume_nested report = {
        .id = owner->id, .subvolume = nested->id, .group = owner->qgroup, .path = path};
    if (!adoption->has_quotas) {
        int rc = quota_read(adoption->volume->root, &adoption->quotas);
        if (rc < 0)
            return refuse(adoption, -rc, "cannot read its quota groups");
        adoption->has_quotas = true;
    }
    int rc = obtain_group(adoption, owner);
    if (rc == 0)
        rc =
            quota_claim(adoption->volume->root, &adoption->quotas, btrfs_group(0, nested->id),
                        btrfs_group(1, owner->qgroup), &report.assigned, &report.memberships_taken);
    /* It may be gone by now, or its space. */
    if (rc == -ENOENT ||
        subvolumes_path(adoption->volume->root, &adoption->subvolumes, nested, path) < 0)
        return 0;
    if (rc < 0)
        return refuse(adoption, -rc, "cannot assign a nested subvolume to its space");
    return adoption->fn(&report, adoption->data);
}

static int adopt_all(struct adoption *adoption)
{
    for (size_t i = 0; i < adoption->subvolumes.count; i++) {
        const struct subvolume *subvolume = &adoption->subvolumes.list[i];
        struct record owner;
        if (subvolume->parent == BTRFS_FS_TREE_OBJECTID)
            continue;
        const struct subvolume *outermost = find_outermost(&adoption->subvolumes, subvolume);
        if (!outermost || find_owner(adoption, outermost, &owner) < 0)
            continue;
        int rc = adopt(adoption, subvolume, &owner);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int volume_adopt_nested(const struct volume *volume, volume_nested_fn fn, void *data,
                        struct err *err)
{
    struct adoption adoption = {.volume = volume, .fn = fn, .data = data, .err = err};
    int rc = subvolumes_read(volume->root, &adoption.subvolumes);
    if (rc < 0)
        return refuse(&adoption, -rc, "cannot read its subvolumes");
    rc = adopt_all(&adoption);
    subvolumes_free(&adoption.subvolumes);
    quota_free(&adoption.quotas);
    return rc;
}
