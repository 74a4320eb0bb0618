/* Names: one decoding pass. Overlong forms, surrogates and what lies beyond U+10FFFF are no UTF-8
 * (RFC 3629). */
#include "base/name.h"

#include <stdbool.h>
#include <string.h>

enum {
    CODEPOINT_MAX = 0x10ffff,
    SURROGATE_FIRST = 0xd800,
    SURROGATE_LAST = 0xdfff,
    DEL = 0x7f,
    C1_LAST = 0x9f,
};

/* One codepoint from *at, which moves behind it; -1 for what is no UTF-8. */
static long decode(const unsigned char **at)
{
    static const struct {
        unsigned char mask, lead;
        unsigned more;
        long least;
    } forms[] = {{0x80, 0x00, 0, 0},
                 {0xe0, 0xc0, 1, 0x80},
                 {0xf0, 0xe0, 2, 0x800},
                 {0xf8, 0xf0, 3, 0x10000}};
    unsigned char lead = *(*at)++;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if ((lead & forms[i].mask) != forms[i].lead)
            continue;
        long codepoint = lead & (unsigned char)~forms[i].mask;
        for (unsigned k = 0; k < forms[i].more; k++) {
            if ((**at & 0xc0) != 0x80)
                return -1;
            codepoint = codepoint << 6 | (*(*at)++ & 0x3f);
        }
        bool surrogate = codepoint >= SURROGATE_FIRST && codepoint <= SURROGATE_LAST;
        return codepoint < forms[i].least || codepoint > CODEPOINT_MAX || surrogate ? -1
                                                                                    : codepoint;
    }
    return -1;
}

int name_check(const char *name, struct err *err)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MAX_BYTES)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "name",
                       "a name has 1 to %d bytes; this one has %zu", NAME_MAX_BYTES, length);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "name", "\"%s\" is no name", name);
    for (const unsigned char *at = (const unsigned char *)name; *at;) {
        long codepoint = decode(&at);
        if (codepoint < 0)
            return err_set(err, ERR_INVALID_ARGUMENT, 0, "name", "the name is not UTF-8");
        if (codepoint == '/')
            return err_set(err, ERR_INVALID_ARGUMENT, 0, "name", "a name has no '/'");
        if (codepoint < ' ' || (codepoint >= DEL && codepoint <= C1_LAST))
            return err_set(err, ERR_INVALID_ARGUMENT, 0, "name",
                           "the name has the control character U+%04lX", (unsigned long)codepoint);
    }
    return 0;
}
