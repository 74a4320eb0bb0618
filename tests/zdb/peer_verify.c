/*
 * Everything against everything: headers, chains of previous entries, checksums, parents, slots,
 * and that the live entries of the index are what the data files say when they are read alone.
 */
#include "peer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct verifier {
    const struct peer_ns *ns;
    char *why;
    uint32_t last_data, last_index;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct verifier *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(v->why, PEER_WHY_MAX, fmt, args);
    va_end(args);
    return false;
}

static bool check_headers(struct verifier *v, uint32_t id)
{
    struct peer_bytes data = {0}, index = {0};
    peer_data_header(&data, id);
    peer_index_header(&index, id, v->ns->mode);
    const struct peer_bytes *d = &v->ns->data[id], *i = &v->ns->index[id];
    bool data_right = d->size >= data.size && memcmp(d->at, data.at, data.size) == 0;
    bool index_right = i->size >= index.size && memcmp(i->at, index.at, index.size) == 0;
    peer_bytes_free(&data);
    peer_bytes_free(&index);
    if (!data_right)
        return wrong(v, "d%u: header", id);
    return index_right || wrong(v, "i%u: header", id);
}

static bool check_data(struct verifier *v, uint32_t id)
{
    const struct peer_bytes *file = &v->ns->data[id];
    struct peer_data_entry e;
    uint32_t offset = PEER_DATA_HEADER;
    int rc;
    while ((rc = peer_data_next(file, &offset, &e)) == 1) {
        if (e.previous != v->last_data)
            return wrong(v, "d%u @%u: previous %u, not %u", id, e.offset, e.previous, v->last_data);
        if (e.flags & ~(PEER_TOMBSTONE | PEER_TRUNCATED))
            return wrong(v, "d%u @%u: flags %u", id, e.offset, e.flags);
        if (e.flags & PEER_TOMBSTONE && (e.size != 0 || e.crc != 0))
            return wrong(v, "d%u @%u: tombstone of %u bytes, crc %08x", id, e.offset, e.size,
                         e.crc);
        if (e.flags == 0 && e.crc != peer_crc(e.payload, e.size))
            return wrong(v, "d%u @%u: crc %08x", id, e.offset, e.crc);
        v->last_data = e.offset;
    }
    return rc == 0 || wrong(v, "d%u @%u: no whole entry, file of %zu", id, offset, file->size);
}

/* The data that an index entry names. */
static bool check_pointer(struct verifier *v, uint32_t id, const struct peer_index_entry *e)
{
    uint32_t file = e->data_file, offset = e->data_offset;
    struct peer_data_entry data;
    if (v->ns->mode == PEER_USER && file == 0)
        file = id;
    if (file >= v->ns->n_files || peer_data_next(&v->ns->data[file], &offset, &data) != 1)
        return wrong(v, "i%u @%u: data %u @%u is no entry", id, e->offset, file, e->data_offset);
    if (data.key_size != e->key_size || memcmp(data.key, e->key, e->key_size) != 0)
        return wrong(v, "i%u @%u: another key in d%u @%u", id, e->offset, file, e->data_offset);
    if (data.flags & PEER_TRUNCATED && e->flags & PEER_DEAD)
        return true;
    if (data.flags != 0 || data.size != e->size || data.crc != e->crc || data.time != e->time)
        return wrong(v, "i%u @%u: flags, size, crc or time differ from d%u @%u", id, e->offset,
                     file, e->data_offset);
    return true;
}

static bool check_parent(struct verifier *v, uint32_t id, const struct peer_index_entry *e)
{
    uint32_t offset = e->parent_offset;
    struct peer_index_entry parent;
    if (e->parent_file == 0 && e->parent_offset == 0)
        return true;
    if (e->parent_file >= v->ns->n_files ||
        peer_index_next(&v->ns->index[e->parent_file], &offset, &parent) != 1)
        return wrong(v, "i%u @%u: parent %u @%u is no entry", id, e->offset, e->parent_file,
                     e->parent_offset);
    if (parent.key_size != e->key_size || memcmp(parent.key, e->key, e->key_size) != 0)
        return wrong(v, "i%u @%u: the parent has another key", id, e->offset);
    return parent.flags & PEER_DEAD || wrong(v, "i%u @%u: the parent lives", id, e->offset);
}

/* Sequential: an entry in its own slot, or the dead copy of one that was overwritten. */
static bool check_slot(struct verifier *v, uint32_t id, uint64_t slot,
                       const struct peer_index_entry *e)
{
    if (e->key_size != PEER_SEQ_KEY)
        return wrong(v, "i%u @%u: key of %u bytes", id, e->offset, e->key_size);
    uint64_t key = peer_u64(e->key);
    if (key > slot || (key < slot && !(e->flags & PEER_DEAD)))
        return wrong(v, "i%u @%u: id %ju in the slot of %ju", id, e->offset, (uintmax_t)key,
                     (uintmax_t)slot);
    return true;
}

static bool check_unique(struct verifier *v, uint32_t id, const struct peer_index_entry *e)
{
    struct peer_index_entry last;
    uint32_t file;
    if (e->flags & PEER_DEAD)
        return true;
    if (!peer_find(v->ns, (struct peer_key){e->key, e->key_size}, &last, &file) || file != id ||
        last.offset != e->offset)
        return wrong(v, "i%u @%u: the key lives twice", id, e->offset);
    return true;
}

static bool check_index(struct verifier *v, uint32_t id, uint64_t *slot)
{
    const struct peer_bytes *file = &v->ns->index[id];
    struct peer_index_entry e;
    uint32_t offset = PEER_INDEX_HEADER;
    int rc;
    while ((rc = peer_index_next(file, &offset, &e)) == 1) {
        if (e.flags & ~PEER_DEAD)
            return wrong(v, "i%u @%u: flags %u", id, e.offset, e.flags);
        /* A copy keeps the previous of what it copies, and a slot always its own. */
        bool chained = v->ns->mode == PEER_USER || peer_u64(e.key) == *slot;
        if (chained && e.previous != v->last_index)
            return wrong(v, "i%u @%u: previous %u, not %u", id, e.offset, e.previous,
                         v->last_index);
        if (!check_pointer(v, id, &e) || !check_parent(v, id, &e) || !check_unique(v, id, &e) ||
            (v->ns->mode == PEER_SEQ && !check_slot(v, id, *slot, &e)))
            return false;
        v->last_index = e.offset;
        *slot += 1;
    }
    return rc == 0 || wrong(v, "i%u @%u: no whole entry, file of %zu", id, offset, file->size);
}

/* The last word of the data files about a key is what its live entry names, or a tombstone. */
static bool check_last_words(struct verifier *v)
{
    for (uint32_t id = 0; id < v->ns->n_files; id++) {
        struct peer_data_entry e;
        uint32_t offset = PEER_DATA_HEADER;
        while (peer_data_next(&v->ns->data[id], &offset, &e) == 1) {
            const uint8_t *payload;
            uint32_t size;
            bool lives = peer_get(v->ns, (struct peer_key){e.key, e.key_size}, &payload, &size);
            if (!(e.flags & (PEER_TOMBSTONE | PEER_TRUNCATED)) || !lives)
                continue;
            if (payload < v->ns->data[id].at + e.offset && payload >= v->ns->data[id].at)
                return wrong(v, "d%u @%u: the key lives in an older entry", id, e.offset);
        }
    }
    return true;
}

bool peer_verify(const struct peer_ns *ns, char why[PEER_WHY_MAX])
{
    struct verifier v = {.ns = ns, .why = why};
    uint64_t slot = 0;
    for (uint32_t id = 0; id < ns->n_files; id++)
        if (!check_headers(&v, id) || !check_data(&v, id))
            return false;
    for (uint32_t id = 0; id < ns->n_files; id++)
        if (!check_index(&v, id, &slot))
            return false;
    return check_last_words(&v);
}
