/*
 * Something that is tried again later: a timer whose delay doubles from `least_ms` to `most_ms`
 * until retry_reset(). Of the loop.
 */
#ifndef LIB_WORKER_RETRY_H
#define LIB_WORKER_RETRY_H

#include <stdbool.h>
#include <uv.h>

struct retry {
    uv_timer_t timer;
    uint32_t least_ms, most_ms, next_ms;
    void (*due)(void *data);
    void *data;
};

void retry_init(struct retry *retry, uv_loop_t *loop, uint32_t least_ms, uint32_t most_ms,
                void (*due)(void *data), void *data);
/* Calls `due` after the present delay, and doubles it. Does nothing when it is already waiting. */
void retry_later(struct retry *retry);
bool retry_is_waiting(const struct retry *retry);
/* Not now; the delay stays. */
void retry_cancel(struct retry *retry);
/* Not now, and the next delay is the first again. */
void retry_reset(struct retry *retry);
/* Closes the timer; the struct is the loop's until the next turn. */
void retry_close(struct retry *retry);

#endif
