/* Sequential mode: the index by itself. Slots must stand in the order of their ids. */
#include "load_slots.h"

#include <errno.h>
#include <string.h>

/* Of the file as it is, without a call. */
static bool map_slot(struct file *index, uint32_t offset, struct format_slot *out)
{
    uint8_t none;
    const struct mapping_part parts[2] = {{out, sizeof *out}, {&none, 0}};
    int fd = file_fd(index);
    return fd >= 0 && mapping_copy(&index->mapping, fd, offset, parts);
}

int load_read_slot(struct load *load, struct slot_block *block, uint32_t file, uint32_t offset,
                   struct format_slot *out)
{
    struct file *index = &load->ns->pairs[file]->index;
    bool in_block = file == block->file && offset >= block->at &&
                    offset + sizeof *out <= block->at + block->size;
    int rc = 0;
    if (!in_block && map_slot(index, offset, out))
        return 0;
    if (!in_block) {
        int fd = file_fd(index);
        block->file = file;
        block->at = offset;
        block->size = 0;
        rc = fd < 0 ? fd
                    : io_read_some(fd, IO_INDEX, block->bytes, sizeof block->bytes, offset,
                                   &block->size);
        if (rc == 0 && block->size < sizeof *out)
            rc = -ENODATA;
    }
    if (rc == 0)
        memcpy(out, block->bytes + (offset - block->at), sizeof *out);
    return load_io(load, index, rc, "read");
}

static bool slot_fits(const struct ns *ns, const struct reader_entry *entry, uint64_t id,
                      uint64_t own)
{
    const struct format_index_entry *head = &entry->head;
    if (head->flags & ~FORMAT_DEAD || head->data_file >= ns->n_pairs)
        return false;
    if (id == own)
        return head->previous == ns->last_index;
    return id < own && head->flags & FORMAT_DEAD;
}

static void count(struct ns *ns, const struct format_index_entry *head)
{
    if (head->flags & FORMAT_DEAD) {
        ns->pairs[head->data_file]->dead_bytes += head->length;
        return;
    }
    ns->entries++;
    ns->live_bytes += head->length;
}

/* An index file without a slot says nothing against the next one; does its data? */
static bool lacks_slots(const struct pair *pair, int fd)
{
    struct walk walk;
    struct walk_entry entry;
    enum walk_result result;
    if (pair->index_size > FORMAT_INDEX_HEADER || pair->data_size <= FORMAT_DATA_HEADER ||
        walk_begin(&walk, fd, pair->data_size, FORMAT_DATA_HEADER, NULL) < 0)
        return false;
    bool found = false;
    while (!found && ((result = walk_next(&walk, &entry)) == WALK_ENTRY ||
                      (result == WALK_BROKEN && walk_resume(&walk) == WALK_ENTRY)))
        found = result == WALK_ENTRY && !(entry.head.flags & FORMAT_TOMBSTONE);
    walk_end(&walk);
    return found;
}

/* What follows is no slot. In the last pair it is added again from the data; elsewhere it would
 * move the ids behind. */
static int cut_slots(struct load *load, uint32_t id, uint64_t offset)
{
    if (id + 1 < load->ns->n_pairs || load->walked)
        return LOAD_AGAIN;
    load->ns->pairs[id]->index_size = offset;
    return load_cut_index(load, id, offset, "it does not say what the data says");
}

static int read_pair(struct load *load, uint32_t id, uint64_t first_id)
{
    struct ns *ns = load->ns;
    struct pair *pair = ns->pairs[id];
    struct reader reader;
    struct reader_entry entry;
    uint64_t own = first_id;
    int fd = pair->missing ? -1 : file_fd(&pair->data);
    if (!load->walked && fd >= 0 && id + 1 < ns->n_pairs && lacks_slots(pair, fd))
        return LOAD_AGAIN;
    fd = file_fd(&pair->index);
    int rc = fd < 0 ? fd : reader_begin(&reader, fd, pair->index_size, FORMAT_INDEX_HEADER);
    if (rc < 0)
        return load_io(load, &pair->index, rc, "open");
    for (; reader_next(&reader, &entry); own++) {
        uint64_t there;
        memcpy(&there, entry.key, sizeof there);
        if (entry.head.key_size != FORMAT_ID_SIZE || !slot_fits(ns, &entry, there, own)) {
            reader.offset = entry.offset;
            break;
        }
        count(ns, &entry.head);
        ns->last_index = entry.offset;
    }
    if (rc == 0)
        rc = load_io(load, &pair->index, reader.rc, "read");
    if (rc == 0 && reader.offset != pair->index_size)
        rc = cut_slots(load, id, reader.offset);
    reader_end(&reader);
    return rc;
}

int load_read_slots(struct load *load)
{
    struct ns *ns = load->ns;
    uint64_t next = 0;
    ns->entries = ns->live_bytes = 0;
    ns->last_index = 0;
    for (uint32_t id = 0; id < ns->n_pairs; id++)
        ns->pairs[id]->dead_bytes = 0;
    for (uint32_t id = 0; id < ns->n_pairs; id++) {
        ns->pairs[id]->first_id = next;
        int rc = read_pair(load, id, next);
        if (rc != 0)
            return rc;
        next += slots_of(ns->pairs[id]->index_size);
    }
    return 0;
}

/* An index file that does not end with a slot is cut there, if nothing follows it. */
int load_measure_slots(struct load *load)
{
    struct ns *ns = load->ns;
    for (uint32_t id = 0; id < ns->n_pairs; id++) {
        struct pair *pair = ns->pairs[id];
        int rc = load_sizes(load, id, &pair->data_size, &pair->index_size);
        if (rc < 0)
            return rc;
        uint64_t whole = load->anew ? FORMAT_INDEX_HEADER : slot_offset(slots_of(pair->index_size));
        if (whole == pair->index_size)
            continue;
        if (load->anew && pair->missing)
            return err_set(load->err, ERR_DATA_LOSS, 0, ns->name,
                           "the index is damaged, and the data file d%u is missing", id);
        if (!load->anew && id + 1 < ns->n_pairs)
            return LOAD_AGAIN;
        rc = load_cut_index(load, id, whole, "it does not say what the data says");
        if (rc < 0)
            return rc;
        pair->index_size = whole;
    }
    return 0;
}
