/* Finding and reading. */
#include "store.h"

#include "checksum.h"
#include "slots.h"

#include <errno.h>
#include <string.h>

static enum store_status find_user(const struct ns *ns, const void *key, size_t key_size,
                                   struct store_entry *out)
{
    const struct key_record *record = keys_find(ns->keys, key, (uint8_t)key_size);
    if (!record)
        return STORE_MISSING;
    const struct pair *pair = ns->pairs[record->file];
    *out = (struct store_entry){
        .index_file = record->file,
        .index_offset = record->index_offset,
        .data_file = record->file,
        .data_offset = record->data_offset,
        .length = record->length,
        .crc = record->crc,
        .moving = pair->old_data >= 0 && record->index_offset >= pair->moved_to,
    };
    return STORE_OK;
}

static void fill(struct store_entry *out, uint32_t file, uint32_t offset,
                 const struct format_index_entry *head)
{
    *out = (struct store_entry){
        .index_file = file,
        .index_offset = offset,
        .data_file = head->data_file,
        .data_offset = head->data_offset,
        .length = head->length,
        .crc = head->crc,
        .parent_file = head->parent_file,
        .parent_offset = head->parent_offset,
        .time = head->time,
    };
}

static enum store_status find_sequential(struct ns *ns, const void *key, size_t key_size,
                                         struct store_entry *out)
{
    struct format_slot slot;
    struct slot_place place;
    uint64_t id;
    if (key_size != sizeof id)
        return STORE_MISSING;
    memcpy(&id, key, sizeof id);
    if (!slots_find(ns, id, &place))
        return STORE_MISSING;
    int rc = slots_read(ns, place, &slot);
    if (rc < 0)
        return STORE_CORRUPT;
    if (slot.id != id || slot.entry.flags & FORMAT_DEAD)
        return STORE_MISSING;
    fill(out, place.file, place.offset, &slot.entry);
    return STORE_OK;
}

enum store_status store_find(struct ns *ns, const void *key, size_t key_size,
                             struct store_entry *out)
{
    return (ns->mode == FORMAT_SEQ ? find_sequential(ns, key, key_size, out)
                                   : find_user(ns, key, key_size, out));
}

enum store_status store_at(struct ns *ns, uint32_t file, uint32_t offset, const void *key,
                           size_t key_size, struct store_entry *out)
{
    struct format_index_entry head;
    uint8_t there[FORMAT_KEY_MAX];
    if (file >= ns->n_pairs || offset < FORMAT_INDEX_HEADER || ns_flush(ns) < 0)
        return STORE_CORRUPT;
    const struct format_slot *marked = marks_find_slot(&ns->marks, file, offset);
    if (!marked)
        marked = marks_find_slot(&ns->settling, file, offset);
    int fd = file_fd(&ns->pairs[file]->index);
    if (fd < 0 || io_read(fd, IO_INDEX, &head, sizeof head, offset) < 0 ||
        head.key_size != key_size ||
        io_read(fd, IO_INDEX, there, key_size, offset + sizeof head) < 0 ||
        memcmp(there, key, key_size) != 0)
        return STORE_CORRUPT;
    fill(out, file, offset, marked ? &marked->entry : &head);
    if (ns->mode == FORMAT_USER) /* upstream writes 0 there */
        out->data_file = file;
    return STORE_OK;
}

/* --- reading --------------------------------------------------------------------------------- */

struct head_and_key {
    struct format_data_entry head;
    uint8_t key[FORMAT_KEY_MAX];
} __attribute__((packed));

static enum store_status fail(struct ns *ns, int rc)
{
    ns_count_error(ns, IO_DATA, rc);
    return STORE_CORRUPT;
}

enum { COPIED_MAX = 8 << 10, MAPPED_MAX = 16 << 10 };

/* For a short payload a copy costs less than it costs the kernel to read to two places. */
static int read_whole(int fd, const struct store_entry *entry, size_t front_size,
                      struct head_and_key *front, void *payload, uint32_t length)
{
    uint8_t whole[sizeof *front + COPIED_MAX];
    int rc = io_read(fd, IO_DATA, whole, front_size + length, entry->data_offset);
    if (rc < 0)
        return rc;
    memcpy(front, whole, front_size);
    memcpy(payload, whole + front_size, length);
    return 0;
}

/* Head and key into one place, and so many bytes of the payload into another. */
static int read_parts(struct ns *ns, const struct store_entry *entry, size_t key_size,
                      struct head_and_key *front, void *payload, uint32_t length)
{
    struct file *file = &ns->pairs[entry->data_file]->data;
    size_t front_size = FORMAT_DATA_ENTRY + key_size;
    const uint8_t *fresh = append_peek(&ns->data, file, entry->data_offset, front_size + length);
    if (fresh) {
        memcpy(front, fresh, front_size);
        memcpy(payload, fresh + front_size, length);
        return 0;
    }
    int fd = entry->moving ? ns->pairs[entry->data_file]->old_data : file_fd(file);
    if (fd < 0)
        return fd;
    const struct mapping_part mapped[2] = {{front, front_size}, {payload, length}};
    if (!entry->moving && length <= MAPPED_MAX &&
        mapping_copy(&file->mapping, fd, entry->data_offset, mapped)) {
        io_counters[IO_DATA].read_bytes += front_size + length;
        return 0;
    }
    if (length <= COPIED_MAX)
        return read_whole(fd, entry, front_size, front, payload, length);
    struct iovec parts[2] = {{front, front_size}, {payload, length}};
    return io_read_two(fd, IO_DATA, parts, entry->data_offset);
}

enum store_status store_read(struct ns *ns, const struct store_entry *entry, const void *key,
                             size_t key_size, void *out)
{
    struct head_and_key front;
    if (entry->data_file >= ns->n_pairs)
        return fail(ns, -EBADMSG);
    int rc = read_parts(ns, entry, key_size, &front, out, entry->length);
    if (rc == -ENOENT)
        return STORE_NO_DATA_FILE;
    if (rc < 0)
        return fail(ns, rc);
    if (front.head.key_size != key_size || memcmp(front.key, key, key_size) != 0 ||
        front.head.flags != 0 || front.head.length != entry->length ||
        checksum(out, entry->length) != front.head.crc)
        return fail(ns, -EBADMSG);
    return STORE_OK;
}

enum store_status store_time(struct ns *ns, const struct store_entry *entry, uint32_t *out_time)
{
    struct head_and_key front;
    uint8_t nothing[1];
    if (ns->mode == FORMAT_SEQ) {
        *out_time = entry->time;
        return STORE_OK;
    }
    int rc = read_parts(ns, entry, 0, &front, nothing, 0);
    if (rc < 0)
        return rc == -ENOENT ? STORE_NO_DATA_FILE : fail(ns, rc);
    *out_time = front.head.time;
    return STORE_OK;
}
