/* Replies on their way to a client: one growing run of bytes, with the formats of RESP2. */
#ifndef WORKERS_ZDB_OUT_H
#define WORKERS_ZDB_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct out {
    uint8_t *bytes;
    size_t begin, end, room;
    uint64_t sent;   /* bytes that went before `begin`, ever */
    bool overflown;  /* no memory: the client cannot be told, and is to be let go */
    bool was_medium; /* the last batch took more than a small buffer: so may the next */
};

static inline size_t out_size(const struct out *out)
{
    return out->end - out->begin;
}

/* The place of the next byte in all that was ever said to the client. */
static inline uint64_t out_position(const struct out *out)
{
    return out->sent + out_size(out);
}

/* Room for so many bytes behind the end, or NULL without memory. */
uint8_t *out_reserve(struct out *out, size_t size);
/* So many of them are filled. */
static inline void out_advance(struct out *out, size_t size)
{
    out->end += size;
}

void out_add(struct out *out, const void *bytes, size_t size);
/* "+OK", "-Key not found", with the end of line added. */
void out_line(struct out *out, const char *line);
void out_integer(struct out *out, int64_t value);
void out_bulk(struct out *out, const void *bytes, size_t size);
void out_text(struct out *out, const char *text);
void out_nil(struct out *out);
void out_array(struct out *out, size_t n);
/* "$n\r\n", for a body that the caller writes. */
void out_bulk_head(struct out *out, size_t size);
/* Takes back all behind this position, which must not be sent yet. */
void out_cut(struct out *out, uint64_t position);
/* A line in place of so many bytes at this position, which are not sent yet. */
void out_replace(struct out *out, uint64_t position, size_t size, const char *line);
/* So many bytes from the front are sent. */
void out_sent(struct out *out, size_t size);
void out_free(struct out *out);

#endif
