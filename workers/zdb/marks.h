/*
 * Changes in place that wait: the mark on a user key's entry that was replaced or deleted, and the
 * slot of a sequential id that was updated or deleted. They are made when what replaces the old is
 * synced, so that a power cut never leaves neither. Until then a reader of the index has to ask
 * here. What is lost with the process is found again when the namespace is loaded.
 */
#ifndef WORKERS_ZDB_MARKS_H
#define WORKERS_ZDB_MARKS_H

#include "zdbformat/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dead_mark {
    uint32_t file, offset; /* of the index entry */
};

struct slot_mark {
    uint32_t file, offset;
    uint32_t next; /* in a bucket, by number + 1 */
    struct format_slot slot;
};

/* Zeroed, it is empty. */
struct marks {
    struct dead_mark *dead;
    size_t n_dead, dead_room;
    struct slot_mark *slots;
    size_t n_slots, slots_room;
    uint32_t *buckets; /* of slots, by place */
    size_t n_buckets;
};

/* False without memory; then nothing was added. */
bool marks_reserve(struct marks *marks);
/* After a marks_reserve(). */
void marks_add_dead(struct marks *marks, uint32_t file, uint32_t offset);
/* Replaces the one of the same place. */
void marks_add_slot(struct marks *marks, uint32_t file, uint32_t offset,
                    const struct format_slot *slot);
/* The slot that waits for this place, or NULL. */
const struct format_slot *marks_find_slot(const struct marks *marks, uint32_t file,
                                          uint32_t offset);
/* Adds those of `from` whose place is not marked since, and empties it. False without memory. */
bool marks_take_back(struct marks *marks, struct marks *from);
bool marks_empty(const struct marks *marks);
void marks_free(struct marks *marks);

/* Makes them, in the files of this directory. `sync`: and syncs those files. 0 or a negative
 * errno; any thread. */
int marks_apply(struct marks *marks, int index_dir, bool sync);
/* The dead ones of one file, in this one. */
int marks_apply_dead(struct marks *marks, int fd);

#endif
