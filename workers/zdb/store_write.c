/*
 * Changing: room in both files first, then the data, then the index. Whatever fails leaves files
 * and memory as they were. What is replaced is marked later (marks.h), so that it is there until
 * what replaces it is durable.
 */
#include "store.h"

#include "base/cleanup.h"
#include "checksum.h"
#include "slots.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static enum store_status refuse(struct ns *ns, enum io_kind kind, int rc)
{
    if (rc == -ENOMEM)
        return STORE_NO_MEMORY;
    ns_count_error(ns, kind, rc);
    return kind == IO_DATA ? STORE_DATA_FAILED : STORE_INDEX_FAILED;
}

static bool is_same(struct ns *ns, const struct store_write *write, uint32_t crc,
                    const struct store_entry *existing)
{
    if (existing->length != write->length || existing->crc != crc)
        return false;
    autofree uint8_t *now = malloc(write->length ? write->length : 1);
    return now && store_read(ns, existing, write->key, write->key_size, now) == STORE_OK &&
           memcmp(now, write->value, write->length) == 0;
}

/* --- the files ------------------------------------------------------------------------------- */

struct addition {
    struct format_data_entry data;
    struct format_index_entry index;
    const void *key, *value, *index_key;
};

static enum store_status put_data(struct ns *ns, const struct addition *add, bool use_reserve)
{
    struct iovec parts[] = {{(void *)(uintptr_t)&add->data, sizeof add->data},
                            {(void *)(uintptr_t)add->key, add->data.key_size},
                            {(void *)(uintptr_t)add->value, add->data.length}};
    int rc = append_allocate(&ns->data, format_data_size(add->data.key_size, add->data.length),
                             use_reserve);
    if (rc == 0)
        rc = append_put(&ns->data, parts, 3);
    return rc < 0 ? refuse(ns, IO_DATA, rc) : STORE_OK;
}

static int put_index(struct ns *ns, const struct addition *add)
{
    struct iovec parts[] = {{(void *)(uintptr_t)&add->index, sizeof add->index},
                            {(void *)(uintptr_t)add->index_key, add->index.key_size}};
    return append_put(&ns->index, parts, 2);
}

/* Both, or neither. */
static enum store_status put(struct ns *ns, const struct addition *add)
{
    uint64_t before = append_offset(&ns->data);
    int rc = append_allocate(&ns->index, FORMAT_INDEX_ENTRY + add->index.key_size, false);
    if (rc < 0)
        return refuse(ns, IO_INDEX, rc);
    enum store_status status = put_data(ns, add, false);
    if (status != STORE_OK)
        return status;
    rc = put_index(ns, add);
    if (rc < 0) {
        (void)append_cut(&ns->data, before);
        return refuse(ns, IO_INDEX, rc);
    }
    ns->last_data = add->index.data_offset;
    return STORE_OK;
}

static void touched(struct ns *ns)
{
    ns_active(ns)->dirty = true;
    ns->written = ns->unsynced = true;
}

/* Offsets have 32 bits, whatever the size that was asked for. */
static bool may_add(const struct ns *ns)
{
    return !ns->sealed &&
           append_offset(&ns->data) + FORMAT_DATA_ENTRY + FORMAT_KEY_MAX <= UINT32_MAX &&
           append_offset(&ns->index) + FORMAT_INDEX_ENTRY + FORMAT_KEY_MAX <= UINT32_MAX;
}

static enum store_status rotate_for(struct ns *ns, uint32_t length)
{
    if (append_offset(&ns->data) + length <= ns->config->datasize && may_add(ns))
        return STORE_OK;
    int rc = ns_rotate(ns);
    return rc < 0 ? refuse(ns, IO_DATA, rc) : STORE_OK;
}

static void describe(struct ns *ns, const struct store_write *write, uint32_t crc,
                     struct addition *out)
{
    uint32_t offset = (uint32_t)append_offset(&ns->data);
    *out = (struct addition){
        .data = {.key_size = write->key_size,
                 .length = write->length,
                 .previous = ns->last_data,
                 .crc = crc,
                 .time = write->time},
        .index = {.key_size = write->key_size,
                  .data_offset = offset,
                  .length = write->length,
                  .previous = ns->last_index,
                  .data_file = ns->n_pairs - 1,
                  .time = write->time,
                  .crc = crc},
        .key = write->key,
        .value = write->value,
        .index_key = write->key,
    };
}

/* What an old value took cannot be had any more. */
static void retire(struct ns *ns, const struct store_entry *old)
{
    ns->live_bytes -= old->length;
    if (old->data_file < ns->n_pairs)
        ns->pairs[old->data_file]->dead_bytes += old->length;
}

/* --- user mode ------------------------------------------------------------------------------- */

static enum store_status set_user(struct ns *ns, const struct store_write *write, uint32_t crc,
                                  const struct store_entry *existing)
{
    struct addition add;
    struct key_record *record = existing ? keys_find(ns->keys, write->key, write->key_size)
                                         : keys_add(ns->keys, write->key, write->key_size);
    if (!record)
        return STORE_NO_MEMORY;
    describe(ns, write, crc, &add);
    if (existing) {
        add.index.parent_file = existing->index_file;
        add.index.parent_offset = existing->index_offset;
    }
    uint32_t index_offset = (uint32_t)append_offset(&ns->index);
    enum store_status status = put(ns, &add);
    if (status != STORE_OK) {
        if (!existing)
            keys_remove(ns->keys, record);
        return status;
    }
    if (existing) {
        marks_add_dead(&ns->marks, existing->index_file, existing->index_offset);
        retire(ns, existing);
    } else {
        ns->entries++;
    }
    ns->last_index = index_offset;
    ns->live_bytes += write->length;
    record->data_offset = add.index.data_offset;
    record->length = write->length;
    record->index_offset = index_offset;
    record->crc = crc;
    record->file = (ns->n_pairs - 1) & (KEYS_FILES_MAX - 1);
    return STORE_OK;
}

/* --- sequential mode ------------------------------------------------------------------------- */

static enum store_status add_id(struct ns *ns, const struct store_write *write, uint32_t crc,
                                uint64_t *out_id)
{
    struct addition add;
    uint64_t id = ns_next_id(ns);
    struct store_write with_id = *write;
    with_id.key = &id;
    with_id.key_size = sizeof id;
    describe(ns, &with_id, crc, &add);
    uint32_t index_offset = (uint32_t)append_offset(&ns->index);
    enum store_status status = put(ns, &add);
    if (status != STORE_OK)
        return status;
    ns->last_index = index_offset;
    ns->entries++;
    ns->live_bytes += write->length;
    *out_id = id;
    return STORE_OK;
}

/* Appends a dead copy of the slot, which is then to be written anew. */
static enum store_status update_id(struct ns *ns, const struct store_write *write, uint32_t crc,
                                   const struct store_entry *existing)
{
    struct addition add;
    struct format_slot slot;
    struct slot_place place = {existing->index_file, existing->index_offset};
    if (slots_read(ns, place, &slot) < 0)
        return STORE_CORRUPT;
    describe(ns, write, crc, &add);
    struct format_slot fresh = {.entry = add.index, .id = slot.id};
    fresh.entry.previous = slot.entry.previous;
    fresh.entry.parent_file = ns->n_pairs - 1;
    fresh.entry.parent_offset = (uint32_t)append_offset(&ns->index);
    uint32_t data_offset = add.index.data_offset;
    add.index = slot.entry;
    add.index.flags |= FORMAT_DEAD;
    enum store_status status = put(ns, &add);
    if (status != STORE_OK)
        return status;
    ns->last_data = data_offset;
    ns->last_index = fresh.entry.parent_offset;
    marks_add_slot(&ns->marks, place.file, place.offset, &fresh);
    retire(ns, existing);
    ns->live_bytes += write->length;
    ns->pairs[place.file]->dirty = true;
    return STORE_OK;
}

/* --- both ------------------------------------------------------------------------------------ */

enum store_status store_set(struct ns *ns, const struct store_write *write,
                            const struct store_entry *existing, uint64_t *out_id)
{
    uint32_t crc = checksum(write->value, write->length);
    bool sequential = ns->mode == FORMAT_SEQ;
    if (sequential && !existing && write->key_size > 0)
        return STORE_BAD_ID;
    if (existing && is_same(ns, write, crc, existing))
        return STORE_UNCHANGED;
    enum store_status status = rotate_for(ns, write->length);
    if (status != STORE_OK)
        return status;
    if (!marks_reserve(&ns->marks))
        return STORE_NO_MEMORY;
    if (!sequential)
        status = set_user(ns, write, crc, existing);
    else if (existing)
        status = update_id(ns, write, crc, existing);
    else
        status = add_id(ns, write, crc, out_id);
    if (status != STORE_OK)
        return status;
    if (existing)
        ns->pairs[existing->index_file]->dirty = true;
    touched(ns);
    return STORE_OK;
}

static enum store_status put_tombstone(struct ns *ns, const void *key, uint8_t key_size,
                                       uint32_t time)
{
    struct addition add = {.data = {.key_size = key_size,
                                    .previous = ns->last_data,
                                    .flags = FORMAT_TOMBSTONE,
                                    .time = time},
                           .key = key,
                           .value = ""};
    uint32_t offset = (uint32_t)append_offset(&ns->data);
    enum store_status status = put_data(ns, &add, true);
    if (status == STORE_OK)
        ns->last_data = offset;
    return status;
}

enum store_status store_delete(struct ns *ns, const void *key, uint8_t key_size,
                               const struct store_entry *existing, uint32_t time)
{
    struct format_slot slot;
    struct slot_place place = {existing->index_file, existing->index_offset};
    if (!may_add(ns) && ns_rotate(ns) < 0)
        return STORE_DATA_FAILED;
    if (!marks_reserve(&ns->marks))
        return STORE_NO_MEMORY;
    if (ns->mode == FORMAT_SEQ && slots_read(ns, place, &slot) < 0)
        return STORE_INDEX_FAILED;
    enum store_status status = put_tombstone(ns, key, key_size, time);
    if (status != STORE_OK)
        return status;
    if (ns->mode == FORMAT_SEQ) {
        slot.entry.flags |= FORMAT_DEAD;
        marks_add_slot(&ns->marks, place.file, place.offset, &slot);
    } else {
        marks_add_dead(&ns->marks, place.file, place.offset);
        keys_remove(ns->keys, keys_find(ns->keys, key, key_size));
    }
    retire(ns, existing);
    ns->entries--;
    ns->pairs[place.file]->dirty = true;
    touched(ns);
    return STORE_OK;
}
