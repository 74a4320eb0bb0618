/*
 * Lines of workers, see the header. Passing on is one write(2) a line, so that lines of several
 * workers do not mix; when our own stderr is broken or full, the line is lost there and still kept
 * here.
 */
#include "tail.h"

#include "text.h"

#include <unistd.h>

/* `partial` holds a line; its '\n' is added here. */
static void end_line(struct tail *tail)
{
    text_copy(tail->kept[tail->next], TAIL_LINE_MAX, tail->partial, tail->n_partial);
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
