/*
 * The directory of a pool's 0-db, and what is booked in it.
 *
 *   zdb/                  a plain directory with a record, as around a space
 *   zdb/data              the subvolume, the 0-db's own, with one quota group for all that is in it
 *   zdb/bookings/<id>     a plain directory, empty, whose record is the booking
 *
 * What is enforced follows from the records: the home's own limit is what the 0-db needs for
 * itself, and the group's is that and the limits of all bookings. A booking is built as a space is,
 * in weak/ and under a name of its own there, since its id is the caller's and may be asked for
 * again while something of an earlier try is still about. It holds no data, so what was not
 * finished, or was ended, is gone with its directory and is nothing for the reaper.
 */
#include "volume_private.h"

#include "fsops.h"
#include "quota.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { HOME_MODE = 0700, BOOKINGS_MODE = 0700, BOOKING_MODE = 0700 };

/* ---- the home ------------------------------------------------------------------------------- */

static int build_home(struct volume *volume, const struct record *wanted, struct record *out_record,
                      struct err *err)
{
    struct record record = {
        .kind = RECORD_KIND_HOME,
        .disk_type = volume->info.disk_type,
        .size_bytes = wanted->limit_bytes,
        .limit_bytes = wanted->limit_bytes,
        .uid = wanted->uid,
        .gid = wanted->gid,
        .mode = HOME_MODE,
        .created_us = clock_realtime_us(),
    };
    uuid_random(record.id);
    /* Takes the place of the empty directory. */
    int rc = volume_build(volume, &record, volume->root, VOLUME_DIR_ZDB, 0, err);
    if (rc == 0)
        *out_record = record;
    return rc;
}

static int settle_home(int object, struct record *record, struct err *err)
{
    if (record->kind != RECORD_KIND_HOME || record->state == RECORD_STATE_DYING)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, record->id,
                       "what stands where the 0-db belongs is not its directory");
    autoclose int data = volume_open_data(object);
    if (data < 0)
        return err_set(err, ERR_DATA_LOSS, -data, record->id,
                       "the directory of the 0-db has no subvolume");
    /* Building: it was complete when it came here, and lacked this mark alone. */
    if (record->state == RECORD_STATE_LIVE)
        return 0;
    record->state = RECORD_STATE_LIVE;
    return volume_store_record(object, record, err);
}

/* Opens zdb/bookings; the descriptor or -errno. */
static int open_bookings(const struct volume *volume)
{
    autoclose int object = fsops_open_dir(volume->root, VOLUME_DIR_ZDB);
    return object < 0 ? object : fsops_open_dir(object, VOLUME_DIR_BOOKINGS);
}

static int make_bookings(const struct volume *volume, struct err *err)
{
    autoclose int object = fsops_open_dir(volume->root, VOLUME_DIR_ZDB);
    autoclose int bookings = object < 0 ? object : fsops_open_dir(object, VOLUME_DIR_BOOKINGS);
    int rc = bookings < 0 ? bookings : 0;
    if (object >= 0 && rc == -ENOENT)
        rc = fsops_make_dir(object, VOLUME_DIR_BOOKINGS, BOOKINGS_MODE);
    return rc < 0 ? err_errno(err, -rc, volume->info.fsid, "cannot make the folder of the bookings")
                  : 0;
}

int volume_home_ensure(struct volume *volume, const struct record *wanted,
                       struct record *out_record, struct err *err)
{
    struct record record;
    autoerr struct err own = {0};
    struct err *heard = err ? err : &own;
    autoclose int object = fsops_open_dir(volume->root, VOLUME_DIR_ZDB);
    if (object < 0 && object != -ENOENT)
        return err_errno(heard, -object, volume->info.fsid, "cannot open the 0-db's directory");
    int rc = -ERR_NOT_FOUND;
    if (object >= 0) {
        rc = volume_load_record(object, VOLUME_DIR_ZDB, &record, heard);
        if (rc == -ERR_NOT_FOUND && heard->os_errno != ENODATA)
            return rc;
    }
    if (rc == -ERR_NOT_FOUND) {
        err_clear(heard);
        rc = build_home(volume, wanted, &record, heard);
    } else if (rc == 0) {
        rc = settle_home(object, &record, heard);
    }
    if (rc == 0)
        rc = make_bookings(volume, heard);
    if (rc == 0)
        *out_record = record;
    return rc;
}

int volume_home_limit(const struct volume *volume, const struct record *home, uint64_t limit_bytes,
                      uint64_t *out_limit_bytes, struct err *err)
{
    struct record enforced = *home;
    struct quota_tree tree;
    uint64_t usage = 0, group = btrfs_group(1, home->qgroup);
    bool repaired;
    enforced.limit_bytes = limit_bytes;
    (void)volume_read_charge(volume->info.fsid, 1, home->qgroup, &usage);
    if (usage > limit_bytes && quota_read_group(volume->root, group, &tree) == 0) {
        const struct quota_group *found = quota_find(&tree, group);
        uint64_t has = found ? found->limit_bytes : BTRFS_NO_LIMIT;
        uint64_t least = usage < has ? usage : has;
        enforced.limit_bytes = least > limit_bytes ? least : limit_bytes;
        quota_free(&tree);
    }
    int rc = volume_enforce(volume, &enforced, &repaired, err);
    if (rc == 0)
        *out_limit_bytes = enforced.limit_bytes;
    return rc;
}

/* ---- bookings ------------------------------------------------------------------------------- */

static int store_booking(int fd, const struct record *record, const struct record_note *note,
                         struct err *err)
{
    uint8_t data[RECORD_MAX];
    size_t length;
    int rc = record_pack_noted(record, note, data, &length, err);
    if (rc < 0)
        return rc;
    rc = fsops_set_attribute(fd, RECORD_XATTR, data, length);
    return rc < 0 ? err_errno(err, -rc, record->id, "cannot write its record") : 0;
}

/* Removes a booking that is none, by its record: never finished, or ended. */
static bool remove_ended(int dir, const char *name)
{
    struct record record;
    autoclose int fd = fsops_open_dir(dir, name);
    if (fd < 0 || volume_load_record(fd, name, &record, NULL) < 0 ||
        record.kind != RECORD_KIND_BOOKING || record.state == RECORD_STATE_LIVE)
        return false;
    return fsops_remove_dir(dir, name) == 0;
}

static int put_booking(const struct volume *volume, const char *job, int bookings, const char *id)
{
    int rc = fsops_rename(volume->weak, job, bookings, id, RENAME_NOREPLACE);
    if (rc == -EEXIST && remove_ended(bookings, id))
        rc = fsops_rename(volume->weak, job, bookings, id, RENAME_NOREPLACE);
    return rc;
}

static int build_booking(const struct volume *volume, const char *job, int bookings,
                         struct record *record, const struct record_note *note, struct err *err)
{
    autoclose int object = fsops_open_dir(volume->weak, job);
    if (object < 0)
        return err_errno(err, -object, record->id, "cannot open its directory");
    int rc = store_booking(object, record, note, err);
    if (rc < 0)
        return rc;
    rc = put_booking(volume, job, bookings, record->id);
    if (rc == -EEXIST)
        return err_set(err, ERR_ALREADY_EXISTS, EEXIST, record->id, "its place is taken");
    if (rc < 0)
        return err_errno(err, -rc, record->id, "cannot move it to its place");
    record->state = RECORD_STATE_LIVE;
    rc = store_booking(object, record, note, err);
    if (rc < 0)
        (void)fsops_remove_dir(bookings, record->id);
    return rc;
}

int volume_booking_make(const struct volume *volume, struct record *record,
                        const struct record_note *note, struct err *err)
{
    char job[UUID_TEXT_SIZE];
    autoclose int bookings = open_bookings(volume);
    if (bookings < 0)
        return err_errno(err, -bookings, record->id, "cannot open the folder of the bookings");
    record->kind = RECORD_KIND_BOOKING;
    record->state = RECORD_STATE_BUILDING;
    record->qgroup = 0;
    record->generation = 1;
    uuid_random(job);
    int rc = fsops_make_dir(volume->weak, job, BOOKING_MODE);
    if (rc < 0)
        return err_errno(err, -rc, record->id, "cannot make its directory");
    rc = build_booking(volume, job, bookings, record, note, err);
    if (rc < 0)
        (void)fsops_remove_dir(volume->weak, job);
    return rc;
}

int volume_booking_change(const struct volume *volume, const struct record *record,
                          const struct record_note *note, struct err *err)
{
    autoclose int bookings = open_bookings(volume);
    autoclose int object = bookings < 0 ? bookings : fsops_open_dir(bookings, record->id);
    if (object < 0)
        return err_errno(err, -object, record->id, "cannot open its directory");
    return store_booking(object, record, note, err);
}

int volume_booking_end(const struct volume *volume, const struct record *record, struct err *err)
{
    struct record ended = *record;
    autoclose int bookings = open_bookings(volume);
    autoclose int object = bookings < 0 ? bookings : fsops_open_dir(bookings, record->id);
    if (object == -ENOENT)
        return 0;
    if (object < 0)
        return err_errno(err, -object, record->id, "cannot open its directory");
    ended.state = RECORD_STATE_DYING;
    int rc = store_booking(object, &ended, NULL, err);
    /* On a full filesystem it stays, and is removed at the next open. */
    if (rc == 0)
        (void)fsops_remove_dir(bookings, record->id);
    return rc;
}

static void sweep(int from)
{
    int fd = from < 0 ? -1 : fsops_open_dir(from, "."); /* with a position of its own */
    autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        cleanup_fd(&fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (uuid_valid(entry->d_name))
            (void)remove_ended(from, entry->d_name);
}

void volume_booking_sweep(const struct volume *volume)
{
    autoclose int bookings = open_bookings(volume);
    sweep(volume->weak);
    sweep(bookings);
}
