/*
 * Open addressing with linear probing over slots of {tag, reference}: the tag is a part of the
 * hash, so that a probe looks at a record only where it most likely is the one. Once there are many
 * keys the slots are spread over SEGMENTS tables by other bits of the hash; each grows by a half
 * when it is full, so that no growth takes long and none leaves much empty.
 *
 * Records stand in chunks and are named by their place in units of 4 bytes. The room of a removed
 * one is kept in a list for its size. The hash is seeded, so that nobody can choose keys that
 * collide.
 */
#include "keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

enum {
    UNIT = 4,
    CHUNK_UNITS = 1 << 18, /* 1 MiB */
    CHUNKS_MAX = 1 << 14,
    SIZES = (sizeof(struct key_record) + 255) / UNIT + 2,
    SEGMENTS = 1024,
    ONE_SEGMENT_MAX = 16384, /* keys; then it is split */
    SEGMENT_LEAST = 16,
};

enum { EMPTY = 0 }; /* a reference; the first unit of all is never given */

struct slot {
    uint32_t tag, ref;
};

struct segment {
    struct slot *slots;
    uint32_t room, used;
};

struct keys {
    struct segment *segments;
    uint32_t n_segments;
    uint64_t count;
    uint64_t seed[2];
    uint8_t *chunks[CHUNKS_MAX];
    uint32_t n_chunks, next; /* next: free units of the last chunk begin here */
    uint32_t free[SIZES];    /* by units: the first of a list through the records' first word */
};

/* --- hash ------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t take_8(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static uint64_t take_4(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Multiply and fold, 16 bytes at a time. The last words overlap where bytes are missing; the size
 * is in the state, so that no two keys look alike by that. */
static uint64_t hash(const struct keys *keys, const uint8_t *key, size_t size)
{
    uint64_t state = keys->seed[0] ^ size, first = 0, last = 0;
    for (; size > 16; key += 16, size -= 16)
        state = mix(state ^ take_8(key), keys->seed[1] ^ take_8(key + 8));
    if (size >= 8) {
        first = take_8(key);
        last = take_8(key + size - 8);
    } else if (size >= 4) {
        first = take_4(key);
        last = take_4(key + size - 4);
    } else if (size > 0) {
        first = (uint64_t)key[0] << 16 | (uint64_t)key[size / 2] << 8 | key[size - 1];
    }
    state = mix(state ^ first, keys->seed[1] ^ last);
    return mix(state ^ keys->seed[1], UINT64_C(0x9e3779b97f4a7c15));
}

/* --- records --------------------------------------------------------------------------------- */

static struct key_record *record_at(const struct keys *keys, uint32_t ref)
{
    uint8_t *chunk = keys->chunks[ref / CHUNK_UNITS];
    return (struct key_record *)(void *)(chunk + (size_t)(ref % CHUNK_UNITS) * UNIT);
}

static uint32_t units_of(uint8_t key_size)
{
    return (uint32_t)(sizeof(struct key_record) + key_size + UNIT - 1) / UNIT;
}

static bool add_chunk(struct keys *keys)
{
    if (keys->n_chunks == CHUNKS_MAX)
        return false;
    void *chunk = mmap(NULL, (size_t)CHUNK_UNITS * UNIT, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (chunk == MAP_FAILED)
        return false;
    keys->chunks[keys->n_chunks++] = chunk;
    keys->next = keys->n_chunks == 1; /* not EMPTY */
    return true;
}

static uint32_t record_new(struct keys *keys, uint8_t key_size)
{
    uint32_t units = units_of(key_size), ref = keys->free[units];
    if (ref != EMPTY) {
        memcpy(&keys->free[units], record_at(keys, ref), sizeof ref);
        return ref;
    }
    if ((keys->n_chunks == 0 || keys->next + units > CHUNK_UNITS) && !add_chunk(keys))
        return EMPTY;
    ref = (keys->n_chunks - 1) * CHUNK_UNITS + keys->next;
    keys->next += units;
    return ref;
}

static void record_free(struct keys *keys, uint32_t ref)
{
    struct key_record *record = record_at(keys, ref);
    uint32_t units = units_of((uint8_t)record->key_size);
    memcpy(record, &keys->free[units], sizeof ref);
    keys->free[units] = ref;
}

/* --- slots ----------------------------------------------------------------------------------- */

static struct segment *segment_of(const struct keys *keys, uint64_t h)
{
    return &keys->segments[h & (keys->n_segments - 1)];
}

static uint32_t tag_of(uint64_t h)
{
    return (uint32_t)(h >> 10);
}

/* Where a tag would like to be, in a table of any size. */
static uint32_t home_of(const struct segment *segment, uint32_t tag)
{
    return (uint32_t)(((uint64_t)tag * segment->room) >> 32);
}

static uint32_t after(const struct segment *segment, uint32_t at)
{
    return at + 1 == segment->room ? 0 : at + 1;
}

static void segment_put(struct segment *segment, struct slot slot)
{
    uint32_t at = home_of(segment, slot.tag);
    while (segment->slots[at].ref != EMPTY)
        at = after(segment, at);
    segment->slots[at] = slot;
    segment->used++;
}

static bool segment_resize(struct segment *segment, uint32_t room)
{
    struct segment grown = {.slots = calloc(room, sizeof *grown.slots), .room = room};
    if (!grown.slots)
        return false;
    for (uint32_t i = 0; i < segment->room; i++)
        if (segment->slots[i].ref != EMPTY)
            segment_put(&grown, segment->slots[i]);
    free(segment->slots);
    *segment = grown;
    return true;
}

/* Filled to 13/16 at most. */
static bool segment_grow(struct segment *segment)
{
    if (segment->used < segment->room / 16 * 13)
        return true;
    uint32_t room = (segment->room + segment->room / 2 + 15) & ~15u;
    return segment_resize(segment, room < SEGMENT_LEAST ? SEGMENT_LEAST : room);
}

static void segments_free(struct segment *segments, uint32_t n)
{
    for (uint32_t i = 0; segments && i < n; i++)
        free(segments[i].slots);
    free(segments);
}

/* Into many tables, each with room for so many. */
static bool spread(const struct keys *keys, struct segment *many, uint32_t each)
{
    const struct segment *one = keys->segments;
    for (uint32_t i = 0; i < SEGMENTS; i++)
        if (!segment_resize(&many[i], (each + 15) & ~15u))
            return false;
    for (uint32_t i = 0; i < one->room; i++) {
        if (one->slots[i].ref == EMPTY)
            continue;
        const struct key_record *record = record_at(keys, one->slots[i].ref);
        uint64_t h = hash(keys, record->key, (size_t)record->key_size);
        struct segment *segment = &many[h & (SEGMENTS - 1)];
        if (!segment_grow(segment))
            return false;
        segment_put(segment, (struct slot){tag_of(h), one->slots[i].ref});
    }
    return true;
}

/* From one table to many; without memory it stays one. */
static void split(struct keys *keys, uint32_t each)
{
    struct segment *many = calloc(SEGMENTS, sizeof *many);
    if (!many || !spread(keys, many, each)) {
        segments_free(many, SEGMENTS);
        return;
    }
    segments_free(keys->segments, 1);
    keys->segments = many;
    keys->n_segments = SEGMENTS;
}

/* --- the interface --------------------------------------------------------------------------- */

struct keys *keys_new(void)
{
    struct keys *keys = calloc(1, sizeof *keys);
    if (!keys)
        return NULL;
    keys->segments = calloc(1, sizeof *keys->segments);
    keys->n_segments = 1;
    if (!keys->segments || getrandom(keys->seed, sizeof keys->seed, 0) != sizeof keys->seed) {
        keys_free(keys);
        return NULL;
    }
    keys->seed[1] |= 1;
    return keys;
}

void keys_free(struct keys *keys)
{
    if (!keys)
        return;
    for (uint32_t i = 0; i < keys->n_chunks; i++)
        (void)munmap(keys->chunks[i], (size_t)CHUNK_UNITS * UNIT);
    segments_free(keys->segments, keys->n_segments);
    free(keys);
}

static struct slot *find_slot(const struct keys *keys, uint64_t h, const void *key, uint8_t size)
{
    const struct segment *segment = segment_of(keys, h);
    uint32_t tag = tag_of(h);
    if (segment->used == 0)
        return NULL;
    for (uint32_t at = home_of(segment, tag); segment->slots[at].ref != EMPTY;
         at = after(segment, at)) {
        if (segment->slots[at].tag != tag)
            continue;
        const struct key_record *record = record_at(keys, segment->slots[at].ref);
        if (record->key_size == size && memcmp(record->key, key, size) == 0)
            return &segment->slots[at];
    }
    return NULL;
}

struct key_record *keys_find(const struct keys *keys, const void *key, uint8_t size)
{
    const struct slot *slot = find_slot(keys, hash(keys, key, size), key, size);
    return slot ? record_at(keys, slot->ref) : NULL;
}

void keys_expect(const struct keys *keys, const void *key, uint8_t size)
{
    uint64_t h = hash(keys, key, size);
    const struct segment *segment = segment_of(keys, h);
    if (segment->used > 0)
        __builtin_prefetch(&segment->slots[home_of(segment, tag_of(h))]);
}

struct key_record *keys_add(struct keys *keys, const void *key, uint8_t size)
{
    if (keys->n_segments == 1 && keys->count >= ONE_SEGMENT_MAX)
        split(keys, 2 * ONE_SEGMENT_MAX / SEGMENTS);
    uint64_t h = hash(keys, key, size);
    struct segment *segment = segment_of(keys, h);
    if (!segment_grow(segment))
        return NULL;
    uint32_t ref = record_new(keys, size);
    if (ref == EMPTY)
        return NULL;
    segment_put(segment, (struct slot){tag_of(h), ref});
    struct key_record *record = record_at(keys, ref);
    record->key_size = size;
    memcpy(record->key, key, size);
    keys->count++;
    return record;
}

/* What follows in the same run moves up, so that there are no holes in it. */
static void slot_remove(struct segment *segment, uint32_t hole)
{
    for (uint32_t at = after(segment, hole); segment->slots[at].ref != EMPTY;
         at = after(segment, at)) {
        uint32_t home = home_of(segment, segment->slots[at].tag);
        bool stays = hole < at ? hole < home && home <= at : hole < home || home <= at;
        if (stays)
            continue;
        segment->slots[hole] = segment->slots[at];
        hole = at;
    }
    segment->slots[hole].ref = EMPTY;
    segment->used--;
}

void keys_remove(struct keys *keys, struct key_record *record)
{
    uint64_t h = hash(keys, record->key, (size_t)record->key_size);
    struct slot *slot = find_slot(keys, h, record->key, (uint8_t)record->key_size);
    struct segment *segment = segment_of(keys, h);
    if (!slot)
        return;
    uint32_t ref = slot->ref;
    slot_remove(segment, (uint32_t)(slot - segment->slots));
    record_free(keys, ref);
    keys->count--;
}

uint64_t keys_count(const struct keys *keys)
{
    return keys->count;
}

void keys_walk(const struct keys *keys, bool (*visit)(struct key_record *record, void *data),
               void *data)
{
    for (uint32_t i = 0; i < keys->n_segments; i++)
        for (uint32_t at = 0; at < keys->segments[i].room; at++) {
            uint32_t ref = keys->segments[i].slots[at].ref;
            if (ref != EMPTY && !visit(record_at(keys, ref), data))
                return;
        }
}
