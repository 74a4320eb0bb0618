/*
 * Lines of workers, see the header. Passing on is one write(2) a line, so that lines of several
 * workers do not mix; when our own stderr is broken or full, the line is lost there and still kept
 * here.
 */
#include "tail.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

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

/* Copies what fits; control characters and bytes that are no UTF-8 become '?'. */
static void copy_clean(char out[TAIL_LINE_MAX], const char *line, size_t length)
{
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        const unsigned char *at = (const unsigned char *)line + i;
        size_t n = sequence_length(at, length - i);
        bool clean = n > 0 && *at >= ' ' && *at != 0x7f;
        if (n == 0)
            n = 1;
        if (used + n >= TAIL_LINE_MAX)
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

/* `partial` holds a line; its '\n' is added here. */
static void end_line(struct tail *tail)
{
    copy_clean(tail->kept[tail->next], tail->partial, tail->n_partial);
    tail->next = (tail->next + 1) % TAIL_LINES;
    if (tail->n_kept < TAIL_LINES)
        tail->n_kept++;
    tail->partial[tail->n_partial] = '\n';
    (void)!write(STDERR_FILENO, tail->partial, tail->n_partial + 1);
    tail->n_partial = 0;
}

void tail_feed(struct tail *tail, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != '\n')
            tail->partial[tail->n_partial++] = bytes[i];
        bool full = tail->n_partial == sizeof tail->partial - 1;
        if (full || (bytes[i] == '\n' && tail->n_partial > 0))
            end_line(tail);
    }
}

void tail_finish(struct tail *tail)
{
    if (tail->n_partial > 0)
        end_line(tail);
}

const char *tail_line(const struct tail *tail, size_t i)
{
    return tail->kept[(tail->next + TAIL_LINES - tail->n_kept + i) % TAIL_LINES];
}
