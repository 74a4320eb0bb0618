/* Little-endian bytes that grow, 0-db's checksum, and headers and entries as bytes. Pure. */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

/* --- bytes ----------------------------------------------------------------------------------- */

void peer_put(struct peer_bytes *bytes, const void *data, size_t size)
{
    if (bytes->size + size > bytes->room) {
        bytes->room = 2 * (bytes->size + size);
        bytes->at = realloc(bytes->at, bytes->room);
        if (!bytes->at)
            abort();
    }
    if (size > 0)
        memcpy(bytes->at + bytes->size, data, size);
    bytes->size += size;
}

static void put_le(struct peer_bytes *bytes, uint64_t value, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        peer_put(bytes, &byte, 1);
    }
}

void peer_put_u8(struct peer_bytes *bytes, uint8_t value)
{
    put_le(bytes, value, 1);
}

void peer_put_u32(struct peer_bytes *bytes, uint32_t value)
{
    put_le(bytes, value, 4);
}

void peer_put_u64(struct peer_bytes *bytes, uint64_t value)
{
    put_le(bytes, value, 8);
}

void peer_cut(struct peer_bytes *bytes, size_t size)
{
    if (size < bytes->size)
        bytes->size = size;
}

void peer_copy(struct peer_bytes *to, const struct peer_bytes *from)
{
    peer_cut(to, 0);
    peer_put(to, from->at, from->size);
}

void peer_bytes_free(struct peer_bytes *bytes)
{
    free(bytes->at);
    *bytes = (struct peer_bytes){0};
}

static uint64_t get_le(const uint8_t *at, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint32_t peer_u32(const uint8_t *at)
{
    return (uint32_t)get_le(at, 4);
}

uint64_t peer_u64(const uint8_t *at)
{
    return get_le(at, 8);
}

/* Bit by bit, as the definition reads: slow, and beyond doubt. */
uint32_t peer_crc(const void *data, size_t size)
{
    const uint8_t *at = data;
    uint32_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

/* --- headers and entries --------------------------------------------------------------------- */

void peer_data_header(struct peer_bytes *file, uint32_t id)
{
    peer_put(file, "DAT0", 4);
    peer_put_u32(file, 3);
    peer_put_u64(file, 0);
    peer_put_u64(file, 0);
    peer_put_u32(file, id);
}

void peer_index_header(struct peer_bytes *file, uint32_t id, enum peer_mode mode)
{
    peer_put(file, "IDX0", 4);
    peer_put_u32(file, 4);
    peer_put_u64(file, 0);
    peer_put_u64(file, 0);
    peer_put_u32(file, id);
    peer_put_u8(file, (uint8_t)mode);
}

void peer_data_append(struct peer_bytes *file, const struct peer_data_entry *entry)
{
    peer_put_u8(file, entry->key_size);
    peer_put_u32(file, entry->size);
    peer_put_u32(file, entry->previous);
    peer_put_u32(file, entry->crc);
    peer_put_u8(file, entry->flags);
    peer_put_u32(file, entry->time);
    peer_put(file, entry->key, entry->key_size);
    peer_put(file, entry->payload, entry->size);
}

void peer_index_append(struct peer_bytes *file, const struct peer_index_entry *entry)
{
    peer_put_u8(file, entry->key_size);
    peer_put_u32(file, entry->data_offset);
    peer_put_u32(file, entry->size);
    peer_put_u32(file, entry->previous);
    peer_put_u8(file, entry->flags);
    peer_put_u32(file, entry->data_file);
    peer_put_u32(file, entry->time);
    peer_put_u32(file, entry->crc);
    peer_put_u32(file, entry->parent_file);
    peer_put_u32(file, entry->parent_offset);
    peer_put(file, entry->key, entry->key_size);
}

int peer_data_next(const struct peer_bytes *file, uint32_t *offset, struct peer_data_entry *out)
{
    if (*offset == file->size)
        return 0;
    if (*offset > file->size || file->size - *offset < PEER_DATA_ENTRY)
        return -1;
    const uint8_t *at = file->at + *offset;
    struct peer_data_entry entry = {
        .key_size = at[0],
        .size = peer_u32(at + 1),
        .previous = peer_u32(at + 5),
        .crc = peer_u32(at + 9),
        .flags = at[13],
        .time = peer_u32(at + 14),
        .key = at + PEER_DATA_ENTRY,
        .payload = at + PEER_DATA_ENTRY + at[0],
        .offset = *offset,
    };
    uint64_t size = UINT64_C(0) + PEER_DATA_ENTRY + entry.key_size + entry.size;
    if (entry.key_size == 0 || size > file->size - *offset)
        return -1;
    *offset += (uint32_t)size;
    *out = entry;
    return 1;
}

int peer_index_next(const struct peer_bytes *file, uint32_t *offset, struct peer_index_entry *out)
{
    if (*offset == file->size)
        return 0;
    if (*offset > file->size || file->size - *offset < PEER_INDEX_ENTRY)
        return -1;
    const uint8_t *at = file->at + *offset;
    struct peer_index_entry entry = {
        .key_size = at[0],
        .data_offset = peer_u32(at + 1),
        .size = peer_u32(at + 5),
        .previous = peer_u32(at + 9),
        .flags = at[13],
        .data_file = peer_u32(at + 14),
        .time = peer_u32(at + 18),
        .crc = peer_u32(at + 22),
        .parent_file = peer_u32(at + 26),
        .parent_offset = peer_u32(at + 30),
        .key = at + PEER_INDEX_ENTRY,
        .offset = *offset,
    };
    uint32_t size = PEER_INDEX_ENTRY + entry.key_size;
    if (entry.key_size == 0 || size > file->size - *offset)
        return -1;
    *offset += size;
    *out = entry;
    return 1;
}
