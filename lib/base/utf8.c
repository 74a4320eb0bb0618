/* UTF-8 by its table of well-formed sequences. No state. */
#include "base/utf8.h"

#include <stdint.h>

/* The length of the character at the beginning of the text; 0 when there is none. */
static size_t character_length(const uint8_t *text, size_t length)
{
    /* By first byte: how many follow, and the range of the second (Unicode 15, table 3-7). */
    static const struct {
        uint8_t first, last, second_first, second_last, following;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 0},       {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2},
        {0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2},
        {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3},
    };
    size_t row = 0;
    while (row < sizeof rows / sizeof *rows && (*text < rows[row].first || *text > rows[row].last))
        row++;
    if (row == sizeof rows / sizeof *rows || length <= rows[row].following)
        return 0;
    for (size_t k = 1; k <= rows[row].following; k++) {
        uint8_t least = k == 1 ? rows[row].second_first : 0x80;
        uint8_t most = k == 1 ? rows[row].second_last : 0xbf;
        if (text[k] < least || text[k] > most)
            return 0;
    }
    return 1u + rows[row].following;
}

/* How many bytes from the beginning are well-formed. */
static size_t valid_length(const uint8_t *text, size_t length)
{
    size_t at = 0;
    for (size_t n; at < length && (n = character_length(text + at, length - at)) > 0;)
        at += n;
    return at;
}

bool utf8_valid(const void *text, size_t length)
{
    return valid_length(text, length) == length;
}

void utf8_scrub(void *data, size_t length)
{
    uint8_t *text = data;
    for (size_t at = 0; (at += valid_length(text + at, length - at)) < length; at++)
        text[at] = '?';
}
