/* The restart policy, told as sessions: at a time something happens, and this is what follows. */
#include "base/cleanup.h"
#include "policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct policy_limits limits = {
    .backoff_min_ms = 100,
    .backoff_max_ms = 30000,
    .jitter_percent = 25,
    .healthy_ms = 1000,
    .forget_ms = 60000,
};

/* The middle of the jitter: no jitter at all. */
static uint32_t random_middle(void *data)
{
    const struct policy *policy = data;
    uint64_t delay_ms = limits.backoff_min_ms;
    for (uint32_t i = 1; i < policy->failures && delay_ms < limits.backoff_max_ms; i++)
        delay_ms *= 2;
    if (delay_ms > limits.backoff_max_ms)
        delay_ms = limits.backoff_max_ms;
    return (uint32_t)(delay_ms * limits.jitter_percent / 100);
}

struct line {
    uint64_t at_ms;
    enum policy_event event;
    enum policy_action action;
    enum policy_state state;
    uint64_t wait_ms; /* with POLICY_DO_WAIT */
};

#define session_play(lines) play(lines, array_length(lines))

static struct policy play(const struct line *lines, size_t n)
{
    struct policy policy;
    policy_init(&policy, &limits, random_middle, &policy);
    policy.data = &policy;
    for (size_t i = 0; i < n; i++) {
        const struct line *line = &lines[i];
        enum policy_action action = policy_apply(&policy, line->event, line->at_ms);
        if (action != line->action || policy.state != line->state)
            fail_msg("line %zu, %s at %llu: action %d, state %s", i, policy_event_name(line->event),
                     (unsigned long long)line->at_ms, (int)action, policy_state_name(policy.state));
        if (action == POLICY_DO_WAIT)
            assert_int_equal(policy.start_at_ms - line->at_ms, line->wait_ms);
    }
    policy.data = NULL;
    return policy;
}

static void a_ready_worker_restarts_at_once_always(void **state)
{
    (void)state;
    static const struct line session[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {50, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        {1051, POLICY_ON_GONE, POLICY_DO_START, POLICY_STARTING, 0},
        {1100, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        {2101, POLICY_ON_GONE, POLICY_DO_START, POLICY_STARTING, 0},
        {2200, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        {3201, POLICY_ON_GONE, POLICY_DO_START, POLICY_STARTING, 0},
    };
    assert_int_equal(session_play(session).starts, 4);
}

static void an_end_within_a_second_of_ready_is_a_failure(void **state)
{
    (void)state;
    static const struct line session[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {50, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        {1050, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 100},
    };
    (void)session_play(session);
}

static void failures_double_the_wait_up_to_the_cap(void **state)
{
    (void)state;
    static const struct line session[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {1, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 100},
        {101, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {102, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 200},
        {302, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {303, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 400},
        {1000, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {1001, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 800},
        {2000, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {2001, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 1600},
        {4000, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {4001, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 3200},
        {8000, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {8001, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 6400},
        {16000, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {16001, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 12800},
        {30000, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {30001, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 25600},
        {60000, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {60001, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_FAILING, 30000},
        {90001, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {90002, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_FAILING, 30000},
        /* the operator has mended something */
        {90003, POLICY_ON_RESET, POLICY_DO_START, POLICY_STARTING, 0},
        {90004, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 100},
    };
    (void)session_play(session);
}

static void a_minute_of_ready_forgets_failures(void **state)
{
    (void)state;
    static const struct line session[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {1, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 100},
        {101, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {102, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 200},
        {302, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {303, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        /* healthy, but not for a minute: at once, and the count stands */
        {50000, POLICY_ON_GONE, POLICY_DO_START, POLICY_STARTING, 0},
        {50001, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 400},
        {50401, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {50402, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        {110402, POLICY_ON_GONE, POLICY_DO_START, POLICY_STARTING, 0},
        {110403, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 100},
    };
    (void)session_play(session);
}

static void a_hang_counts_from_when_it_was_noticed(void **state)
{
    (void)state;
    static const struct line before_ready[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {30000, POLICY_ON_HANG, POLICY_DO_NOTHING, POLICY_HUNG, 0},
        {30001, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_HUNG, 0},
        {32000, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 100},
    };
    static const struct line soon_after[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {10, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        {900, POLICY_ON_HANG, POLICY_DO_NOTHING, POLICY_HUNG, 0},
        {3900, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 100}, /* dying took long */
    };
    static const struct line later[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {10, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        {6000, POLICY_ON_HANG, POLICY_DO_NOTHING, POLICY_HUNG, 0},
        {8000, POLICY_ON_GONE, POLICY_DO_START, POLICY_STARTING, 0},
    };
    (void)session_play(before_ready);
    (void)session_play(soon_after);
    (void)session_play(later);
}

static void a_config_error_waits_for_the_config(void **state)
{
    (void)state;
    static const struct line session[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {5, POLICY_ON_CONFIG_ERROR, POLICY_DO_NOTHING, POLICY_CONFIG, 0},
        {90000, POLICY_ON_CONFIG_CHANGED, POLICY_DO_START, POLICY_STARTING, 0},
        /* the change was half written, and goes on while the worker reads it */
        {90001, POLICY_ON_CONFIG_CHANGED, POLICY_DO_NOTHING, POLICY_STARTING, 0},
        {90005, POLICY_ON_CONFIG_ERROR, POLICY_DO_START, POLICY_STARTING, 0},
        {90010, POLICY_ON_CONFIG_ERROR, POLICY_DO_NOTHING, POLICY_CONFIG, 0},
        {90020, POLICY_ON_RESET, POLICY_DO_START, POLICY_STARTING, 0},
        {90030, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
    };
    assert_int_equal(session_play(session).failures, 0);
}

static void the_operator_restarts_without_a_failure(void **state)
{
    (void)state;
    static const struct line session[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {10, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        {20, POLICY_ON_RESTART, POLICY_DO_STOP, POLICY_RESTARTING, 0},
        {21, POLICY_ON_RESTART, POLICY_DO_NOTHING, POLICY_RESTARTING, 0},
        {30, POLICY_ON_GONE, POLICY_DO_START, POLICY_STARTING, 0},
        {31, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 100},
        {32, POLICY_ON_RESTART, POLICY_DO_START, POLICY_STARTING, 0},
        {33, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 200},
    };
    (void)session_play(session);
}

static void a_stopped_worker_stays_stopped(void **state)
{
    (void)state;
    static const struct line running[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {10, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        {20, POLICY_ON_RESTART, POLICY_DO_STOP, POLICY_RESTARTING, 0},
        {25, POLICY_ON_STOP, POLICY_DO_STOP, POLICY_STOPPING, 0},
        {26, POLICY_ON_HANG, POLICY_DO_NOTHING, POLICY_STOPPING, 0},
        {30, POLICY_ON_GONE, POLICY_DO_NOTHING, POLICY_STOPPED, 0},
        {40, POLICY_ON_CONFIG_CHANGED, POLICY_DO_NOTHING, POLICY_STOPPED, 0},
        {50, POLICY_ON_RESET, POLICY_REFUSED, POLICY_STOPPED, 0},
        {50, POLICY_ON_RESTART, POLICY_REFUSED, POLICY_STOPPED, 0},
    };
    static const struct line waiting[] = {
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {10, POLICY_ON_GONE, POLICY_DO_WAIT, POLICY_BACKOFF, 100},
        {20, POLICY_ON_STOP, POLICY_DO_NOTHING, POLICY_STOPPED, 0},
        {110, POLICY_ON_DUE, POLICY_REFUSED, POLICY_STOPPED, 0},
    };
    (void)session_play(running);
    (void)session_play(waiting);
}

static void what_cannot_happen_is_refused(void **state)
{
    (void)state;
    static const struct line session[] = {
        {0, POLICY_ON_READY, POLICY_REFUSED, POLICY_BACKOFF, 0},
        {0, POLICY_ON_GONE, POLICY_REFUSED, POLICY_BACKOFF, 0},
        {0, POLICY_ON_DUE, POLICY_DO_START, POLICY_STARTING, 0},
        {0, POLICY_ON_DUE, POLICY_REFUSED, POLICY_STARTING, 0},
        {10, POLICY_ON_READY, POLICY_DO_NOTHING, POLICY_READY, 0},
        {11, POLICY_ON_READY, POLICY_REFUSED, POLICY_READY, 0},
    };
    (void)session_play(session);
}

static uint32_t random_counting(void *data)
{
    uint32_t *next = data;
    return (*next)++;
}

/* Over one whole turn of the random numbers, each wait of 75 to 125 ms comes once. */
static void jitter_is_even_and_bounded(void **state)
{
    (void)state;
    uint32_t next = 0;
    unsigned seen[126] = {0};
    for (int i = 0; i < 51; i++) {
        struct policy policy;
        policy_init(&policy, &limits, random_counting, &next);
        (void)policy_apply(&policy, POLICY_ON_DUE, 0);
        assert_int_equal(policy_apply(&policy, POLICY_ON_GONE, 0), POLICY_DO_WAIT);
        assert_in_range(policy.start_at_ms, 75, 125);
        seen[policy.start_at_ms]++;
    }
    for (int wait_ms = 75; wait_ms <= 125; wait_ms++)
        assert_int_equal(seen[wait_ms], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ready_worker_restarts_at_once_always),
        cmocka_unit_test(an_end_within_a_second_of_ready_is_a_failure),
        cmocka_unit_test(failures_double_the_wait_up_to_the_cap),
        cmocka_unit_test(a_minute_of_ready_forgets_failures),
        cmocka_unit_test(a_hang_counts_from_when_it_was_noticed),
        cmocka_unit_test(a_config_error_waits_for_the_config),
        cmocka_unit_test(the_operator_restarts_without_a_failure),
        cmocka_unit_test(a_stopped_worker_stays_stopped),
        cmocka_unit_test(what_cannot_happen_is_refused),
        cmocka_unit_test(jitter_is_even_and_bounded),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
