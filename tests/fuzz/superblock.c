/*
 * Btrfs superblocks, as they stand and with magic, place and checksum put right. Only what carries
 * the magic is read; what is intact is so in every byte.
 */
#include "fuzz.h"

#include "base/crc32c.h"
#include "superblock.h"

#include <endian.h>
#include <string.h>

/* Offsets of the format; see superblock.h. */
enum {
    AT_CSUMMED = 0x20,
    AT_BYTENR = 0x30,
    AT_CSUM_TYPE = 0xc4,
    AT_DEVID = 0xc9,
    AT_LABEL = 0x12b
};

static void repair(uint8_t bytes[SUPERBLOCK_BYTES])
{
    uint64_t place = htole64(superblock_offsets[0]);
    memcpy(bytes + SUPERBLOCK_MAGIC_AT, "_BHRfS_M", 8);
    memcpy(bytes + AT_BYTENR, &place, sizeof place);
    memset(bytes + AT_CSUM_TYPE, 0, 2);
    uint32_t crc = htole32(crc32c(0, bytes + AT_CSUMMED, SUPERBLOCK_BYTES - AT_CSUMMED));
    memcpy(bytes, &crc, sizeof crc);
}

static void check_damage(const uint8_t bytes[SUPERBLOCK_BYTES], uint64_t where)
{
    uint8_t damaged[SUPERBLOCK_BYTES];
    struct superblock super;
    memcpy(damaged, bytes, sizeof damaged);
    size_t at = AT_CSUMMED + where % (SUPERBLOCK_BYTES - AT_CSUMMED);
    damaged[at] ^= (uint8_t)(1 + where % 255);
    fuzz_check(superblock_parse(damaged, &super) == -ERR_NOT_FOUND || !super.intact);
}

static void check(const uint8_t bytes[SUPERBLOCK_BYTES])
{
    struct superblock super, before;
    memset(&before, 0xa5, sizeof before);
    memcpy(&super, &before, sizeof super);
    int rc = superblock_parse(bytes, &super);
    fuzz_check(rc == (superblock_has_magic(bytes) ? 0 : -ERR_NOT_FOUND));
    if (rc < 0) {
        fuzz_check(memcmp(&super, &before, sizeof super) == 0);
        return;
    }
    uint64_t devid;
    memcpy(&devid, bytes + AT_DEVID, sizeof devid);
    fuzz_check(super.devid == le64toh(devid));
    fuzz_check(uuid_valid(super.fsid));
    size_t label = strnlen(super.label, sizeof super.label);
    fuzz_check(label <= SUPERBLOCK_LABEL_MAX);
    fuzz_check(label == strnlen((const char *)bytes + AT_LABEL, SUPERBLOCK_LABEL_MAX));
    fuzz_check(memcmp(super.label, bytes + AT_LABEL, label) == 0);
    if (super.intact)
        check_damage(bytes, super.generation ^ super.devid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    uint8_t bytes[SUPERBLOCK_BYTES] = {0};
    if (length > 0)
        memcpy(bytes, data, length < sizeof bytes ? length : sizeof bytes);
    check(bytes);
    repair(bytes);
    struct superblock super;
    fuzz_check(superblock_parse(bytes, &super) == 0 && super.intact);
    check(bytes);
    return 0;
}

void fuzz_seeds(void)
{
    uint8_t bytes[SUPERBLOCK_BYTES] = {0};
    bytes[AT_DEVID] = 1;
    memcpy(bytes + AT_LABEL, "storaged:tank", 13);
    repair(bytes);
    fuzz_seed(bytes, sizeof bytes);
    memset(bytes + AT_LABEL, 0xff, SUPERBLOCK_LABEL_MAX);
    repair(bytes);
    fuzz_seed(bytes, sizeof bytes);
}
