/*
 * 0-db's files, version 2.0.7: data version 3, index version 4, namespace version 1. All integers
 * are little-endian and packed. Read from the files that upstream writes.
 *
 *   INDEX/<namespace>/zdb-namespace        what the namespace is
 *   INDEX/<namespace>/i0, i1, …            a header, then entries
 *   DATA/<namespace>/d0, d1, …             a header, then entries with key and payload
 *
 * i<N> and d<N> are a pair. The last pair is the active one; only it grows.
 */
#ifndef LIB_ZDBFORMAT_FORMAT_H
#define LIB_ZDBFORMAT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* Of the files that a compaction makes, beside those that they replace; upstream has none. */
#define COMPACT_SUFFIX ".compact"

enum {
    FORMAT_NAME_MAX = 128,
    FORMAT_KEY_MAX = 255,
    FORMAT_PASSWORD_MAX = 255,
    FORMAT_VALUE_MAX = 8388608,
    FORMAT_ID_SIZE = 8, /* the key of a sequential entry */
    FORMAT_DATA_VERSION = 3,
    FORMAT_INDEX_VERSION = 4,
    FORMAT_NAMESPACE_VERSION = 1,
};

struct format_data_header {
    char magic[4]; /* "DAT0" */
    uint32_t version;
    uint64_t created, opened; /* 0 */
    uint32_t id;
} __attribute__((packed));

enum format_data_flag {
    FORMAT_TOMBSTONE = 1, /* the key was deleted: no payload, crc 0 */
    FORMAT_TRUNCATED = 2, /* a compaction took the payload of what was dead */
};

/* Then the key, then the payload. */
struct format_data_entry {
    uint8_t key_size;
    uint32_t length;   /* of the payload */
    uint32_t previous; /* offset of the entry before; of the last one of the file before */
    uint32_t crc;      /* of the payload: checksum.h */
    uint8_t flags;
    uint32_t time; /* unix seconds */
} __attribute__((packed));

enum format_mode { FORMAT_USER = 0, FORMAT_SEQ = 1 };

struct format_index_header {
    char magic[4]; /* "IDX0" */
    uint32_t version;
    uint64_t created, opened; /* 0 */
    uint32_t id;
    uint8_t mode;
} __attribute__((packed));

enum format_index_flag { FORMAT_DEAD = 1 };

/*
 * Then the key. In user mode an entry is appended for each value; one that is overwritten or
 * deleted is marked dead where it stands. In sequential mode the entry of an id stands in its slot;
 * an update appends a dead copy of the old one and writes the slot anew.
 */
struct format_index_entry {
    uint8_t key_size;
    uint32_t data_offset; /* of the data entry */
    uint32_t length;
    uint32_t previous;
    uint8_t flags;
    uint32_t data_file; /* upstream: 0 for a user key that is new, whatever its file */
    uint32_t time;
    uint32_t crc;
    uint32_t parent_file, parent_offset; /* the entry that this one replaced; 0, 0: none */
} __attribute__((packed));

/* The slot of an id; that of the first id of a file is right behind the header. */
struct format_slot {
    struct format_index_entry entry;
    uint64_t id;
} __attribute__((packed));

/* Then the name, then the password. */
struct format_descriptor {
    uint32_t version;
    uint8_t name_size, password_size;
    uint64_t maxsize; /* bytes of live payload, 0: no limit */
    uint8_t flags;
} __attribute__((packed));

enum format_descriptor_flag {
    FORMAT_PUBLIC = 1,
    FORMAT_WORM = 2,
    FORMAT_ALWAYS = 4,
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the structs above are the bytes");
_Static_assert(sizeof(struct format_data_header) == 28, "data header");
_Static_assert(sizeof(struct format_data_entry) == 18, "data entry");
_Static_assert(sizeof(struct format_index_header) == 29, "index header");
_Static_assert(sizeof(struct format_index_entry) == 34, "index entry");
_Static_assert(sizeof(struct format_slot) == 42, "slot");
_Static_assert(sizeof(struct format_descriptor) == 15, "descriptor");

enum {
    FORMAT_DATA_HEADER = sizeof(struct format_data_header),
    FORMAT_DATA_ENTRY = sizeof(struct format_data_entry),
    FORMAT_INDEX_HEADER = sizeof(struct format_index_header),
    FORMAT_INDEX_ENTRY = sizeof(struct format_index_entry),
    FORMAT_SLOT = sizeof(struct format_slot),
};

/* Bytes that a data entry takes. */
static inline uint64_t format_data_size(uint32_t key_size, uint32_t length)
{
    return (uint64_t)FORMAT_DATA_ENTRY + key_size + length;
}

#endif
