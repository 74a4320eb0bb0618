/*
 * Scanning a namespace in the order of its index, forth and back. A cursor names an entry; it stays
 * good when its key is deleted.
 */
#ifndef WORKERS_ZDB_SCAN_H
#define WORKERS_ZDB_SCAN_H

#include "store.h"

/* As clients see it: opaque, 17 bytes. */
struct scan_cursor {
    uint8_t key_size;
    uint32_t file, length, offset, crc; /* of the index entry */
} __attribute__((packed));

_Static_assert(sizeof(struct scan_cursor) == 17, "the size is upstream's");

void scan_cursor_of(const struct store_entry *entry, uint8_t key_size, struct scan_cursor *out);

struct scan {
    struct ns *ns;
    bool backward;
    uint32_t file;
    uint64_t offset;   /* where to go on: forth, the next entry; back, the end of the next */
    uint64_t previous; /* back, user mode: the offset of the next entry */
    uint8_t *buffer;   /* of the file, from `at` */
    uint64_t at;
    uint32_t have;
    bool failed; /* the index cannot be read */
};

struct scan_item {
    struct scan_cursor cursor;
    uint32_t length, time;
    uint8_t key[FORMAT_KEY_MAX];
};

/* From behind the cursor, or from the end of the namespace that comes first when it is NULL. What
 * was gathered is flushed first. STORE_CORRUPT for a cursor that names no entry. */
enum store_status scan_begin(struct scan *scan, struct ns *ns, bool backward,
                             const struct scan_cursor *cursor);
void scan_end(struct scan *scan);
/* The next entry, and whether it lives; false when there is none, or on failure. */
bool scan_step(struct scan *scan, struct scan_item *out, bool *out_lives);
/* The next that lives, however many are dead before it. */
bool scan_next(struct scan *scan, struct scan_item *out);

#endif
