/* The checksum of payloads against one that is computed bit by bit, at every length up to where the
 * ways to compute it repeat, and at any alignment. */
#include "checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SIZE = 5000, EVERY_LENGTH = 2100, STEP = 37, ALIGNMENTS = 8 };

static uint32_t bit_by_bit(const uint8_t *at, size_t length)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < length; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

static void every_length_has_its_checksum(void **state)
{
    static uint8_t bytes[SIZE + ALIGNMENTS];
    uint32_t random = 1;
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        random = random * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(random >> 24);
    }
    assert_int_equal(checksum("123456789", 9), 0x58e3fa20);
    for (size_t length = 0; length <= SIZE; length += length < EVERY_LENGTH ? 1 : STEP) {
        const uint8_t *at = bytes + length % ALIGNMENTS;
        assert_int_equal(checksum(at, length), bit_by_bit(at, length));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_length_has_its_checksum)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
