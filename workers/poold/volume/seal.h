/*
 * The seal: what stands around everything that storaged keeps in an xattr, so that a torn, foreign
 * or newer value is told from a good one. PURE; any thread.
 *
 *   offset  size
 *        0     4  magic: what it is
 *        4     4  version of what is inside, little endian like all numbers here
 *        8     4  length of what is inside, in bytes
 *       12     4  CRC-32C of all of it, these four bytes as zero
 *       16        what is inside
 *
 * This header never changes; so a wrong checksum is corruption, and never a newer format.
 */
#ifndef WORKERS_POOLD_SEAL_H
#define WORKERS_POOLD_SEAL_H

#include "base/error.h"

enum { SEAL_SIZE = 16 };

struct seal_kind {
    char magic[5];    /* four characters */
    uint32_t version; /* the newest that we know */
    const char *what; /* "record": for errors */
};

/* Writes the header of the `length` bytes that stand at data + SEAL_SIZE. */
void seal_close(const struct seal_kind *kind, uint8_t *data, size_t length);

/*
 * What is inside, pointing into `data`. DATA_LOSS: too short, another magic, a wrong length or
 * checksum. UNIMPLEMENTED: a newer version.
 */
int seal_open(const struct seal_kind *kind, const uint8_t *data, size_t size,
              const uint8_t **out_inside, size_t *out_length, struct err *err);

#endif
