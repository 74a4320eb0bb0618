/* A buffer that is empty gives its memory back, so that idle clients cost nothing; those of the
 * usual sizes are kept at hand, so that a batch of replies costs no calls and no fresh pages. */
#include "out.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL = 16 << 10, MEDIUM = 128 << 10, KEPT = 64 };

/* Main thread only. */
static struct kept {
    size_t room, n;
    uint8_t *buffers[KEPT];
} kept[] = {{.room = SMALL}, {.room = MEDIUM}};

static struct kept *kept_of(size_t room)
{
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (kept[i].room == room)
            return &kept[i];
    return NULL;
}

static void put_back(uint8_t *buffer, size_t room)
{
    struct kept *same = kept_of(room);
    if (same && same->n < KEPT)
        same->buffers[same->n++] = buffer;
    else
        free(buffer);
}

void out_free(struct out *out)
{
    out->was_medium = out->room == MEDIUM && out->end > SMALL;
    put_back(out->bytes, out->room);
    out->bytes = NULL;
    out->begin = out->end = out->room = 0;
}

/* The bytes move into a buffer of a usual size. */
static bool change(struct out *out, size_t room)
{
    struct kept *same = kept_of(room);
    uint8_t *buffer = same->n > 0 ? same->buffers[--same->n] : malloc(room);
    if (!buffer)
        return false;
    if (out->end > 0)
        memcpy(buffer, out->bytes, out->end);
    put_back(out->bytes, out->room);
    out->bytes = buffer;
    out->room = room;
    return true;
}

static bool grow(struct out *out, size_t needed)
{
    if (needed <= SMALL && !out->was_medium)
        return change(out, SMALL);
    if (needed <= MEDIUM)
        return change(out, MEDIUM);
    size_t room = 2 * (size_t)MEDIUM;
    while (room < needed)
        room *= 2;
    size_t spare = needed / 8 < SMALL ? SMALL : needed / 8;
    if (needed + spare < room)
        room = needed + spare; /* a large value is most likely the last */
    uint8_t *grown = realloc(out->bytes, room);
    if (!grown)
        return false;
    out->bytes = grown;
    out->room = room;
    return true;
}

uint8_t *out_reserve(struct out *out, size_t size)
{
    if (out->overflown)
        return NULL;
    if (out->room - out->end < size && out->begin > 0) {
        memmove(out->bytes, out->bytes + out->begin, out->end - out->begin);
        out->end -= out->begin;
        out->begin = 0;
    }
    if (out->room - out->end < size && !grow(out, out->end + size)) {
        out->overflown = true;
        return NULL;
    }
    return out->bytes + out->end;
}

void out_add(struct out *out, const void *bytes, size_t size)
{
    uint8_t *to = out_reserve(out, size);
    if (!to)
        return;
    memcpy(to, bytes, size);
    out->end += size;
}

void out_line(struct out *out, const char *line)
{
    size_t length = strlen(line);
    uint8_t *to = out_reserve(out, length + 2);
    if (!to)
        return;
    memcpy(to, line, length);
    memcpy(to + length, "\r\n", 2);
    out->end += length + 2;
}

/* A kind, a number, the end of line. */
static void add_number(struct out *out, char kind, int64_t value)
{
    char text[24];
    char *at = text + sizeof text;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        *--at = '-';
    *--at = kind;
    out_add(out, at, (size_t)(text + sizeof text - at));
}

void out_integer(struct out *out, int64_t value)
{
    add_number(out, ':', value);
}

void out_bulk_head(struct out *out, size_t size)
{
    add_number(out, '$', (int64_t)size);
}

void out_bulk(struct out *out, const void *bytes, size_t size)
{
    out_bulk_head(out, size);
    uint8_t *to = out_reserve(out, size + 2);
    if (!to)
        return;
    if (size > 0)
        memcpy(to, bytes, size);
    memcpy(to + size, "\r\n", 2);
    out->end += size + 2;
}

void out_text(struct out *out, const char *text)
{
    out_bulk(out, text, strlen(text));
}

void out_nil(struct out *out)
{
    out_add(out, "$-1\r\n", 5);
}

void out_array(struct out *out, size_t n)
{
    add_number(out, '*', (int64_t)n);
}

void out_cut(struct out *out, uint64_t position)
{
    out->end = out->begin + (size_t)(position - out->sent);
}

void out_replace(struct out *out, uint64_t position, size_t size, const char *line)
{
    size_t length = strlen(line), before = (size_t)(position - out->sent);
    size_t behind = out_size(out) - before - size;
    if (!out_reserve(out, length + 2))
        return;
    uint8_t *at = out->bytes + out->begin + before;
    memmove(at + length + 2, at + size, behind);
    memcpy(at, line, length);
    memcpy(at + length, "\r\n", 2);
    out->end = out->begin + before + length + 2 + behind;
}

void out_sent(struct out *out, size_t size)
{
    out->sent += size;
    out->begin += size;
    if (out->begin == out->end)
        out_free(out);
}
