/* CRC-32C by table, made at first use from the polynomial; what it covers here is at most a few
 * KiB. */
#include "base/crc32c.h"

#include <pthread.h>

static uint32_t table[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = (value >> 1) ^ (value & 1 ? 0x82f63b78u : 0);
        table[i] = value;
    }
}

uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
    (void)pthread_once(&once, fill_table);
    const uint8_t *bytes = data;
    crc = ~crc;
    for (size_t i = 0; i < length; i++)
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xff];
    return ~crc;
}
