/* Retries: a one-shot libuv timer and the next delay. */
#include "worker/retry.h"

static void on_timer(uv_timer_t *timer)
{
    struct retry *retry = timer->data;
    retry->due(retry->data);
}

void retry_init(struct retry *retry, uv_loop_t *loop, uint32_t least_ms, uint32_t most_ms,
                void (*due)(void *data), void *data)
{
    *retry = (struct retry){
        .least_ms = least_ms, .most_ms = most_ms, .next_ms = least_ms, .due = due, .data = data};
    (void)uv_timer_init(loop, &retry->timer);
    retry->timer.data = retry;
}

bool retry_is_waiting(const struct retry *retry)
{
    return uv_is_active((const uv_handle_t *)&retry->timer);
}

void retry_later(struct retry *retry)
{
    if (retry_is_waiting(retry) || uv_is_closing((uv_handle_t *)&retry->timer))
        return;
    (void)uv_timer_start(&retry->timer, on_timer, retry->next_ms, 0);
    retry->next_ms = retry->next_ms > retry->most_ms / 2 ? retry->most_ms : retry->next_ms * 2;
}

void retry_cancel(struct retry *retry)
{
    (void)uv_timer_stop(&retry->timer);
}

void retry_reset(struct retry *retry)
{
    retry_cancel(retry);
    retry->next_ms = retry->least_ms;
}

void retry_close(struct retry *retry)
{
    uv_close((uv_handle_t *)&retry->timer, NULL);
}
