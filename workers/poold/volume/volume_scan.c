/*
 * Scanning: what is on the pool, by its records. Nothing is changed; what has no good record is
 * reported with the reason and is nobody's to delete.
 */
#include "volume_private.h"

#include "fsops.h"
#include "quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* We count from 1. What is beyond was made by somebody else, and after it may come no number. */
#define GROUP_OURS_MAX (UINT64_C(1) << 40)

struct scan {
    struct volume *volume;
    volume_object_fn fn;
    void *data;
    uint64_t highest_group;
    struct err *err;
};

static int report_unknown(struct scan *scan, enum volume_place place, const char *name,
                          const char *reason)
{
    struct volume_object object = {.place = place, .name = name, .reason = reason};
    return scan->fn(&object, scan->data);
}

static void note_group(struct scan *scan, uint64_t number)
{
    if (number > scan->highest_group && number <= GROUP_OURS_MAX)
        scan->highest_group = number;
}

static int report_record(struct scan *scan, enum volume_place place, const char *name,
                         const struct record *record, const struct record_note *note, int fd)
{
    struct stat status;
    struct volume_object object = {.place = place, .name = name, .record = record, .note = note};
    object.has_data = fstatat(fd, VOLUME_DATA, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                      S_ISDIR(status.st_mode) && status.st_ino == BTRFS_FIRST_FREE_OBJECTID;
    note_group(scan, record->qgroup);
    return scan->fn(&object, scan->data);
}

/* What fsops_open_dir() says of a file, a fifo, a symlink. */
static bool is_no_folder(int fd)
{
    return fd == -ENOTDIR || fd == -ELOOP;
}

/* The size of a directory of btrfs counts the names in it; subvolumes are names. A subvolume itself
 * is never the directory of an object. */
static bool is_empty_folder(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_size == 0 &&
           status.st_ino != BTRFS_FIRST_FREE_OBJECTID;
}

/* An empty directory of ours in weak/: a build that ended before it had a record. */
static int report_unbegun(struct scan *scan, const char *name)
{
    struct record record = {
        .kind = RECORD_KIND_SPACE, .state = RECORD_STATE_BUILDING, .generation = 1};
    struct volume_object object = {.place = VOLUME_IN_WEAK, .name = name, .record = &record};
    (void)snprintf(record.id, sizeof record.id, "%s", name);
    return scan->fn(&object, scan->data);
}

static const char *find_misplaced(enum volume_place place, const char *name,
                                  const struct record *record)
{
    if (place == VOLUME_IN_CACHE)
        return record->kind == RECORD_KIND_CACHE ? NULL : "the cache's record is that of a space";
    if (place == VOLUME_IN_ZDB)
        return record->kind == RECORD_KIND_HOME ? NULL : "the 0-db's record is that of another";
    if (strcmp(record->id, name) != 0)
        return "its record is that of another directory";
    if (place == VOLUME_IN_WEAK && record->state == RECORD_STATE_LIVE)
        return "its record is that of something live, which has its place elsewhere";
    if (place == VOLUME_IN_SPACES && record->kind != RECORD_KIND_SPACE)
        return "its record is not that of a space";
    if (place == VOLUME_IN_BOOKINGS && record->kind != RECORD_KIND_BOOKING)
        return "its record is not that of a booking";
    return NULL;
}

/* What could not be read for want of memory or descriptors would be taken for nobody's. */
static int report_unread(struct scan *scan, enum volume_place place, const char *name, int os_errno,
                         const char *reason)
{
    if (err_is_want(os_errno))
        return err_errno(scan->err, os_errno, scan->volume->info.fsid, "cannot scan %s",
                         volume_place_name(place));
    return report_unknown(scan, place, name, reason);
}

static int scan_object(struct scan *scan, int dir, enum volume_place place, const char *name)
{
    struct record record;
    struct record_note note = {0};
    autoerr struct err why = {0};
    autoclose int fd = fsops_open_dir(dir, name);
    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return report_unread(scan, place, name, -fd,
                             is_no_folder(fd) ? "not a directory" : strerror(-fd));
    if (volume_load_noted(fd, name, &record, &note, &why) < 0) {
        if (why.os_errno == ENODATA && (place == VOLUME_IN_CACHE || place == VOLUME_IN_ZDB))
            return is_empty_folder(fd) ? 0 : report_unknown(scan, place, name, why.message);
        if (why.os_errno == ENODATA && place == VOLUME_IN_WEAK && uuid_valid(name) &&
            is_empty_folder(fd))
            return report_unbegun(scan, name);
        return report_unread(scan, place, name, why.os_errno, why.message);
    }
    /* It holds nothing: volume_booking_sweep() removes it. */
    if (record.kind == RECORD_KIND_BOOKING && record.state != RECORD_STATE_LIVE)
        return 0;
    /* It was complete when it came here, and lacks that mark alone. */
    if (place == VOLUME_IN_ZDB && record.state == RECORD_STATE_BUILDING)
        record.state = RECORD_STATE_LIVE;
    const char *misplaced = find_misplaced(place, name, &record);
    if (misplaced)
        return report_unknown(scan, place, name, misplaced);
    return report_record(scan, place, name, &record, &note, fd);
}

typedef int (*entry_fn)(struct scan *scan, int dir, enum volume_place place, const char *name);

static int scan_entries(struct scan *scan, int from, enum volume_place place, entry_fn each)
{
    int fd = fsops_open_dir(from, "."); /* with a position of its own */
    autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int os_errno = fd < 0 ? -fd : errno;
        cleanup_fd(&fd);
        return err_errno(scan->err, os_errno, scan->volume->info.fsid, "cannot scan %s",
                         volume_place_name(place));
    }
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry && errno)
            return err_errno(scan->err, errno, scan->volume->info.fsid, "cannot scan %s",
                             volume_place_name(place));
        if (!entry)
            return 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int rc = each(scan, from, place, entry->d_name);
        if (rc != 0)
            return rc;
    }
}

/* Only what has been booked in has the folder. One that cannot be read is not one without bookings:
 * their bytes would be promised to others. */
static int scan_bookings(struct scan *scan)
{
    autoclose int zdb = fsops_open_dir(scan->volume->root, VOLUME_DIR_ZDB);
    autoclose int bookings = zdb < 0 ? zdb : fsops_open_dir(zdb, VOLUME_DIR_BOOKINGS);
    if (bookings == -ENOENT || is_no_folder(zdb))
        return 0;
    if (is_no_folder(bookings))
        return report_unknown(scan, VOLUME_IN_ZDB, VOLUME_DIR_BOOKINGS, "not a directory");
    if (bookings < 0)
        return err_errno(scan->err, -bookings, scan->volume->info.fsid, "cannot scan %s",
                         volume_place_name(VOLUME_IN_BOOKINGS));
    return scan_entries(scan, bookings, VOLUME_IN_BOOKINGS, scan_object);
}

static int scan_top(struct scan *scan, int dir, enum volume_place place, const char *name)
{
    static const char *const known[] = {VOLUME_DIR_META, VOLUME_DIR_WEAK, VOLUME_DIR_SPACES,
                                        VOLUME_DIR_CACHE, VOLUME_DIR_ZDB};
    (void)dir;
    for (size_t i = 0; i < array_length(known); i++)
        if (strcmp(name, known[i]) == 0)
            return 0;
    return report_unknown(scan, place, name, "storaged did not make it");
}

static int report_beside(struct scan *scan, int dir, enum volume_place place, const char *name)
{
    (void)dir;
    bool ours = strcmp(name, VOLUME_DATA) == 0 ||
                (place == VOLUME_IN_ZDB && strcmp(name, VOLUME_DIR_BOOKINGS) == 0);
    return ours ? 0 : report_unknown(scan, place, name, "storaged did not make it");
}

/* A space that was moved there would be gone without a word. */
static int scan_beside(struct scan *scan, enum volume_place place, const char *folder)
{
    autoclose int fd = fsops_open_dir(scan->volume->root, folder);
    if (fd < 0 && err_is_want(-fd))
        return err_errno(scan->err, -fd, scan->volume->info.fsid, "cannot scan %s", folder);
    return fd < 0 ? 0 : scan_entries(scan, fd, place, report_beside);
}

/* Groups outlive their records by no more than a reap, but a number is never used twice. */
static int find_highest_group(struct scan *scan)
{
    struct quota_tree tree;
    int rc = quota_read(scan->volume->root, &tree);
    if (rc < 0)
        return err_errno(scan->err, -rc, scan->volume->info.fsid, "cannot read its quota groups");
    for (size_t i = 0; i < tree.n_groups; i++) {
        uint64_t id = tree.groups[i].id;
        if (id >> BTRFS_QGROUP_LEVEL_SHIFT == 1)
            note_group(scan, id & BTRFS_GROUP_NUMBER_MAX);
    }
    quota_free(&tree);
    return 0;
}

int volume_scan(struct volume *volume, volume_object_fn fn, void *data, struct err *err)
{
    struct scan scan = {.volume = volume, .fn = fn, .data = data, .err = err};
    int rc = find_highest_group(&scan);
    if (rc == 0)
        rc = scan_entries(&scan, volume->root, VOLUME_AT_TOP, scan_top);
    if (rc == 0)
        rc = scan_object(&scan, volume->root, VOLUME_IN_CACHE, VOLUME_DIR_CACHE);
    if (rc == 0)
        rc = scan_object(&scan, volume->root, VOLUME_IN_ZDB, VOLUME_DIR_ZDB);
    if (rc == 0)
        rc = scan_bookings(&scan);
    if (rc == 0)
        rc = scan_beside(&scan, VOLUME_IN_CACHE, VOLUME_DIR_CACHE);
    if (rc == 0)
        rc = scan_beside(&scan, VOLUME_IN_ZDB, VOLUME_DIR_ZDB);
    if (rc == 0)
        rc = scan_entries(&scan, volume->weak, VOLUME_IN_WEAK, scan_object);
    if (rc == 0)
        rc = scan_entries(&scan, volume->spaces, VOLUME_IN_SPACES, scan_object);
    if (rc != 0)
        return rc;
    /* Another scan may have run meanwhile, and builds after it. */
    uint64_t next = volume->next_group;
    while (next <= scan.highest_group &&
           !atomic_compare_exchange_weak(&volume->next_group, &next, scan.highest_group + 1))
        ;
    volume->scanned = true;
    return 0;
}
