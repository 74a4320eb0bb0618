/* Sequential mode: the place of an id in the index is computed, not looked up. */
#ifndef WORKERS_ZDB_SLOTS_H
#define WORKERS_ZDB_SLOTS_H

#include "ns.h"

struct slot_place {
    uint32_t file, offset;
};

/* False for an id that was not given yet. */
bool slots_find(const struct ns *ns, uint64_t id, struct slot_place *out);
/* As it will be when all marks are made. 0 or a negative errno. */
int slots_read(struct ns *ns, struct slot_place place, struct format_slot *out);
/* The mark that waits for this place, or NULL. */
const struct format_slot *slots_marked(const struct ns *ns, uint32_t file, uint32_t offset);

#endif
