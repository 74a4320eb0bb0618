/*
 * The keys of a user-mode namespace: where the newest value of each stands. In memory a key takes
 * its own length and at most 40 bytes: 20 of its record, up to 3 to a multiple of 4, and a slot of
 * 8 in a table that is filled to more than half.
 */
#ifndef WORKERS_ZDB_KEYS_H
#define WORKERS_ZDB_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* It stays where it is until its key is removed. */
struct key_record {
    uint32_t data_offset;
    uint32_t length; /* of the payload */
    uint32_t index_offset;
    uint32_t crc;
    uint32_t file : 24, key_size : 8;
    uint8_t key[];
};

enum { KEYS_FILES_MAX = 1 << 24 };

struct keys;

/* NULL without memory. */
struct keys *keys_new(void);
void keys_free(struct keys *keys);

/* NULL when it is not there. */
struct key_record *keys_find(const struct keys *keys, const void *key, uint8_t size);
/* It is looked up soon: begins to fetch the place where it would be. */
void keys_expect(const struct keys *keys, const void *key, uint8_t size);
/* Of a key that is not there; all but key and key_size is the caller's to fill. NULL without
 * memory, and nothing is changed. */
struct key_record *keys_add(struct keys *keys, const void *key, uint8_t size);
void keys_remove(struct keys *keys, struct key_record *record);
uint64_t keys_count(const struct keys *keys);

/* Every key once, in no order; stops when `visit` returns false. It must not add or remove. */
void keys_walk(const struct keys *keys, bool (*visit)(struct key_record *record, void *data),
               void *data);

#endif
