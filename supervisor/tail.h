/*
 * What a worker says on stderr: each line is passed on to ours, and the last ones are kept, so that
 * the reason of an end can be shown after it.
 */
#ifndef SUPERVISOR_TAIL_H
#define SUPERVISOR_TAIL_H

#include "base/log.h"

#include <stddef.h>

enum {
    TAIL_LINES = 20,
    TAIL_LINE_MAX = 256, /* as kept; the line that is passed on is not cut */
};

struct tail {
    char kept[TAIL_LINES][TAIL_LINE_MAX]; /* a ring; valid UTF-8 without control characters */
    size_t n_kept, next;
    char partial[LOG_LINE_MAX]; /* begun, its end is still to come */
    size_t n_partial;
};

/* Takes bytes as they were read; a line without an end is passed on when LOG_LINE_MAX is full. */
void tail_feed(struct tail *tail, const char *bytes, size_t length);

/* The end of the stream: a last line without an end is a line too. */
void tail_finish(struct tail *tail);

/* Kept lines, the oldest first: i < tail->n_kept. */
const char *tail_line(const struct tail *tail, size_t i);

#endif
