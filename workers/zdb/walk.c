/* Through a window that is large while entries are small, and small while they are large. */
#include "walk.h"

#include "checksum.h"
#include "io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_MOST = 1 << 18,
    WINDOW_LEAST = 1 << 12,
};

int walk_begin(struct walk *walk, int fd, uint64_t size, uint64_t offset, const uint32_t *previous)
{
    *walk = (struct walk){.fd = fd,
                          .size = size,
                          .offset = offset,
                          .previous = previous ? *previous : 0,
                          .any_previous = previous == NULL,
                          .window_wanted = WINDOW_MOST};
    walk->window = malloc(WINDOW_MOST);
    return walk->window ? 0 : -ENOMEM;
}

void walk_end(struct walk *walk)
{
    free(walk->window);
    walk->window = NULL;
}

/* So many bytes at the offset, borrowed until the next call; `size` is at most WINDOW_LEAST. NULL
 * when the file ends before, or with rc. */
static const uint8_t *look(struct walk *walk, uint64_t offset, uint32_t size)
{
    if (offset > walk->size || size > walk->size - offset)
        return NULL;
    if (offset < walk->window_at || offset + size > walk->window_at + walk->window_size) {
        size_t got;
        walk->window_size = 0;
        walk->rc = io_read_some(walk->fd, IO_DATA, walk->window, walk->window_wanted, offset, &got);
        if (walk->rc < 0)
            return NULL;
        walk->window_at = offset;
        walk->window_size = (uint32_t)got;
        if (got < size) {
            walk->rc = -ENODATA;
            return NULL;
        }
    }
    return walk->window + (offset - walk->window_at);
}

static bool payload_sound(struct walk *walk, const struct format_data_entry *head, uint64_t at)
{
    const uint8_t *bytes = head->length <= WINDOW_LEAST ? look(walk, at, head->length) : NULL;
    if (bytes || walk->rc < 0)
        return bytes && checksum(bytes, head->length) == head->crc;
    if (head->length > FORMAT_VALUE_MAX)
        return false;
    uint8_t *payload = malloc(head->length ? head->length : 1);
    walk->rc = payload ? io_read(walk->fd, IO_DATA, payload, head->length, at) : -ENOMEM;
    bool sound = walk->rc == 0 && checksum(payload, head->length) == head->crc;
    free(payload);
    return sound;
}

static bool head_sound(const struct walk *walk, const struct format_data_entry *head,
                       uint64_t offset)
{
    if (head->key_size == 0 || head->flags > (FORMAT_TOMBSTONE | FORMAT_TRUNCATED) ||
        (head->flags & FORMAT_TOMBSTONE && (head->length > 0 || head->crc > 0)))
        return false;
    return format_data_size(head->key_size, head->length) <= walk->size - offset;
}

/* The head and the key, if their sizes can be. */
static bool read_head(struct walk *walk, uint32_t offset, struct walk_entry *out)
{
    const uint8_t *bytes = look(walk, offset, FORMAT_DATA_ENTRY);
    if (!bytes)
        return false;
    memcpy(&out->head, bytes, sizeof out->head);
    out->offset = offset;
    if (!head_sound(walk, &out->head, offset))
        return false;
    bytes = look(walk, (uint64_t)offset + FORMAT_DATA_ENTRY, out->head.key_size);
    if (!bytes)
        return false;
    memcpy(out->key, bytes, out->head.key_size);
    return true;
}

/* What stands at the offset, if it is sound but for its previous. */
static bool read_entry(struct walk *walk, uint64_t offset, bool check_payload,
                       struct walk_entry *out)
{
    if (!read_head(walk, (uint32_t)offset, out))
        return false;
    return !check_payload || out->head.flags != 0 ||
           payload_sound(walk, &out->head, offset + FORMAT_DATA_ENTRY + out->head.key_size);
}

static bool chain_sound(const struct walk *walk, const struct format_data_entry *head)
{
    return walk->any_previous || head->previous == walk->previous;
}

/* Noughts have none to speak of, and nor has next to nothing. */
static bool has_checksum(const struct format_data_entry *head)
{
    return head->flags == 0 && head->length >= sizeof head->crc && head->crc != 0;
}

/* By its checksum, whatever it says of the entry before. */
static bool vouched_for(const struct walk *walk, const struct format_data_entry *head)
{
    return walk->check_payload && has_checksum(head);
}

/* Any bytes may look like the head of an entry, and reading what they promise takes time: what was
 * broken by a crash is found long before so much is read. */
enum { RESUME_READS = 1 << 30 };

/* True if it ends where the file does, or where another sound entry begins that names it. */
static bool is_followed(struct walk *walk, const struct walk_entry *entry, bool check_payload)
{
    uint64_t end = entry->offset + format_data_size(entry->head.key_size, entry->head.length);
    struct walk_entry next;
    return end == walk->size ||
           (read_entry(walk, end, check_payload, &next) && next.head.previous == entry->offset);
}

static bool resumes_at(struct walk *walk, uint64_t at, uint64_t broken, uint64_t *reads)
{
    struct format_data_entry head;
    struct walk_entry entry;
    const uint8_t *bytes = look(walk, at, FORMAT_DATA_ENTRY);
    if (!bytes)
        return false;
    memcpy(&head, bytes, sizeof head);
    bool follows = head.previous >= broken && head.previous < at;
    if (!head_sound(walk, &head, at) || !(follows || has_checksum(&head)) || *reads > RESUME_READS)
        return false;
    *reads += head.length;
    walk->rc = 0;
    return read_entry(walk, at, true, &entry) && is_followed(walk, &entry, true);
}

static bool has_failed(const struct walk *walk)
{
    return walk->rc < 0 && walk->rc != -ENODATA;
}

/* The next place before `to` where the data makes sense after what is broken; `to` if there is
 * none, or if it cannot be read. */
static uint64_t find_sound(struct walk *walk, uint64_t broken, uint64_t to)
{
    uint64_t reads = 0, at = broken + 1;
    walk->rc = 0;
    while (at < to && !resumes_at(walk, at, broken, &reads))
        at = has_failed(walk) ? to : at + 1;
    return at;
}

/* An entry with next to no payload has no checksum to speak of: one whose sizes are damaged would
 * swallow the beginning of the next entry. */
static bool swallows(struct walk *walk, const struct walk_entry *entry)
{
    uint64_t end = entry->offset + format_data_size(entry->head.key_size, entry->head.length);
    return walk->check_payload && !vouched_for(walk, &entry->head) &&
           !is_followed(walk, entry, false) && find_sound(walk, entry->offset, end) < end;
}

/* Entries of one namespace are alike. */
static void choose_window(struct walk *walk, const struct format_data_entry *head)
{
    walk->window_wanted = head->length > WINDOW_MOST / 4 ? WINDOW_LEAST : WINDOW_MOST;
}

enum walk_result walk_next(struct walk *walk, struct walk_entry *out)
{
    if (walk->offset == walk->size)
        return WALK_END;
    walk->rc = 0;
    bool sound = read_entry(walk, walk->offset, walk->check_payload, out);
    if (!sound && has_failed(walk))
        return WALK_FAILED;
    if (!sound || !(chain_sound(walk, &out->head) || vouched_for(walk, &out->head)) ||
        swallows(walk, out))
        return WALK_BROKEN;
    if (has_failed(walk))
        return WALK_FAILED;
    walk->any_previous = false;
    walk->previous = out->offset;
    walk->offset += format_data_size(out->head.key_size, out->head.length);
    choose_window(walk, &out->head);
    return WALK_ENTRY;
}

bool walk_look(struct walk *walk, uint32_t offset, struct walk_entry *out)
{
    if (!read_head(walk, offset, out))
        return false;
    choose_window(walk, &out->head);
    return true;
}

enum walk_result walk_resume(struct walk *walk)
{
    walk->window_wanted = WINDOW_MOST;
    uint64_t at = find_sound(walk, walk->offset, walk->size);
    if (at == walk->size)
        return has_failed(walk) ? WALK_FAILED : WALK_END;
    walk->offset = at;
    walk->any_previous = true;
    return WALK_ENTRY;
}
