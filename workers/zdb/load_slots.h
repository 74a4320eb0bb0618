/* The slots of a sequential namespace, as its loader sees them. */
#ifndef WORKERS_ZDB_LOAD_SLOTS_H
#define WORKERS_ZDB_LOAD_SLOTS_H

#include "load_private.h"

static inline uint64_t slots_of(uint64_t index_size)
{
    return (index_size - FORMAT_INDEX_HEADER) / FORMAT_SLOT;
}

static inline uint32_t slot_offset(uint64_t at)
{
    return (uint32_t)(FORMAT_INDEX_HEADER + at * FORMAT_SLOT);
}

/* A piece of an index file, for one that is not mapped: ids that were given together are updated
 * and deleted together. Empty once a slot in it is written. */
struct slot_block {
    uint32_t file;
    uint64_t at;
    size_t size;
    uint8_t bytes[4096];
};
int load_read_slot(struct load *load, struct slot_block *block, uint32_t file, uint32_t offset,
                   struct format_slot *out);

/* Sizes of all files. An index file that does not end with a slot is cut there, if nothing follows
 * it; when all is made anew, each is cut behind its header. May ask to load again. */
int load_measure_slots(struct load *load);
/* Reads all slots, and counts: entries, bytes, the first id of each pair. The last file is cut at
 * the first slot that does not fit, unless the data was held against it already. */
int load_read_slots(struct load *load);

#endif
