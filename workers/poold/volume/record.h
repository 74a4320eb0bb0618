/*
 * Records: what an object on a pool is, in the xattr trusted.storaged.record of its directory.
 *
 * The directory's xattr is metadata inside the filesystem's transaction: it is whole or absent
 * after a power cut, and needs no data space. On disk: the seal of seal.h around a packed
 * storaged.disk.Record (disk.proto), at most RECORD_MAX bytes in all. PURE: no function here
 * touches a disk; any thread.
 */
#ifndef WORKERS_POOLD_RECORD_H
#define WORKERS_POOLD_RECORD_H

#include "base/error.h"
#include "base/name.h"
#include "base/uuid.h"
#include "storage/v1/disk.pb-c.h"

#define RECORD_XATTR "trusted.storaged.record"

enum {
    RECORD_MAX = 8192, /* bytes on disk, the seal included */
    RECORD_NAME_MAX = NAME_MAX_BYTES,
    RECORD_REQUEST_ID_MAX = 64, /* bytes */
    RECORD_NOTE_MAX = 1024,     /* bytes */
};

/* The numbers are on disk. */
enum record_kind {
    RECORD_KIND_SPACE = 1,
    RECORD_KIND_CACHE = 2,
    RECORD_KIND_HOME = 3,    /* the directory of the pool's 0-db */
    RECORD_KIND_BOOKING = 4, /* bytes of that; it has no subvolume and no quota group */
};

/*
 * Garbage is told by this alone, never by place or name: `building` was never acknowledged,
 * `dying` was released. Whatever is `live` is somebody's.
 */
enum record_state {
    RECORD_STATE_BUILDING = 1,
    RECORD_STATE_LIVE = 2,
    RECORD_STATE_DYING = 3,
};

/* Plain data, freely copied. Texts are terminated. */
struct record {
    char id[UUID_TEXT_SIZE];
    char name[RECORD_NAME_MAX + 1];             /* the caller's; may be empty */
    char request_id[RECORD_REQUEST_ID_MAX + 1]; /* of the call that made it; may be empty */
    uint32_t request_uid;                       /* who called: a request id is his alone */
    enum record_kind kind;
    enum record_state state;
    Storage__V1__DiskType disk_type; /* as asked for */
    uint64_t size_bytes;             /* promised */
    uint64_t limit_bytes;            /* enforced on its quota group; 0: none */
    uint64_t qgroup;                 /* n of its quota group 1/<n>; never 0 once on disk, but always
                                        in a booking */
    uint32_t uid, gid, mode;         /* of `data`; mode: permission bits */
    bool pending;                    /* a booking that is not settled */
    uint64_t created_us;             /* realtime */
    uint64_t generation;             /* counts the changes of the record, from 1 */
};

/* What the caller of a booking keeps with it. */
struct record_note {
    size_t length;
    uint8_t data[RECORD_NOTE_MAX];
};

/* Writes at most RECORD_MAX bytes. INVALID_ARGUMENT for a record that unpacking would refuse. */
int record_pack(const struct record *record, uint8_t out_data[RECORD_MAX], size_t *out_length,
                struct err *err);

/*
 * DATA_LOSS: not a record, cut short, a wrong checksum, or a field out of its range.
 * UNIMPLEMENTED: written by a newer storaged; leave it alone.
 */
int record_unpack(const uint8_t *data, size_t length, struct record *out_record, struct err *err);

/* The same with a note. NULL, or of length 0: none; `out_note` may be NULL. */
int record_pack_noted(const struct record *record, const struct record_note *note,
                      uint8_t out_data[RECORD_MAX], size_t *out_length, struct err *err);
int record_unpack_noted(const uint8_t *data, size_t length, struct record *out_record,
                        struct record_note *out_note, struct err *err);

/*
 * The same record in another state and with its generation counted up, as bytes; fields that a
 * newer minor version added survive. Errors as record_unpack().
 */
int record_restate(const uint8_t *data, size_t length, enum record_state state,
                   uint8_t out_data[RECORD_MAX], size_t *out_length, struct err *err);

/* "live" */
const char *record_state_name(enum record_state state);

#endif
