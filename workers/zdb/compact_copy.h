/* What the thread of a compaction does to one closed pair, with descriptors of its own. */
#ifndef WORKERS_ZDB_COMPACT_COPY_H
#define WORKERS_ZDB_COMPACT_COPY_H

#include "zdbformat/format.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct compact_copy {
    int data_dir, index_dir; /* owned */
    uint32_t id;
    enum format_mode mode;
    uint64_t *first_ids; /* sequential: of all pairs; owned */
    uint32_t n_pairs;

    atomic_bool cancel;
    _Atomic uint64_t done_bytes; /* of the data that were looked at */
    uint64_t data_size;          /* of the file as it is found */
    uint64_t new_size;           /* of the new one, or what is left of the old */
    uint32_t last_offset;        /* of the last entry in the new one */
    bool has_last;
    int rc; /* 0, or a negative errno: nothing was changed */
};

/* User mode: writes and syncs d<N>.compact and i<N>.compact. */
void compact_copy_user(struct compact_copy *copy);
/* Sequential mode: takes the blocks of dead payloads out of d<N>, where it stands. */
void compact_punch_sequential(struct compact_copy *copy);

#endif
