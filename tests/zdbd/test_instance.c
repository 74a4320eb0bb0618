/* A pool's 0-db through all its processes: what is wanted of it, and what becomes of it. */
#include "instbed.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>

static struct instbed bed;

static void end_it(int signal)
{
    assert_int_equal(kill(instbed_pid(&bed), signal), 0);
}

/* --- up -------------------------------------------------------------------------------------- */

static void it_comes_up(void)
{
    Storage__V1__ZDBInstance described;
    instbed_open(&bed, NULL);
    assert_int_equal(instance_state(bed.instance), IS(IDLE));
    assert_int_equal(instance_port(bed.instance), 0);
    instbed_up(&bed);
    assert_true(instbed_was_told(&bed, "zdb.launched"));
    assert_int_equal(instance_port(bed.instance), bed.port);
    instance_describe(bed.instance, &described);
    assert_string_equal(described.pool, INSTBED_POOL);
    assert_int_equal(described.uid, INSTBED_UID);
    assert_int_equal(described.port, bed.port);
    assert_int_equal(described.restarts, 0);
    assert_true(described.started_us > 0);
    assert_false(described.adopted);
    assert_false(described.binary_changed);
    assert_int_equal(access(described.socket, F_OK), 0);
    assert_string_equal(instbed_ask(&bed, "NSNEW", "mine"), "OK");
    instbed_close(&bed);
}

static void commands_wait_for_nobody(void)
{
    static const char *const ping[] = {"PING"};
    autoerr struct err err = {0};
    instbed_open(&bed, "start end 3\n");
    *instance_times() = (struct instance_times){
        .stop_ms = 5000, .backoff_min_ms = 60000, .backoff_max_ms = 60000, .launch_ms = 30000};
    instbed_want(&bed);
    (void)instbed_wait(&bed, IS(WAITING));
    (void)instbed_wait(&bed, IS(WAITING));
    assert_refused(instance_send(bed.instance, 1, ping, NULL, NULL, NULL, &err), &err,
                   ERR_UNAVAILABLE, "exit 3");
    assert_true(err.retryable);
    assert_in_range(err.retry_after_ms, 50000, 60000);
    instbed_close(&bed);
}

static void it_is_started_again_when_it_ends(void)
{
    Storage__V1__ZDBInstance described;
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    pid_t first = instbed_pid(&bed);
    end_it(SIGKILL);
    assert_string_equal(instbed_wait_told(&bed, "zdb.ended"), "signal 9 (Killed)");
    assert_int_equal(instbed_wait(&bed, IS(WAITING))->retry_in_ms, 0);
    (void)instbed_wait(&bed, IS(UP));
    instance_describe(bed.instance, &described);
    assert_int_not_equal(described.pid, first);
    assert_int_equal(described.restarts, 1);
    assert_int_equal(described.port, bed.port);
    assert_string_equal(described.reason, "signal 9 (Killed)");
    instbed_close(&bed);
}

static void it_is_killed_when_it_hangs(void)
{
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    pid_t first = instbed_pid(&bed);
    end_it(SIGSTOP);
    assert_non_null(strstr(instbed_wait_told(&bed, "zdb.hung"), "was not answered"));
    assert_string_equal(instbed_wait_told(&bed, "zdb.ended"), "signal 9 (Killed)");
    (void)instbed_wait(&bed, IS(UP));
    assert_int_not_equal(instbed_pid(&bed), first);
    assert_non_null(strstr(instance_reason(bed.instance), "was not answered"));
    instbed_close(&bed);
}

/* 0, then twice as long each time, up to a most; what was up for long enough begins anew. */
static void failures_take_ever_longer(void)
{
    static const uint32_t delays[] = {0, 2, 4, 8, 16, 16};
    instbed_open(&bed, "start end 3\n");
    instbed_want(&bed);
    for (size_t i = 0; i < array_length(delays); i++)
        assert_int_equal(instbed_wait(&bed, IS(WAITING))->retry_in_ms, delays[i]);
    instance_times()->forget_ms = 1;
    instbed_script(&bed, "");
    (void)instbed_wait(&bed, IS(UP));
    assert_string_equal(instbed_ask(&bed, "PING"), "PONG");
    instbed_until(&bed, uv_timer_get_due_in(&bed.instance->timer) == 0);
    end_it(SIGKILL);
    assert_int_equal(instbed_wait(&bed, IS(WAITING))->retry_in_ms, 0);
    instbed_close(&bed);
}

/* --- not any more ---------------------------------------------------------------------------- */

static void it_ends_when_nobody_wants_it(void)
{
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    pid_t pid = instbed_pid(&bed);
    instance_unwant(bed.instance, "nobody needs it");
    assert_int_equal(instance_state(bed.instance), IS(STOPPING));
    (void)instbed_wait(&bed, IS(IDLE));
    assert_string_equal(instance_reason(bed.instance), "nobody needs it");
    assert_int_equal(kill(pid, 0), -1);
    instance_unwant(bed.instance, "again");
    instance_restart(bed.instance, "again");
    assert_int_equal(instance_state(bed.instance), IS(IDLE));
    instbed_close(&bed);
}

static void one_that_ignores_the_request_is_killed(void)
{
    instbed_open(&bed, "start stubborn\n");
    instance_times()->stop_ms = 50;
    instbed_up(&bed);
    instance_unwant(bed.instance, "nobody needs it");
    assert_string_equal(instbed_wait_told(&bed, "zdb.ended"), "signal 9 (Killed)");
    (void)instbed_wait(&bed, IS(IDLE));
    instbed_close(&bed);
}

static void it_can_be_unwanted_at_any_time(void)
{
    instbed_open(&bed, "start silent\n");
    instbed_want(&bed);
    instance_unwant(bed.instance, "changed our mind");
    (void)instbed_wait(&bed, IS(IDLE));
    instbed_want(&bed);
    (void)instbed_wait_told(&bed, "zdb.launched");
    instance_unwant(bed.instance, "changed our mind");
    (void)instbed_wait(&bed, IS(IDLE));
    instbed_script(&bed, "start end 3\n");
    instance_times()->backoff_min_ms = instance_times()->backoff_max_ms = 600000;
    instbed_want(&bed);
    (void)instbed_wait(&bed, IS(WAITING));
    (void)instbed_wait(&bed, IS(WAITING));
    instance_unwant(bed.instance, "changed our mind");
    assert_int_equal(instance_state(bed.instance), IS(IDLE));
    instbed_close(&bed);
}

static void one_that_is_wanted_again_comes_back_at_once(void)
{
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    instance_unwant(bed.instance, "nobody needs it");
    instbed_want(&bed);
    assert_int_equal(instance_state(bed.instance), IS(STOPPING));
    assert_int_equal(instbed_wait(&bed, IS(WAITING))->retry_in_ms, 0);
    (void)instbed_wait(&bed, IS(UP));
    instbed_close(&bed);
}

static void a_restart_is_another_process_at_once(void)
{
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    pid_t first = instbed_pid(&bed);
    instance_restart(bed.instance, "for its new program");
    (void)instbed_wait(&bed, IS(STOPPING));
    assert_int_equal(instbed_wait(&bed, IS(WAITING))->retry_in_ms, 0);
    (void)instbed_wait(&bed, IS(UP));
    assert_int_not_equal(instbed_pid(&bed), first);
    assert_string_equal(instance_reason(bed.instance), "for its new program");
    instbed_close(&bed);
}

static void a_restart_does_not_wait(void)
{
    instbed_open(&bed, "start end 3\n");
    instance_times()->backoff_min_ms = instance_times()->backoff_max_ms = 600000;
    instbed_want(&bed);
    (void)instbed_wait(&bed, IS(WAITING));
    (void)instbed_wait(&bed, IS(WAITING));
    instbed_script(&bed, "");
    instance_restart(bed.instance, "at once");
    (void)instbed_wait(&bed, IS(UP));
    end_it(SIGKILL);
    assert_int_equal(instbed_wait(&bed, IS(WAITING))->retry_in_ms, 0);
    instbed_close(&bed);
}

/* --- from one zdbd to the next --------------------------------------------------------------- */

static void the_next_one_adopts_it(void)
{
    Storage__V1__ZDBInstance described;
    autoerr struct err err = {0};
    instbed_open(&bed, NULL);
    assert_int_equal(instance_adopt(bed.instance, NULL), -ERR_NOT_FOUND);
    instbed_up(&bed);
    pid_t pid = instbed_pid(&bed);
    instbed_renew(&bed);
    assert_ok(instance_adopt(bed.instance, &err), &err);
    (void)instbed_wait(&bed, IS(UP));
    assert_true(instbed_was_told(&bed, "zdb.adopted"));
    instance_describe(bed.instance, &described);
    assert_int_equal(described.pid, pid);
    assert_int_equal(described.port, bed.port);
    assert_true(described.adopted);
    instbed_want(&bed);
    end_it(SIGKILL);
    (void)instbed_wait_told(&bed, "zdb.ended");
    (void)instbed_wait(&bed, IS(UP));
    instance_describe(bed.instance, &described);
    assert_int_not_equal(described.pid, pid);
    assert_false(described.adopted);
    assert_int_equal(described.restarts, 1);
    instbed_close(&bed);
    instbed_open(&bed, NULL);
    assert_int_equal(instance_adopt(bed.instance, NULL), -ERR_NOT_FOUND);
    instbed_close(&bed);
}

static void one_that_nobody_wants_is_adopted_and_ends(void)
{
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    instbed_renew(&bed);
    assert_int_equal(instance_adopt(bed.instance, NULL), 0);
    instance_unwant(bed.instance, "its pool is gone");
    (void)instbed_wait(&bed, IS(IDLE));
    assert_int_equal(instance_adopt(bed.instance, NULL), -ERR_NOT_FOUND);
    instbed_close(&bed);
}

static void one_that_hangs_is_adopted_and_killed(void)
{
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    pid_t pid = instbed_pid(&bed);
    end_it(SIGSTOP);
    instbed_renew(&bed);
    assert_int_equal(instance_adopt(bed.instance, NULL), 0);
    instbed_want(&bed);
    (void)instbed_wait_told(&bed, "zdb.hung");
    assert_string_equal(instbed_wait_told(&bed, "zdb.ended"), "ended");
    (void)instbed_wait(&bed, IS(UP));
    assert_int_not_equal(instbed_pid(&bed), pid);
    instbed_close(&bed);
}

/* Whoever did not ask first finds the home locked. */
static void one_that_was_not_looked_for_is_adopted_all_the_same(void)
{
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    pid_t pid = instbed_pid(&bed);
    instbed_renew(&bed);
    instbed_up(&bed);
    assert_int_equal(instbed_pid(&bed), pid);
    assert_true(instbed_was_told(&bed, "zdb.adopted"));
    instbed_close(&bed);
}

static void a_home_that_a_stranger_holds_is_waited_for(void)
{
    instbed_open(&bed, NULL);
    int home = open(bed.home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(home, LOCK_EX | LOCK_NB), 0);
    instbed_want(&bed);
    assert_non_null(strstr(instbed_wait_told(&bed, "zdb.failed"), "lock"));
    (void)close(home);
    (void)instbed_wait(&bed, IS(UP));
    instbed_close(&bed);
}

/* --- ports ----------------------------------------------------------------------------------- */

static void a_busy_port_is_passed_over(void)
{
    instbed_open(&bed, NULL);
    autoclose int first = instbed_hold(bed.port);
    autoclose int second = instbed_hold((uint16_t)(bed.port + 1));
    instbed_up(&bed);
    assert_int_equal(instance_port(bed.instance), bed.port + 2);
    instbed_close(&bed);
}

static void the_ports_are_a_ring(void)
{
    instbed_open(&bed, NULL);
    autoclose int last = instbed_hold((uint16_t)(bed.port + 2));
    uint16_t first = bed.port;
    bed.port += 2;
    instbed_up(&bed);
    assert_int_equal(instance_port(bed.instance), first);
    instbed_close(&bed);
}

static void when_all_ports_are_busy_it_waits(void)
{
    int held[INSTBED_PORTS];
    instbed_open(&bed, NULL);
    for (int i = 0; i < INSTBED_PORTS; i++)
        held[i] = instbed_hold((uint16_t)(bed.port + i));
    instbed_want(&bed);
    (void)instbed_wait(&bed, IS(WAITING));
    assert_true(instbed_was_told(&bed, "zdb.failed"));
    (void)close(held[1]);
    (void)instbed_wait(&bed, IS(UP));
    assert_int_equal(instance_port(bed.instance), bed.port + 1);
    (void)close(held[0]);
    (void)close(held[2]);
    instbed_close(&bed);
}

static void a_kept_port_is_waited_for(void)
{
    char port[8];
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    instance_unwant(bed.instance, "for now");
    (void)instbed_wait(&bed, IS(IDLE));
    int held = instbed_hold(bed.port);
    assert_true(held >= 0);
    instbed_want(&bed);
    (void)instbed_wait(&bed, IS(WAITING));
    (void)snprintf(port, sizeof port, "%u", bed.port);
    assert_non_null(strstr(instance_reason(bed.instance), port));
    (void)close(held);
    (void)instbed_wait(&bed, IS(UP));
    assert_int_equal(instance_port(bed.instance), bed.port);
    instbed_close(&bed);
}

/* --- the end --------------------------------------------------------------------------------- */

static void count_unheard(const redisReply *reply, const struct err *err, void *data)
{
    assert_null(reply);
    assert_int_equal(err->code, ERR_UNAVAILABLE);
    ++*(unsigned *)data;
}

static void it_can_be_let_go_of_at_any_time(void)
{
    static const char *const ping[] = {"PING"};
    unsigned n = 0;
    instbed_open(&bed, NULL);
    instbed_want(&bed);
    instbed_renew(&bed);
    instbed_up(&bed);
    pid_t pid = instbed_pid(&bed);
    assert_int_equal(instance_send(bed.instance, 1, ping, NULL, count_unheard, &n, NULL), 0);
    size_t n_told = bed.n_told, n_changes = bed.n_changes;
    instbed_renew(&bed);
    assert_int_equal(n, 1);
    assert_int_equal(bed.n_told, n_told);
    assert_int_equal(bed.n_changes, n_changes);
    assert_int_equal(kill(pid, 0), 0);
    instbed_up(&bed);
    assert_int_equal(instbed_pid(&bed), pid);
    instance_unwant(bed.instance, "the end");
    instbed_close(&bed);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(it_comes_up),
        harness_case(commands_wait_for_nobody),
        harness_case(it_is_started_again_when_it_ends),
        harness_case(it_is_killed_when_it_hangs),
        harness_case(failures_take_ever_longer),
        harness_case(it_ends_when_nobody_wants_it),
        harness_case(one_that_ignores_the_request_is_killed),
        harness_case(it_can_be_unwanted_at_any_time),
        harness_case(one_that_is_wanted_again_comes_back_at_once),
        harness_case(a_restart_is_another_process_at_once),
        harness_case(a_restart_does_not_wait),
        harness_case(the_next_one_adopts_it),
        harness_case(one_that_nobody_wants_is_adopted_and_ends),
        harness_case(one_that_hangs_is_adopted_and_killed),
        harness_case(one_that_was_not_looked_for_is_adopted_all_the_same),
        harness_case(a_home_that_a_stranger_holds_is_waited_for),
        harness_case(a_busy_port_is_passed_over),
        harness_case(the_ports_are_a_ring),
        harness_case(when_all_ports_are_busy_it_waits),
        harness_case(a_kept_port_is_waited_for),
        harness_case(it_can_be_let_go_of_at_any_time),
    };
    return instbed_main(argc, argv, "zdbd_instance", cases, array_length(cases));
}
