/*
 * One file, copied. What was copied is somebody's only copy but one: it is synced, dropped from the
 * page cache as far as that goes, and read again beside its source.
 */
#include "import_private.h"

#include "base/cleanup.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { CHUNK = 1024 * 1024 };

static int fail(const char *name, const char *what, struct err *err)
{
    int os_errno = errno;
    if (os_errno == ENOSPC || os_errno == EDQUOT)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, os_errno, name, "its file \"%s\" does not fit",
                       name);
    return err_errno(err, os_errno, name, "cannot %s its file \"%s\"", what, name);
}

/* As much as there is, up to a chunk; 0 at the end. */
static ssize_t read_chunk(int fd, char *buffer, off_t at)
{
    size_t size = 0;
    while (size < CHUNK) {
        ssize_t n = pread(fd, buffer + size, CHUNK - size, at + (off_t)size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? n : (ssize_t)size;
        size += (size_t)n;
    }
    return CHUNK;
}

static int write_chunk(int fd, const char *buffer, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, buffer, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        buffer += n;
        size -= (size_t)n;
    }
    return 0;
}

static int copy_bytes(int from, int to, char *buffer)
{
    off_t at = 0;
    for (ssize_t n; (n = read_chunk(from, buffer, at)) != 0; at += n)
        if (n < 0 || write_chunk(to, buffer, (size_t)n) < 0)
            return -1;
    return 0;
}

/* 1: the same, 0: not, or -1 with errno. */
static int compare(int left, int right, char *buffer)
{
    for (off_t at = 0;;) {
        ssize_t n = read_chunk(left, buffer, at), m = read_chunk(right, buffer + CHUNK, at);
        if (n < 0 || m < 0)
            return -1;
        if (n != m || memcmp(buffer, buffer + CHUNK, (size_t)n) != 0)
            return 0;
        if (n == 0)
            return 1;
        at += n;
    }
}

static int fill(int from, int to, const char *name, struct err *err)
{
    autofree char *buffer = malloc((size_t)2 * CHUNK);
    if (!buffer)
        return err_errno(err, ENOMEM, name, "cannot copy a file");
    if (step_around(ioctl(to, FICLONE, from)) < 0 && step_around(copy_bytes(from, to, buffer)) < 0)
        return fail(name, "copy", err);
    if (step_around(fsync(to)) < 0)
        return fail(name, "sync", err);
    (void)posix_fadvise(to, 0, 0, POSIX_FADV_DONTNEED);
    int same = compare(from, to, buffer);
    if (same < 0)
        return fail(name, "read", err);
    return same ? 0
                : err_set(err, ERR_DATA_LOSS, 0, name,
                          "the copy of its file \"%s\" is not what was copied", name);
}

int import_copy_file(int from, int to, const char *name, uid_t uid, gid_t gid, struct err *err)
{
    struct stat status;
    autoclose int source = openat(from, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (source < 0 || fstat(source, &status) < 0)
        return fail(name, "open", err);
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_FAILED_PRECONDITION, 0, name, "its \"%s\" is no plain file", name);
    autoclose int copy =
        step_around(openat(to, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (copy < 0 || fchown(copy, uid, gid) < 0)
        return fail(name, "make", err);
    return fill(source, copy, name, err);
}
