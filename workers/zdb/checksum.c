/* Without inversions it is linear, so the plain CRC-32C of lib/base gives it by inverting both
 * ends. */
#include "checksum.h"

#include "base/crc32c.h"

#include <string.h>

#ifdef __x86_64__
#include <nmmintrin.h>
#include <pthread.h>

/* The instruction takes three cycles and can begin in each of them: of a long run three parts are
 * summed up side by side, and put together by what so many zeros behind a part make of its sum. */
enum { PART = 336 };

static uint32_t behind[4][256]; /* for each byte of a sum */
static pthread_once_t once = PTHREAD_ONCE_INIT;

__attribute__((target("sse4.2"))) static void fill_behind(void)
{
    for (unsigned at = 0; at < 4; at++)
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint64_t crc = byte << (8 * at);
            for (unsigned i = 0; i < PART / 8; i++)
                crc = _mm_crc32_u64(crc, 0);
            behind[at][byte] = (uint32_t)crc;
        }
}

static uint32_t pass_part(uint64_t crc)
{
    return behind[0][crc & 0xff] ^ behind[1][crc >> 8 & 0xff] ^ behind[2][crc >> 16 & 0xff] ^
           behind[3][crc >> 24 & 0xff];
}

static uint64_t take_word(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

__attribute__((target("sse4.2"))) static uint32_t three_parts(uint32_t begin, const uint8_t *at)
{
    uint64_t first = begin, second = 0, third = 0;
    for (unsigned i = 0; i < PART; i += 8) {
        first = _mm_crc32_u64(first, take_word(at + i));
        second = _mm_crc32_u64(second, take_word(at + i + PART));
        third = _mm_crc32_u64(third, take_word(at + i + 2 * (size_t)PART));
    }
    return pass_part(pass_part(first) ^ second) ^ (uint32_t)third;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(const uint8_t *at, size_t length)
{
    uint64_t crc = 0;
    if (length >= 3 * (size_t)PART)
        (void)pthread_once(&once, fill_behind);
    for (; length >= 3 * (size_t)PART; at += 3 * (size_t)PART, length -= 3 * (size_t)PART)
        crc = three_parts((uint32_t)crc, at);
    for (; length >= 8; at += 8, length -= 8)
        crc = _mm_crc32_u64(crc, take_word(at));
    for (; length > 0; at++, length--)
        crc = _mm_crc32_u8((uint32_t)crc, *at);
    return (uint32_t)crc;
}
#endif

uint32_t checksum(const void *data, size_t length)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return by_instruction(data, length);
#endif
    return ~crc32c(~UINT32_C(0), data, length);
}
