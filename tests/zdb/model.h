/*
 * A namespace in memory: what the server has answered, so what it must have, whatever happens to
 * its process and to those of its files that can be made again. Every verb is asked of the server
 * and done to the model, and the answers have to be the same.
 */
#ifndef TESTS_ZDB_MODEL_H
#define TESTS_ZDB_MODEL_H

#include "fixture.h"

enum { MODEL_KEYS = 40, MODEL_IDS = 16384, MODEL_LIVE_IDS = 60, MODEL_VALUE_MAX = 64 << 10 };

/* Bytes that follow from size and seed. */
struct model_value {
    bool lives;
    uint32_t size, time;
    uint8_t seed;
};

struct model_entry {
    struct model_value now, was, older; /* before its last change, and the one before that */
    bool is_open;                       /* it is as it was or as it is now, a start will tell */
    bool is_cut;   /* and the next one may think otherwise, if it has no index to ask */
    bool may_lack; /* what was may be gone: a compaction takes it, or its index entry is lost */
};

struct model {
    const char *name;
    unsigned connection;
    bool sequential;
    uint64_t *random;
    struct model_entry entries[MODEL_IDS]; /* in user mode of the first MODEL_KEYS */
    uint64_t n_ids;                        /* that were given, or taken by updates */
    uint64_t n_in_the_air;                 /* so many more may have been */
    uint64_t limit_bytes;
    bool compacts; /* since the start of this process */
};

/* Makes the namespace, private, with its name as its password. */
void model_create(struct model *model, const char *name, unsigned connection, bool sequential,
                  uint64_t *random);
/* Selects it on the connection, which is opened anew. */
void model_enter(struct model *model);

/* Of random keys, values and times. */
void model_set(struct model *model);
void model_delete(struct model *model);
void model_set_limit(struct model *model);
void model_compact(struct model *model);
void model_flush(struct model *model);
/* A few changes of different keys, whose answers nobody waits for. */
void model_send(struct model *model);

/* The change of this key that was answered last is cut off, and may be undone. False when it is not
 * known what was before. */
bool model_cut(struct model *model, const uint8_t *key, size_t size);
/* Indexes are gone, so that the data alone says what is there; of what was nothing is promised. */
void model_lose_index(struct model *model);
/* Holds everything that the server tells of it against the model. */
void model_compare(struct model *model);

#endif
