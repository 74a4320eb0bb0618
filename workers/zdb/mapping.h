/* A file's bytes through a mapping of it, for reads so short that a call costs more than the copy.
 */
#ifndef WORKERS_ZDB_MAPPING_H
#define WORKERS_ZDB_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, there is none. */
struct mapping {
    const uint8_t *at;
    uint64_t size;
    uint32_t asked; /* how often it was wanted, up to when it was made */
    bool failed;    /* it cannot be made, or did not hold: the file is to be read */
};

struct mapping_part {
    void *out;
    size_t size;
};

/* What stands at this offset of the open file goes into the parts. False if it has to be read: what
 * is in the parts then is of no use. Main thread only. */
bool mapping_copy(struct mapping *mapping, int fd, uint64_t offset,
                  const struct mapping_part parts[2]);
void mapping_end(struct mapping *mapping);

#endif
