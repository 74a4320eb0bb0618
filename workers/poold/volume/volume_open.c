/*
 * Opening a volume: look without writing, refuse with the reason, and only then write.
 *
 * An attempt collects what has been made; whatever way it ends, what is left in it is closed, and a
 * detached mount goes with its last descriptor. It is attached as the very last step that can fail
 * but one, which detaches it again.
 */
#include "volume_private.h"

#include "fsops.h"
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct attempt {
    const struct volume_spec *spec;
    struct volume *volume;
    struct volume_verdict verdict;
    bool attached; /* by us: to be detached when it fails after that */
    bool dead;     /* the mount that was there no longer reaches its disks */
    enum volume_problem problem;
    struct err *err;
};

static const char *const problem_names[] = {
    [VOLUME_PROBLEM_NONE] = "none",
    [VOLUME_PROBLEM_NOT_OURS] = "not-ours",
    [VOLUME_PROBLEM_NO_DESCRIPTOR] = "no-descriptor",
    [VOLUME_PROBLEM_NOT_EMPTY] = "not-empty",
    [VOLUME_PROBLEM_WRONG_FSID] = "wrong-fsid",
    [VOLUME_PROBLEM_TOO_NEW] = "too-new",
    [VOLUME_PROBLEM_CORRUPT] = "corrupt",
    [VOLUME_PROBLEM_OTHER_DISKS] = "other-disks",
    [VOLUME_PROBLEM_QUOTA] = "quota",
    [VOLUME_PROBLEM_PATH_TAKEN] = "path-taken",
    [VOLUME_PROBLEM_MOUNT_FAILED] = "mount-failed",
    [VOLUME_PROBLEM_FENCED] = "fenced",
    [VOLUME_PROBLEM_FINISH_FAILED] = "finish-failed",
    [VOLUME_PROBLEM_INTERNAL] = "internal",
};

const char *volume_problem_name(enum volume_problem problem)
{
    return (size_t)problem < array_length(problem_names) ? problem_names[problem] : "internal";
}

/* Names the problem of the error that is set already, and returns its code. What we could not see
 * for want of memory or descriptors is no fault of the pool's, and passes. */
static int fail(struct attempt *attempt, enum volume_problem problem)
{
    attempt->problem = err_is_want(attempt->err->os_errno) ? VOLUME_PROBLEM_INTERNAL : problem;
    return -(int)attempt->err->code;
}

/* ---- is it the one -------------------------------------------------------------------------- */

static int check_spec(struct attempt *attempt)
{
    const struct volume_spec *spec = attempt->spec;
    if (*spec->mount_root != '/' || !uuid_valid(spec->fsid) || spec->n_members == 0 ||
        spec->n_members > VOLUME_MEMBERS_MAX ||
        strlen(spec->mount_root) + UUID_TEXT_SIZE >= PATH_MAX) {
        (void)err_set(attempt->err, ERR_INVALID_ARGUMENT, 0, spec->fsid,
                      "not a pool that could be opened");
        return fail(attempt, VOLUME_PROBLEM_INTERNAL);
    }
    return 0;
}

/* A device's name may belong to another disk by now. */
static int check_devices(struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->spec->n_members; i++) {
        const struct volume_member *member = &attempt->spec->members[i];
        struct stat status;
        if (stat(member->path, &status) < 0) {
            (void)err_errno(attempt->err, errno, member->path, "the member disk is gone");
            return fail(attempt, VOLUME_PROBLEM_OTHER_DISKS);
        }
        if (!S_ISBLK(status.st_mode) || status.st_rdev != makedev(member->major, member->minor)) {
            (void)err_set(attempt->err, ERR_FAILED_PRECONDITION, 0, member->path,
                          "this name belongs to another device now");
            return fail(attempt, VOLUME_PROBLEM_OTHER_DISKS);
        }
    }
    return 0;
}

static int verify(struct attempt *attempt, int root)
{
    enum volume_problem problem =
        volume_verify(root, attempt->spec, &attempt->verdict, attempt->err);
    return problem == VOLUME_PROBLEM_NONE ? 0 : fail(attempt, problem);
}

/* ---- mounting ------------------------------------------------------------------------------- */

static int open_mount(struct attempt *attempt, bool read_only, int *out_mount, int *out_root)
{
    const struct volume_spec *spec = attempt->spec;
    const char *sources[VOLUME_MEMBERS_MAX];
    for (size_t i = 0; i < spec->n_members; i++)
        sources[i] = spec->members[i].path;
    struct mounts_request request = {
        .sources = sources,
        .n_sources = spec->n_members,
        .read_only = read_only,
        .no_log_replay = read_only && spec->log_pending,
    };
    autoclose int mount = -1;
    if (mounts_make(&request, &mount, attempt->err) < 0)
        return fail(attempt, VOLUME_PROBLEM_MOUNT_FAILED);
    int root = fsops_open_dir(mount, ".");
    if (root < 0) {
        (void)err_errno(attempt->err, -root, spec->fsid, "cannot open the filesystem's top");
        return fail(attempt, VOLUME_PROBLEM_MOUNT_FAILED);
    }
    *out_mount = take_fd(&mount);
    *out_root = root;
    return 0;
}

/*
 * Read-only, verified, and then writable: a small part of what a second mount takes. Not with a log
 * pending, which is passed over while looking and has to be replayed by a mount of its own.
 */
static int mount_verified(struct attempt *attempt, int *out_mount, int *out_root)
{
    autoclose int mount = -1, root = -1;
    int rc = open_mount(attempt, true, &mount, &root);
    if (rc == 0)
        rc = verify(attempt, root);
    if (rc < 0)
        return rc;
    if (attempt->spec->log_pending) {
        (void)close(take_fd(&root));
        (void)close(take_fd(&mount));
        return open_mount(attempt, false, out_mount, out_root);
    }
    if (mounts_make_writable(mount, attempt->spec->members[0].path, attempt->err) < 0)
        return fail(attempt, VOLUME_PROBLEM_MOUNT_FAILED);
    *out_mount = take_fd(&mount);
    *out_root = take_fd(&root);
    return 0;
}

static int make_directory(const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return err_errno(err, errno, path, "cannot make the directory");
    return 0;
}

static int attach(struct attempt *attempt, int mount)
{
    const char *path = attempt->volume->info.path;
    if (make_directory(attempt->spec->mount_root, 0711, attempt->err) < 0 ||
        make_directory(path, 0700, attempt->err) < 0)
        return fail(attempt, VOLUME_PROBLEM_PATH_TAKEN);
    if (mounts_attach(mount, path, attempt->err) < 0)
        return fail(attempt, attempt->err->os_errno == ENOTDIR || attempt->err->os_errno == ELOOP
                                 ? VOLUME_PROBLEM_PATH_TAKEN
                                 : VOLUME_PROBLEM_MOUNT_FAILED);
    attempt->attached = true;
    return 0;
}

/* ---- a mount that is there ------------------------------------------------------------------ */

struct existing {
    const char *path;
    bool found, is_ours, is_hardened;
};

static int match_path(const struct mounts_entry *entry, void *data)
{
    struct existing *existing = data;
    if (strcmp(entry->target, existing->path) != 0)
        return 0;
    /* The last one wins: it lies on top. */
    existing->found = true;
    existing->is_ours = strcmp(entry->type, "btrfs") == 0 && strcmp(entry->root, "/") == 0;
    existing->is_hardened = mounts_has_option(entry->options, "nosuid") &&
                            mounts_has_option(entry->options, "nodev") &&
                            mounts_has_option(entry->options, "noatime");
    return 0;
}

static int find_existing(struct attempt *attempt, struct existing *out_existing)
{
    char real_root[PATH_MAX], path[PATH_MAX];
    *out_existing = (struct existing){.path = attempt->volume->info.path};
    /* mountinfo has no symlinks in it. */
    if (realpath(attempt->spec->mount_root, real_root)) {
        if (snprintf(path, sizeof path, "%s/%s", real_root, attempt->spec->fsid) < PATH_MAX)
            out_existing->path = path;
    }
    int rc = mounts_each("/proc/self/mountinfo", match_path, out_existing, attempt->err);
    out_existing->path = attempt->volume->info.path;
    return rc < 0 ? fail(attempt, VOLUME_PROBLEM_INTERNAL) : 0;
}

/* A disk that went away and came back is another device, though it may have the same name. */
static bool runs_on_members(const struct attempt *attempt, int root)
{
    for (size_t i = 0; i < attempt->spec->n_members; i++) {
        const struct volume_member *member = &attempt->spec->members[i];
        struct btrfs_ioctl_dev_info_args device;
        struct stat status;
        if (btrfs_read_device(root, member->devid, &device) < 0 ||
            stat((const char *)device.path, &status) < 0 ||
            status.st_rdev != makedev(member->major, member->minor))
            return false;
    }
    return true;
}

static int take_over(struct attempt *attempt, const struct existing *existing)
{
    struct volume *volume = attempt->volume;
    struct btrfs_filesystem filesystem;
    char fsid[UUID_TEXT_SIZE] = "no btrfs";
    volume->root = fsops_open_dir(AT_FDCWD, existing->path);
    if (volume->root < 0) {
        (void)err_errno(attempt->err, -volume->root, existing->path, "cannot open the mount");
        return fail(attempt, VOLUME_PROBLEM_MOUNT_FAILED);
    }
    if (existing->is_ours && btrfs_read_filesystem(volume->root, &filesystem) == 0)
        uuid_format(filesystem.fsid, fsid);
    if (strcmp(fsid, attempt->spec->fsid) != 0) {
        (void)err_set(attempt->err, ERR_ALREADY_EXISTS, 0, existing->path,
                      "something else is mounted here (%s)", fsid);
        return fail(attempt, VOLUME_PROBLEM_PATH_TAKEN);
    }
    volume->info.adopted = true;
    attempt->dead = !runs_on_members(attempt, volume->root);
    if (attempt->dead)
        return 0;
    int rc = verify(attempt, volume->root);
    if (rc < 0)
        attempt->dead = attempt->err->os_errno == EIO;
    else if (!existing->is_hardened &&
             mounts_harden(volume->root, existing->path, attempt->err) < 0)
        return fail(attempt, VOLUME_PROBLEM_MOUNT_FAILED);
    return rc;
}

/* ---- making it ours ------------------------------------------------------------------------- */

static int take_lock(struct attempt *attempt)
{
    struct volume *volume = attempt->volume;
    int rc =
        attempt->verdict.has_descriptor ? 0 : fsops_make_dir(volume->root, VOLUME_DIR_META, 0700);
    if (rc == 0 || rc == -EEXIST)
        rc = volume->lock = fsops_open_dir(volume->root, VOLUME_DIR_META);
    if (rc < 0) {
        (void)err_errno(attempt->err, -rc, volume->info.fsid, "cannot open " VOLUME_DIR_META);
        return fail(attempt, attempt->verdict.has_descriptor ? VOLUME_PROBLEM_CORRUPT
                                                             : VOLUME_PROBLEM_FINISH_FAILED);
    }
    if (flock(volume->lock, LOCK_EX | LOCK_NB) < 0) {
        (void)err_set(attempt->err, ERR_UNAVAILABLE, errno, volume->info.fsid,
                      "a predecessor still holds the pool: a thread of it hangs there");
        err_hint(attempt->err, "look at the disk; the pool opens when the thread is gone");
        err_retryable(attempt->err, 1000);
        return fail(attempt, VOLUME_PROBLEM_FENCED);
    }
    return 0;
}

static int finish(struct attempt *attempt)
{
    struct volume *volume = attempt->volume;
    bool is_new = volume_begins(attempt->verdict.label, VOLUME_LABEL_NEW);
    if (attempt->verdict.has_descriptor && !is_new)
        return 0;
    if (!attempt->verdict.has_descriptor)
        descriptor_make(attempt->spec, attempt->verdict.label + strlen(VOLUME_LABEL_NEW),
                        &attempt->verdict.descriptor);
    if (volume_finish(volume->root, volume->lock, &attempt->verdict.descriptor,
                      !attempt->verdict.has_descriptor, attempt->err) < 0)
        return fail(attempt, VOLUME_PROBLEM_FINISH_FAILED);
    volume->info.finished = true;
    return 0;
}

static int check_quota(struct attempt *attempt)
{
    enum volume_quota mode;
    if (volume_quota_mode(attempt->spec->fsid, &mode, attempt->err) < 0)
        return fail(attempt, VOLUME_PROBLEM_QUOTA);
    if (mode == attempt->verdict.descriptor.quota)
        return 0;
    (void)err_set(attempt->err, ERR_FAILED_PRECONDITION, 0, attempt->spec->fsid,
                  "the pool was made with %s, and the kernel says %s",
                  volume_quota_name(attempt->verdict.descriptor.quota), volume_quota_name(mode));
    return fail(attempt, VOLUME_PROBLEM_QUOTA);
}

/*
 * What stands in caches says nothing about the disk: writes the descriptor as it is, and commits.
 * A mount whose disk went away, or that the kernel made read-only, fails here.
 */
static int write_canary(struct attempt *attempt)
{
    struct volume *volume = attempt->volume;
    uint8_t data[DESCRIPTOR_MAX];
    ssize_t length = fsops_get_attribute(volume->lock, DESCRIPTOR_XATTR, data, sizeof data);
    int rc = length < 0 ? (int)length
                        : fsops_set_attribute(volume->lock, DESCRIPTOR_XATTR, data, (size_t)length);
    if (rc == 0)
        rc = btrfs_commit(volume->root);
    if (rc == 0)
        return 0;
    attempt->dead = volume->info.adopted;
    (void)err_errno(attempt->err, -rc, volume->info.fsid, "its disk takes no writes");
    return fail(attempt, VOLUME_PROBLEM_MOUNT_FAILED);
}

static int open_folders(struct attempt *attempt)
{
    struct volume *volume = attempt->volume;
    volume->weak = fsops_open_dir(volume->root, VOLUME_DIR_WEAK);
    volume->spaces = fsops_open_dir(volume->root, VOLUME_DIR_SPACES);
    int rc = volume->weak < 0 ? volume->weak : volume->spaces;
    if (rc >= 0)
        return 0;
    (void)err_errno(attempt->err, -rc, volume->info.fsid, "the pool lacks one of its folders");
    return fail(attempt, VOLUME_PROBLEM_CORRUPT);
}

/* Options belong to the superblock, which somebody may have mounted before us. */
static int check_options(struct attempt *attempt)
{
    struct volume *volume = attempt->volume;
    autofree char *options = NULL;
    if (mounts_super(volume->root, &volume->fs_device, &options, attempt->err) < 0)
        return fail(attempt, VOLUME_PROBLEM_MOUNT_FAILED);
    const char *reason =
        mounts_has_option(options, "user_subvol_rm_allowed")
            ? "it is mounted with user_subvol_rm_allowed, which lets tenants destroy spaces"
        : mounts_has_option(options, "ro") ? "it is mounted read-only"
                                           : NULL;
    if (!reason)
        return 0;
    (void)err_set(attempt->err, ERR_FAILED_PRECONDITION, 0, volume->info.fsid, "%s", reason);
    err_hint(attempt->err, "unmount it everywhere; storaged then mounts it by itself");
    return fail(attempt, VOLUME_PROBLEM_MOUNT_FAILED);
}

static void fill_info(struct attempt *attempt)
{
    struct volume_info *info = &attempt->volume->info;
    const struct descriptor *descriptor = &attempt->verdict.descriptor;
    memcpy(info->uuid, descriptor->uuid, sizeof info->uuid);
    memcpy(info->name, descriptor->name, sizeof info->name);
    memcpy(info->type_evidence, descriptor->type_evidence, sizeof info->type_evidence);
    info->disk_type = descriptor->disk_type;
    info->quota = descriptor->quota;
    info->created_us = descriptor->created_us;
    info->n_members = descriptor->n_members;
}

static int make_ours(struct attempt *attempt)
{
    static int (*const steps[])(struct attempt *) = {finish, write_canary, check_quota,
                                                     open_folders};
    int rc = take_lock(attempt);
    if (rc < 0)
        return rc;
    int entered = volume_enter(attempt->volume);
    for (size_t i = 0; rc == 0 && i < array_length(steps); i++)
        rc = steps[i](attempt);
    volume_leave(entered);
    return rc;
}

static int open_fresh(struct attempt *attempt)
{
    autoclose int mount = -1;
    int rc = check_devices(attempt);
    if (rc == 0)
        rc = mount_verified(attempt, &mount, &attempt->volume->root);
    if (rc == 0)
        rc = make_ours(attempt);
    if (rc == 0)
        rc = attach(attempt, mount);
    return rc;
}

static void close_descriptors(struct volume *volume)
{
    int *const fds[] = {&volume->spaces, &volume->weak, &volume->lock, &volume->root};
    for (size_t i = 0; i < array_length(fds); i++) {
        cleanup_fd(fds[i]);
        *fds[i] = -1;
    }
}

/*
 * Not lazily: as long as somebody uses the dead filesystem the kernel mounts no other of this fsid.
 */
static int replace_dead(struct attempt *attempt)
{
    struct volume *volume = attempt->volume;
    close_descriptors(volume);
    attempt->verdict.has_descriptor = false;
    volume->info.adopted = false;
    if (volume_unmount(volume->info.path, attempt->err) < 0)
        return fail(attempt, VOLUME_PROBLEM_MOUNT_FAILED);
    return open_fresh(attempt);
}

static int open_existing(struct attempt *attempt, const struct existing *existing)
{
    int rc = take_over(attempt, existing);
    if (rc == 0 && !attempt->dead)
        rc = make_ours(attempt);
    return attempt->dead ? replace_dead(attempt) : rc;
}

/* The bind of the cache holds a dead filesystem as the mount itself does, and outlives it. */
static int let_dead_cache_go(struct attempt *attempt)
{
    const char *path = attempt->spec->cache_path;
    int fd = path ? volume_open_bound_cache(path, attempt->spec->fsid) : -1;
    if (fd < 0)
        return 0;
    bool alive = runs_on_members(attempt, fd) && !volume_takes_no_writes(fd);
    (void)close(fd);
    if (alive || volume_unmount(path, attempt->err) == 0)
        return 0;
    return fail(attempt, VOLUME_PROBLEM_MOUNT_FAILED);
}

static int run_attempt(struct attempt *attempt)
{
    struct existing existing;
    int rc = check_spec(attempt);
    if (rc < 0)
        return rc;
    struct volume_info *info = &attempt->volume->info;
    (void)snprintf(info->fsid, sizeof info->fsid, "%s", attempt->spec->fsid);
    (void)snprintf(info->path, sizeof info->path, "%s/%s", attempt->spec->mount_root,
                   attempt->spec->fsid);
    rc = let_dead_cache_go(attempt);
    if (rc == 0)
        rc = find_existing(attempt, &existing);
    if (rc == 0)
        rc = existing.found ? open_existing(attempt, &existing) : open_fresh(attempt);
    if (rc == 0)
        rc = check_options(attempt);
    if (rc == 0)
        fill_info(attempt);
    return rc;
}

int volume_open(const struct volume_spec *spec, struct volume **out_volume,
                enum volume_problem *out_problem, struct err *err)
{
    struct volume *volume = malloc(sizeof *volume);
    if (!volume) {
        *out_problem = VOLUME_PROBLEM_INTERNAL;
        return err_errno(err, ENOMEM, spec->fsid, "cannot open the pool");
    }
    *volume = (struct volume){.root = -1, .lock = -1, .weak = -1, .spaces = -1};
    struct attempt attempt = {.spec = spec, .volume = volume, .err = err};
    int rc = run_attempt(&attempt);
    if (rc < 0) {
        autoerr struct err unheard = {0};
        (void)volume_close(volume, attempt.attached, &unheard);
        *out_problem = attempt.problem;
        return rc;
    }
    *out_volume = volume;
    return 0;
}
