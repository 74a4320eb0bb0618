/* Room is asked for in growing steps, so that a small file takes little and a large one asks
 * seldom. */
#include "append.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_LEAST = 64 << 10, STEP_MOST = 8 << 20 };

void append_begin(struct append *append, struct file *file, uint64_t size, uint64_t reserve)
{
    if (append->file)
        file_unpin(append->file);
    append->file = file;
    append->used = 0;
    append->written = append->allocated = size;
    append->reserve = reserve;
    append->unpromised = false;
    file_pin(file);
}

void append_end(struct append *append)
{
    if (append->file)
        file_unpin(append->file);
    free(append->buffer);
    *append = (struct append){0};
}

/* An eighth of what is there, then exactly what is needed. */
static int allocate(struct append *append, uint64_t needed)
{
    int fd = file_fd(append->file);
    if (fd < 0)
        return fd;
    uint64_t step = needed / 8;
    step = step < STEP_LEAST ? STEP_LEAST : step > STEP_MOST ? STEP_MOST : step;
    uint64_t from = append->allocated, to = needed + step;
    int rc = io_allocate(fd, from, to - from);
    if (rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG) {
        to = needed;
        rc = io_allocate(fd, from, to - from);
    }
    if (rc == -EOPNOTSUPP) {
        append->unpromised = true;
        return 0;
    }
    if (rc == 0)
        append->allocated = to;
    return rc;
}

int append_allocate(struct append *append, uint64_t size, bool use_reserve)
{
    uint64_t needed = append_offset(append) + size;
    if (append->unpromised)
        return 0;
    if (needed + append->reserve <= append->allocated)
        return 0;
    int rc = allocate(append, needed + append->reserve);
    if (rc < 0 && use_reserve && needed <= append->allocated)
        return 0;
    return rc < 0 && use_reserve ? allocate(append, needed) : rc;
}

static int write_out(struct append *append, struct iovec *parts, int n)
{
    uint64_t size = 0;
    int fd = file_fd(append->file);
    if (fd < 0)
        return fd;
    for (int i = 0; i < n; i++)
        size += parts[i].iov_len;
    int rc = io_write_parts(fd, file_kind(append->file), parts, n, append->written);
    if (rc == 0)
        append->written += size;
    return rc;
}

int append_put(struct append *append, struct iovec *parts, int n)
{
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += parts[i].iov_len;
    if (!append->buffer && !(append->buffer = malloc(APPEND_BUFFER)))
        return -ENOMEM;
    if (size > APPEND_COPY_MAX || append->unpromised) {
        int rc = append_flush(append);
        uint64_t before = append->written;
        if (rc == 0)
            rc = write_out(append, parts, n);
        if (rc < 0 && append->file->fd >= 0)
            (void)io_truncate(append->file->fd, before);
        return rc;
    }
    if (append->used + size > APPEND_BUFFER) {
        int rc = append_flush(append);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < n; i++) {
        if (parts[i].iov_len)
            memcpy(append->buffer + append->used, parts[i].iov_base, parts[i].iov_len);
        append->used += (uint32_t)parts[i].iov_len;
    }
    return 0;
}

int append_cut(struct append *append, uint64_t offset)
{
    if (offset >= append->written) {
        append->used = (uint32_t)(offset - append->written);
        return 0;
    }
    append->used = 0;
    int fd = file_fd(append->file);
    int rc = fd < 0 ? fd : io_truncate(fd, offset);
    if (rc == 0) {
        append->written = offset;
        append->allocated = offset;
    }
    return rc;
}

int append_flush(struct append *append)
{
    if (append->used == 0)
        return 0;
    struct iovec part = {append->buffer, append->used};
    int rc = write_out(append, &part, 1);
    if (rc == 0)
        append->used = 0;
    return rc;
}

const uint8_t *append_peek(const struct append *append, const struct file *file, uint64_t offset,
                           uint64_t size)
{
    if (file != append->file || offset < append->written || offset + size > append_offset(append))
        return NULL;
    return append->buffer + (offset - append->written);
}
