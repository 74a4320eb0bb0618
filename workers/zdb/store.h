/*
 * What the data commands do to one namespace, in either mode. Keys and values are borrowed for the
 * call. A change is in memory and gathered when the call returns; it is in the files after
 * ns_flush(), and durable after a sync.
 */
#ifndef WORKERS_ZDB_STORE_H
#define WORKERS_ZDB_STORE_H

#include "ns.h"

enum store_status {
    STORE_OK,
    STORE_MISSING,   /* no such key */
    STORE_UNCHANGED, /* it has this very value */
    STORE_BAD_ID,    /* sequential: not an id that lives */
    STORE_NO_MEMORY,
    STORE_DATA_FAILED, /* no room, or an error: nothing was changed */
    STORE_INDEX_FAILED,
    STORE_CORRUPT,      /* what is there is not what was written */
    STORE_NO_DATA_FILE, /* the file is not there */
};

/* Where a value stands. */
struct store_entry {
    uint32_t index_file, index_offset;
    uint32_t data_file, data_offset;
    uint32_t length, crc;
    uint32_t parent_file, parent_offset; /* of store_at() and sequential ones */
    uint32_t time;                       /* as well */
    bool moving;                         /* it is not in the compacted data file yet */
};

enum store_status store_find(struct ns *ns, const void *key, size_t key_size,
                             struct store_entry *out);
/* The entry that stands at this place of the index and has this key, dead or alive; STORE_CORRUPT
 * when there is no such. */
enum store_status store_at(struct ns *ns, uint32_t file, uint32_t offset, const void *key,
                           size_t key_size, struct store_entry *out);
/* The payload, verified, into `length` bytes. */
enum store_status store_read(struct ns *ns, const struct store_entry *entry, const void *key,
                             size_t key_size, void *out);
/* When it was written. */
enum store_status store_time(struct ns *ns, const struct store_entry *entry, uint32_t *out_time);

struct store_write {
    const void *key; /* sequential: an id, or nothing for a new one */
    uint8_t key_size;
    const void *value;
    uint32_t length, time;
};

/* `existing`: what store_find() gave, or NULL when the key is not there. `out_id`: of a sequential
 * entry. */
enum store_status store_set(struct ns *ns, const struct store_write *write,
                            const struct store_entry *existing, uint64_t *out_id);
enum store_status store_delete(struct ns *ns, const void *key, uint8_t key_size,
                               const struct store_entry *existing, uint32_t time);

#endif
