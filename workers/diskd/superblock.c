/* A pure parser of 4096 bytes: every field lies at a fixed place within them. */
#include "superblock.h"

#include "base/crc32c.h"

#include <string.h>

const uint64_t superblock_offsets[SUPERBLOCK_MIRRORS] = {
    UINT64_C(64) << 10,
    UINT64_C(64) << 20,
    UINT64_C(256) << 30,
};

/* Offsets of the fields, in bytes. */
enum {
    AT_CSUM = 0x00,
    AT_CSUMMED = 0x20, /* what the checksum is over, to the end */
    AT_FSID = 0x20,
    AT_BYTENR = 0x30,
    AT_GENERATION = 0x48,
    AT_LOG_ROOT = 0x60,
    AT_NUM_DEVICES = 0x88,
    AT_CSUM_TYPE = 0xc4,
    AT_DEVID = 0xc9, /* the first field of the dev_item */
    AT_LABEL = 0x12b,
};

static const uint8_t magic[8] = "_BHRfS_M";
static const uint8_t magic_begun[8] = "!BHRfS_M"; /* of mkfs.btrfs, until all else is written */

static uint64_t read_le(const uint8_t *bytes, size_t width)
{
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

bool superblock_has_magic(const uint8_t bytes[SUPERBLOCK_BYTES])
{
    return memcmp(bytes + SUPERBLOCK_MAGIC_AT, magic, sizeof magic) == 0;
}

bool superblock_is_begun(const uint8_t bytes[SUPERBLOCK_BYTES], const char *label)
{
    return memcmp(bytes + SUPERBLOCK_MAGIC_AT, magic_begun, sizeof magic_begun) == 0 &&
           memcmp(bytes + AT_LABEL, label, strlen(label)) == 0;
}

static bool is_intact(const uint8_t *bytes)
{
    uint32_t crc = crc32c(0, bytes + AT_CSUMMED, SUPERBLOCK_BYTES - AT_CSUMMED);
    return read_le(bytes + AT_CSUM_TYPE, 2) == 0 && read_le(bytes + AT_CSUM, 4) == crc &&
           read_le(bytes + AT_BYTENR, 8) == superblock_offsets[0];
}

int superblock_parse(const uint8_t bytes[SUPERBLOCK_BYTES], struct superblock *out_super)
{
    if (!superblock_has_magic(bytes))
        return -ERR_NOT_FOUND;
    struct superblock super = {
        .devid = read_le(bytes + AT_DEVID, 8),
        .num_devices = read_le(bytes + AT_NUM_DEVICES, 8),
        .generation = read_le(bytes + AT_GENERATION, 8),
        .log_pending = read_le(bytes + AT_LOG_ROOT, 8) != 0,
        .intact = is_intact(bytes),
    };
    uuid_format(bytes + AT_FSID, super.fsid);
    memcpy(super.label, bytes + AT_LABEL, SUPERBLOCK_LABEL_MAX);
    *out_super = super;
    return 0;
}
