/* The first starts, see the header. A start that fails at once calls startup_next() from within. */
#include "startup.h"

static bool any_starts(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->n_wards; i++)
        if (supervisor->wards[i].policy.state == POLICY_STARTING)
            return true;
    return false;
}

static void on_patience_over(uv_timer_t *timer);

static void start_some(struct supervisor *supervisor)
{
    unsigned at_once = uv_available_parallelism();
    for (unsigned i = 0; i < at_once && supervisor->n_started < supervisor->n_wards; i++)
        ward_start(&supervisor->wards[supervisor->n_started++]);
    if (supervisor->n_started < supervisor->n_wards)
        (void)uv_timer_start(&supervisor->startup, on_patience_over, supervisor->settings->beat_ms,
                             0);
    else
        (void)uv_timer_stop(&supervisor->startup);
}

static void on_patience_over(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    if (!supervisor->stopping)
        start_some(supervisor);
}

void startup_begin(struct supervisor *supervisor)
{
    (void)uv_timer_init(supervisor->loop, &supervisor->startup);
    supervisor->startup.data = supervisor;
    start_some(supervisor);
}

void startup_next(struct ward *ward, void *data)
{
    struct supervisor *supervisor = data;
    (void)ward;
    if (!supervisor->stopping && supervisor->n_started < supervisor->n_wards &&
        !any_starts(supervisor))
        start_some(supervisor);
}

void startup_close(struct supervisor *supervisor)
{
    uv_close((uv_handle_t *)&supervisor->startup, NULL);
}
