/*
 * An independent reader and writer of 0-db's files (data version 3, index version 4, namespace
 * version 1), made from the description of the format and sharing nothing with the server: what it
 * writes, a server must serve, and what a server wrote, it must be able to explain to the last
 * byte.
 *
 * A namespace is held in memory as the bytes of its files. The writer does to them what upstream
 * does; peer_verify() holds every field of them against the others. Memory that runs out aborts;
 * nothing here is for hostile input but peer_*_next() and peer_verify().
 */
#ifndef TESTS_ZDB_PEER_H
#define TESTS_ZDB_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PEER_FILES_MAX = 512,
    PEER_NAME_MAX = 128,
    PEER_PASSWORD_MAX = 255,
    PEER_KEY_MAX = 255,
    PEER_DATA_HEADER = 28,
    PEER_DATA_ENTRY = 18, /* and key, and payload */
    PEER_INDEX_HEADER = 29,
    PEER_INDEX_ENTRY = 34, /* and key */
    PEER_SEQ_KEY = 8,
    PEER_SEQ_SLOT = PEER_INDEX_ENTRY + PEER_SEQ_KEY,
    PEER_DESCRIPTOR = 15, /* and name, and password */
    PEER_WHY_MAX = 256,
};

/* --- bytes ----------------------------------------------------------------------------------- */

struct peer_bytes {
    uint8_t *at;
    size_t size, room;
};

void peer_put(struct peer_bytes *bytes, const void *data, size_t size);
void peer_put_u8(struct peer_bytes *bytes, uint8_t value);
void peer_put_u32(struct peer_bytes *bytes, uint32_t value);
void peer_put_u64(struct peer_bytes *bytes, uint64_t value);
void peer_cut(struct peer_bytes *bytes, size_t size);
void peer_copy(struct peer_bytes *to, const struct peer_bytes *from);
void peer_bytes_free(struct peer_bytes *bytes);
uint32_t peer_u32(const uint8_t *at);
uint64_t peer_u64(const uint8_t *at);

/* CRC-32C's polynomial from 0 and without the last inversion: "123456789" gives 58e3fa20. */
uint32_t peer_crc(const void *data, size_t size);

/* --- entries --------------------------------------------------------------------------------- */

enum peer_data_flag { PEER_TOMBSTONE = 1, PEER_TRUNCATED = 2 };
enum peer_index_flag { PEER_DEAD = 1 };
enum peer_mode { PEER_USER = 0, PEER_SEQ = 1 };

struct peer_data_entry {
    uint8_t key_size;
    uint32_t size; /* of the payload */
    uint32_t previous;
    uint32_t crc;
    uint8_t flags;
    uint32_t time;
    const uint8_t *key, *payload; /* borrowed */
    uint32_t offset;              /* where it stands; not written */
};

struct peer_index_entry {
    uint8_t key_size;
    uint32_t data_offset;
    uint32_t size;
    uint32_t previous;
    uint8_t flags;
    uint32_t data_file;
    uint32_t time;
    uint32_t crc;
    uint32_t parent_file, parent_offset;
    const uint8_t *key;
    uint32_t offset;
};

void peer_data_header(struct peer_bytes *file, uint32_t id);
void peer_index_header(struct peer_bytes *file, uint32_t id, enum peer_mode mode);
void peer_data_append(struct peer_bytes *file, const struct peer_data_entry *entry);
void peer_index_append(struct peer_bytes *file, const struct peer_index_entry *entry);

/* The entry at *offset, which moves behind it: 1, or 0 at the exact end, or -1 when what is left is
 * no whole entry. The first is behind the header. */
int peer_data_next(const struct peer_bytes *file, uint32_t *offset, struct peer_data_entry *out);
int peer_index_next(const struct peer_bytes *file, uint32_t *offset, struct peer_index_entry *out);

/* --- namespaces ------------------------------------------------------------------------------ */

/* Upstream writes 0 as the data file of a user key that is new, whatever the file; we the truth. */
enum peer_style { PEER_UPSTREAM, PEER_EMBEDDED };

struct peer_ns {
    char name[PEER_NAME_MAX + 1];
    char password[PEER_PASSWORD_MAX + 1];
    uint64_t maxsize;
    bool is_public, worm;
    enum peer_mode mode;
    enum peer_style style;
    uint32_t n_files;
    struct peer_bytes index[PEER_FILES_MAX], data[PEER_FILES_MAX];
    uint32_t last_index, last_data; /* what the next entries name as their previous */
};

/* A key; the macro takes a literal. */
struct peer_key {
    const void *at;
    uint8_t size;
};
#define peer_key(text) ((struct peer_key){(text), (uint8_t)(sizeof(text) - 1)})

/* With its files 0; public, without limit or password. */
void peer_ns_init(struct peer_ns *ns, const char *name, enum peer_mode mode, enum peer_style style);
void peer_ns_free(struct peer_ns *ns);
void peer_rotate(struct peer_ns *ns);

/* User mode: what SET and DEL do. A delete of what is not there does nothing. */
void peer_set(struct peer_ns *ns, struct peer_key key, const void *payload, uint32_t size,
              uint32_t time);
void peer_delete(struct peer_ns *ns, struct peer_key key, uint32_t time);

/* Sequential mode: the id that was given; an update and a delete of an id that lives. */
uint64_t peer_seq_add(struct peer_ns *ns, const void *payload, uint32_t size, uint32_t time);
void peer_seq_update(struct peer_ns *ns, uint64_t id, const void *payload, uint32_t size,
                     uint32_t time);
void peer_seq_delete(struct peer_ns *ns, uint64_t id, uint32_t time);

/* The live index entry of a key, and the file it is in. */
bool peer_find(const struct peer_ns *ns, struct peer_key key, struct peer_index_entry *out,
               uint32_t *out_file);
/* Its payload, borrowed. */
bool peer_get(const struct peer_ns *ns, struct peer_key key, const uint8_t **out,
              uint32_t *out_size);
unsigned peer_count(const struct peer_ns *ns);
uint64_t peer_live_bytes(const struct peer_ns *ns);

/* Holds everything against everything; false with the first thing that is wrong. */
bool peer_verify(const struct peer_ns *ns, char why[PEER_WHY_MAX]);

/* --- directories ----------------------------------------------------------------------------- */

void peer_descriptor(const struct peer_ns *ns, struct peer_bytes *out);
bool peer_descriptor_read(const struct peer_bytes *bytes, struct peer_ns *ns);

/* INDEX/<name> and DATA/<name>, made if they are not there; false with errno. */
bool peer_save(const struct peer_ns *ns, const char *index_dir, const char *data_dir);
/* The files as they are, unverified; ns->mode is that of i0. False with errno, EBADMSG for a
 * descriptor or header that does not say what it must. peer_ns_free() in any case. */
bool peer_load(struct peer_ns *ns, const char *name, const char *index_dir, const char *data_dir);
bool peer_file_write(const char *path, const struct peer_bytes *bytes);
bool peer_file_read(const char *path, struct peer_bytes *out);

#endif
