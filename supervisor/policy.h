/*
 * The restart policy: what to do with a worker after what happened to it. Pure: no clock, no
 * process, no I/O; the caller says what happened and when, and does what he is told.
 *
 *   - A failure is an end or a hang before READY, or within `healthy_ms` after it. Failures back
 * off from `backoff_min_ms`, doubling to `backoff_max_ms`, each +- `jitter_percent`; at the cap the
 *     state is FAILING.
 *   - A worker that was READY for longer starts again at once, always.
 *   - Failures are forgotten after `forget_ms` of READY, and by a reset.
 *   - One that left because of its config waits for the config to change.
 */
#ifndef SUPERVISOR_POLICY_H
#define SUPERVISOR_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum policy_state {
    POLICY_BACKOFF, /* waits for its next start; the first one is due at once */
    POLICY_FAILING, /* the same, with the backoff at its cap */
    POLICY_CONFIG,  /* waits for the config to change */
    POLICY_STARTING,
    POLICY_READY,
    POLICY_HUNG,       /* is being ended because it did not answer */
    POLICY_RESTARTING, /* is being ended, to be started again */
    POLICY_STOPPING,   /* is being ended for good */
    POLICY_STOPPED,
    POLICY_STATES,
};

enum policy_event {
    POLICY_ON_DUE,            /* the time of its next start has come */
    POLICY_ON_READY,          /* its API answers */
    POLICY_ON_HANG,           /* it does not answer; the caller ends it */
    POLICY_ON_GONE,           /* it ended, could not be started, or was given up as stuck */
    POLICY_ON_CONFIG_ERROR,   /* it ended, because of its config */
    POLICY_ON_CONFIG_CHANGED, /* the config file is another one now */
    POLICY_ON_RESET,   /* the operator: forget its failures, start it now if it does not run */
    POLICY_ON_RESTART, /* the operator: end it and start it again */
    POLICY_ON_STOP,    /* end it for good */
    POLICY_EVENTS,
};

enum policy_action {
    POLICY_DO_NOTHING,
    POLICY_DO_WAIT,  /* until start_at_ms, then POLICY_ON_DUE */
    POLICY_DO_START, /* now */
    POLICY_DO_STOP,  /* ask the running one to end, then POLICY_ON_GONE */
    POLICY_REFUSED,  /* this cannot happen in this state; nothing has changed */
};

struct policy_limits {
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    uint32_t jitter_percent;
    uint32_t healthy_ms;
    uint32_t forget_ms;
};

struct policy {
    struct policy_limits limits;
    uint32_t (*random)(void *data); /* uniform over 32 bits */
    void *data;

    enum policy_state state;
    uint64_t start_at_ms; /* in BACKOFF and FAILING */
    uint32_t failures;    /* in a row */
    uint32_t starts;
    bool was_ready;         /* this incarnation */
    bool config_changed;    /* since this incarnation was started */
    uint64_t ready_at_ms;   /* if was_ready */
    uint64_t ready_over_ms; /* when it hung, if it did, else 0: READY ended then */
};

/* In BACKOFF, with the first start due. */
void policy_init(struct policy *policy, const struct policy_limits *limits,
                 uint32_t (*random)(void *data), void *data);

/* `now_ms` never goes back. */
enum policy_action policy_apply(struct policy *policy, enum policy_event event, uint64_t now_ms);

const char *policy_state_name(enum policy_state state); /* "backoff" */
const char *policy_event_name(enum policy_event event);

#endif
