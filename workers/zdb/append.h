/*
 * The end of an active file: what a turn of the loop adds is gathered and written at once. Room on
 * the disk is had before anything is promised, so that a full disk refuses a write and never tears
 * one.
 */
#ifndef WORKERS_ZDB_APPEND_H
#define WORKERS_ZDB_APPEND_H

#include "file.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    APPEND_BUFFER = 1 << 18,
    APPEND_COPY_MAX = 1 << 16, /* what is longer is written from where it stands */
};

struct append {
    struct file *file; /* pinned */
    uint8_t *buffer;   /* APPEND_BUFFER, or NULL while nothing was added */
    uint32_t used;
    uint64_t written;   /* bytes that the file has */
    uint64_t allocated; /* bytes that it has room for */
    uint64_t reserve;   /* of them, those that only what may use the reserve gets */
    bool unpromised;    /* the filesystem cannot allocate: each addition is written at once */
};

/* The file ends there. Unpins the file before, whose buffer must be empty. */
void append_begin(struct append *append, struct file *file, uint64_t size, uint64_t reserve);
/* Gives up what is not written. */
void append_end(struct append *append);

/* Where the next bytes go. */
static inline uint64_t append_offset(const struct append *append)
{
    return append->written + append->used;
}

/* Sees to the room for so many bytes more, and for the reserve behind them unless the addition may
 * use it. 0 or a negative errno. */
int append_allocate(struct append *append, uint64_t size, bool use_reserve);
/* Room for that is had; the parts are changed. A failure leaves the end where it was. */
int append_put(struct append *append, struct iovec *parts, int n);
/* Takes back what was added last, down to this offset, which is not written yet or was written at
 * once. */
int append_cut(struct append *append, uint64_t offset);
int append_flush(struct append *append);
/* So many bytes that are not written yet, or NULL if they are, or are none of ours. */
const uint8_t *append_peek(const struct append *append, const struct file *file, uint64_t offset,
                           uint64_t size);

#endif
