/*
 * The data is walked beside its index. In user mode both are written anew: an entry that the index
 * calls dead keeps its head and key, marked as truncated, so that each entry of the index keeps its
 * place and whatever refers to it stays right. In sequential mode slots of any file may refer to
 * the data, so nothing moves: an entry is marked as truncated, and when that is durable the blocks
 * that its payload fills are given back.
 *
 * What the index calls dead is dead; what died a moment ago and is not marked yet is copied, and
 * goes the next time.
 */
#include "compact_copy.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/step.h"
#include "checksum.h"
#include "file.h"
#include "io.h"
#include "reader.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    BUFFER = 1 << 20,
    BYTES_PER_MS = 128 << 10, /* no faster than this */
    PUNCH_LEAST = 8192,
};

static int open_file(int dir, char letter, uint32_t id, const char *suffix, int flags)
{
    char name[FILE_NAME_SIZE + sizeof COMPACT_SUFFIX];
    (void)snprintf(name, sizeof name, "%c%u%s", letter, id, suffix);
    int fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

/* Waits as long as so many bytes take, and hears of a cancellation. */
static int pace(struct compact_copy *copy, uint64_t *paid, uint64_t done, uint64_t *since_ms)
{
    copy->done_bytes = done;
    if (copy->cancel)
        return -ECANCELED;
    if (done - *paid < BUFFER)
        return 0;
    uint64_t due = *since_ms + (done - *paid) / BYTES_PER_MS, now = clock_monotonic_ms();
    if (due > now) {
        uint64_t ms = due - now;
        struct timespec rest = {.tv_sec = (time_t)(ms / 1000),
                                .tv_nsec = (long)(ms % 1000) * 1000000};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
    }
    *paid = done;
    *since_ms = clock_monotonic_ms();
    return 0;
}

/* --- writing --------------------------------------------------------------------------------- */

struct sink {
    int fd;
    enum io_kind kind;
    uint8_t *buffer;
    size_t used;
    uint64_t written;
};

static int sink_flush(struct sink *sink)
{
    int rc = io_write(sink->fd, sink->kind, sink->buffer, sink->used, sink->written);
    sink->written += sink->used;
    sink->used = 0;
    return rc;
}

static int sink_put(struct sink *sink, const void *bytes, size_t size)
{
    if (sink->used + size > BUFFER) {
        int rc = sink_flush(sink);
        if (rc < 0)
            return rc;
    }
    if (size > BUFFER) {
        int rc = io_write(sink->fd, sink->kind, bytes, size, sink->written);
        sink->written += size;
        return rc;
    }
    memcpy(sink->buffer + sink->used, bytes, size);
    sink->used += size;
    return 0;
}

static int sink_open(struct sink *sink, int dir, char letter, uint32_t id)
{
    sink->kind = letter == 'd' ? IO_DATA : IO_INDEX;
    sink->fd = open_file(dir, letter, id, COMPACT_SUFFIX, O_RDWR | O_CREAT | O_TRUNC);
    sink->buffer = malloc(BUFFER);
    return sink->fd < 0 ? sink->fd : sink->buffer ? 0 : -ENOMEM;
}

static int sink_close(struct sink *sink, int rc)
{
    if (rc == 0)
        rc = sink_flush(sink);
    if (rc == 0)
        rc = io_sync(sink->fd);
    if (sink->fd >= 0)
        (void)close(sink->fd);
    free(sink->buffer);
    return rc;
}

/* --- user mode ------------------------------------------------------------------------------- */

struct user_copy {
    struct compact_copy *copy;
    struct walk walk;
    struct reader reader;
    struct sink data, index;
    uint8_t *payload;
};

static int put_entry(struct user_copy *user, const struct walk_entry *entry, bool keep)
{
    struct format_data_entry head = entry->head;
    struct compact_copy *copy = user->copy;
    uint64_t offset = user->data.written + user->data.used;
    if (!keep && !(head.flags & FORMAT_TOMBSTONE)) {
        head.flags = FORMAT_TRUNCATED;
        head.length = head.crc = 0;
    }
    if (copy->has_last)
        head.previous = copy->last_offset;
    copy->last_offset = (uint32_t)offset;
    copy->has_last = true;
    int rc = sink_put(&user->data, &head, sizeof head);
    if (rc == 0)
        rc = sink_put(&user->data, entry->key, head.key_size);
    return rc == 0 && head.length > 0 ? sink_put(&user->data, user->payload, head.length) : rc;
}

static int read_payload(struct user_copy *user, const struct walk_entry *entry)
{
    const struct format_data_entry *head = &entry->head;
    if (head->length > FORMAT_VALUE_MAX)
        return -EBADMSG;
    int rc = io_read(user->walk.fd, IO_DATA, user->payload, head->length,
                     (uint64_t)entry->offset + sizeof *head + head->key_size);
    if (rc == 0 && checksum(user->payload, head->length) != head->crc)
        return -EBADMSG; /* left as it is: a CHECK has to find it */
    return rc;
}

static int copy_entry(struct user_copy *user, const struct walk_entry *entry)
{
    struct reader_entry index;
    if (entry->head.flags & FORMAT_TOMBSTONE)
        return put_entry(user, entry, true);
    if (!reader_next(&user->reader, &index) || index.head.data_offset != entry->offset ||
        index.head.key_size != entry->head.key_size)
        return -EBADMSG;
    bool live = !(index.head.flags & FORMAT_DEAD);
    index.head.data_offset = (uint32_t)(user->data.written + user->data.used);
    int rc = live ? read_payload(user, entry) : 0;
    if (rc == 0)
        rc = sink_put(&user->index, &index.head, sizeof index.head);
    if (rc == 0)
        rc = sink_put(&user->index, index.key, index.head.key_size);
    return rc == 0 ? put_entry(user, entry, live) : rc;
}

static int copy_headers(struct user_copy *user)
{
    uint8_t bytes[FORMAT_INDEX_HEADER];
    int rc = io_read(user->walk.fd, IO_DATA, bytes, FORMAT_DATA_HEADER, 0);
    if (rc == 0)
        rc = sink_put(&user->data, bytes, FORMAT_DATA_HEADER);
    if (rc == 0)
        rc = io_read(user->reader.fd, IO_INDEX, bytes, FORMAT_INDEX_HEADER, 0);
    return rc == 0 ? sink_put(&user->index, bytes, FORMAT_INDEX_HEADER) : rc;
}

static int copy_all(struct user_copy *user)
{
    struct walk_entry entry;
    enum walk_result result;
    uint64_t paid = 0, since_ms = clock_monotonic_ms();
    int rc = copy_headers(user);
    while (rc == 0 && (result = walk_next(&user->walk, &entry)) != WALK_END) {
        rc = result == WALK_ENTRY ? copy_entry(user, &entry) : -EBADMSG;
        if (rc == 0)
            rc = pace(user->copy, &paid, user->walk.offset, &since_ms);
    }
    /* The index must have said no more than the data. */
    return rc == 0 && user->reader.offset != user->reader.size ? -EBADMSG : rc;
}

void compact_copy_user(struct compact_copy *copy)
{
    struct user_copy user = {.copy = copy, .data.fd = -1, .index.fd = -1};
    uint64_t index_size = 0;
    autoclose int data = open_file(copy->data_dir, 'd', copy->id, "", O_RDONLY);
    autoclose int index = open_file(copy->index_dir, 'i', copy->id, "", O_RDONLY);
    user.payload = malloc(FORMAT_VALUE_MAX);
    int rc = data < 0 ? data : index < 0 ? index : user.payload ? 0 : -ENOMEM;
    if (rc == 0)
        rc = io_size(data, &copy->data_size);
    if (rc == 0)
        rc = io_size(index, &index_size);
    if (rc == 0)
        rc = walk_begin(&user.walk, data, copy->data_size, FORMAT_DATA_HEADER, NULL);
    if (rc == 0)
        rc = reader_begin(&user.reader, index, index_size, FORMAT_INDEX_HEADER);
    if (rc == 0)
        rc = sink_open(&user.data, copy->data_dir, 'd', copy->id);
    if (rc == 0)
        rc = sink_open(&user.index, copy->index_dir, 'i', copy->id);
    if (rc == 0)
        rc = copy_all(&user);
    rc = sink_close(&user.data, rc);
    copy->rc = sink_close(&user.index, rc);
    copy->new_size = user.data.written;
    walk_end(&user.walk);
    reader_end(&user.reader);
    free(user.payload);
}

/* --- sequential mode ------------------------------------------------------------------------- */

/* True if the slot of this id has gone on to newer data, or is dead. What is not marked yet has
 * older data in its slot, and so is not taken for dead. */
static bool is_dead(const struct compact_copy *copy, uint64_t id, uint32_t offset)
{
    struct format_slot slot;
    uint32_t low = 0, high = copy->n_pairs - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (copy->first_ids[middle] <= id)
            low = middle;
        else
            high = middle - 1;
    }
    autoclose int fd = open_file(copy->index_dir, 'i', low, "", O_RDONLY);
    if (fd < 0 ||
        io_read(fd, IO_INDEX, &slot, sizeof slot,
                FORMAT_INDEX_HEADER + (id - copy->first_ids[low]) * FORMAT_SLOT) < 0 ||
        slot.id != id)
        return false;
    if (slot.entry.data_file == copy->id && slot.entry.data_offset == offset)
        return slot.entry.flags & FORMAT_DEAD;
    return slot.entry.data_file > copy->id ||
           (slot.entry.data_file == copy->id && slot.entry.data_offset > offset);
}

static int mark_truncated(int fd, const struct walk_entry *entry)
{
    static const uint8_t truncated = FORMAT_TRUNCATED;
    return io_write(fd, IO_DATA, &truncated, 1,
                    (uint64_t)entry->offset + offsetof(struct format_data_entry, flags));
}

/* The whole blocks of a payload; what the filesystem cannot give back stays. */
static int punch(int fd, const struct walk_entry *entry)
{
    uint64_t from = (uint64_t)entry->offset + sizeof entry->head + entry->head.key_size;
    int rc = step_around(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
                                   (off_t)entry->head.length));
    return rc < 0 && errno != EOPNOTSUPP ? -errno : 0;
}

/* Marks in a first walk, punches what is marked in a second. */
static int walk_and(struct compact_copy *copy, int fd, bool punching)
{
    struct walk walk;
    struct walk_entry entry;
    enum walk_result result = WALK_END;
    uint64_t paid = 0, since_ms = clock_monotonic_ms();
    int rc = walk_begin(&walk, fd, copy->data_size, FORMAT_DATA_HEADER, NULL);
    while (rc == 0 && (result = walk_next(&walk, &entry)) == WALK_ENTRY) {
        uint64_t id;
        memcpy(&id, entry.key, sizeof id);
        copy->last_offset = entry.offset;
        if (entry.head.length < PUNCH_LEAST || entry.head.key_size != FORMAT_ID_SIZE)
            continue;
        if (!punching && entry.head.flags == 0 && is_dead(copy, id, entry.offset)) {
            rc = mark_truncated(fd, &entry);
            copy->new_size -= entry.head.length;
        } else if (punching && entry.head.flags & FORMAT_TRUNCATED) {
            rc = punch(fd, &entry);
        }
        if (rc == 0)
            rc = pace(copy, &paid, walk.offset, &since_ms);
    }
    walk_end(&walk);
    return rc == 0 && result != WALK_END ? -EBADMSG : rc;
}

/* What the kernel alone has is not to be taken for durable by the next compaction. */
static int sync_marks(int fd)
{
    int rc = io_sync(fd);
    if (rc < 0)
        (void)io_forget(fd);
    return rc;
}

void compact_punch_sequential(struct compact_copy *copy)
{
    autoclose int fd = open_file(copy->data_dir, 'd', copy->id, "", O_RDWR);
    copy->rc = fd < 0 ? fd : io_size(fd, &copy->data_size);
    copy->new_size = copy->data_size;
    if (copy->rc == 0)
        copy->rc = walk_and(copy, fd, false);
    if (copy->rc == 0)
        copy->rc = sync_marks(fd);
    if (copy->rc == 0)
        copy->rc = walk_and(copy, fd, true);
}
