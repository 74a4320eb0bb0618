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
#include "load_private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "checksum.h"

#include <errno.h>
#include <string.h>

struct pass {
    struct load *load;
    struct ns *ns;
    uint32_t id;
    struct pair *pair;
    uint64_t data_size, index_size;
    uint64_t covered; /* the data up to here is what the index says */
    uint32_t last;    /* offset of the last data entry in it */
    bool has_last;
    struct taken { /* the last index entry, while it is the last in the data too */
        bool is_last;
        struct format_index_entry head;
        uint32_t offset;
        uint8_t key[FORMAT_KEY_MAX];
    } taken;
    uint64_t spent; /* bytes of the data that are no dead payload */
};

enum verdict { AGREES = 0, DIFFERS = 2 }; /* or LOAD_AGAIN, or an error */

/* --- what the table knows -------------------------------------------------------------------- */

static void count_out(struct ns *ns, const struct key_record *record)
{
    ns->live_bytes -= record->length;
    ns->pairs[record->file]->dead_bytes += record->length;
}

static int forget(struct pass *pass, struct key_record *record)
{
    int rc = load_mark_dead(pass->load, record->file, record->index_offset);
    count_out(pass->ns, record);
    keys_remove(pass->ns->keys, record);
    return rc;
}

static void fill(struct pass *pass, struct key_record *record,
                 const struct format_index_entry *head, uint32_t file, uint32_t offset)
{
    record->data_offset = head->data_offset;
    record->length = head->length;
    record->index_offset = offset;
    record->crc = head->crc;
    record->file = file & (KEYS_FILES_MAX - 1);
    pass->ns->live_bytes += head->length;
    pass->spent += head->length;
}

static int no_memory(struct pass *pass)
{
    return err_errno(pass->load->err, ENOMEM, pass->ns->name, "cannot load the keys");
}

/* The data entry at this place, without its payload. */
static bool read_data_head(struct pass *pass, uint32_t file, uint32_t offset,
                           struct format_data_entry *out, uint8_t key[FORMAT_KEY_MAX])
{
    struct pair *pair = pass->ns->pairs[file];
    int fd = pair->missing ? -1 : file_fd(&pair->data);
    return fd >= 0 && io_read(fd, IO_DATA, out, sizeof *out, offset) == 0 &&
           (!key || io_read(fd, IO_DATA, key, out->key_size, offset + sizeof *out) == 0);
}

/* Whether the data has this key where the index says so. */
static bool data_agrees(struct pass *pass, uint32_t file, uint32_t offset, const uint8_t *key,
                        uint8_t key_size)
{
    struct format_data_entry head;
    uint8_t there[FORMAT_KEY_MAX];
    return pass->ns->pairs[file]->missing ||
           (read_data_head(pass, file, offset, &head, there) && head.key_size == key_size &&
            memcmp(there, key, key_size) == 0);
}

/* Whether the data has this very value where the index says so. */
static bool value_agrees(struct pass *pass, const struct reader_entry *entry)
{
    struct format_data_entry head;
    uint32_t length = entry->head.length, offset = entry->head.data_offset;
    if (pass->pair->missing || length > FORMAT_VALUE_MAX)
        return pass->pair->missing;
    if (!data_agrees(pass, pass->id, offset, entry->key, entry->head.key_size) ||
        !read_data_head(pass, pass->id, offset, &head, NULL) || head.length != length)
        return false;
    autofree uint8_t *payload = malloc(length ? length : 1);
    int fd = file_fd(&pass->pair->data);
    return payload && fd >= 0 &&
           io_read(fd, IO_DATA, payload, length, offset + sizeof head + head.key_size) == 0 &&
           checksum(payload, length) == head.crc;
}

/* --- one entry of the index ------------------------------------------------------------------ */

/*
 * Holds an entry against the head of its data: AGREES, and where that ends, which is before the
 * index says when a compaction took the payload; or DIFFERS.
 */
static int vouch(struct pass *pass, const struct format_index_entry *index,
                 const uint8_t *index_key, uint64_t *out_end)
{
    struct format_data_entry data;
    uint8_t key[FORMAT_KEY_MAX];
    if (!read_data_head(pass, pass->id, index->data_offset, &data, key) ||
        data.key_size != index->key_size || memcmp(key, index_key, data.key_size) != 0)
        return DIFFERS;
    bool same = data.length == index->length && data.flags == 0;
    bool taken = data.flags & FORMAT_TRUNCATED && index->flags & FORMAT_DEAD;
    *out_end = index->data_offset + format_data_size(data.key_size, data.length);
    return (same || taken) && *out_end <= pass->data_size ? AGREES : DIFFERS;
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
    return vouch(pass, &taken->head, taken->key, &pass->covered) == AGREES ? AGREES : LOAD_AGAIN;
}

static int take_tombstone(struct pass *pass, const struct walk_entry *entry)
{
    struct key_record *record = keys_find(pass->ns->keys, entry->key, entry->head.key_size);
    pass->last = entry->offset;
    pass->has_last = true;
    pass->taken.is_last = false;
    pass->spent += format_data_size(entry->head.key_size, 0);
    return record ? forget(pass, record) : AGREES;
}

/* What is covered, up to this place: tombstones, and what nobody can read. */
static int cover_gap(struct pass *pass, uint64_t to, bool *out_damaged)
{
    struct walk walk;
    struct walk_entry entry;
    int rc = AGREES, fd = file_fd(&pass->pair->data);
    if (fd < 0)
        return load_io(pass->load, &pass->pair->data, fd, "open");
    if (walk_begin(&walk, fd, to, pass->covered, pass->has_last ? &pass->last : NULL) < 0)
        return no_memory(pass);
    *out_damaged = false;
    file_pin(&pass->pair->data); /* while indexes of others are marked */
    while (rc == AGREES) {
        enum walk_result result = walk_next(&walk, &entry);
        if (result == WALK_END)
            break;
        if (result == WALK_FAILED)
            rc = load_io(pass->load, &pass->pair->data, walk.rc, "read");
        else if (result == WALK_BROKEN && (*out_damaged = true) && !walk_resume(&walk))
            break;
        else if (result == WALK_ENTRY)
            rc = entry.head.flags & FORMAT_TOMBSTONE ? take_tombstone(pass, &entry) : DIFFERS;
        if (result == WALK_ENTRY && rc == AGREES && !*out_damaged)
            pass->covered = walk.offset;
    }
    file_unpin(&pass->pair->data);
    walk_end(&walk);
    return rc;
}

static int check_end(struct pass *pass, const struct reader_entry *entry)
{
    struct format_data_entry head;
    uint64_t offset = entry->head.data_offset;
    if (offset + format_data_size(entry->head.key_size, entry->head.length) <= pass->data_size)
        return AGREES;
    if (entry->head.flags & FORMAT_DEAD &&
        read_data_head(pass, pass->id, (uint32_t)offset, &head, NULL) &&
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
        if (!data_agrees(pass, record->file, record->data_offset, entry->key, key_size))
            return LOAD_AGAIN;
        int rc = load_mark_dead(pass->load, record->file, record->index_offset);
        if (rc < 0)
            return rc;
        count_out(pass->ns, record);
    } else {
        record = keys_add(pass->ns->keys, entry->key, key_size);
        if (!record)
            return no_memory(pass);
    }
    fill(pass, record, &entry->head, pass->id, entry->offset);
    return AGREES;
}

static int take_dead(struct pass *pass, const struct reader_entry *entry)
{
    if (!pass->load->replayed)
        return AGREES;
    /* What was replayed may be older than this, and then it is dead as well. */
    struct key_record *record = keys_find(pass->ns->keys, entry->key, entry->head.key_size);
    return record ? forget(pass, record) : AGREES;
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

/* --- what is cut off, and replayed ----------------------------------------------------------- */

/* The entry that one that is cut had replaced. */
static int revive(struct pass *pass, const struct reader_entry *cut)
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
        memcmp(key, cut->key, head.key_size) != 0 || (file == pass->id && offset >= cut->offset) ||
        !data_agrees(pass, file, head.data_offset, key, head.key_size))
        return 0;
    head.flags = 0;
    int rc = load_rewrite(pass->load, file, offset, &head);
    struct key_record *record = rc < 0 ? NULL : keys_add(pass->ns->keys, key, head.key_size);
    if (!record)
        return rc < 0 ? rc : no_memory(pass);
    fill(pass, record, &head, file, offset);
    return 0;
}

/* From the first entry that differs on. */
static int cut(struct pass *pass, struct reader *reader, uint64_t from)
{
    struct reader_entry entry;
    int rc = 0;
    reader->offset = from;
    while (rc == 0 && reader_next(reader, &entry))
        rc = revive(pass, &entry);
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
        rc = forget(pass, record);
        if (rc < 0)
            return rc;
    }
    if (head.flags & FORMAT_DEAD)
        return 0;
    record = keys_add(ns->keys, entry->key, data->key_size);
    if (!record)
        return no_memory(pass);
    fill(pass, record, &head, pass->id, offset);
    return 0;
}

static int replay_entry(struct pass *pass, const struct walk_entry *entry)
{
    if (entry->head.flags & FORMAT_TOMBSTONE)
        return take_tombstone(pass, entry);
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
            uint64_t broken = walk->offset;
            if (!walk_resume(walk))
                return load_cut_data(pass->load, pass->id, broken, &pass->data_size);
            log_warning("a damaged part of the data is left out", "namespace", pass->ns->name,
                        "file_id", log_u64(pass->id), "offset", log_u64(broken), "bytes",
                        log_u64(walk->offset - broken));
            continue;
        }
        int rc = replay_entry(pass, &entry);
        if (rc < 0)
            return rc;
    }
}

/* The data behind what the index covers. */
static int replay(struct pass *pass)
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
                 ? no_memory(pass)
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
    return cut(pass, reader, good);
}

/* A compaction of the pair before may have ended before the chain was mended. */
static int mend_chain(struct pass *pass)
{
    struct format_data_entry head;
    struct ns *ns = pass->ns;
    if (pass->id == 0 || pass->pair->missing || ns->pairs[pass->id - 1]->missing ||
        !read_data_head(pass, pass->id, FORMAT_DATA_HEADER, &head, NULL) ||
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
    rc = rc < 0 ? no_memory(&pass) : read_index(&pass, &reader);
    reader_end(&reader);
    if (rc == 0)
        rc = replay(&pass);
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
