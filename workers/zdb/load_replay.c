/* User mode: the table of keys while it is filled, and what the index does not say, or says
 * wrongly, made again from the data. */
#include "load_pass.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

/* --- what the table knows -------------------------------------------------------------------- */

void pass_count_out(struct ns *ns, const struct key_record *record)
{
    ns->live_bytes -= record->length;
    ns->pairs[record->file]->dead_bytes += record->length;
}

int pass_forget(struct pass *pass, struct key_record *record)
{
    int rc = load_mark_dead(pass->load, record->file, record->index_offset);
    pass_count_out(pass->ns, record);
    keys_remove(pass->ns->keys, record);
    return rc;
}

void pass_fill(struct pass *pass, struct key_record *record, const struct format_index_entry *head,
               uint32_t file, uint32_t offset)
{
    record->data_offset = head->data_offset;
    record->length = head->length;
    record->index_offset = offset;
    record->crc = head->crc;
    record->file = file & (KEYS_FILES_MAX - 1);
    pass->ns->live_bytes += head->length;
    pass->spent += head->length;
}

int pass_no_memory(struct pass *pass)
{
    return err_errno(pass->load->err, ENOMEM, pass->ns->name, "cannot load the keys");
}

bool pass_read_head(struct pass *pass, uint32_t file, uint32_t offset,
                    struct format_data_entry *out, uint8_t key[FORMAT_KEY_MAX])
{
    struct pair *pair = pass->ns->pairs[file];
    int fd = pair->missing ? -1 : file_fd(&pair->data);
    return fd >= 0 && io_read(fd, IO_DATA, out, sizeof *out, offset) == 0 &&
           (!key || io_read(fd, IO_DATA, key, out->key_size, offset + sizeof *out) == 0);
}

bool pass_data_agrees(struct pass *pass, uint32_t file, uint32_t offset, const uint8_t *key,
                      uint8_t key_size)
{
    struct format_data_entry head;
    uint8_t there[FORMAT_KEY_MAX];
    return pass->ns->pairs[file]->missing ||
           (pass_read_head(pass, file, offset, &head, there) && head.key_size == key_size &&
            memcmp(there, key, key_size) == 0);
}

int pass_take_tombstone(struct pass *pass, const struct walk_entry *entry)
{
    struct key_record *record = keys_find(pass->ns->keys, entry->key, entry->head.key_size);
    pass->last = entry->offset;
    pass->has_last = true;
    pass->taken.is_last = false;
    pass->spent += format_data_size(entry->head.key_size, 0);
    return record ? pass_forget(pass, record) : AGREES;
}

/* --- what is cut off, and replayed ----------------------------------------------------------- */

/* The entry that one that is cut had replaced, unless it is cut as well. */
static int revive(struct pass *pass, const struct reader_entry *cut, uint64_t from)
{
    struct format_index_entry head;
    uint8_t key[FORMAT_KEY_MAX];
    uint32_t file = cut->head.parent_file, offset = cut->head.parent_offset;
    if (offset < FORMAT_INDEX_HEADER || file > pass->id ||
        keys_find(pass->ns->keys, cut->key, cut->head.key_size))
        return 0;
    struct file *index = &pass->ns->pairs[file]->index;
    int fd = file_fd(index);
    if (fd < 0 || io_read(fd, IO_INDEX, &head, sizeof head, offset) < 0 ||
        head.key_size != cut->head.key_size || !(head.flags & FORMAT_DEAD) ||
        io_read(fd, IO_INDEX, key, head.key_size, offset + sizeof head) < 0 ||
        memcmp(key, cut->key, head.key_size) != 0 || (file == pass->id && offset >= from) ||
        !pass_data_agrees(pass, file, head.data_offset, key, head.key_size))
        return 0;
    head.flags = 0;
    int rc = load_rewrite(pass->load, file, offset, &head);
    struct key_record *record = rc < 0 ? NULL : keys_add(pass->ns->keys, key, head.key_size);
    if (!record)
        return rc < 0 ? rc : pass_no_memory(pass);
    pass_fill(pass, record, &head, file, offset);
    return 0;
}

int pass_cut(struct pass *pass, struct reader *reader, uint64_t from)
{
    struct reader_entry entry;
    int rc = 0;
    reader->offset = from;
    while (rc == 0 && reader_next(reader, &entry))
        rc = revive(pass, &entry, from);
    if (rc == 0)
        rc = load_cut_index(pass->load, pass->id, from, "it does not say what the data says");
    pass->index_size = from;
    return rc;
}

static int replay_value(struct pass *pass, const struct walk_entry *entry)
{
    const struct format_data_entry *data = &entry->head;
    struct ns *ns = pass->ns;
    struct format_index_entry head = {
        .key_size = data->key_size,
        .data_offset = entry->offset,
        .length = data->length,
        .previous = ns->last_index,
        .flags = data->flags & FORMAT_TRUNCATED ? FORMAT_DEAD : 0,
        .data_file = pass->id,
        .time = data->time,
        .crc = data->crc,
    };
    uint32_t offset = (uint32_t)append_offset(&pass->load->index);
    struct key_record *record = keys_find(ns->keys, entry->key, data->key_size);
    if (record && head.flags == 0) {
        head.parent_file = record->file;
        head.parent_offset = record->index_offset;
    }
    int rc = load_add(pass->load, &head, entry->key);
    if (rc < 0)
        return rc;
    ns->last_index = offset;
    if (record) {
        rc = pass_forget(pass, record);
        if (rc < 0)
            return rc;
    }
    if (head.flags & FORMAT_DEAD)
        return 0;
    record = keys_add(ns->keys, entry->key, data->key_size);
    if (!record)
        return pass_no_memory(pass);
    pass_fill(pass, record, &head, pass->id, offset);
    return 0;
}

static int replay_entry(struct pass *pass, const struct walk_entry *entry)
{
    if (entry->head.flags & FORMAT_TOMBSTONE)
        return pass_take_tombstone(pass, entry);
    pass->last = entry->offset;
    pass->has_last = true;
    pass->spent += FORMAT_DATA_ENTRY + (uint64_t)entry->head.key_size;
    return replay_value(pass, entry);
}

static int replay_all(struct pass *pass, struct walk *walk)
{
    struct walk_entry entry;
    for (;;) {
        enum walk_result result = walk_next(walk, &entry);
        if (result == WALK_END)
            return 0;
        if (result == WALK_FAILED)
            return load_io(pass->load, &pass->pair->data, walk->rc, "read");
        if (result == WALK_BROKEN) {
            result = load_skip_broken(pass->load, pass->id, walk, &pass->data_size);
            if (result == WALK_ENTRY)
                continue;
            return result == WALK_END ? 0 : -1;
        }
        int rc = replay_entry(pass, &entry);
        if (rc < 0)
            return rc;
    }
}

int pass_replay(struct pass *pass)
{
    struct walk walk;
    if (pass->pair->missing || pass->covered == pass->data_size)
        return 0;
    int fd = file_fd(&pass->pair->data);
    if (fd < 0)
        return load_io(pass->load, &pass->pair->data, fd, "open");
    file_pin(&pass->pair->data);
    int rc = walk_begin(&walk, fd, pass->data_size, pass->covered,
                        pass->has_last ? &pass->last : NULL) < 0
                 ? pass_no_memory(pass)
                 : 0;
    walk.check_payload = true;
    if (rc == 0)
        rc = load_add_begin(pass->load, pass->id, pass->index_size);
    if (rc == 0)
        rc = replay_all(pass, &walk);
    if (rc == 0) {
        rc = load_add_end(pass->load);
        pass->index_size = UINT64_MAX; /* to be looked up */
    }
    walk_end(&walk);
    file_unpin(&pass->pair->data);
    return rc;
}
