/*
 * The restart policy as a table: for each state and event, the step to take. Where the table is
 * empty, the event cannot happen there; it is refused, and nothing changes.
 */
#include "policy.h"

#include <stddef.h>

typedef enum policy_action (*policy_step)(struct policy *policy, uint64_t now_ms);

static enum policy_action start(struct policy *policy, uint64_t now_ms)
{
    (void)now_ms;
    policy->state = POLICY_STARTING;
    policy->starts++;
    policy->was_ready = false;
    policy->config_changed = false;
    policy->ready_over_ms = 0;
    return POLICY_DO_START;
}

static enum policy_action become_ready(struct policy *policy, uint64_t now_ms)
{
    policy->state = POLICY_READY;
    policy->was_ready = true;
    policy->ready_at_ms = now_ms;
    return POLICY_DO_NOTHING;
}

static enum policy_action become_hung(struct policy *policy, uint64_t now_ms)
{
    policy->state = POLICY_HUNG;
    policy->ready_over_ms = now_ms;
    return POLICY_DO_NOTHING;
}

/* The delay for the failure counted last, before jitter. */
static uint64_t backoff_ms(const struct policy *policy)
{
    uint64_t delay_ms = policy->limits.backoff_min_ms;
    for (uint32_t i = 1; i < policy->failures && delay_ms < policy->limits.backoff_max_ms; i++)
        delay_ms *= 2;
    return delay_ms < policy->limits.backoff_max_ms ? delay_ms : policy->limits.backoff_max_ms;
}

static uint64_t with_jitter(const struct policy *policy, uint64_t delay_ms)
{
    uint64_t spread_ms = delay_ms * policy->limits.jitter_percent / 100;
    return delay_ms - spread_ms + policy->random(policy->data) % (2 * spread_ms + 1);
}

static enum policy_action fail(struct policy *policy, uint64_t now_ms)
{
    if (policy->failures < UINT32_MAX)
        policy->failures++;
    uint64_t delay_ms = backoff_ms(policy);
    policy->state = delay_ms < policy->limits.backoff_max_ms ? POLICY_BACKOFF : POLICY_FAILING;
    policy->start_at_ms = now_ms + with_jitter(policy, delay_ms);
    return POLICY_DO_WAIT;
}

static enum policy_action end(struct policy *policy, uint64_t now_ms)
{
    if (!policy->was_ready)
        return fail(policy, now_ms);
    uint64_t over_ms = policy->ready_over_ms ? policy->ready_over_ms : now_ms;
    uint64_t lasted_ms = over_ms - policy->ready_at_ms;
    if (lasted_ms >= policy->limits.forget_ms)
        policy->failures = 0;
    return lasted_ms > policy->limits.healthy_ms ? start(policy, now_ms) : fail(policy, now_ms);
}

/* It may have read the config before it changed, and say so after: then it reads it once more. */
static enum policy_action wait_for_config(struct policy *policy, uint64_t now_ms)
{
    if (policy->config_changed)
        return start(policy, now_ms);
    policy->state = POLICY_CONFIG;
    return POLICY_DO_NOTHING;
}

static enum policy_action note_config(struct policy *policy, uint64_t now_ms)
{
    (void)now_ms;
    policy->config_changed = true;
    return POLICY_DO_NOTHING;
}

static enum policy_action forget(struct policy *policy, uint64_t now_ms)
{
    (void)now_ms;
    policy->failures = 0;
    return POLICY_DO_NOTHING;
}

static enum policy_action forget_and_start(struct policy *policy, uint64_t now_ms)
{
    policy->failures = 0;
    return start(policy, now_ms);
}

static enum policy_action restart(struct policy *policy, uint64_t now_ms)
{
    (void)now_ms;
    policy->state = POLICY_RESTARTING;
    return POLICY_DO_STOP;
}

static enum policy_action stop(struct policy *policy, uint64_t now_ms)
{
    (void)now_ms;
    policy->state = POLICY_STOPPING;
    return POLICY_DO_STOP;
}

static enum policy_action stop_already(struct policy *policy, uint64_t now_ms)
{
    (void)now_ms;
    policy->state = POLICY_STOPPED;
    return POLICY_DO_NOTHING;
}

static enum policy_action ignore(struct policy *policy, uint64_t now_ms)
{
    (void)policy;
    (void)now_ms;
    return POLICY_DO_NOTHING;
}

static const policy_step steps[POLICY_STATES][POLICY_EVENTS] = {
    [POLICY_BACKOFF] =
        {
            [POLICY_ON_DUE] = start,
            [POLICY_ON_CONFIG_CHANGED] = ignore,
            [POLICY_ON_RESET] = forget_and_start,
            [POLICY_ON_RESTART] = start,
            [POLICY_ON_STOP] = stop_already,
        },
    [POLICY_FAILING] =
        {
            [POLICY_ON_DUE] = start,
            [POLICY_ON_CONFIG_CHANGED] = ignore,
            [POLICY_ON_RESET] = forget_and_start,
            [POLICY_ON_RESTART] = start,
            [POLICY_ON_STOP] = stop_already,
        },
    [POLICY_CONFIG] =
        {
            [POLICY_ON_CONFIG_CHANGED] = start,
            [POLICY_ON_RESET] = forget_and_start,
            [POLICY_ON_RESTART] = start,
            [POLICY_ON_STOP] = stop_already,
        },
    [POLICY_STARTING] =
        {
            [POLICY_ON_READY] = become_ready,
            [POLICY_ON_HANG] = become_hung,
            [POLICY_ON_GONE] = end,
            [POLICY_ON_CONFIG_ERROR] = wait_for_config,
            [POLICY_ON_CONFIG_CHANGED] = note_config,
            [POLICY_ON_RESET] = forget,
            [POLICY_ON_RESTART] = restart,
            [POLICY_ON_STOP] = stop,
        },
    [POLICY_READY] =
        {
            [POLICY_ON_HANG] = become_hung,
            [POLICY_ON_GONE] = end,
            [POLICY_ON_CONFIG_ERROR] = wait_for_config,
            [POLICY_ON_CONFIG_CHANGED] = note_config,
            [POLICY_ON_RESET] = forget,
            [POLICY_ON_RESTART] = restart,
            [POLICY_ON_STOP] = stop,
        },
    [POLICY_HUNG] =
        {
            [POLICY_ON_READY] = ignore, /* it spoke too late */
            [POLICY_ON_GONE] = end,
            [POLICY_ON_CONFIG_ERROR] = end,
            [POLICY_ON_CONFIG_CHANGED] = ignore,
            [POLICY_ON_RESET] = forget,
            [POLICY_ON_RESTART] = restart,
            [POLICY_ON_STOP] = stop,
        },
    [POLICY_RESTARTING] =
        {
            [POLICY_ON_READY] = ignore,
            [POLICY_ON_HANG] = ignore, /* it is on its way out, one way or the other */
            [POLICY_ON_GONE] = start,
            [POLICY_ON_CONFIG_ERROR] = start,
            [POLICY_ON_CONFIG_CHANGED] = ignore,
            [POLICY_ON_RESET] = forget,
            [POLICY_ON_RESTART] = ignore,
            [POLICY_ON_STOP] = stop,
        },
    [POLICY_STOPPING] =
        {
            [POLICY_ON_READY] = ignore,
            [POLICY_ON_HANG] = ignore,
            [POLICY_ON_GONE] = stop_already,
            [POLICY_ON_CONFIG_ERROR] = stop_already,
            [POLICY_ON_CONFIG_CHANGED] = ignore,
            [POLICY_ON_STOP] = ignore,
        },
    [POLICY_STOPPED] =
        {
            [POLICY_ON_CONFIG_CHANGED] = ignore,
            [POLICY_ON_STOP] = ignore,
        },
};

void policy_init(struct policy *policy, const struct policy_limits *limits,
                 uint32_t (*random)(void *data), void *data)
{
    *policy =
        (struct policy){.limits = *limits, .random = random, .data = data, .state = POLICY_BACKOFF};
}

enum policy_action policy_apply(struct policy *policy, enum policy_event event, uint64_t now_ms)
{
    policy_step step = steps[policy->state][event];
    return step ? step(policy, now_ms) : POLICY_REFUSED;
}

const char *policy_state_name(enum policy_state state)
{
    static const char *const names[POLICY_STATES] = {
        [POLICY_BACKOFF] = "backoff",       [POLICY_FAILING] = "failing",
        [POLICY_CONFIG] = "config",         [POLICY_STARTING] = "starting",
        [POLICY_READY] = "ready",           [POLICY_HUNG] = "hung",
        [POLICY_RESTARTING] = "restarting", [POLICY_STOPPING] = "stopping",
        [POLICY_STOPPED] = "stopped",
    };
    return state < POLICY_STATES ? names[state] : "?";
}

const char *policy_event_name(enum policy_event event)
{
    static const char *const names[POLICY_EVENTS] = {
        [POLICY_ON_DUE] = "due",
        [POLICY_ON_READY] = "ready",
        [POLICY_ON_HANG] = "hang",
        [POLICY_ON_GONE] = "gone",
        [POLICY_ON_CONFIG_ERROR] = "config error",
        [POLICY_ON_CONFIG_CHANGED] = "config changed",
        [POLICY_ON_RESET] = "reset",
        [POLICY_ON_RESTART] = "restart",
        [POLICY_ON_STOP] = "stop",
    };
    return event < POLICY_EVENTS ? names[event] : "?";
}
