/*
 * Objects: a directory with a record, and in it the subvolume. Building and releasing.
 *
 * A record says `building` until its directory stands where it belongs, and that is the last thing
 * to change; so everything that a kill, a failure or a power cut leaves half-made is building by
 * its record, wherever it stands. What cannot be undone at once (the kernel frees a quota group
 * only after its subvolume) is left as such for the reaper.
 */
#include "volume_private.h"

#include "fsops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const enum volume_place live_places[] = {VOLUME_IN_SPACES, VOLUME_IN_WEAK, -1};

static int place_fd(const struct volume *volume, enum volume_place place)
{
    return place == VOLUME_IN_SPACES ? volume->spaces : volume->weak;
}

int volume_open_object(const struct volume *volume, const char *id, const enum volume_place *places,
                       int *out_fd, enum volume_place *out_place, struct err *err)
{
    if (!uuid_valid(id))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, id, "this is no id of a space");
    for (; (int)*places >= 0; places++) {
        int fd = fsops_open_dir(place_fd(volume, *places), id);
        if (fd >= 0) {
            *out_fd = fd;
            *out_place = *places;
            return 0;
        }
        if (fd != -ENOENT)
            return err_errno(err, -fd, id, "cannot open its directory");
    }
    return err_set(err, ERR_NOT_FOUND, 0, id, "there is no such space on pool %s",
                   volume->info.fsid);
}

static int load_bytes(int fd, const char *object, uint8_t out_data[RECORD_MAX], size_t *out_length,
                      struct err *err)
{
    ssize_t length = fsops_get_attribute(fd, RECORD_XATTR, out_data, RECORD_MAX);
    if (length == -ENODATA)
        return err_set(err, ERR_NOT_FOUND, ENODATA, object, "it has no record");
    if (length == -ERANGE)
        return err_set(err, ERR_DATA_LOSS, ERANGE, object, "the record is too long");
    if (length < 0)
        return err_errno(err, (int)-length, object, "cannot read its record");
    *out_length = (size_t)length;
    return 0;
}

int volume_load_noted(int fd, const char *object, struct record *out_record,
                      struct record_note *out_note, struct err *err)
{
    uint8_t data[RECORD_MAX];
    size_t length;
    int rc = load_bytes(fd, object, data, &length, err);
    return rc < 0 ? rc : record_unpack_noted(data, length, out_record, out_note, err);
}

int volume_load_record(int fd, const char *object, struct record *out_record, struct err *err)
{
    return volume_load_noted(fd, object, out_record, NULL, err);
}

int volume_store_record(int fd, const struct record *record, struct err *err)
{
    uint8_t data[RECORD_MAX];
    size_t length;
    int rc = record_pack(record, data, &length, err);
    if (rc < 0)
        return rc;
    rc = fsops_set_attribute(fd, RECORD_XATTR, data, length);
    return rc < 0 ? err_errno(err, -rc, record->id, "cannot write its record") : 0;
}

int volume_open_data(int object_fd)
{
    struct stat status;
    autoclose int fd = fsops_open_dir(object_fd, VOLUME_DATA);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0)
        return -errno;
    /* The top of a subvolume, and nothing else, has this inode number. */
    return status.st_ino == BTRFS_FIRST_FREE_OBJECTID ? take_fd(&fd) : -ENOTDIR;
}

int volume_space_path(const struct volume *volume, const char *id, char out_path[PATH_MAX])
{
    int length = snprintf(out_path, PATH_MAX, "%s/" VOLUME_DIR_SPACES "/%s/" VOLUME_DATA,
                          volume->info.path, id);
    return length < PATH_MAX ? 0 : -ERR_INVALID_ARGUMENT;
}

int volume_read_record(const struct volume *volume, const char *id, struct record *out_record,
                       struct err *err)
{
    autoclose int fd = -1;
    enum volume_place place;
    int rc = volume_open_object(volume, id, live_places, &fd, &place, err);
    return rc < 0 ? rc : volume_load_record(fd, id, out_record, err);
}

/* ---- building ------------------------------------------------------------------------------- */

static int make_data(const struct record *record, int object)
{
    int rc = btrfs_create_subvolume(object, VOLUME_DATA, btrfs_group(1, record->qgroup));
    if (rc < 0)
        return rc;
    autoclose int data = fsops_open_dir(object, VOLUME_DATA);
    if (data < 0)
        return data;
    if (record->uid != 0 || record->gid != 0)
        rc = fsops_set_owner(data, record->uid, record->gid);
    return rc < 0 ? rc : fsops_set_mode(data, record->mode);
}

static int make_group(const struct volume *volume, const struct record *record)
{
    uint64_t group = btrfs_group(1, record->qgroup);
    int rc = btrfs_create_group(volume->root, group);
    if (rc == 0 && record->limit_bytes > 0)
        rc = btrfs_set_limit(volume->root, group, record->limit_bytes);
    return rc;
}

/* Everything inside the directory that weak/<id> is now. */
static int fill_object(const struct volume *volume, const struct record *record, int object,
                       struct err *err)
{
    int rc = volume_store_record(object, record, err);
    if (rc < 0)
        return rc;
    rc = make_group(volume, record);
    if (rc < 0)
        return err_errno(err, -rc, record->id, "cannot make its quota group");
    rc = make_data(record, object);
    return rc < 0 ? err_errno(err, -rc, record->id, "cannot make its subvolume") : 0;
}

static int put_in_place(const struct volume *volume, struct record *record, int object, int to_dir,
                        const char *to_name, unsigned flags, struct err *err)
{
    int rc = fsops_rename(volume->weak, record->id, to_dir, to_name, flags);
    if (rc == -EEXIST || rc == -ENOTEMPTY)
        return err_set(err, ERR_ALREADY_EXISTS, -rc, record->id, "its place is taken");
    if (rc < 0)
        return err_errno(err, -rc, record->id, "cannot move it to its place");
    record->state = RECORD_STATE_LIVE;
    return volume_store_record(object, record, err);
}

/* The first error is what the caller hears of; what stays is building, and the reaper's. */
static void undo(const struct volume *volume, const char *id)
{
    autoerr struct err unheard = {0};
    struct volume_reap_result result;
    (void)volume_reap(volume, id, 0, &result, &unheard);
}

int volume_build(struct volume *volume, struct record *record, int to_dir, const char *to_name,
                 unsigned flags, struct err *err)
{
    if (!volume->scanned)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, volume->info.fsid,
                       "the pool has not been scanned yet");
    if (!uuid_valid(record->id))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, record->id, "this is no id of a space");
    record->qgroup = volume->next_group++;
    record->state = RECORD_STATE_BUILDING;
    record->generation = 1;
    int rc = fsops_make_dir(volume->weak, record->id, 0711);
    if (rc < 0)
        return err_errno(err, -rc, record->id, "cannot make its directory");
    autoclose int object = fsops_open_dir(volume->weak, record->id);
    if (object < 0)
        rc = err_errno(err, -object, record->id, "cannot open its directory");
    else
        rc = fill_object(volume, record, object, err);
    if (rc == 0)
        rc = put_in_place(volume, record, object, to_dir, to_name, flags, err);
    if (rc < 0)
        undo(volume, record->id);
    return rc;
}

int volume_build_space(struct volume *volume, struct record *record, struct err *err)
{
    record->kind = RECORD_KIND_SPACE;
    return volume_build(volume, record, volume->spaces, record->id, RENAME_NOREPLACE, err);
}

/* ---- releasing ------------------------------------------------------------------------------ */

static int restate(const struct volume *volume, const char *id, enum record_state from,
                   enum record_state to, struct err *err)
{
    autoclose int fd = -1;
    enum volume_place place;
    uint8_t data[RECORD_MAX], changed[RECORD_MAX];
    size_t length, changed_length;
    struct record record;
    int rc = volume_open_object(volume, id, live_places, &fd, &place, err);
    if (rc == 0)
        rc = load_bytes(fd, id, data, &length, err);
    if (rc == 0)
        rc = record_unpack(data, length, &record, err);
    if (rc < 0)
        return rc;
    if (record.kind != RECORD_KIND_SPACE)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, id, "it is no space");
    if (record.state == to)
        return 0;
    if (record.state != from)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, id, "it is %s",
                       record_state_name(record.state));
    rc = record_restate(data, length, to, changed, &changed_length, err);
    if (rc < 0)
        return rc;
    rc = fsops_set_attribute(fd, RECORD_XATTR, changed, changed_length);
    return rc < 0 ? err_errno(err, -rc, id, "cannot write its record") : 0;
}

int volume_mark_dying(const struct volume *volume, const char *id, struct err *err)
{
    return restate(volume, id, RECORD_STATE_LIVE, RECORD_STATE_DYING, err);
}

int volume_mark_live(const struct volume *volume, const char *id, struct err *err)
{
    return restate(volume, id, RECORD_STATE_DYING, RECORD_STATE_LIVE, err);
}
