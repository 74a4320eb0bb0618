/* UTF-8 by its table 3-7 (Unicode, "Well-Formed UTF-8 Byte Sequences"). No state. */
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The length of the character at `at`, 0 if it is none that may be shown. */
static size_t character_length(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t first, last; /* of the lead byte */
        uint8_t low, high;   /* of the second byte */
        uint8_t length;
    } shapes[] = {
        {0xc2, 0xc2, 0xa0, 0xbf, 2}, /* U+0080 to U+009F are controls */
        {0xc3, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (*at < 0x80)
        return *at >= 0x20 && *at != 0x7f;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (*at < shapes[i].first || *at > shapes[i].last)
            continue;
        bool whole = left >= shapes[i].length && at[1] >= shapes[i].low && at[1] <= shapes[i].high;
        for (size_t k = 2; whole && k < shapes[i].length; k++)
            whole = (at[k] & 0xc0) == 0x80;
        return whole ? shapes[i].length : 0;
    }
    return 0;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

void text_clean(char *out, size_t size, const void *raw, size_t length)
{
    const uint8_t *at = raw;
    const uint8_t *end = at + strnlen(raw, length);
    while (at < end && is_blank(*at))
        at++;
    while (at < end && is_blank(end[-1]))
        end--;
    size_t used = 0;
    while (at < end) {
        size_t n = character_length(at, (size_t)(end - at));
        size_t width = n > 0 ? n : 1;
        if (used + width >= size)
            break;
        if (n > 0)
            memcpy(out + used, at, n);
        else
            out[used] = '?';
        used += width;
        at += width;
    }
    out[used] = '\0';
}
