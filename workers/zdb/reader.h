/* Reading an index file from one end to the other, as loading and scanning do. */
#ifndef WORKERS_ZDB_READER_H
#define WORKERS_ZDB_READER_H

#include "zdbformat/format.h"

#include <stdbool.h>
#include <stdint.h>

enum { READER_BUFFER = 1 << 18 };

struct reader {
    int fd;
    uint64_t size;   /* of the file */
    uint64_t offset; /* of the next entry */
    int rc;          /* why nothing more came; 0: the file ends, or the rest is no whole entry */
    uint8_t *buffer; /* READER_BUFFER bytes of the file, from `at` */
    uint64_t at;
    uint32_t have;
    uint64_t ahead; /* of reader_ahead() */
};

/* An entry as it stands: the key follows the head. */
struct reader_entry {
    struct format_index_entry head;
    uint32_t offset;
    const uint8_t *key; /* borrowed until the next call */
};

/* -ENOMEM. */
int reader_begin(struct reader *reader, int fd, uint64_t size, uint64_t offset);
void reader_end(struct reader *reader);
/* False at the end, or with rc; then `offset` is where the next entry would be. */
bool reader_next(struct reader *reader, struct reader_entry *out);
/* The keys that come soon, as far as they are at hand, each once: so that what they are looked up
 * in can be fetched from memory meanwhile. False when there is no more for now. */
bool reader_ahead(struct reader *reader, const uint8_t **out_key, uint8_t *out_size);

#endif
