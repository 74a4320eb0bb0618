/*
 * What became of changes, by (uid, request id): the memory that makes a retry find what the first
 * try made.
 *
 * An outcome is pending while its call is in a handler, and then either forgotten or remembered
 * with its packed reply for `keep_ms`. At most `max_done` finished outcomes of at most
 * `max_done_bytes` are kept; the oldest goes first. Pure: the clock is an argument, nothing but
 * memory is touched.
 */
#ifndef LIB_RPC_OUTCOME_H
#define LIB_RPC_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct outcome_limits {
    uint64_t keep_ms;
    size_t max_done;
    size_t max_done_bytes;
};

struct outcome_key {
    uid_t uid;
    const char *request_id; /* copied by outcome_begin() */
    uint64_t content;       /* outcome_digest() of what is asked */
};

struct outcome_table;
struct outcome;

enum outcome_state {
    OUTCOME_UNKNOWN,  /* nobody asked this yet, or it was forgotten */
    OUTCOME_PENDING,  /* the same is being done: join its owner */
    OUTCOME_DONE,     /* the same was done: the reply is there */
    OUTCOME_CONFLICT, /* the id stands for another content */
};

/* NULL when out of memory. */
struct outcome_table *outcome_table_new(const struct outcome_limits *limits);
void outcome_table_free(struct outcome_table *table);

/* `*out_outcome` is NULL when unknown; it is valid until the table is next changed. */
enum outcome_state outcome_find(struct outcome_table *table, const struct outcome_key *key,
                                uint64_t now_ms, struct outcome **out_outcome);

/* Begins what outcome_find() did not know. NULL when out of memory. */
struct outcome *outcome_begin(struct outcome_table *table, const struct outcome_key *key,
                              void *owner);

/* The owner of a pending outcome. */
void *outcome_owner(const struct outcome *outcome);
/* The reply of a done one, borrowed until the table is next changed. */
const void *outcome_reply(const struct outcome *outcome, size_t *out_length);

/* Ends a pending outcome: its reply is copied and remembered (forgotten if there is no memory for
 * it), or it is forgotten. Either way the outcome is the table's from here on. */
void outcome_finish(struct outcome_table *table, struct outcome *outcome, const void *reply,
                    size_t length, uint64_t now_ms);
void outcome_forget(struct outcome_table *table, struct outcome *outcome);

size_t outcome_done_count(const struct outcome_table *table);

/* FNV-1a, 64 bits, over the method's name, a NUL, and the packed input: two contents under one id
 * of one uid are told apart; it is no defence of a client against himself. */
uint64_t outcome_digest(const char *method, const void *input, size_t length);

#endif
