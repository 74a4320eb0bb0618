/*
 * A pool's books: which objects it has, and what they are charged. Of the loop.
 */
#ifndef WORKERS_POOLD_POOL_BOOKS_H
#define WORKERS_POOLD_POOL_BOOKS_H

#include "pool.h"
#include "survey.h"

enum {
    POOL_SURVEY_MS = 30000,
    /* The top level holds directories and records: that is metadata, and lies within what `usable`
     * leaves for it. What it holds beyond this is somebody's data. */
    POOL_TOP_ALLOWANCE = 64 * 1024 * 1024,
};

/* One object as the scan of an open found it. */
struct pool_found {
    struct record record;
    struct record_note *note; /* of a booking; taken by pool_books_begin() */
    bool has_data;
};

/*
 * Makes the books anew out of a scan: live spaces go to the index (those that it knows from an
 * earlier open stay what they are), building and dying ones to the reaper.
 */
void pool_books_begin(struct pool *pool, struct pool_found *found, size_t n);

/* A space that has just been built: it has a quota group now. Without memory its usage is not
 * followed until the next open. */
void pool_books_add(struct pool *pool, struct space *space);
/* A dying object is gone. Frees it. */
void pool_books_drop(struct pool *pool, struct space *space);

/* What a survey says becomes what the books say; limits that are not those of their records are
 * repaired. */
void pool_books_apply(struct pool *pool, const struct survey *survey);

/* Takes a survey on the pool's thread and applies it. */
void pool_books_refresh(struct pool *pool);

/* Frees all: the pool is at its end. */
void pool_books_end(struct pool *pool);

#endif
