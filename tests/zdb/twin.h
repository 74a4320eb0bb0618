/*
 * A twin: the same changes made through the server and by the independent writer, whose files must
 * then be the same, byte for byte. The server's clock is the one thing that the twin cannot know:
 * it takes the times from the server's entries, in their order, and all else must follow.
 */
#ifndef TESTS_ZDB_TWIN_H
#define TESTS_ZDB_TWIN_H

#include "fixture.h"

enum { TWIN_CHANGES_MAX = 4096 };

enum change_kind { CHANGE_SET, CHANGE_DELETE, CHANGE_JUMP };

struct change {
    enum change_kind kind;
    uint64_t id; /* of a key "k<id>", or a sequential id; UINT64_MAX: a new one */
    uint32_t size, seed;
};

struct twin {
    struct peer_ns ns;
    uint64_t datasize;
    struct change changes[TWIN_CHANGES_MAX];
    size_t n_changes;
};

/* The payload of a change; the same for the same seed and size. */
void twin_payload(uint8_t *out, uint32_t size, uint32_t seed);

/* Asks the server for the change on the connection, and remembers it unless it changed nothing. */
void twin_set(struct twin *twin, unsigned number, uint64_t id, uint32_t size, uint32_t seed);
void twin_delete(struct twin *twin, unsigned number, uint64_t id);
void twin_jump(struct twin *twin, unsigned number);
/* Changes by chance, all the same for the same seed. */
void twin_random(struct twin *twin, unsigned number, unsigned n, uint32_t max_size, uint32_t seed);

/* Does to the twin what was done to the server, which is stopped, and compares. */
void twin_compare(struct twin *twin, const struct server *server);
void twin_free(struct twin *twin);

#endif
