/*
 * The cache: one subvolume per pool at cache/data, and its bind on a path outside the pool.
 *
 * Its directory carries a record like a space's, but stands where no space verb looks. A bind is
 * recognised by what is mounted, never by what is in a file: same superblock, root /cache/data, and
 * the same subvolume. Only binds of ours are ever taken away.
 */
#include "volume_private.h"

#include "fsops.h"
#include "mounts.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define CACHE_ROOT "/" VOLUME_DIR_CACHE "/" VOLUME_DATA

enum { CACHE_MODE = 0755, STACKED_MAX = 8 };

/* ---- the subvolume -------------------------------------------------------------------------- */

static int build_cache(struct volume *volume, uint64_t limit_bytes, struct record *out_record,
                       struct err *err)
{
    struct record record = {
        .kind = RECORD_KIND_CACHE,
        .disk_type = volume->info.disk_type,
        .size_bytes = limit_bytes,
        .limit_bytes = limit_bytes,
        .mode = CACHE_MODE,
        .created_us = clock_realtime_us(),
    };
    uuid_random(record.id);
    /* Takes the place of the empty directory. */
    int rc = volume_build(volume, &record, volume->root, VOLUME_DIR_CACHE, 0, err);
    if (rc == 0)
        *out_record = record;
    return rc;
}

/* Somebody destroyed it behind our back: a cache may be empty, never absent. */
static int restore_data(const struct record *record, int object, struct err *err)
{
    autoclose int data = volume_open_data(object);
    if (data >= 0)
        return 0;
    int rc = data;
    if (data == -ENOENT)
        rc = btrfs_create_subvolume(object, VOLUME_DATA, btrfs_group(1, record->qgroup));
    if (rc == 0) {
        autoclose int made = volume_open_data(object);
        rc = made < 0 ? made : fsops_set_mode(made, CACHE_MODE);
    }
    return rc < 0 ? err_errno(err, -rc, record->id, "the cache has no subvolume") : 0;
}

static int settle_cache(const struct volume *volume, int object, uint64_t limit_bytes,
                        struct record *record, struct err *err)
{
    bool repaired;
    if (record->kind != RECORD_KIND_CACHE || record->state == RECORD_STATE_DYING)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, record->id,
                       "what stands where the cache belongs is no cache, and is left alone");
    /* Building: it was complete when it came here, and lacked this mark alone. */
    if (record->state != RECORD_STATE_LIVE || record->limit_bytes != limit_bytes) {
        record->state = RECORD_STATE_LIVE;
        record->size_bytes = record->limit_bytes = limit_bytes;
        record->generation++;
        int rc = volume_store_record(object, record, err);
        if (rc < 0)
            return rc;
    }
    int rc = restore_data(record, object, err);
    return rc < 0 ? rc : volume_enforce(volume, record, &repaired, err);
}

int volume_cache_ensure(struct volume *volume, uint64_t limit_bytes, struct record *out_record,
                        bool *out_created, struct err *err)
{
    struct record record;
    autoerr struct err own = {0};
    struct err *heard = err ? err : &own;
    autoclose int object = fsops_open_dir(volume->root, VOLUME_DIR_CACHE);
    if (object < 0 && object != -ENOENT)
        return err_errno(heard, -object, volume->info.fsid, "cannot open the cache");
    int rc = -ERR_NOT_FOUND;
    if (object >= 0) {
        rc = volume_load_record(object, VOLUME_DIR_CACHE, &record, heard);
        if (rc == -ERR_NOT_FOUND && heard->os_errno != ENODATA)
            return rc;
    }
    bool created = rc == -ERR_NOT_FOUND;
    if (created) {
        err_clear(heard);
        rc = build_cache(volume, limit_bytes, &record, heard);
    } else if (rc == 0) {
        rc = settle_cache(volume, object, limit_bytes, &record, heard);
    }
    if (rc < 0)
        return rc;
    *out_record = record;
    *out_created = created;
    return 0;
}

/* ---- the bind ------------------------------------------------------------------------------- */

struct look {
    const struct volume *volume;
    int id;     /* of the mount on top at the path */
    dev_t data; /* st_dev of this volume's cache; 0: it has none */
    dev_t here; /* st_dev at the path */
    bool is_labelled;
    enum volume_bound bound;
};

static int judge_mount(const struct mounts_entry *entry, void *data)
{
    struct look *look = data;
    if (entry->id != look->id)
        return 0;
    /* A destroyed one has "//deleted" behind it, and its st_dev is that of nothing: 0. */
    bool is_btrfs = strcmp(entry->type, "btrfs") == 0;
    bool is_there = is_btrfs && strcmp(entry->root, CACHE_ROOT) == 0;
    bool is_cache = is_there || (is_btrfs && strcmp(entry->root, CACHE_ROOT "//deleted") == 0);
    if (!is_cache || !look->is_labelled)
        look->bound = VOLUME_BOUND_FOREIGN;
    else if (is_there && entry->device == look->volume->fs_device && look->data != 0 &&
             look->here == look->data)
        look->bound = VOLUME_BOUND_OURS;
    else
        look->bound = VOLUME_BOUND_OTHER;
    return 1;
}

static dev_t cache_device(const struct volume *volume)
{
    struct stat status;
    autoclose int object = fsops_open_dir(volume->root, VOLUME_DIR_CACHE);
    autoclose int data = object < 0 ? -1 : volume_open_data(object);
    return data >= 0 && fstat(data, &status) == 0 ? status.st_dev : 0;
}

int volume_cache_bound(const struct volume *volume, const char *path, enum volume_bound *out_bound,
                       struct err *err)
{
    struct statx status;
    char label[BTRFS_LABEL_SIZE];
    autoclose int fd = fsops_open_dir(AT_FDCWD, path);
    if (fd == -ENOENT) {
        *out_bound = VOLUME_BOUND_NOT;
        return 0;
    }
    if (fd < 0)
        return err_errno(err, -fd, path, "cannot tell what is mounted here");
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) < 0)
        return err_errno(err, errno, path, "cannot tell what is mounted here");
    struct look look = {.volume = volume, .id = mounts_id(fd), .data = cache_device(volume)};
    look.here = makedev(status.stx_dev_major, status.stx_dev_minor);
    look.is_labelled =
        btrfs_read_label(fd, label) == 0 && strncmp(label, VOLUME_LABEL, strlen(VOLUME_LABEL)) == 0;
    if (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
        int rc = mounts_each("/proc/self/mountinfo", judge_mount, &look, err);
        if (rc < 0)
            return rc;
    }
    *out_bound = look.bound;
    return 0;
}

struct bound_cache {
    int id; /* of the mount on top at the path */
    bool is_cache;
};

static int match_cache(const struct mounts_entry *entry, void *data)
{
    struct bound_cache *bound = data;
    if (entry->id != bound->id)
        return 0;
    bound->is_cache = strcmp(entry->type, "btrfs") == 0 && strcmp(entry->root, CACHE_ROOT) == 0;
    return 1;
}

int volume_open_bound_cache(const char *path, const char *fsid)
{
    struct btrfs_filesystem filesystem;
    char has[UUID_TEXT_SIZE] = "";
    autoclose int fd = fsops_open_dir(AT_FDCWD, path);
    if (fd < 0)
        return fd;
    if (btrfs_read_filesystem(fd, &filesystem) == 0)
        uuid_format(filesystem.fsid, has);
    if (strcmp(has, fsid) != 0)
        return -ENOENT;
    struct bound_cache bound = {.id = mounts_id(fd)};
    if (mounts_each("/proc/self/mountinfo", match_cache, &bound, NULL) < 0 || !bound.is_cache)
        return -ENOENT;
    return take_fd(&fd);
}

static int attach(const struct volume *volume, const char *path, struct err *err)
{
    autoclose int object = fsops_open_dir(volume->root, VOLUME_DIR_CACHE);
    if (object < 0)
        return err_errno(err, -object, volume->info.fsid, "the pool has no cache");
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return err_errno(err, errno, path, "cannot make the directory");
    autoclose int mount = -1;
    int rc = mounts_clone(object, VOLUME_DATA, &mount, err);
    return rc < 0 ? rc : mounts_attach(mount, path, err);
}

int volume_bind_cache(const struct volume *volume, const char *path, struct err *err)
{
    enum volume_bound bound = VOLUME_BOUND_NOT;
    for (int stacked = 0; stacked <= STACKED_MAX; stacked++) {
        int rc = volume_cache_bound(volume, path, &bound, err);
        if (rc < 0 || bound == VOLUME_BOUND_OURS)
            return rc;
        if (bound == VOLUME_BOUND_NOT)
            return attach(volume, path, err);
        if (bound == VOLUME_BOUND_FOREIGN)
            break;
        rc = volume_unmount(path, err);
        if (rc < 0)
            return rc;
    }
    return err_set(err, ERR_ALREADY_EXISTS, 0, path,
                   "something that is not storaged's is mounted here");
}

int volume_unbind_cache(const struct volume *volume, const char *path, struct err *err)
{
    enum volume_bound bound;
    int rc = volume_cache_bound(volume, path, &bound, err);
    return rc < 0 || bound != VOLUME_BOUND_OURS ? rc : volume_unmount(path, err);
}
