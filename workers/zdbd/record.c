/*
 * The record of a 0-db process, see the header. The directory is the 0-db's, so whatever lies there
 * may be its doing: a record is believed only if it is a plain file of our own user's.
 */
#include "record.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#define FILE_NAME "record"
#define FILE_NEW  "record.new"

enum { STAT_START_TIME = 22, STAT_MAX = 1024 };

/* ---- what the kernel says of a process ------------------------------------------------------- */

/* Reads at most size - 1 bytes, terminated; the length or -errno. */
static ssize_t read_text(int dir, const char *path, char *out_text, size_t size)
{
    autoclose int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, out_text, size - 1);
    if (length < 0)
        return -errno;
    out_text[length] = '\0';
    return length;
}

/* 0 or -errno; the name in the second field may hold anything, so it is counted from its end. */
static int read_start_ticks(pid_t pid, uint64_t *out_ticks)
{
    char path[32], text[STAT_MAX];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    ssize_t length = read_text(AT_FDCWD, path, text, sizeof text);
    const char *at = length < 0 ? NULL : strrchr(text, ')');
    for (int field = 2; at && field < STAT_START_TIME; field++)
        at = strchr(at + 1, ' ');
    if (length < 0)
        return (int)length;
    return at && sscanf(at, " %" SCNu64, out_ticks) == 1 ? 0 : -EBADMSG;
}

int record_describe_self(struct zdb_record *record, struct err *err)
{
    uint64_t ticks;
    char boot_id[UUID_TEXT_SIZE];
    int rc = read_start_ticks(getpid(), &ticks);
    if (rc == 0)
        rc = uuid_of_boot(boot_id);
    if (rc < 0)
        return err_errno(err, -rc, "/proc", "does not say who we are");
    record->pid = getpid();
    record->start_ticks = ticks;
    record->started_us = clock_realtime_us();
    memcpy(record->boot_id, boot_id, sizeof boot_id);
    return 0;
}

static int ended(const struct zdb_record *record, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, 0, record->pool, "its process %d has ended",
                   (int)record->pid);
}

/* The descriptor comes first: whatever the start time is read of afterwards is its process, or that
 * one has ended, which it shows. */
int record_find_process(const struct zdb_record *record, int *out_pidfd, struct err *err)
{
    char boot_id[UUID_TEXT_SIZE];
    uint64_t ticks;
    int rc = uuid_of_boot(boot_id);
    if (rc < 0)
        return err_errno(err, -rc, record->pool, "cannot tell which boot this is");
    if (strcmp(boot_id, record->boot_id) != 0)
        return ended(record, err);
    autoclose int pidfd = pidfd_open(record->pid, 0);
    if (pidfd < 0 && errno != ESRCH)
        return err_errno(err, errno, record->pool, "cannot watch process %d", (int)record->pid);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    if (pidfd < 0 || read_start_ticks(record->pid, &ticks) < 0 || ticks != record->start_ticks ||
        poll(&end, 1, 0) != 0)
        return ended(record, err);
    *out_pidfd = take_fd(&pidfd);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int format(const struct zdb_record *record, char out_text[RECORD_FILE_MAX])
{
    return snprintf(out_text, RECORD_FILE_MAX,
                    "pool=%s\nboot_id=%s\npid=%d\nstart_ticks=%" PRIu64 "\nstarted_us=%" PRIu64
                    "\nuid=%u\nport=%u\nbinary_dev=%" PRIu64 "\nbinary_ino=%" PRIu64
                    "\nbinary_mtime_ns=%" PRId64 "\nmissing=%s\n",
                    record->pool, record->boot_id, (int)record->pid, record->start_ticks,
                    record->started_us, record->uid, record->port, record->binary_dev,
                    record->binary_ino, record->binary_mtime_ns, record->missing);
}

int record_write(int run_fd, const struct zdb_record *record, struct err *err)
{
    char text[RECORD_FILE_MAX];
    int length = format(record, text);
    (void)step_around(unlinkat(run_fd, FILE_NEW, 0));
    autoclose int fd = step_around(
        openat(run_fd, FILE_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd < 0)
        return err_errno(err, errno, record->pool, "cannot make its record");
    ssize_t n = step_around(write(fd, text, (size_t)length));
    if (n != length)
        return err_errno(err, n < 0 ? errno : ENOSPC, record->pool, "cannot write its record");
    if (step_around(renameat(run_fd, FILE_NEW, run_fd, FILE_NAME)) < 0)
        return err_errno(err, errno, record->pool, "cannot put its record in place");
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

enum field_kind { TEXT, SIGNED, UNSIGNED };

/* A key of the file and where its value goes; numbers of any size have their limits here. */
struct field {
    const char *key;
    enum field_kind kind;
    void *value;
    size_t size;
    uint64_t most;
};

static bool parse_unsigned(const char *text, uint64_t most, uint64_t *out_value)
{
    char *end;
    errno = 0;
    *out_value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && errno == 0 && *out_value <= most;
}

static bool parse_signed(const char *text, int64_t *out_value)
{
    char *end;
    errno = 0;
    *out_value = strtoll(text, &end, 10);
    return *text && !*end && errno == 0;
}

static bool take_value(const struct field *field, const char *text)
{
    switch (field->kind) {
    case TEXT:
        return snprintf(field->value, field->size, "%s", text) < (int)field->size;
    case SIGNED:
        return parse_signed(text, field->value);
    case UNSIGNED:
        break;
    }
    return parse_unsigned(text, field->most, field->value);
}

/* Each key once, each line ended; what a later version adds is passed over. `text` is changed. */
static bool parse_lines(char *text, const struct field *fields, size_t n_fields)
{
    unsigned seen = 0;
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        char *value = end ? memchr(line, '=', (size_t)(end - line)) : NULL;
        if (!value)
            return false;
        *end = *value = '\0';
        for (size_t i = 0; i < n_fields; i++) {
            if (strcmp(fields[i].key, line) != 0)
                continue;
            if (seen & 1u << i || !take_value(&fields[i], value + 1))
                return false;
            seen |= 1u << i;
        }
    }
    return seen == (1u << n_fields) - 1;
}

static bool parse(char *text, struct zdb_record *out)
{
    uint64_t pid, uid, port;
    const struct field fields[] = {
        {"pool", TEXT, out->pool, sizeof out->pool, 0},
        {"boot_id", TEXT, out->boot_id, sizeof out->boot_id, 0},
        {"pid", UNSIGNED, &pid, 0, INT32_MAX},
        {"start_ticks", UNSIGNED, &out->start_ticks, 0, UINT64_MAX},
        {"started_us", UNSIGNED, &out->started_us, 0, UINT64_MAX},
        {"uid", UNSIGNED, &uid, 0, UINT32_MAX - 1},
        {"port", UNSIGNED, &port, 0, UINT16_MAX},
        {"binary_dev", UNSIGNED, &out->binary_dev, 0, UINT64_MAX},
        {"binary_ino", UNSIGNED, &out->binary_ino, 0, UINT64_MAX},
        {"binary_mtime_ns", SIGNED, &out->binary_mtime_ns, 0, 0},
        {"missing", TEXT, out->missing, sizeof out->missing, 0},
    };
    if (!parse_lines(text, fields, array_length(fields)) || !uuid_valid(out->boot_id) || pid == 0)
        return false;
    out->pid = (pid_t)pid;
    out->uid = (uid_t)uid;
    out->port = (uint16_t)port;
    return true;
}

int record_read(int run_fd, const char *pool, struct zdb_record *out_record, struct err *err)
{
    char text[RECORD_FILE_MAX + 1];
    struct zdb_record record = {0};
    struct stat status;
    autoclose int fd = openat(run_fd, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, ENOENT, pool, "its 0-db has left no record");
    if (fd < 0 && errno != ELOOP)
        return err_errno(err, errno, pool, "cannot open the record of its 0-db");
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(err, ERR_DATA_LOSS, 0, pool, "the record of its 0-db is not our own file");
    ssize_t length = read(fd, text, sizeof text);
    if (length < 0)
        return err_errno(err, errno, pool, "cannot read the record of its 0-db");
    bool fits = length < (ssize_t)sizeof text && !memchr(text, '\0', (size_t)length);
    text[fits ? length : 0] = '\0';
    if (!parse(text, &record))
        return err_set(err, ERR_DATA_LOSS, 0, pool, "the record of its 0-db is not whole");
    if (strcmp(record.pool, pool) != 0)
        return err_set(err, ERR_DATA_LOSS, 0, pool, "the record of its 0-db names another pool");
    *out_record = record;
    return 0;
}
