/*
 * The index: every space of the node that is built or live, by id, by name, and by the call that
 * made it, whichever pool it is on and whether that is mounted or not. Of the loop; it owns no
 * space.
 */
#ifndef WORKERS_POOLD_INDEX_H
#define WORKERS_POOLD_INDEX_H

#include "order.h"
#include "space.h"

enum { INDEX_SPACES_MAX = 100000 }; /* that Reserve makes; what is found on disk is never refused */

struct index {
    struct order by_id, by_name, by_request;
};

void index_init(struct index *index);
/* It must be empty. */
void index_free(struct index *index);

/* -ERR_RESOURCE_EXHAUSTED without memory, and nothing has changed. The space's id, name and request
 * id must not change while it is in. */
int index_add(struct index *index, struct space *space);
void index_remove(struct index *index, struct space *space);

size_t index_count(const struct index *index);
struct space *index_find_id(struct index *index, const char *id);
/* Two pools that met later may carry the same name: then the one with the lowest id. */
struct space *index_find_name(struct index *index, const char *name);
struct space *index_find_request(struct index *index, uint32_t uid, const char *request_id);

/* A walk by id: the position of the first space behind `id` ("" for the first of all). */
size_t index_after(struct index *index, const char *id);
struct space *index_at(struct index *index, size_t position);

#endif
