/*
 * Reaping: destroying what is dying or was never finished, in steps that can each be the last.
 *
 * The directory and its record go last of all. Until then they say what is left to do, and to which
 * quota group the rest is charged; so a kill at any step is followed by the same call again. Before
 * nested subvolumes are destroyed they are put under the space's group, so that their own groups
 * can still be found, as its members, when their subvolumes are gone.
 *
 * Nested subvolumes are opened and destroyed by their ids, never by a path that a tenant chose.
 */
#include "volume_private.h"

#include "base/clock.h"
#include "fsops.h"
#include "quota.h"

#include <errno.h>
#include <stdio.h>

enum { PAUSE_LEAST_MS = 2, PAUSE_MOST_MS = 50 };

struct reap {
    const struct volume *volume;
    const char *id;
    struct record record;
    int object; /* its directory */
    enum volume_place place;
    struct volume_reap_result result;
    struct err *err;
};

static int refuse(const struct reap *reap, int rc, const char *what)
{
    return err_errno(reap->err, -rc, reap->id, "%s", what);
}

/* ---- subvolumes ----------------------------------------------------------------------------- */

/* A full filesystem may refuse this: then the destroying is tried without. */
static void lift_limit(const struct reap *reap, uint64_t group)
{
    struct quota_tree tree;
    if (quota_read_group(reap->volume->root, group, &tree) < 0)
        return;
    const struct quota_group *found = quota_find(&tree, group);
    if (found && found->limit_bytes != BTRFS_NO_LIMIT)
        (void)btrfs_set_limit(reap->volume->root, group, BTRFS_NO_LIMIT);
    quota_free(&tree);
}

/* Best effort, as above: the kernel drops the groups of dropped subvolumes itself since 6.11. */
static void claim(const struct reap *reap, uint64_t subvolume)
{
    struct quota_tree tree;
    bool added;
    unsigned taken;
    uint64_t group = btrfs_group(0, subvolume);
    lift_limit(reap, group);
    if (quota_read_group(reap->volume->root, group, &tree) < 0)
        return;
    (void)quota_claim(reap->volume->root, &tree, group, btrfs_group(1, reap->record.qgroup), &added,
                      &taken);
    quota_free(&tree);
}

/* A subvolume that lies in a read-only one cannot be destroyed. */
static int make_writable(int fd)
{
    bool read_only;
    int rc = btrfs_is_read_only(fd, &read_only);
    return rc == 0 && read_only ? btrfs_set_read_only(fd, false) : rc;
}

static int prepare_nested(const struct reap *reap, uint64_t subvolume)
{
    autoclose int fd = btrfs_open_subvolume(reap->volume->root, subvolume);
    if (fd < 0)
        return fd;
    claim(reap, subvolume);
    return make_writable(fd);
}

static int destroy_nested(struct reap *reap, uint64_t top)
{
    struct subvolumes nested;
    int root = reap->volume->root;
    int rc = subvolumes_read_nested(root, top, &nested);
    if (rc < 0)
        return refuse(reap, rc, "cannot read its nested subvolumes");
    if (nested.count > VOLUME_NESTED_MAX)
        rc = -E2BIG;
    for (size_t i = 0; rc == 0 && i < nested.count; i++)
        rc = prepare_nested(reap, nested.list[i].id);
    /* Deepest first. */
    for (size_t i = nested.count; rc == 0 && i > 0; i--) {
        rc = btrfs_destroy_subvolume_by_id(root, nested.list[i - 1].id);
        reap->result.subvolumes += rc == 0;
    }
    subvolumes_free(&nested);
    return rc < 0 ? refuse(reap, rc, "cannot destroy its nested subvolumes") : 0;
}

static int prepare_data(struct reap *reap)
{
    uint64_t top;
    /* Closed before it is destroyed: the cleaner waits for the last one who has it open. */
    autoclose int data = volume_open_data(reap->object);
    if (data < 0)
        return data;
    int rc = make_writable(data);
    if (rc == 0)
        rc = btrfs_subvolume_id(data, &top);
    if (rc < 0)
        return refuse(reap, rc, "cannot look at its subvolume");
    claim(reap, top);
    return destroy_nested(reap, top);
}

static int destroy_data(struct reap *reap)
{
    int rc = prepare_data(reap);
    if (rc == -ENOENT)
        return 0;
    if (rc == -ENOTDIR || rc == -ELOOP)
        return refuse(reap, rc, "what stands in its directory is no subvolume, and is left alone");
    if (rc < 0)
        return rc;
    rc = btrfs_destroy_subvolume(reap->object, VOLUME_DATA);
    if (rc < 0)
        return refuse(reap, rc, "cannot destroy its subvolume");
    reap->result.subvolumes++;
    /* The cleaner starts behind the commit. */
    return volume_commit(reap->volume, reap->err);
}

/* ---- quota groups --------------------------------------------------------------------------- */

/* One member of the space's group: removed, or left for later with the reason in *out_state. */
static int remove_member(struct reap *reap, uint64_t member, enum volume_reaped *out_state)
{
    int root = reap->volume->root;
    uint64_t charged = 0, number = member & BTRFS_GROUP_NUMBER_MAX;
    int rc = btrfs_subvolume_exists(root, number);
    if (rc == 0) {
        *out_state = VOLUME_REAP_NOT_YET;
        return 0;
    }
    if (rc != -ENOENT)
        return rc;
    (void)volume_read_charge(reap->volume->info.fsid, 0, number, &charged);
    if (charged > 0) {
        if (*out_state == VOLUME_REAP_GONE)
            *out_state = VOLUME_REAP_CHARGED;
        return 0;
    }
    rc = btrfs_destroy_group(root, member); /* and its membership */
    if (rc == -EBUSY)
        *out_state = VOLUME_REAP_NOT_YET;
    return rc == -ENOENT || rc == -EBUSY ? 0 : rc;
}

static int remove_members(struct reap *reap, const struct quota_tree *tree, uint64_t group,
                          enum volume_reaped *out_state)
{
    for (size_t i = 0; i < tree->n_relations; i++) {
        if (tree->relations[i].parent != group)
            continue;
        int rc = remove_member(reap, tree->relations[i].child, out_state);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* One turn. GONE: the group and all its members are. */
static int remove_group(struct reap *reap, enum volume_reaped *out_state)
{
    struct quota_tree tree;
    uint64_t group = btrfs_group(1, reap->record.qgroup);
    int rc = quota_read_group(reap->volume->root, group, &tree);
    if (rc < 0)
        return rc;
    *out_state = VOLUME_REAP_GONE;
    bool exists = quota_find(&tree, group) != NULL;
    rc = remove_members(reap, &tree, group, out_state);
    if (rc == 0 && exists && *out_state == VOLUME_REAP_GONE) {
        rc = btrfs_destroy_group(reap->volume->root, group);
        if (rc == -EBUSY)
            *out_state = VOLUME_REAP_CHARGED;
        rc = rc == -EBUSY || rc == -ENOENT ? 0 : rc;
    }
    quota_free(&tree);
    return rc;
}

/* Where sysfs is not ours to write, the cleaner comes by itself within 30 s. */
static void wake_cleaner(const struct reap *reap)
{
    (void)btrfs_wake_cleaner(reap->volume->root, reap->volume->info.fsid);
}

/*
 * The kernel tells nobody that a subvolume is dropped but a caller that waits without a deadline
 * (BTRFS_IOC_SUBVOL_SYNC_WAIT, 6.13): so it is asked again, after pauses, until wait_ms are over.
 *
 * What a dropped subvolume was charged is given back by a commit at the latest: only what is still
 * charged after one is charged for somebody else's sake.
 */
static int remove_groups(struct reap *reap, uint32_t wait_ms)
{
    enum volume_reaped *state = &reap->result.reaped;
    uint64_t deadline_ms = clock_monotonic_ms() + wait_ms;
    bool settled = false;
    for (uint64_t wait = PAUSE_LEAST_MS;; wait = wait < PAUSE_MOST_MS ? wait * 2 : PAUSE_MOST_MS) {
        int rc = remove_group(reap, state);
        if (rc < 0)
            return refuse(reap, rc, "cannot remove its quota group");
        if (*state == VOLUME_REAP_GONE || (*state == VOLUME_REAP_CHARGED && settled))
            return 0;
        wake_cleaner(reap);
        if (clock_monotonic_ms() >= deadline_ms) {
            *state = VOLUME_REAP_NOT_YET;
            return 0;
        }
        volume_pause_ms(wait);
        /* What was destroyed by a call that was killed has not been committed either. */
        if (*state == VOLUME_REAP_CHARGED || reap->result.subvolumes == 0) {
            rc = volume_commit(reap->volume, reap->err);
            if (rc < 0)
                return rc;
        }
        settled = *state == VOLUME_REAP_CHARGED;
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* In weak/ no tenant can reach it. Where this fails it is destroyed where it stands. */
static void move_to_weak(struct reap *reap)
{
    if (reap->place == VOLUME_IN_SPACES &&
        fsops_rename(reap->volume->spaces, reap->id, reap->volume->weak, reap->id,
                     RENAME_NOREPLACE) == 0)
        reap->place = VOLUME_IN_WEAK;
}

static int remove_directory(struct reap *reap)
{
    int dir = reap->place == VOLUME_IN_SPACES ? reap->volume->spaces : reap->volume->weak;
    int rc = fsops_remove_dir(dir, reap->id);
    return rc < 0 && rc != -ENOENT ? refuse(reap, rc, "cannot remove its directory") : 0;
}

static int reap_object(struct reap *reap, uint32_t wait_ms)
{
    if (reap->record.state == RECORD_STATE_LIVE)
        return err_set(reap->err, ERR_FAILED_PRECONDITION, 0, reap->id,
                       "it is live, and is never destroyed");
    move_to_weak(reap);
    lift_limit(reap, btrfs_group(1, reap->record.qgroup));
    int rc = destroy_data(reap);
    if (rc == 0)
        rc = remove_groups(reap, wait_ms);
    if (rc == 0 && reap->result.reaped == VOLUME_REAP_GONE)
        return remove_directory(reap);
    if (rc == 0)
        (void)volume_read_charge(reap->volume->info.fsid, 1, reap->record.qgroup,
                                 &reap->result.remaining_bytes);
    /* What is there stays booked: its limit, until it is known to be charged less. */
    if (rc == 0 && reap->result.remaining_bytes == 0)
        reap->result.reaped = VOLUME_REAP_NOT_YET;
    return rc;
}

/* Without a record nothing but an empty directory is taken away, which loses nothing. */
static int reap_unbegun(struct reap *reap)
{
    int rc =
        reap->place == VOLUME_IN_WEAK ? fsops_remove_dir(reap->volume->weak, reap->id) : -ENOTEMPTY;
    if (rc == 0 || rc == -ENOENT)
        return 0;
    return refuse(reap, rc, "it has no record, and is left alone");
}

/* One that lies there by that name; what is wrong with its record is the result. */
static int open_one(struct reap *reap, enum volume_place place, int *out_object, struct err *err)
{
    const enum volume_place places[] = {place, -1};
    int rc = volume_open_object(reap->volume, reap->id, places, out_object, &reap->place, err);
    return rc < 0 ? rc : volume_load_record(*out_object, reap->id, &reap->record, err);
}

/*
 * Its directory, in weak/ or in spaces/. Somebody may have put another by its name in the other
 * place: the one that is to be reaped is the one that says so. NOT_FOUND with no errno: none.
 */
static int open_dying(struct reap *reap, int *out_object, struct err *err)
{
    struct reap other = *reap;
    autoerr struct err why = {0};
    int rc = open_one(reap, VOLUME_IN_WEAK, out_object, err);
    if (rc == 0 && reap->record.state != RECORD_STATE_LIVE)
        return 0;
    autoclose int object = -1;
    int other_rc = open_one(&other, VOLUME_IN_SPACES, &object, &why);
    bool is_dying = other_rc == 0 && other.record.state != RECORD_STATE_LIVE;
    bool is_first = rc == -ERR_NOT_FOUND && err->os_errno == 0;
    if (!is_dying && !is_first)
        return rc;
    cleanup_fd(out_object);
    *out_object = take_fd(&object);
    *reap = other;
    err_move(err, &why);
    return other_rc;
}

int volume_reap(const struct volume *volume, const char *id, uint32_t wait_ms,
                struct volume_reap_result *out_result, struct err *err)
{
    autoerr struct err own = {0};
    struct err *heard = err ? err : &own;
    struct reap reap = {.volume = volume, .id = id, .err = heard};
    autoclose int object = -1;
    int rc = open_dying(&reap, &object, heard);
    if (rc == -ERR_NOT_FOUND && heard->os_errno == 0) {
        err_clear(heard);
        *out_result = reap.result;
        return 0;
    }
    reap.object = object;
    if (rc == 0)
        rc = reap_object(&reap, wait_ms);
    else if (rc == -ERR_NOT_FOUND)
        rc = reap_unbegun(&reap);
    if (rc == 0)
        *out_result = reap.result;
    return rc;
}
