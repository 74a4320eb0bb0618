/*
 * Loading a user-mode namespace, pair by pair.
 *
 * An index file and its data file say the same in the same order, but that tombstones stand in the
 * data alone. So each index entry must name the place where the one before ends, or what lies in
 * between must be tombstones; nothing else of the data has to be read. At the first entry that does
 * not fit, the index is cut, and the data behind is replayed as if it were written now. What is
 * marked dead by an entry that is cut lives again first.
 *
 * A key that lives twice is one whose older entry was not marked yet when the process ended; that
 * is done now.
 */
#include "load_pass.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "checksum.h"

#include <errno.h>
#include <string.h>

/* Whether the data has this very value where the index says so. */
static bool value_agrees(struct pass *pass, const struct reader_entry *entry)
{
    struct format_data_entry head;
    uint32_t length = entry->head.length, offset = entry->head.data_offset;
    if (pass->pair->missing || length > FORMAT_VALUE_MAX)
        return pass->pair->missing;
    if (!pass_data_agrees(pass, pass->id, offset, entry->key, entry->head.key_size) ||
        !pass_read_head(pass, pass->id, offset, &head, NULL) || head.length != length)
        return false;
    autofree uint8_t *payload = malloc(length ? length : 1);
    int fd = file_fd(&pass->pair->data);
    return payload && fd >= 0 &&
           io_read(fd, IO_DATA, payload, length, offset + sizeof head + head.key_size) == 0 &&
           checksum(payload, length) == head.crc;
}

/* --- one entry of the index ------------------------------------------------------------------ */

/* A walk beside the index, begun with its window; the file stays open while indexes of others are
 * marked. */
static int begin_beside(struct pass *pass, struct walk *walk, uint32_t offset)
{
    if (walk->window)
        return 0;
    int fd = file_fd(&pass->pair->data);
    if (fd < 0)
        return load_io(pass->load, &pass->pair->data, fd, "open");
    if (walk_begin(walk, fd, pass->data_size, offset, NULL) < 0)
        return pass_no_memory(pass);
    walk->check_payload = true;
    file_pin(&pass->pair->data);
    return 0;
}

static void end_beside(struct pass *pass, struct walk *walk)
{
    if (walk->window)
        file_unpin(&pass->pair->data);
    walk_end(walk);
}

/*
 * Holds an entry against the head of its data: AGREES, and where that ends, which is before the
 * index says when a compaction took the payload; or DIFFERS.
 */
static int vouch(struct pass *pass, const struct format_index_entry *index,
                 const uint8_t *index_key, uint64_t *out_end)
{
    struct walk_entry data;
    int rc = begin_beside(pass, &pass->gap, 0);
    if (rc < 0)
        return rc;
    if (!walk_look(&pass->gap, index->data_offset, &data) ||
        data.head.key_size != index->key_size || memcmp(data.key, index_key, index->key_size) != 0)
        return DIFFERS;
    bool same = data.head.length == index->length && data.head.flags == 0;
    bool taken = data.head.flags & FORMAT_TRUNCATED && index->flags & FORMAT_DEAD;
    *out_end = index->data_offset + format_data_size(data.head.key_size, data.head.length);
    return same || taken ? AGREES : DIFFERS;
}

/*
 * What follows does not begin where the last entry ends by its index: `covered` is what its data
 * says. An index that is wrong even there may be one of other data, which fits itself and is wrong
 * from some entry on: then all of it is loaded again, and every entry held against its data.
 */
static int measure_last(struct pass *pass)
{
    const struct taken *taken = &pass->taken;
    if (!taken->is_last || pass->load->careful)
        return AGREES;
    int rc = vouch(pass, &taken->head, taken->key, &pass->covered);
    return rc == DIFFERS ? LOAD_AGAIN : rc;
}

/* One step through what the index says nothing of: a tombstone, what nobody can read, or a value
 * that is whole, which the index should have. */
static int cover_one(struct pass *pass, struct walk *walk, uint64_t to, bool *damaged)
{
    struct walk_entry entry;
    enum walk_result result = walk_next(walk, &entry);
    if (result == WALK_BROKEN) {
        *damaged = true;
        result = walk_resume(walk);
        if (result == WALK_END)
            walk->offset = to;
    } else if (result == WALK_ENTRY) {
        if (!(entry.head.flags & FORMAT_TOMBSTONE) || walk->offset > to)
            return DIFFERS;
        if (!*damaged)
            pass->covered = walk->offset;
        return pass_take_tombstone(pass, &entry);
    }
    return result == WALK_FAILED ? load_io(pass->load, &pass->pair->data, walk->rc, "read")
                                 : AGREES;
}

/* What is covered, up to this place. */
static int cover_gap(struct pass *pass, uint64_t to, bool *out_damaged)
{
    struct walk *walk = &pass->gap;
    int rc = begin_beside(pass, walk, 0);
    walk->offset = pass->covered;
    walk->previous = pass->last;
    walk->any_previous = !pass->has_last;
    *out_damaged = false;
    while (rc == AGREES && walk->offset < to)
        rc = cover_one(pass, walk, to, out_damaged);
    if (*out_damaged)
        load_seal(pass->load, pass->id);
    return rc;
}

static int check_end(struct pass *pass, const struct reader_entry *entry)
{
    struct format_data_entry head;
    uint64_t offset = entry->head.data_offset;
    if (offset + format_data_size(entry->head.key_size, entry->head.length) <= pass->data_size)
        return AGREES;
    if (entry->head.flags & FORMAT_DEAD &&
        pass_read_head(pass, pass->id, (uint32_t)offset, &head, NULL) &&
        head.flags & FORMAT_TRUNCATED &&
        offset + format_data_size(head.key_size, head.length) <= pass->data_size)
        return AGREES;
    return DIFFERS;
}

static int check_place(struct pass *pass, const struct reader_entry *entry)
{
    uint64_t offset = entry->head.data_offset;
    bool damaged = false;
    if (pass->pair->missing)
        return AGREES;
    if (offset != pass->covered) {
        int rc = measure_last(pass);
        if (rc != AGREES)
            return rc;
    }
    if (offset < pass->covered || offset >= pass->data_size)
        return DIFFERS;
    int rc = offset > pass->covered ? cover_gap(pass, offset, &damaged) : AGREES;
    if (rc == AGREES)
        rc = check_end(pass, entry);
    /* Behind what nobody can read only the value itself can vouch for its place. */
    return rc == AGREES && damaged && !value_agrees(pass, entry) ? DIFFERS : rc;
}

static int take_live(struct pass *pass, const struct reader_entry *entry)
{
    uint8_t key_size = entry->head.key_size;
    struct key_record *record = keys_find(pass->ns->keys, entry->key, key_size);
    if (record) {
        if (!value_agrees(pass, entry)) /* it may be newer than the last sync */
            return DIFFERS;
        if (!pass_data_agrees(pass, record->file, record->data_offset, entry->key, key_size))
            return LOAD_AGAIN;
        int rc = load_mark_dead(pass->load, record->file, record->index_offset);
        if (rc < 0)
            return rc;
        pass_count_out(pass->ns, record);
    } else {
        record = keys_add(pass->ns->keys, entry->key, key_size);
        if (!record)
            return pass_no_memory(pass);
    }
    pass_fill(pass, record, &entry->head, pass->id, entry->offset);
    return AGREES;
}

static int take_dead(struct pass *pass, const struct reader_entry *entry)
{
    if (!pass->load->replayed)
        return AGREES;
    /* What was replayed may be older than this, and then it is dead as well. */
    struct key_record *record = keys_find(pass->ns->keys, entry->key, entry->head.key_size);
    return record ? pass_forget(pass, record) : AGREES;
}

/* What was written last may be in the index and not in the data, if nobody waited for its sync. */
enum { TAIL = 512 << 10 };

static bool is_said(const struct walk_entry *data, const struct reader_entry *index)
{
    return data->offset == index->head.data_offset && data->head.key_size == index->head.key_size &&
           memcmp(data->key, index->key, data->head.key_size) == 0;
}

/*
 * A key that is new there, and has no payload, was not acknowledged: it is none. One that replaced
 * a value lives only if that is marked dead, which is done after the sync; so it was whole then,
 * and is damaged since, and a GET has to say so.
 */
static int check_tail(struct pass *pass, const struct reader_entry *entry)
{
    const struct format_index_entry *head = &entry->head;
    struct walk_entry data;
    enum walk_result result;
    bool in_tail = pass->id + 1 == pass->ns->n_pairs && !pass->pair->missing &&
                   (uint64_t)head->data_offset + TAIL >= pass->data_size;
    int rc = in_tail ? begin_beside(pass, &pass->tail, head->data_offset) : 0;
    if (rc < 0 || !in_tail)
        return rc;
    do
        result = walk_next(&pass->tail, &data);
    while (result == WALK_ENTRY && data.offset < head->data_offset);
    if (result == WALK_FAILED)
        return load_io(pass->load, &pass->pair->data, pass->tail.rc, "read");
    if (result == WALK_ENTRY && is_said(&data, entry))
        return AGREES;
    pass->tail.offset = head->data_offset + format_data_size(head->key_size, head->length);
    pass->tail.any_previous = true;
    bool is_new = head->flags == 0 && head->parent_file == 0 && head->parent_offset == 0;
    if (is_new)
        return DIFFERS;
    load_seal(pass->load, pass->id);
    return AGREES;
}

static int take(struct pass *pass, const struct reader_entry *entry)
{
    const struct format_index_entry *head = &entry->head;
    if (head->previous != pass->ns->last_index || head->flags & ~FORMAT_DEAD ||
        (head->data_file != 0 && head->data_file != pass->id))
        return DIFFERS;
    uint64_t end = head->data_offset + format_data_size(head->key_size, head->length);
    int rc = check_place(pass, entry);
    if (rc == AGREES && pass->load->careful && !pass->pair->missing)
        rc = vouch(pass, head, entry->key, &end);
    if (rc == AGREES)
        rc = check_tail(pass, entry);
    if (rc == AGREES)
        rc = head->flags & FORMAT_DEAD ? take_dead(pass, entry) : take_live(pass, entry);
    if (rc != AGREES)
        return rc;
    pass->covered = end;
    pass->ns->last_index = entry->offset;
    pass->spent += FORMAT_DATA_ENTRY + (uint64_t)head->key_size;
    pass->last = head->data_offset;
    pass->has_last = true;
    pass->taken.is_last = true;
    pass->taken.head = *head;
    pass->taken.offset = entry->offset;
    memcpy(pass->taken.key, entry->key, head->key_size);
    return AGREES;
}

/* A table of many keys is far from the processor: what comes soon is asked for now. */
static bool next_entry(struct pass *pass, struct reader *reader, struct reader_entry *out)
{
    const uint8_t *key;
    uint8_t size;
    if (!reader_next(reader, out))
        return false;
    while (reader_ahead(reader, &key, &size))
        keys_expect(pass->ns->keys, key, size);
    return true;
}

/* --- pairs ----------------------------------------------------------------------------------- */

static int read_index(struct pass *pass, struct reader *reader)
{
    struct reader_entry entry;
    uint64_t good = FORMAT_INDEX_HEADER;
    int rc = AGREES;
    if (!pass->load->anew)
        while (next_entry(pass, reader, &entry) && (rc = take(pass, &entry)) == AGREES)
            good = reader->offset;
    if (rc == AGREES && reader->rc < 0)
        return load_io(pass->load, &pass->pair->index, reader->rc, "read");
    if (rc != AGREES && rc != DIFFERS)
        return rc;
    /* Nothing that fits follows the last entry, so nothing vouches for it yet. */
    if (!pass->pair->missing && pass->covered != pass->data_size)
        rc = measure_last(pass);
    if (rc == LOAD_AGAIN)
        return rc;
    if (good == pass->index_size)
        return 0;
    if (pass->pair->missing)
        return err_set(pass->load->err, ERR_DATA_LOSS, 0, pass->ns->name,
                       "the index file i%u is damaged, and its data file is missing", pass->id);
    return pass_cut(pass, reader, good);
}

/* A compaction of the pair before may have ended before the chain was mended. */
static int mend_chain(struct pass *pass)
{
    struct format_data_entry head;
    struct ns *ns = pass->ns;
    if (pass->id == 0 || pass->pair->missing || ns->pairs[pass->id - 1]->missing ||
        !pass_read_head(pass, pass->id, FORMAT_DATA_HEADER, &head, NULL) ||
        head.previous == ns->last_data)
        return 0;
    int rc = io_write(file_fd(&pass->pair->data), IO_DATA, &ns->last_data, sizeof ns->last_data,
                      FORMAT_DATA_HEADER + offsetof(struct format_data_entry, previous));
    return load_io(pass->load, &pass->pair->data, rc, "write");
}

static int load_pair(struct load *load, uint32_t id)
{
    struct ns *ns = load->ns;
    struct pass pass = {
        .load = load, .ns = ns, .id = id, .pair = ns->pairs[id], .covered = FORMAT_DATA_HEADER};
    struct reader reader;
    int rc = load_sizes(load, id, &pass.data_size, &pass.index_size);
    if (rc < 0)
        return rc;
    rc = mend_chain(&pass);
    if (rc < 0)
        return rc;
    file_pin(&pass.pair->index);
    rc = reader_begin(&reader, file_fd(&pass.pair->index), pass.index_size, FORMAT_INDEX_HEADER);
    rc = rc < 0 ? pass_no_memory(&pass) : read_index(&pass, &reader);
    reader_end(&reader);
    end_beside(&pass, &pass.tail);
    end_beside(&pass, &pass.gap);
    if (rc == 0)
        rc = pass_replay(&pass);
    if (rc == 0 && pass.index_size == UINT64_MAX)
        rc = load_io(load, &pass.pair->index, io_size(file_fd(&pass.pair->index), &pass.index_size),
                     "open");
    file_unpin(&pass.pair->index);
    pass.pair->data_size = pass.data_size;
    pass.pair->index_size = pass.index_size;
    if (pass.data_size > FORMAT_DATA_HEADER + pass.spent)
        pass.pair->dead_bytes += pass.data_size - FORMAT_DATA_HEADER - pass.spent;
    if (pass.has_last)
        ns->last_data = pass.last;
    return rc;
}

int load_user(struct load *load)
{
    struct ns *ns = load->ns;
    ns->keys = keys_new();
    if (!ns->keys)
        return err_errno(load->err, ENOMEM, ns->name, "cannot load the namespace");
    for (uint32_t id = 0; id < ns->n_pairs; id++) {
        int rc = load_pair(load, id);
        if (rc != 0)
            return rc;
    }
    ns->entries = keys_count(ns->keys);
    return 0;
}
