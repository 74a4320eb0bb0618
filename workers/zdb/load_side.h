/* A pair of a sequential namespace while its data is walked beside its slots. */
#ifndef WORKERS_ZDB_LOAD_SIDE_H
#define WORKERS_ZDB_LOAD_SIDE_H

#include "load_slots.h"

struct side_by_side {
    struct load *load;
    struct ns *ns;
    uint32_t id;
    struct pair *pair;
    uint64_t data_size, n_slots; /* of the index as it was found */
    uint64_t at;                 /* the slot that the next data entry belongs to */
    struct reader reader;
    struct slot_block block;
    struct walk *walk;
    bool adding, changed;
    bool undone; /* an update was, so what the data said of the value before has to be said again */
};

struct place {
    uint32_t file, offset;
};

/* A slot as it is or will be written. Results are those of the load: 0, LOAD_AGAIN, or an error. */
int side_read_slot(struct side_by_side *side, uint32_t file, uint32_t offset,
                   struct format_slot *out);
/* That of an id that was given. */
int side_find_slot(struct side_by_side *side, uint64_t id, struct place *place,
                   struct format_slot *out);
int side_write_slot(struct side_by_side *side, struct place place, const struct format_slot *slot);

/* Gives up what slots say of data that is lost, when the walk has come to the end of the data. */
int side_settle(struct side_by_side *side);

#endif
