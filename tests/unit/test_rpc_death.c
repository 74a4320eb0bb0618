/*
 * Servers that die, hang, or are not there, and callers that are nobody: each in a process of its
 * own. This program is also those processes: `serve` is a server, `visit` a client without rights.
 */
#include "rpc_fixture.h"

#include "base/clock.h"

#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { NOBODY = 65534 };

static char *program;

struct child {
    uv_process_t process;
    unsigned exited;
    int64_t status;
};

static void on_child_exit(uv_process_t *process, int64_t status, int signal)
{
    (void)signal;
    struct child *child = process->data;
    child->exited++;
    child->status = status;
}

static void spawn(struct fixture *fixture, struct child *child, char *role, const char *argument)
{
    char *arguments[] = {program, role, fixture->url, (char *)argument, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = 1},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
    };
    uv_process_options_t options = {.file = program,
                                    .args = arguments,
                                    .exit_cb = on_child_exit,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    memset(child, 0, sizeof *child);
    child->process.data = child;
    assert_int_equal(uv_spawn(&fixture->loop, &child->process, &options), 0);
}

static void bury(struct fixture *fixture, struct child *child)
{
    fixture_run_until(fixture, &child->exited, 1);
    uv_close((uv_handle_t *)&child->process, NULL);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

static void kill_server(struct fixture *fixture, struct child *child)
{
    assert_int_equal(uv_process_kill(&child->process, SIGKILL), 0);
    bury(fixture, child);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture_prepare(fixture);
    fixture->client = fixture_connect(fixture);
    *state = fixture;
    return 0;
}

static const struct rpc_call_options waits = {.wait = true, .deadline_ms = 15000};

static void no_server_is_said_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    uint64_t begun = clock_monotonic_ms();
    call(fixture, fixture->client, "Read", "", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_UNAVAILABLE);
    assert_true(seen.err.retryable);
    assert_true(clock_monotonic_ms() - begun < 1000);
    assert_false(rpc_client_connected(fixture->client));
}

static void no_server_is_waited_for_until_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    struct rpc_call_options options = {.wait = true, .deadline_ms = 300};
    uint64_t begun = clock_monotonic_ms();
    call(fixture, fixture->client, "Read", "", &options, &seen);
    uint64_t took = clock_monotonic_ms() - begun;
    assert_int_equal(seen.err.code, ERR_DEADLINE_EXCEEDED);
    assert_true(took >= 300 && took < 2000);
}

static void a_server_that_comes_late_is_used(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    struct child server;
    begin(fixture->client, "Read", "early", &waits, &seen);
    fixture_run_for(fixture, 100);
    assert_int_equal(seen.times, 0);
    spawn(fixture, &server, (char *)"serve", "1");
    fixture_run_until(fixture, &seen.times, 1);
    assert_int_equal(seen.err.code, ERR_OK);
    assert_int_equal(seen.epoch, 1);
    kill_server(fixture, &server);
}

static void a_death_is_told_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0}, ready = {0};
    struct child server;
    spawn(fixture, &server, (char *)"serve", "1");
    call(fixture, fixture->client, "Read", "", &waits, &ready);
    begin(fixture->client, "Hold", "", NULL, &seen);
    call(fixture, fixture->client, "Read", "", &waits, &ready); /* Hold has arrived before */
    kill_server(fixture, &server);
    fixture_run_until(fixture, &seen.times, 1);
    assert_int_equal(seen.err.code, ERR_UNAVAILABLE);
    assert_true(seen.err.retryable);
    assert_int_equal(seen.epoch, 0);
}

static void a_waiting_call_survives_its_server(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0}, ready = {0};
    struct child server;
    spawn(fixture, &server, (char *)"serve", "1");
    call(fixture, fixture->client, "Read", "", &waits, &ready);
    assert_int_equal(uv_process_kill(&server.process, SIGSTOP), 0);
    begin(fixture->client, "Change", "kept", &waits, &seen);
    fixture_run_for(fixture, 50);
    kill_server(fixture, &server);
    spawn(fixture, &server, (char *)"serve",
          "2"); /* over the socket file that the first one left */
    fixture_run_until(fixture, &seen.times, 1);
    assert_int_equal(seen.err.code, ERR_OK);
    assert_int_equal(seen.epoch, 2);
    assert_string_equal(seen.text, "kept");
    kill_server(fixture, &server);
}

static void a_server_that_hangs_ends_in_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    struct child server;
    spawn(fixture, &server, (char *)"serve", "1");
    call(fixture, fixture->client, "Read", "", &waits, &seen);
    assert_int_equal(uv_process_kill(&server.process, SIGSTOP), 0);
    struct rpc_call_options options = {.deadline_ms = 200};
    uint64_t begun = clock_monotonic_ms();
    call(fixture, fixture->client, "Change", "", &options, &seen);
    uint64_t took = clock_monotonic_ms() - begun;
    assert_int_equal(seen.err.code, ERR_DEADLINE_EXCEEDED);
    assert_int_equal(seen.epoch, 0); /* the client says so: nobody answered */
    assert_true(took >= 200 && took < 2000);
    assert_int_equal(uv_process_kill(&server.process, SIGCONT), 0);
    call(fixture, fixture->client, "Read", "again", &waits, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    kill_server(fixture, &server);
}

/* As one that was killed, with a thread in the kernel for good: its connections stay open. */
static void a_successor_is_asked_in_place_of_one_that_hangs(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0}, change = {0}, read = {0};
    struct child old, successor;
    spawn(fixture, &old, (char *)"serve", "1");
    call(fixture, fixture->client, "Read", "", &waits, &seen);
    assert_int_equal(uv_process_kill(&old.process, SIGSTOP), 0);
    begin(fixture->client, "Change", "", NULL, &change);
    begin(fixture->client, "Read", "", &waits, &read);
    uint64_t begun = clock_monotonic_ms();
    spawn(fixture, &successor, (char *)"serve", "2");
    fixture_run_until(fixture, &change.times, 1);
    fixture_run_until(fixture, &read.times, 1);
    assert_true(clock_monotonic_ms() - begun < 5000);
    assert_int_equal(change.err.code, ERR_UNAVAILABLE);
    assert_int_equal(read.err.code, ERR_OK);
    assert_int_equal(read.epoch, 2);
    assert_int_equal(uv_process_kill(&old.process, SIGCONT), 0);
    kill_server(fixture, &old);
    kill_server(fixture, &successor);
}

static void a_drained_server_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    fixture_serve(fixture);
    rpc_server_drain(fixture->server);
    begin(fixture->client, "Change", "patient", &waits, &seen);
    fixture_run_for(fixture, 250);
    assert_int_equal(seen.times, 0);
    fixture_unserve(fixture);
    fixture->epoch = 2;
    fixture_serve(fixture);
    fixture_run_until(fixture, &seen.times, 1);
    assert_int_equal(seen.err.code, ERR_OK);
    assert_int_equal(seen.epoch, 2);
}

static void only_some_may_change_things(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0) {
        print_message("skipped: only root can become nobody\n");
        skip();
    }
    struct child visitor;
    fixture_serve(fixture);
    assert_int_equal(chmod(fixture->folder, 0711), 0);
    spawn(fixture, &visitor, (char *)"visit", "outside"); /* the socket is for its group */
    bury(fixture, &visitor);
    assert_int_equal(visitor.status, ERR_PERMISSION_DENIED);
    assert_int_equal(chmod(fixture->url + strlen("ipc://"), 0666), 0);
    spawn(fixture, &visitor, (char *)"visit", "inside");
    bury(fixture, &visitor);
    assert_int_equal(visitor.status, 0);
    assert_int_equal(fixture->n_invoked, 1); /* its read */
}

static int serve_for_ever(char **argv)
{
    static struct fixture fixture;
    uv_loop_init(&fixture.loop);
    snprintf(fixture.url, sizeof fixture.url, "%s", argv[2]);
    fixture.epoch = strtoull(argv[3], NULL, 10);
    fixture_serve(&fixture);
    return uv_run(&fixture.loop, UV_RUN_DEFAULT);
}

/* Exits with the code of the first call, or 0 if the read went well and the change was refused. */
static int visit(char **argv)
{
    static struct fixture fixture;
    struct outcome_seen seen = {0};
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return 99;
    uv_loop_init(&fixture.loop);
    snprintf(fixture.url, sizeof fixture.url, "%s", argv[2]);
    fixture.client = fixture_connect(&fixture);
    call(&fixture, fixture.client, "Read", "", NULL, &seen);
    int code = (int)seen.err.code;
    if (code == ERR_OK) {
        call(&fixture, fixture.client, "Change", "", NULL, &seen);
        code = seen.err.code == ERR_PERMISSION_DENIED ? 0 : 98;
    }
    fixture_disconnect(&fixture, fixture.client);
    return code;
}

int main(int argc, char **argv)
{
#define with_client(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        with_client(no_server_is_said_at_once),
        with_client(no_server_is_waited_for_until_the_deadline),
        with_client(a_server_that_comes_late_is_used),
        with_client(a_death_is_told_at_once),
        with_client(a_waiting_call_survives_its_server),
        with_client(a_server_that_hangs_ends_in_the_deadline),
        with_client(a_successor_is_asked_in_place_of_one_that_hangs),
        with_client(a_drained_server_is_waited_for),
        with_client(only_some_may_change_things),
    };
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        return serve_for_ever(argv);
    if (argc == 4 && strcmp(argv[1], "visit") == 0)
        return visit(argv);
    program = realpath("/proc/self/exe", NULL);
    int failed = cmocka_run_group_tests_name("rpc, over deaths", tests, NULL, NULL);
    free(program);
    return failed;
}
