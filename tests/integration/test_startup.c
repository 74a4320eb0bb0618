/* The first start of storaged's workers: in turns where processors are few, and nobody holds the
 * others up. Needs root. */
#include "supervised.h"

#include "base/cleanup.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Only an event lets the next one start. */
static const char *const patient[] = {"--set", "supervisor.beat_ms=30000", NULL};

static struct supervised node;
static cpu_set_t all;

static int create(void **state)
{
    (void)state;
    supervised_create(&node);
    return sched_getaffinity(0, sizeof all, &all);
}

static int destroy(void **state)
{
    (void)state;
    supervised_destroy(&node);
    return sched_setaffinity(0, sizeof all, &all);
}

/* What is started from now on has one processor. */
static void take_one_processor(void)
{
    cpu_set_t one;
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
}

static void the_next_one_starts_when_the_first_is_ready(void **state)
{
    (void)state;
    take_one_processor();
    supervised_start(&node, "ready busy", patient);
    supervised_wait_log(&node, "msg=\"worker ready\"", "worker=ready");
    supervised_wait_log(&node, "msg=\"worker started\"", "worker=busy");
    supervised_wait_ready(&node, "busy");
    supervised_stop(&node);
}

static void the_next_one_starts_when_the_first_has_failed(void **state)
{
    (void)state;
    take_one_processor();
    supervised_start(&node, "exits ready", patient);
    supervised_wait_log(&node, "msg=\"worker failed\"", "worker=exits");
    supervised_wait_log(&node, "msg=\"worker started\"", "worker=ready");
    supervised_wait_ready(&node, "ready");
    supervised_stop(&node);
}

static void nobody_waits_for_long_for_a_mute_one(void **state)
{
    static const char *const flags[] = {"--set", "supervisor.stop_ms=300", NULL};
    (void)state;
    take_one_processor();
    supervised_start(&node, "mute ready", flags);
    supervised_wait_ready(&node, "ready");
    assert_false(supervised_has_logged(&node, "worker hung"));
    supervised_stop(&node);
}

static void one_that_was_not_started_yet_is_stopped_with_the_others(void **state)
{
    static const char *const flags[] = {"--set", "supervisor.beat_ms=30000", "--set",
                                        "supervisor.stop_ms=300", NULL};
    (void)state;
    take_one_processor();
    supervised_start(&node, "stubborn mute ready", flags);
    supervised_wait_log(&node, "msg=\"worker started\"", "worker=stubborn");
    assert_int_equal(kill(node.pid, SIGTERM), 0);
    assert_int_equal(supervised_wait_exit(&node), 0);
    assert_false(supervised_has_logged(&node, "impossible"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_next_one_starts_when_the_first_is_ready, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(the_next_one_starts_when_the_first_has_failed, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(nobody_waits_for_long_for_a_mute_one, create, destroy),
        cmocka_unit_test_setup_teardown(one_that_was_not_started_yet_is_stopped_with_the_others,
                                        create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
