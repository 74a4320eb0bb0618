/*
 * storaged itself, with scripted workers: it restarts what dies, ends what hangs, leaves with its
 * workers, and lets nobody at its control socket hold it up. Needs root.
 */
#include "supervised.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define RESTART  STORAGE__V1__CONTROL_REQUEST__VERB_RESTART
#define RESET    STORAGE__V1__CONTROL_REQUEST__VERB_RESET
#define SHUTDOWN STORAGE__V1__CONTROL_REQUEST__VERB_SHUTDOWN

#define STATE_READY   STORAGE__V1__WORKER_STATE__WORKER_STATE_READY
#define STATE_CONFIG  STORAGE__V1__WORKER_STATE__WORKER_STATE_CONFIG
#define STATE_FAILING STORAGE__V1__WORKER_STATE__WORKER_STATE_FAILING

enum {
    SLEEP_MS = 1500,      /* much more than the 500 ms of five beats */
    HANG_WINDOW_MS = 700, /* a little more than them */
};

static struct supervised node;

static int create(void **state)
{
    (void)state;
    supervised_create(&node);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    supervised_destroy(&node);
    return 0;
}

static void start(const char *workers)
{
    supervised_start(&node, workers, NULL);
}

static pid_t restart_after(pid_t pid, int signal_number)
{
    assert_int_equal(kill(pid, signal_number), 0);
    pid_t next = supervised_wait_ready(&node, "ready");
    assert_int_not_equal(next, pid);
    return next;
}

static uint32_t count_restarts(const char *worker)
{
    Storage__V1__ControlReply *reply = supervised_list(&node);
    uint32_t restarts = supervised_find(reply, worker)->restarts;
    supervised_free(reply);
    return restarts;
}

/* Lists until the worker's incarnation is older than healthy_ms. */
static void wait_healthy(const char *worker)
{
    uint64_t age_us = 0;
    while (age_us < 5000) {
        Storage__V1__ControlReply *reply = supervised_list(&node);
        age_us = clock_realtime_us() - supervised_find(reply, worker)->since_us;
        supervised_free(reply);
    }
}

/* ---- restarts ---- */

static void a_killed_worker_is_back_at_once(void **state)
{
    (void)state;
    start("ready");
    pid_t pid = supervised_wait_ready(&node, "ready");
    wait_healthy("ready");
    pid = restart_after(pid, SIGKILL);
    wait_healthy("ready");
    pid = restart_after(pid, SIGUSR2);
    wait_healthy("ready");

    Storage__V1__ControlReply *reply = supervised_list(&node);
    const Storage__V1__Worker *worker = supervised_find(reply, "ready");
    assert_int_equal(worker->state, STATE_READY);
    assert_int_equal(worker->restarts, 2);
    assert_int_equal(worker->pid, pid);
    assert_string_equal(worker->exit_reason, "exit 4");
    assert_string_equal(worker->status, "ok");
    assert_int_equal(reply->list->supervisor_pid, node.pid);
    supervised_free(reply);
    assert_false(supervised_has_logged(&node, "worker failed"));
    assert_true(supervised_has_logged(&node, "reason=\"signal 9 (Killed)\""));
    supervised_stop(&node);
}

static void epochs_grow(void **state)
{
    uint64_t last = 0;
    (void)state;
    start("ready exits");
    for (int i = 0; i < 4; i++) {
        const char *line = supervised_wait_log(&node, "msg=\"worker started\"", NULL);
        uint64_t epoch = strtoull(strstr(line, " epoch=") + strlen(" epoch="), NULL, 10);
        assert_true(epoch > last);
        last = epoch;
    }
    supervised_stop(&node);
}

static void wait_failure(const char *msg, int failures, int wait_ms)
{
    const char *line = supervised_wait_log(&node, msg, "worker=exits");
    assert_int_equal(supervised_number(line, "failures="), failures);
    assert_in_range(supervised_number(line, "next_start_ms="), wait_ms * 3 / 4 - 2,
                    wait_ms * 5 / 4);
}

static void a_failing_worker_backs_off_until_it_is_reset(void **state)
{
    (void)state;
    start("exits");
    wait_failure("msg=\"worker failed\"", 1, 40);
    wait_failure("msg=\"worker failed\"", 2, 80);
    wait_failure("msg=\"worker keeps failing\"", 3, 160);
    wait_failure("msg=\"worker keeps failing\"", 4, 160);
    assert_int_equal(supervised_verb(&node, RESET, "exits"), STORAGE__V1__CODE__OK);
    wait_failure("msg=\"worker failed\"", 1, 40);
    supervised_stop(&node);
}

static void the_last_words_are_kept(void **state)
{
    bool found = false;
    (void)state;
    supervised_start(&node, "exits",
                     (const char *const[]){"--set", "supervisor.backoff_min_ms=30000", "--set",
                                           "supervisor.backoff_max_ms=30000", NULL});
    (void)supervised_wait_log(&node, "msg=\"worker keeps failing\"", NULL);
    Storage__V1__ControlReply *reply = supervised_list(&node);
    const Storage__V1__Worker *worker = supervised_find(reply, "exits");
    assert_int_equal(worker->state, STATE_FAILING);
    assert_int_equal(worker->pid, 0);
    assert_in_range(worker->next_start_ms, 1, 37500);
    assert_string_equal(worker->exit_reason, "exit 1");
    for (size_t i = 0; i < worker->n_last_log; i++)
        found = found || strstr(worker->last_log[i], "the baker is ill");
    assert_true(found);
    supervised_free(reply);
    supervised_stop(&node);
}

static void a_config_error_waits_for_the_config(void **state)
{
    (void)state;
    start("ready");
    (void)supervised_wait_ready(&node, "ready");
    supervised_write_config(&node, "[nonsense]\nkey = value\n");
    assert_int_equal(supervised_verb(&node, RESTART, "ready"), STORAGE__V1__CODE__OK);
    (void)supervised_wait_log(&node, "waits for its config to change", "worker=ready");
    Storage__V1__ControlReply *reply = supervised_list(&node);
    assert_int_equal(supervised_find(reply, "ready")->state, STATE_CONFIG);
    assert_string_equal(supervised_find(reply, "ready")->exit_reason, "exit 78");
    supervised_free(reply);
    /* told to look again, it finds the same */
    assert_int_equal(kill(node.pid, SIGHUP), 0);
    (void)supervised_wait_log(&node, "waits for its config to change", "worker=ready");
    /* the file is mended: that is enough */
    supervised_write_config(&node, "");
    (void)supervised_wait_ready(&node, "ready");
    supervised_stop(&node);
}

static void a_missing_program_is_a_failure_like_any(void **state)
{
    (void)state;
    start("nobody");
    (void)supervised_wait_log(&node, "msg=\"worker failed\"", "cannot execute");
    supervised_stop(&node);
}

/* ---- hangs ---- */

static void a_hung_worker_is_aborted_and_replaced(void **state)
{
    (void)state;
    start("ready");
    pid_t pid = supervised_wait_ready(&node, "ready");
    (void)restart_after(pid, SIGUSR1);
    Storage__V1__ControlReply *reply = supervised_list(&node);
    assert_string_equal(supervised_find(reply, "ready")->exit_reason,
                        "hung: no beat for 500 ms, ended by signal 6 (Aborted)");
    supervised_free(reply);
    supervised_stop(&node);
}

static void a_mute_worker_is_ended(void **state)
{
    (void)state;
    supervised_start(&node, "mute",
                     (const char *const[]){"--set", "supervisor.ready_ms=300", NULL});
    (void)supervised_wait_log(&node, "msg=\"worker hung\"", "not READY after 300 ms");
    (void)supervised_wait_log(&node, "msg=\"worker failed\"", "failures=1");
    supervised_stop(&node);
}

static pid_t read_helper(void)
{
    Storage__V1__ControlReply *reply = supervised_list(&node);
    pid_t pid = (pid_t)strtol(supervised_find(reply, "clings")->status, NULL, 10);
    supervised_free(reply);
    assert_true(pid > 0);
    return pid;
}

/* A process that shares the descriptor table stands for a thread that the kernel does not let go.
 */
static void a_dying_worker_lets_go_of_its_descriptors(void **state)
{
    (void)state;
    start("clings");
    pid_t pid = supervised_wait_ready(&node, "clings");
    pid_t helper = read_helper();
    assert_int_equal(kill(pid, SIGUSR1), 0);
    (void)supervised_wait_log(&node, "msg=\"worker hung\"", NULL);
    (void)supervised_wait_ready(&node, "clings"); /* it has the lock and the sockets */
    assert_int_equal(kill(helper, 0), 0);
    assert_int_equal(kill(helper, SIGKILL), 0);

    helper = read_helper();
    supervised_stop(&node);
    assert_int_equal(kill(helper, SIGKILL), 0);
}

static void a_lock_that_is_never_let_go_names_its_holder(void **state)
{
    char expected[64];
    (void)state;
    start("clings");
    pid_t pid = supervised_wait_ready(&node, "clings");
    pid_t helper = read_helper();
    assert_int_equal(kill(pid, SIGKILL), 0); /* nothing is closed */
    (void)snprintf(expected, sizeof expected, "pid %d holds the lock", (int)pid);
    (void)supervised_wait_log(&node, "msg=\"cannot start\"", expected);
    assert_int_equal(kill(helper, SIGKILL), 0);
    (void)supervised_wait_ready(&node, "clings");
    helper = read_helper();
    supervised_stop(&node);
    assert_int_equal(kill(helper, SIGKILL), 0);
}

static void a_sleep_of_the_supervisor_harms_nobody(void **state)
{
    (void)state;
    start("ready");
    autoclose int pidfd = supervised_pidfd(supervised_wait_ready(&node, "ready"));
    assert_int_equal(kill(node.pid, SIGSTOP), 0);
    assert_true(supervised_outlives(pidfd, SLEEP_MS));
    assert_int_equal(kill(node.pid, SIGCONT), 0);
    assert_true(supervised_outlives(pidfd, HANG_WINDOW_MS));
    assert_false(supervised_has_logged(&node, "worker hung"));
    supervised_stop(&node);
}

/* ---- the end ---- */

static void workers_die_with_the_supervisor(void **state)
{
    (void)state;
    start("ready busy");
    supervised_wait_all_ready(&node, 2);
    Storage__V1__ControlReply *reply = supervised_list(&node);
    autoclose int first = supervised_pidfd(supervised_find(reply, "ready")->pid);
    autoclose int second = supervised_pidfd(supervised_find(reply, "busy")->pid);
    supervised_free(reply);
    assert_int_equal(kill(node.pid, SIGKILL), 0);
    supervised_wait_gone(first);
    supervised_wait_gone(second);
    assert_int_equal(supervised_wait_exit(&node), 128 + SIGKILL);
    /* the next one finds stale sockets and free locks */
    start("ready busy");
    supervised_wait_all_ready(&node, 2);
    supervised_stop(&node);
}

static void a_second_instance_names_the_first(void **state)
{
    (void)state;
    char expected[64];
    start("ready");
    (void)supervised_wait_ready(&node, "ready");
    pid_t first = node.pid;
    int first_stderr = node.stderr_fd;
    node.stderr_fd = -1;

    start("ready");
    (void)snprintf(expected, sizeof expected, "pid %d holds the lock", (int)first);
    (void)supervised_wait_log(&node, "msg=\"cannot start\"", expected);
    assert_int_equal(supervised_wait_exit(&node), 1);

    (void)close(node.stderr_fd);
    node.stderr_fd = first_stderr;
    node.pid = first;
    supervised_stop(&node);
}

static void sigterm_stops_in_reverse_order(void **state)
{
    char path[128];
    (void)state;
    start("ready busy");
    supervised_wait_all_ready(&node, 2);
    supervised_stop(&node);
    (void)supervised_wait_log(&node, "msg=\"worker ended\" worker=busy", "exit 0");
    (void)supervised_wait_log(&node, "msg=\"worker ended\" worker=ready", "exit 0");
    (void)supervised_wait_log(&node, "msg=\"storaged ends\"", NULL);
    (void)snprintf(path, sizeof path, "%s/control.sock", node.run_dir);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_stubborn_worker_is_stopped_by_force(void **state)
{
    (void)state;
    supervised_start(&node, "stubborn",
                     (const char *const[]){"--set", "supervisor.stop_ms=300", NULL});
    (void)supervised_wait_ready(&node, "stubborn");
    supervised_stop(&node);
    (void)supervised_wait_log(&node, "msg=\"worker hung\"", "did not stop within 300 ms");
}

/* While one still ends, the others begin nothing new. */
static void all_refuse_changes_before_the_first_ends(void **state)
{
    (void)state;
    supervised_start(&node, "ready stubborn",
                     (const char *const[]){"--set", "supervisor.stop_ms=1000", NULL});
    supervised_wait_all_ready(&node, 2);
    assert_int_equal(kill(node.pid, SIGTERM), 0);
    (void)supervised_wait_log(&node, "ready msg=\"no more changes are taken\"", NULL);
    (void)supervised_wait_log(&node, "msg=\"worker hung\"", "worker=stubborn");
    assert_int_equal(supervised_wait_exit(&node), 0);
}

static int ask_for_shutdown(void)
{
    autoclose int fd = supervised_connect(&node);
    Storage__V1__ShutdownRequest shutdown_request = STORAGE__V1__SHUTDOWN_REQUEST__INIT;
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    request.version = 1;
    request.verb_case = SHUTDOWN;
    request.shutdown = &shutdown_request;
    uint8_t packet[64];
    size_t length = storage__v1__control_request__pack(&request, packet);
    assert_int_equal(send(fd, packet, length, MSG_NOSIGNAL), length);
    return take_fd(&fd);
}

static void shutdown_is_refused(int fd, const char *blocker)
{
    Storage__V1__ControlReply *reply = supervised_receive(fd);
    assert_non_null(reply);
    assert_int_equal(reply->status->code, STORAGE__V1__CODE__FAILED_PRECONDITION);
    assert_int_equal(reply->status->details->n_blockers, 1);
    assert_string_equal(reply->status->details->blockers[0], blocker);
    for (size_t i = 0; i < reply->list->n_workers; i++)
        assert_int_equal(reply->list->workers[i]->state,
                         STORAGE__V1__WORKER_STATE__WORKER_STATE_STOPPED);
    supervised_free(reply);
    assert_int_equal(supervised_wait_exit(&node), 0);
}

static void shutdown_tells_what_is_left_busy(void **state)
{
    (void)state;
    start("ready busy");
    supervised_wait_all_ready(&node, 2);
    autoclose int fd = ask_for_shutdown();
    shutdown_is_refused(fd, "busy: /mnt/x is held by pid 1");
}

/* Who is not there to unmount leaves everything mounted: that must not look like success. */
static void shutdown_tells_who_was_down(void **state)
{
    (void)state;
    supervised_start(&node, "ready exits",
                     (const char *const[]){"--set", "supervisor.backoff_min_ms=30000", "--set",
                                           "supervisor.backoff_max_ms=30000", NULL});
    (void)supervised_wait_log(&node, "msg=\"worker keeps failing\"", NULL);
    autoclose int fd = ask_for_shutdown();
    shutdown_is_refused(
        fd, "exits was ending or down already and could not be told to unmount: exit 1");
}

static void shutdown_tells_who_was_being_restarted(void **state)
{
    (void)state;
    supervised_start(&node, "stubborn",
                     (const char *const[]){"--set", "supervisor.stop_ms=1000", NULL});
    (void)supervised_wait_ready(&node, "stubborn");
    assert_int_equal(supervised_verb(&node, RESTART, "stubborn"), STORAGE__V1__CODE__OK);
    autoclose int fd = ask_for_shutdown();
    shutdown_is_refused(fd, "stubborn was ending or down already and could not be told to unmount: "
                            "hung: did not stop within 1000 ms, ended by signal 6 (Aborted)");
}

static void shutdown_tells_who_died_of_it(void **state)
{
    (void)state;
    start("stubborn");
    pid_t pid = supervised_wait_ready(&node, "stubborn");
    autoclose int fd = ask_for_shutdown();
    (void)supervised_wait_log(&node, "msg=no", NULL); /* it has heard */
    assert_int_equal(kill(pid, SIGKILL), 0);
    shutdown_is_refused(fd, "stubborn did not end well: signal 9 (Killed)");
}

static void shutdown_with_nothing_left_is_ok(void **state)
{
    (void)state;
    start("ready");
    (void)supervised_wait_ready(&node, "ready");
    assert_int_equal(supervised_verb(&node, SHUTDOWN, NULL), STORAGE__V1__CODE__OK);
    assert_int_equal(supervised_wait_exit(&node), 0);
}

static void a_broken_stderr_is_survived(void **state)
{
    (void)state;
    start("ready");
    autoclose int pidfd = supervised_pidfd(supervised_wait_ready(&node, "ready"));
    (void)close(node.stderr_fd);
    node.stderr_fd = -1;
    assert_int_equal(supervised_verb(&node, RESTART, "ready"), STORAGE__V1__CODE__OK);
    supervised_wait_gone(pidfd);
    while (count_restarts("ready") != 1) /* reaped, and started again: ctest's timeout is the end */
        continue;
    supervised_stop(&node);
}

#define supervised_test(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        supervised_test(a_killed_worker_is_back_at_once),
        supervised_test(epochs_grow),
        supervised_test(a_failing_worker_backs_off_until_it_is_reset),
        supervised_test(the_last_words_are_kept),
        supervised_test(a_config_error_waits_for_the_config),
        supervised_test(a_missing_program_is_a_failure_like_any),
        supervised_test(a_hung_worker_is_aborted_and_replaced),
        supervised_test(a_mute_worker_is_ended),
        supervised_test(a_dying_worker_lets_go_of_its_descriptors),
        supervised_test(a_lock_that_is_never_let_go_names_its_holder),
        supervised_test(a_sleep_of_the_supervisor_harms_nobody),
        supervised_test(workers_die_with_the_supervisor),
        supervised_test(a_second_instance_names_the_first),
        supervised_test(sigterm_stops_in_reverse_order),
        supervised_test(a_stubborn_worker_is_stopped_by_force),
        supervised_test(all_refuse_changes_before_the_first_ends),
        supervised_test(shutdown_tells_what_is_left_busy),
        supervised_test(shutdown_tells_who_was_down),
        supervised_test(shutdown_tells_who_was_being_restarted),
        supervised_test(shutdown_tells_who_died_of_it),
        supervised_test(shutdown_with_nothing_left_is_ok),
        supervised_test(a_broken_stderr_is_survived),
    };
    if (geteuid() != 0) {
        (void)fprintf(stderr, "skipped: storaged runs as root only\n");
        return 77;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
