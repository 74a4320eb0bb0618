/*
 * The writer: what each change of a namespace does to the bytes of its files, and how a key is
 * found in them. Every search walks the files from the start, so that there is no second truth that
 * could differ from the bytes.
 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void peer_ns_init(struct peer_ns *ns, const char *name, enum peer_mode mode, enum peer_style style)
{
    *ns = (struct peer_ns){.is_public = true, .mode = mode, .style = style};
    (void)snprintf(ns->name, sizeof ns->name, "%s", name);
    peer_rotate(ns);
}

void peer_ns_free(struct peer_ns *ns)
{
    for (uint32_t i = 0; i < PEER_FILES_MAX; i++) {
        peer_bytes_free(&ns->index[i]);
        peer_bytes_free(&ns->data[i]);
    }
}

void peer_rotate(struct peer_ns *ns)
{
    if (ns->n_files == PEER_FILES_MAX)
        abort();
    peer_data_header(&ns->data[ns->n_files], ns->n_files);
    peer_index_header(&ns->index[ns->n_files], ns->n_files, ns->mode);
    ns->n_files++;
}

/* --- looking --------------------------------------------------------------------------------- */

static uint64_t slots(const struct peer_bytes *index)
{
    return (index->size - PEER_INDEX_HEADER) / PEER_SEQ_SLOT;
}

/* The slot of an id: its file and offset. */
static bool seq_slot(const struct peer_ns *ns, uint64_t id, uint32_t *out_file,
                     uint32_t *out_offset)
{
    uint64_t first = 0;
    for (uint32_t i = 0; i < ns->n_files; first += slots(&ns->index[i]), i++) {
        if (id - first >= slots(&ns->index[i]))
            continue;
        *out_file = i;
        *out_offset = (uint32_t)(PEER_INDEX_HEADER + PEER_SEQ_SLOT * (id - first));
        return true;
    }
    return false;
}

static bool seq_find(const struct peer_ns *ns, struct peer_key key, struct peer_index_entry *out,
                     uint32_t *out_file)
{
    uint32_t file, offset;
    struct peer_index_entry entry;
    if (key.size != PEER_SEQ_KEY || !seq_slot(ns, peer_u64(key.at), &file, &offset) ||
        peer_index_next(&ns->index[file], &offset, &entry) != 1 || entry.flags & PEER_DEAD)
        return false;
    *out = entry;
    *out_file = file;
    return true;
}

static bool user_find(const struct peer_ns *ns, struct peer_key key, struct peer_index_entry *out,
                      uint32_t *out_file)
{
    bool found = false;
    for (uint32_t i = 0; i < ns->n_files; i++) {
        struct peer_index_entry entry;
        uint32_t offset = PEER_INDEX_HEADER;
        while (peer_index_next(&ns->index[i], &offset, &entry) == 1) {
            if (entry.flags & PEER_DEAD || entry.key_size != key.size ||
                memcmp(entry.key, key.at, key.size) != 0)
                continue;
            *out = entry;
            *out_file = i;
            found = true;
        }
    }
    return found;
}

bool peer_find(const struct peer_ns *ns, struct peer_key key, struct peer_index_entry *out,
               uint32_t *out_file)
{
    return (ns->mode == PEER_SEQ ? seq_find : user_find)(ns, key, out, out_file);
}

bool peer_get(const struct peer_ns *ns, struct peer_key key, const uint8_t **out,
              uint32_t *out_size)
{
    struct peer_index_entry entry;
    struct peer_data_entry data;
    uint32_t file;
    if (!peer_find(ns, key, &entry, &file))
        return false;
    if (ns->mode == PEER_SEQ)
        file = entry.data_file;
    uint32_t offset = entry.data_offset;
    if (file >= ns->n_files || peer_data_next(&ns->data[file], &offset, &data) != 1)
        return false;
    *out = data.payload;
    *out_size = data.size;
    return true;
}

static void sum_live(const struct peer_ns *ns, unsigned *count, uint64_t *bytes)
{
    *count = 0;
    *bytes = 0;
    for (uint32_t i = 0; i < ns->n_files; i++) {
        struct peer_index_entry entry;
        uint32_t offset = PEER_INDEX_HEADER;
        while (peer_index_next(&ns->index[i], &offset, &entry) == 1) {
            if (entry.flags & PEER_DEAD)
                continue;
            *count += 1;
            *bytes += entry.size;
        }
    }
}

unsigned peer_count(const struct peer_ns *ns)
{
    unsigned count;
    uint64_t bytes;
    sum_live(ns, &count, &bytes);
    return count;
}

uint64_t peer_live_bytes(const struct peer_ns *ns)
{
    unsigned count;
    uint64_t bytes;
    sum_live(ns, &count, &bytes);
    return bytes;
}

/* --- changing -------------------------------------------------------------------------------- */

static uint32_t active(const struct peer_ns *ns)
{
    return ns->n_files - 1;
}

/* Appends to the active data file; what the index has to say of it. */
static struct peer_index_entry add_data(struct peer_ns *ns, struct peer_key key,
                                        const void *payload, uint32_t size, uint8_t flags,
                                        uint32_t time)
{
    struct peer_bytes *file = &ns->data[active(ns)];
    struct peer_data_entry entry = {
        .key_size = key.size,
        .size = size,
        .previous = ns->last_data,
        .crc = flags & PEER_TOMBSTONE ? 0 : peer_crc(payload, size),
        .flags = flags,
        .time = time,
        .key = key.at,
        .payload = payload,
    };
    ns->last_data = (uint32_t)file->size;
    peer_data_append(file, &entry);
    return (struct peer_index_entry){
        .key_size = key.size,
        .data_offset = ns->last_data,
        .size = size,
        .previous = ns->last_index,
        .data_file = active(ns),
        .time = time,
        .crc = entry.crc,
        .key = key.at,
    };
}

static uint32_t add_index(struct peer_ns *ns, const struct peer_index_entry *entry)
{
    struct peer_bytes *file = &ns->index[active(ns)];
    ns->last_index = (uint32_t)file->size;
    peer_index_append(file, entry);
    return ns->last_index;
}

static void mark_dead(struct peer_ns *ns, uint32_t file, uint32_t offset)
{
    ns->index[file].at[offset + 13] |= PEER_DEAD;
}

void peer_set(struct peer_ns *ns, struct peer_key key, const void *payload, uint32_t size,
              uint32_t time)
{
    struct peer_index_entry old;
    uint32_t file;
    bool exists = peer_find(ns, key, &old, &file);
    struct peer_index_entry entry = add_data(ns, key, payload, size, 0, time);
    if (exists) {
        mark_dead(ns, file, old.offset);
        entry.parent_file = file;
        entry.parent_offset = old.offset;
    } else if (ns->style == PEER_UPSTREAM) {
        entry.data_file = 0;
    }
    add_index(ns, &entry);
}

void peer_delete(struct peer_ns *ns, struct peer_key key, uint32_t time)
{
    struct peer_index_entry old;
    uint32_t file;
    if (!peer_find(ns, key, &old, &file))
        return;
    (void)add_data(ns, key, NULL, 0, PEER_TOMBSTONE, time);
    mark_dead(ns, file, old.offset);
}

static void seq_key(uint64_t id, uint8_t key[PEER_SEQ_KEY])
{
    for (unsigned i = 0; i < PEER_SEQ_KEY; i++)
        key[i] = (uint8_t)(id >> (8 * i));
}

static uint64_t next_id(const struct peer_ns *ns)
{
    uint64_t id = 0;
    for (uint32_t i = 0; i < ns->n_files; i++)
        id += slots(&ns->index[i]);
    return id;
}

uint64_t peer_seq_add(struct peer_ns *ns, const void *payload, uint32_t size, uint32_t time)
{
    uint8_t key[PEER_SEQ_KEY];
    uint64_t id = next_id(ns);
    seq_key(id, key);
    struct peer_index_entry entry =
        add_data(ns, (struct peer_key){key, sizeof key}, payload, size, 0, time);
    add_index(ns, &entry);
    return id;
}

void peer_seq_update(struct peer_ns *ns, uint64_t id, const void *payload, uint32_t size,
                     uint32_t time)
{
    uint8_t key[PEER_SEQ_KEY];
    struct peer_index_entry old;
    uint32_t file;
    seq_key(id, key);
    if (!peer_find(ns, (struct peer_key){key, sizeof key}, &old, &file))
        abort();
    struct peer_index_entry entry =
        add_data(ns, (struct peer_key){key, sizeof key}, payload, size, 0, time);
    struct peer_index_entry copy = old;
    copy.key = key; /* the file may move under the old one */
    copy.flags |= PEER_DEAD;
    entry.parent_offset = add_index(ns, &copy);
    entry.parent_file = active(ns);
    entry.previous = old.previous;
    struct peer_bytes slot = {0};
    peer_index_append(&slot, &entry);
    memcpy(ns->index[file].at + old.offset, slot.at, slot.size);
    peer_bytes_free(&slot);
}

void peer_seq_delete(struct peer_ns *ns, uint64_t id, uint32_t time)
{
    uint8_t key[PEER_SEQ_KEY];
    seq_key(id, key);
    peer_delete(ns, (struct peer_key){key, sizeof key}, time);
}
