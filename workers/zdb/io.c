/* Interrupted and short calls go on; what remains is the errno. */
#include "io.h"

#include "base/cleanup.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct io_counters io_counters[IO_KINDS];

bool io_is_full(int rc)
{
    return rc == -ENOSPC || rc == -EDQUOT;
}

static int finish_read(enum io_kind kind, uint64_t done, int rc)
{
    io_counters[kind].read_bytes += done;
    if (rc < 0 && rc != -ENODATA)
        io_counters[kind].read_failed++;
    return rc;
}

int io_read_some(int fd, enum io_kind kind, void *out, size_t size, uint64_t offset,
                 size_t *out_size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, (char *)out + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return finish_read(kind, done, -errno);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *out_size = done;
    return finish_read(kind, done, 0);
}

int io_read(int fd, enum io_kind kind, void *out, size_t size, uint64_t offset)
{
    size_t done = 0;
    int rc = io_read_some(fd, kind, out, size, offset, &done);
    return rc == 0 && done < size ? -ENODATA : rc;
}

/* Drops what is done from the front; false when nothing is left. */
static bool advance(struct iovec **parts, int *n, size_t done)
{
    while (*n > 0 && done >= (*parts)->iov_len) {
        done -= (*parts)->iov_len;
        ++*parts;
        --*n;
    }
    if (*n == 0)
        return false;
    (*parts)->iov_base = (char *)(*parts)->iov_base + done;
    (*parts)->iov_len -= done;
    return true;
}

int io_read_two(int fd, enum io_kind kind, struct iovec parts[2], uint64_t offset)
{
    uint64_t done = 0;
    for (int left = 2; advance(&parts, &left, 0);) {
        ssize_t n = preadv(fd, parts, left, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return finish_read(kind, done, n < 0 ? -errno : -ENODATA);
        done += (uint64_t)n;
        if (!advance(&parts, &left, (size_t)n))
            break;
    }
    return finish_read(kind, done, 0);
}

static int finish_write(enum io_kind kind, uint64_t done, int rc)
{
    io_counters[kind].written_bytes += done;
    if (rc < 0 && !io_is_full(rc))
        io_counters[kind].write_failed++;
    return rc;
}

int io_write_parts(int fd, enum io_kind kind, struct iovec *parts, int n, uint64_t offset)
{
    uint64_t done = 0;
    while (advance(&parts, &n, 0)) {
        ssize_t written = step_around(pwritev(fd, parts, n, (off_t)(offset + done)));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return finish_write(kind, done, written < 0 ? -errno : -ENOSPC);
        done += (uint64_t)written;
        if (!advance(&parts, &n, (size_t)written))
            break;
    }
    return finish_write(kind, done, 0);
}

int io_write(int fd, enum io_kind kind, const void *bytes, size_t size, uint64_t offset)
{
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    return io_write_parts(fd, kind, &part, 1, offset);
}

int io_truncate(int fd, uint64_t size)
{
    return step_around(ftruncate(fd, (off_t)size)) < 0 ? -errno : 0;
}

int io_sync(int fd)
{
    return step_around(fdatasync(fd)) < 0 ? -errno : 0;
}

int io_forget(int fd)
{
    return -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

int io_allocate(int fd, uint64_t offset, uint64_t size)
{
    int rc;
    do
        rc = step_around(fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size));
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

int io_replace(int dir, const char *name, const void *bytes, size_t size)
{
    char beside[64];
    (void)snprintf(beside, sizeof beside, "%s.new", name);
    autoclose int fd =
        openat(dir, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int rc = io_write(fd, IO_INDEX, bytes, size, 0);
    if (rc == 0)
        rc = io_sync(fd);
    if (rc == 0 && step_around(renameat(dir, beside, dir, name)) < 0)
        rc = -errno;
    if (rc < 0)
        (void)unlinkat(dir, beside, 0);
    else if (step_around(fsync(dir)) < 0)
        rc = -errno;
    return rc;
}

int io_size(int fd, uint64_t *out_size)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    *out_size = (uint64_t)status.st_size;
    return 0;
}
