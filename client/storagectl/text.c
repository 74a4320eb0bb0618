/* Escaping; see the header. UTF-8 is that of RFC 3629: no overlong forms, no surrogates. */
#include "text.h"

#include "base/cleanup.h"

#include <stdbool.h>

static const struct {
    uint8_t mask, lead;
    unsigned more;
    int32_t least;
} forms[] = {
    {0x80, 0x00, 0, 0x00}, {0xe0, 0xc0, 1, 0x80}, {0xf0, 0xe0, 2, 0x800}, {0xf8, 0xf0, 3, 0x10000}};

int32_t text_next(const char **text)
{
    const uint8_t *p = (const uint8_t *)*text;
    for (size_t i = 0; i < array_length(forms); i++) {
        if ((*p & forms[i].mask) != forms[i].lead)
            continue;
        int32_t c = *p & ~forms[i].mask & 0xff;
        for (unsigned n = 1; n <= forms[i].more; n++) {
            if ((p[n] & 0xc0) != 0x80)
                goto invalid;
            c = (c << 6) | (p[n] & 0x3f);
        }
        if (c < forms[i].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            goto invalid;
        *text += forms[i].more + 1;
        return c;
    }
invalid:
    (*text)++;
    return TEXT_INVALID;
}

static bool is_dangerous(int32_t c)
{
    static const struct {
        int32_t first, last;
    } ranges[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     /* control characters */
        {0x200b, 0x200f}, {0x2028, 0x202e}, /* invisible, directional, line ends */
        {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
    };
    for (size_t i = 0; i < array_length(ranges); i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

void text_print(const char *text, FILE *out)
{
    while (*text) {
        const char *begin = text;
        int32_t c = text_next(&text);
        if (c == TEXT_INVALID)
            (void)fprintf(out, "\\x%02x", (uint8_t)*begin);
        else if (is_dangerous(c))
            (void)fprintf(out, c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)c);
        else
            (void)fwrite(begin, 1, (size_t)(text - begin), out);
    }
}

char *text_escape(const char *text)
{
    char *escaped = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&escaped, &size);
    if (!out)
        return NULL;
    text_print(text, out);
    if (fclose(out) == 0)
        return escaped;
    free(escaped);
    return NULL;
}
