/* Blocks of the index are read ahead in the direction of the scan. */
#include "scan.h"

#include "slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 16 };

void scan_cursor_of(const struct store_entry *entry, uint8_t key_size, struct scan_cursor *out)
{
    *out = (struct scan_cursor){.key_size = key_size,
                                .file = entry->index_file,
                                .length = entry->length,
                                .offset = entry->index_offset,
                                .crc = entry->crc};
}

/* --- reading --------------------------------------------------------------------------------- */

/* So many bytes of the current file, borrowed; a block around them is read when they are not at
 * hand. */
static const uint8_t *look(struct scan *scan, uint64_t offset, uint32_t size)
{
    if (offset < scan->at || offset + size > scan->at + scan->have) {
        uint64_t from = offset;
        if (scan->backward) {
            uint64_t end = offset + size;
            from = end > BLOCK ? end - BLOCK : 0;
        }
        size_t got = 0;
        int fd = file_fd(&scan->ns->pairs[scan->file]->index);
        int rc = fd < 0 ? fd : io_read_some(fd, IO_INDEX, scan->buffer, BLOCK, from, &got);
        scan->at = from;
        scan->have = rc < 0 ? 0 : (uint32_t)got;
        if (rc < 0 || offset + size > from + got) {
            scan->failed = true;
            ns_count_error(scan->ns, IO_INDEX, rc < 0 ? rc : -ENODATA);
            return NULL;
        }
    }
    return scan->buffer + (offset - scan->at);
}

static void enter(struct scan *scan, uint32_t file)
{
    scan->file = file;
    scan->have = 0;
}

/* The entry at the offset; its key is behind the head. */
static const uint8_t *read_entry(struct scan *scan, uint64_t offset, struct format_index_entry *out)
{
    const uint8_t *bytes = look(scan, offset, FORMAT_INDEX_ENTRY);
    if (!bytes)
        return NULL;
    memcpy(out, bytes, sizeof *out);
    bytes = look(scan, offset, FORMAT_INDEX_ENTRY + (uint32_t)out->key_size);
    return bytes ? bytes + FORMAT_INDEX_ENTRY : NULL;
}

/* --- moving ---------------------------------------------------------------------------------- */

/* The offset of the next entry forth; false at the end. */
static bool next_forth(struct scan *scan, uint64_t *out)
{
    while (scan->offset >= ns_index_size(scan->ns, scan->file)) {
        if (scan->file + 1 >= scan->ns->n_pairs)
            return false;
        enter(scan, scan->file + 1);
        scan->offset = FORMAT_INDEX_HEADER;
    }
    *out = scan->offset;
    return true;
}

/* Back: sequential entries have one size, others name the one before. */
static bool next_back(struct scan *scan, uint64_t *out)
{
    while (scan->offset <= FORMAT_INDEX_HEADER) {
        if (scan->file == 0)
            return false;
        enter(scan, scan->file - 1);
        scan->offset = ns_index_size(scan->ns, scan->file);
    }
    *out = scan->ns->mode == FORMAT_SEQ ? scan->offset - FORMAT_SLOT : scan->previous;
    if (*out >= FORMAT_INDEX_HEADER && *out < scan->offset)
        return true;
    scan->failed = true;
    return false;
}

/* --- what lives ------------------------------------------------------------------------------ */

static bool lives(struct scan *scan, uint64_t offset, struct format_index_entry *head,
                  const uint8_t *key)
{
    if (head->flags & FORMAT_DEAD && scan->ns->mode == FORMAT_USER)
        return false;
    if (scan->ns->mode == FORMAT_SEQ) {
        const struct format_slot *marked = slots_marked(scan->ns, scan->file, (uint32_t)offset);
        if (marked)
            *head = marked->entry;
        return !(head->flags & FORMAT_DEAD);
    }
    const struct key_record *record = keys_find(scan->ns->keys, key, head->key_size);
    return record && record->file == scan->file && record->index_offset == offset;
}

bool scan_step(struct scan *scan, struct scan_item *out, bool *out_lives)
{
    uint64_t offset = 0;
    struct format_index_entry head;
    if (!(scan->backward ? next_back : next_forth)(scan, &offset))
        return false;
    const uint8_t *key = read_entry(scan, offset, &head);
    if (!key)
        return false;
    scan->offset = scan->backward ? offset : offset + FORMAT_INDEX_ENTRY + head.key_size;
    scan->previous = head.previous;
    *out_lives = lives(scan, offset, &head, key);
    out->cursor = (struct scan_cursor){.key_size = head.key_size,
                                       .file = scan->file,
                                       .length = head.length,
                                       .offset = (uint32_t)offset,
                                       .crc = head.crc};
    out->length = head.length;
    out->time = head.time;
    memcpy(out->key, key, head.key_size);
    return true;
}

bool scan_next(struct scan *scan, struct scan_item *out)
{
    bool lives = false;
    while (!lives && scan_step(scan, out, &lives))
        ;
    return lives;
}

/* --- begin and end --------------------------------------------------------------------------- */

static bool cursor_fits(struct scan *scan, const struct scan_cursor *cursor)
{
    struct format_index_entry head;
    if (cursor->file >= scan->ns->n_pairs || cursor->offset < FORMAT_INDEX_HEADER ||
        cursor->offset + (uint64_t)FORMAT_INDEX_ENTRY >= ns_index_size(scan->ns, cursor->file))
        return false;
    enter(scan, cursor->file);
    if (!read_entry(scan, cursor->offset, &head))
        return false;
    const struct format_slot *marked =
        scan->ns->mode == FORMAT_SEQ ? slots_marked(scan->ns, cursor->file, cursor->offset) : NULL;
    if (marked)
        head = marked->entry;
    scan->previous = head.previous;
    scan->offset =
        scan->backward ? cursor->offset : cursor->offset + FORMAT_INDEX_ENTRY + head.key_size;
    return head.key_size == cursor->key_size && head.length == cursor->length &&
           head.crc == cursor->crc;
}

enum store_status scan_begin(struct scan *scan, struct ns *ns, bool backward,
                             const struct scan_cursor *cursor)
{
    *scan = (struct scan){.ns = ns, .backward = backward, .buffer = malloc(BLOCK)};
    if (!scan->buffer)
        return STORE_NO_MEMORY;
    if (ns_flush(ns) < 0)
        return STORE_INDEX_FAILED;
    if (cursor) {
        bool fits = cursor_fits(scan, cursor);
        scan->failed = false;
        return fits ? STORE_OK : STORE_CORRUPT;
    }
    scan->previous = ns->last_index;
    scan->offset = FORMAT_INDEX_HEADER;
    if (backward) {
        enter(scan, ns->n_pairs - 1);
        scan->offset = ns_index_size(ns, scan->file);
    }
    return STORE_OK;
}

void scan_end(struct scan *scan)
{
    free(scan->buffer);
    scan->buffer = NULL;
}
