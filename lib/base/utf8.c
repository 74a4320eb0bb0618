/* UTF-8 by its table of well-formed sequences. No state. */
#include "base/utf8.h"

#include <stdint.h>

bool utf8_valid(const void *data, size_t length)
{
    const uint8_t *text = data;
    /* By first byte: how many follow, and the range of the second (Unicode 15, table 3-7). */
    static const struct {
        uint8_t first, last, second_first, second_last, following;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 0},       {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2},
        {0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2},
        {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3},
    };
    for (size_t i = 0; i < length;) {
        size_t row = 0;
        while (row < sizeof rows / sizeof *rows &&
               (text[i] < rows[row].first || text[i] > rows[row].last))
            row++;
        if (row == sizeof rows / sizeof *rows || length - i <= rows[row].following)
            return false;
        for (size_t k = 1; k <= rows[row].following; k++) {
            uint8_t least = k == 1 ? rows[row].second_first : 0x80;
            uint8_t most = k == 1 ? rows[row].second_last : 0xbf;
            if (text[i + k] < least || text[i + k] > most)
                return false;
        }
        i += 1u + rows[row].following;
    }
    return true;
}
