/* Words made fit for a reply, see the header. */
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at `text` (RFC 3629), 0 if there is none within `left` bytes. */
static size_t sequence_length(const unsigned char *text, size_t left)
{
    static const struct {
        unsigned char lead_mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t form = 0; form < sizeof forms / sizeof *forms; form++) {
        if ((text[0] & forms[form].lead_mask) != forms[form].lead)
            continue;
        uint32_t point = text[0] & (uint32_t)(unsigned char)~forms[form].lead_mask;
        for (size_t i = 1; i <= form; i++) {
            if (i >= left || (text[i] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (text[i] & 0x3f);
        }
        bool surrogate = point >= 0xd800 && point <= 0xdfff;
        return point < forms[form].least || point > 0x10ffff || surrogate ? 0 : form + 1;
    }
    return 0;
}

void text_copy(char *out, size_t size, const char *bytes, size_t length)
{
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        const unsigned char *at = (const unsigned char *)bytes + i;
        size_t n = sequence_length(at, length - i);
        bool clean = n > 0 && *at >= ' ' && *at != 0x7f;
        if (n == 0)
            n = 1;
        if (used + n >= size)
            break;
        if (clean) {
            memcpy(out + used, at, n);
            used += n;
        } else {
            out[used++] = '?';
        }
        i += n;
    }
    out[used] = '\0';
}
