/* The seal, see the header. */
#include "seal.h"

#include "base/crc32c.h"

#include <endian.h>
#include <string.h>

enum { AT_VERSION = 4, AT_LENGTH = 8, AT_CRC = 12 };

static void put(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static uint32_t get(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint32_t checksum(const uint8_t *data, size_t size)
{
    static const uint8_t zero[SEAL_SIZE - AT_CRC];
    uint32_t crc = crc32c(0, data, AT_CRC);
    crc = crc32c(crc, zero, sizeof zero);
    return crc32c(crc, data + SEAL_SIZE, size - SEAL_SIZE);
}

void seal_close(const struct seal_kind *kind, uint8_t *data, size_t length)
{
    memcpy(data, kind->magic, AT_VERSION);
    put(data + AT_VERSION, kind->version);
    put(data + AT_LENGTH, (uint32_t)length);
    put(data + AT_CRC, checksum(data, SEAL_SIZE + length));
}

int seal_open(const struct seal_kind *kind, const uint8_t *data, size_t size,
              const uint8_t **out_inside, size_t *out_length, struct err *err)
{
    if (size < SEAL_SIZE || memcmp(data, kind->magic, AT_VERSION) != 0)
        return err_set(err, ERR_DATA_LOSS, 0, NULL, "this is no %s of storaged", kind->what);
    if (get(data + AT_LENGTH) != size - SEAL_SIZE || get(data + AT_CRC) != checksum(data, size))
        return err_set(err, ERR_DATA_LOSS, 0, NULL, "the %s is damaged: its checksum is wrong",
                       kind->what);
    if (get(data + AT_VERSION) > kind->version)
        return err_set(err, ERR_UNIMPLEMENTED, 0, NULL,
                       "the %s has version %u, and this storaged knows %u", kind->what,
                       get(data + AT_VERSION), kind->version);
    *out_inside = data + SEAL_SIZE;
    *out_length = size - SEAL_SIZE;
    return 0;
}
