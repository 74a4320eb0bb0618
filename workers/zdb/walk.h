/*
 * Walking a data file entry by entry, as whoever has lost the index must. What is read is believed
 * only as far as it is sound: lengths within the file, the chain of previous entries whole, and, if
 * asked for, the payload's checksum.
 */
#ifndef WORKERS_ZDB_WALK_H
#define WORKERS_ZDB_WALK_H

#include "zdbformat/format.h"

#include <stdbool.h>
#include <stdint.h>

enum walk_result {
    WALK_ENTRY,
    WALK_END,    /* the file ends here */
    WALK_BROKEN, /* here is no sound entry */
    WALK_FAILED, /* it cannot be read: `rc` */
};

struct walk {
    int fd;
    uint64_t size;     /* of the file */
    uint64_t offset;   /* of the next entry */
    uint32_t previous; /* what it must name as the one before, unless `any_previous` */
    bool any_previous;
    bool check_payload;
    int rc;
    uint8_t *window; /* of the file, from window_at */
    uint64_t window_at;
    uint32_t window_size, window_wanted;
};

struct walk_entry {
    struct format_data_entry head;
    uint32_t offset;
    uint8_t key[FORMAT_KEY_MAX];
};

/* `previous`: the offset of the entry before, or NULL when nobody knows. -ENOMEM. */
int walk_begin(struct walk *walk, int fd, uint64_t size, uint64_t offset, const uint32_t *previous);
void walk_end(struct walk *walk);
/* The head and the key that stand at this place, if their sizes can be; wherever the walk is. */
bool walk_look(struct walk *walk, uint32_t offset, struct walk_entry *out);
enum walk_result walk_next(struct walk *walk, struct walk_entry *out);
/* After WALK_BROKEN: on to the next sound entry, which names one of the broken ones as its
 * previous, or has a payload that fits its checksum; any bytes may look like one, so it counts only
 * if another one follows, or the end. WALK_ENTRY: walk_next() gets it. WALK_END: there is none, and
 * the place is unchanged, as with WALK_FAILED. */
enum walk_result walk_resume(struct walk *walk);

#endif
