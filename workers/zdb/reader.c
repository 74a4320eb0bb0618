/* A buffer that moves forward. */
#include "reader.h"

#include "io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int reader_begin(struct reader *reader, int fd, uint64_t size, uint64_t offset)
{
    *reader = (struct reader){.fd = fd, .size = size, .offset = offset};
    reader->buffer = malloc(READER_BUFFER);
    return reader->buffer ? 0 : -ENOMEM;
}

void reader_end(struct reader *reader)
{
    free(reader->buffer);
    reader->buffer = NULL;
}

enum { AHEAD = 512 }; /* bytes; some ten entries */

static const uint8_t *look(struct reader *reader, uint32_t size)
{
    if (reader->offset > reader->size || size > reader->size - reader->offset)
        return NULL;
    if (reader->offset < reader->at || reader->offset + size > reader->at + reader->have) {
        size_t got;
        reader->have = 0;
        reader->rc =
            io_read_some(reader->fd, IO_INDEX, reader->buffer, READER_BUFFER, reader->offset, &got);
        if (reader->rc < 0)
            return NULL;
        reader->at = reader->offset;
        reader->have = (uint32_t)got;
        if (got < size)
            return NULL;
    }
    return reader->buffer + (reader->offset - reader->at);
}

bool reader_next(struct reader *reader, struct reader_entry *out)
{
    const uint8_t *bytes = look(reader, FORMAT_INDEX_ENTRY);
    if (!bytes || bytes[0] == 0)
        return false;
    uint32_t size = FORMAT_INDEX_ENTRY + (uint32_t)bytes[0];
    bytes = look(reader, size);
    if (!bytes)
        return false;
    memcpy(&out->head, bytes, sizeof out->head);
    out->key = bytes + FORMAT_INDEX_ENTRY;
    out->offset = (uint32_t)reader->offset;
    reader->offset += size;
    return true;
}

bool reader_ahead(struct reader *reader, const uint8_t **out_key, uint8_t *out_size)
{
    if (reader->ahead < reader->offset)
        reader->ahead = reader->offset;
    uint64_t from = reader->ahead, end = reader->at + reader->have;
    if (from < reader->at || from - reader->offset >= AHEAD || from + FORMAT_INDEX_ENTRY > end)
        return false;
    const uint8_t *bytes = reader->buffer + (from - reader->at);
    if (bytes[0] == 0 || from + FORMAT_INDEX_ENTRY + bytes[0] > end)
        return false;
    *out_key = bytes + FORMAT_INDEX_ENTRY;
    *out_size = bytes[0];
    reader->ahead = from + FORMAT_INDEX_ENTRY + bytes[0];
    return true;
}
