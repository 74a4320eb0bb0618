/*
 * The note of a namespace: what zdbd has to know of it and a 0-db does not keep. It lies with the
 * booking on the pool, at most 1 KiB. PURE.
 */
#ifndef WORKERS_ZDBD_NOTE_H
#define WORKERS_ZDBD_NOTE_H

#include "base/error.h"
#include "base/name.h"
#include "storage/v1/zdb.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    NOTE_PACKED_MAX = 1024, /* what poold takes */
    ZDB_NAME_MAX = 128,     /* a 0-db's own limit for the name of a namespace */
};

struct note {
    char name[NAME_MAX_BYTES + 1];   /* the caller's; may be empty */
    char zdb_name[ZDB_NAME_MAX + 1]; /* in the 0-db; empty: the booking's id */
    Storage__V1__ZDBMode mode;
    bool public, locked, frozen;
    bool dying; /* released: what is left of it goes */
};

/* The length; it always fits. */
size_t note_pack(const struct note *note, uint8_t out_packed[NOTE_PACKED_MAX]);

/* -ERR_DATA_LOSS for what note_pack() never makes, -ERR_UNIMPLEMENTED for a later version's. */
int note_unpack(const uint8_t *packed, size_t length, struct note *out_note, struct err *err);

#endif
