/*
 * A hash table with chains, seeded, and a list of the finished outcomes in the order in which they
 * end, which is the order in which they expire, because all are kept equally long.
 */
#include "rpc/outcome.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BUCKETS = 8192 };

struct outcome {
    struct outcome *chain; /* in its bucket */
    struct outcome *newer; /* in the list of finished ones */
    void *owner;           /* NULL when done */
    uint64_t hash, content;
    uint64_t expires_ms;
    size_t length;
    void *reply;
    uid_t uid;
    char request_id[];
};

struct outcome_table {
    struct outcome_limits limits;
    uint64_t seed;
    struct outcome *oldest, *newest;
    size_t n_done, done_bytes;
    struct outcome *buckets[BUCKETS];
};

static uint64_t fnv1a(uint64_t hash, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

uint64_t outcome_digest(const char *method, const void *input, size_t length)
{
    uint64_t hash = fnv1a(0xcbf29ce484222325u, method, strlen(method) + 1);
    return fnv1a(hash, input, length);
}

struct outcome_table *outcome_table_new(const struct outcome_limits *limits)
{
    struct outcome_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->limits = *limits;
    if (getrandom(&table->seed, sizeof table->seed, 0) != (ssize_t)sizeof table->seed)
        table->seed = (uintptr_t)table;
    return table;
}

static void outcome_free(struct outcome *outcome)
{
    free(outcome->reply);
    free(outcome);
}

void outcome_table_free(struct outcome_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct outcome *next, *outcome = table->buckets[i]; outcome; outcome = next) {
            next = outcome->chain;
            outcome_free(outcome);
        }
    }
    free(table);
}

static uint64_t hash_of(const struct outcome_table *table, uid_t uid, const char *request_id)
{
    uint64_t hash = fnv1a(table->seed, &uid, sizeof uid);
    return fnv1a(hash, request_id, strlen(request_id));
}

static void unchain(struct outcome_table *table, struct outcome *outcome)
{
    struct outcome **link = &table->buckets[outcome->hash % BUCKETS];
    while (*link != outcome)
        link = &(*link)->chain;
    *link = outcome->chain;
}

static void drop_oldest(struct outcome_table *table)
{
    struct outcome *outcome = table->oldest;
    table->oldest = outcome->newer;
    if (!table->oldest)
        table->newest = NULL;
    table->n_done--;
    table->done_bytes -= outcome->length;
    unchain(table, outcome);
    outcome_free(outcome);
}

static void expire(struct outcome_table *table, uint64_t now_ms)
{
    while (table->oldest && table->oldest->expires_ms <= now_ms)
        drop_oldest(table);
}

enum outcome_state outcome_find(struct outcome_table *table, const struct outcome_key *key,
                                uint64_t now_ms, struct outcome **out_outcome)
{
    expire(table, now_ms);
    uint64_t hash = hash_of(table, key->uid, key->request_id);
    struct outcome *outcome = table->buckets[hash % BUCKETS];
    while (outcome && (outcome->hash != hash || outcome->uid != key->uid ||
                       strcmp(outcome->request_id, key->request_id) != 0))
        outcome = outcome->chain;
    *out_outcome = outcome;
    if (!outcome)
        return OUTCOME_UNKNOWN;
    if (outcome->content != key->content)
        return OUTCOME_CONFLICT;
    return outcome->owner ? OUTCOME_PENDING : OUTCOME_DONE;
}

struct outcome *outcome_begin(struct outcome_table *table, const struct outcome_key *key,
                              void *owner)
{
    assert(owner);
    size_t size = strlen(key->request_id) + 1;
    struct outcome *outcome = calloc(1, sizeof *outcome + size);
    if (!outcome)
        return NULL;
    memcpy(outcome->request_id, key->request_id, size);
    outcome->uid = key->uid;
    outcome->content = key->content;
    outcome->owner = owner;
    outcome->hash = hash_of(table, key->uid, key->request_id);
    struct outcome **bucket = &table->buckets[outcome->hash % BUCKETS];
    outcome->chain = *bucket;
    *bucket = outcome;
    return outcome;
}

void *outcome_owner(const struct outcome *outcome)
{
    return outcome->owner;
}

const void *outcome_reply(const struct outcome *outcome, size_t *out_length)
{
    *out_length = outcome->length;
    return outcome->reply;
}

void outcome_finish(struct outcome_table *table, struct outcome *outcome, const void *reply,
                    size_t length, uint64_t now_ms)
{
    assert(outcome->owner);
    void *copy = length <= table->limits.max_done_bytes ? malloc(length ? length : 1) : NULL;
    if (!copy) {
        outcome_forget(table, outcome);
        return;
    }
    memcpy(copy, reply, length);
    outcome->owner = NULL;
    outcome->reply = copy;
    outcome->length = length;
    outcome->expires_ms = now_ms + table->limits.keep_ms;
    *(table->newest ? &table->newest->newer : &table->oldest) = outcome;
    table->newest = outcome;
    table->n_done++;
    table->done_bytes += length;
    expire(table, now_ms);
    while (table->n_done > table->limits.max_done ||
           table->done_bytes > table->limits.max_done_bytes)
        drop_oldest(table);
}

void outcome_forget(struct outcome_table *table, struct outcome *outcome)
{
    assert(outcome->owner);
    unchain(table, outcome);
    outcome_free(outcome);
}

size_t outcome_done_count(const struct outcome_table *table)
{
    return table->n_done;
}
