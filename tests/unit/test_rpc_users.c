/* What one user may have of a server, who is neither root nor an admin: as root, the test becomes
 * nobody. */
#include "rpc_fixture.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>

enum { NOBODY = 65534, CONNECTIONS = 3, CALLS = 5, SHORT_MS = 300 };

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture_prepare(fixture);
    fixture->user_connections = CONNECTIONS;
    fixture->user_calls = CALLS;
    fixture_serve(fixture);
    fixture->client = fixture_connect(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static void one_connection_more_is_closed(void **state)
{
    struct fixture *fixture = *state;
    const struct rpc_call_options soon = {.deadline_ms = SHORT_MS};
    struct rpc_client *clients[CONNECTIONS] = {fixture->client};
    struct outcome_seen seen = {0};
    call(fixture, clients[0], "Read", "", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    for (int i = 1; i < CONNECTIONS; i++) {
        clients[i] = fixture_connect(fixture);
        call(fixture, clients[i], "Read", "", NULL, &seen);
        assert_int_equal(seen.err.code, ERR_OK);
    }
    struct rpc_client *surplus = fixture_connect(fixture);
    call(fixture, surplus, "Read", "", &soon, &seen);
    assert_int_not_equal(seen.err.code, ERR_OK);
    call(fixture, fixture->client, "Read", "", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    err_clear(&seen.err);

    const struct rpc_call_options patient = {.wait = true};
    fixture_disconnect(fixture, clients[1]); /* his place is free now */
    call(fixture, surplus, "Read", "", &patient, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    fixture_disconnect(fixture, surplus);
    for (int i = 2; i < CONNECTIONS; i++)
        fixture_disconnect(fixture, clients[i]);
}

static void one_call_more_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen held[CALLS] = {0}, seen = {0};
    struct rpc_client *another = fixture_connect(fixture);
    for (int i = 0; i < CALLS; i++)
        begin(i % 2 ? another : fixture->client, "Watch", "", NULL, &held[i]);
    fixture_run_until_held(fixture, CALLS);
    call(fixture, fixture->client, "Read", "", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(seen.err.message, "at most 5"));
    assert_true(seen.err.retryable);
    err_clear(&seen.err);
    assert_int_equal(fixture->n_invoked, CALLS);

    fixture_let_go(fixture, "done");
    for (int i = 0; i < CALLS; i++)
        fixture_run_until(fixture, &held[i].times, 1);
    for (int i = 0; i < 2 * CALLS; i++) {
        call(fixture, another, "Read", "", NULL, &seen);
        assert_int_equal(seen.err.code, ERR_OK);
    }
    fixture_disconnect(fixture, another);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_connection_more_is_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(one_call_more_is_refused, setup, teardown),
    };
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                           setresuid(NOBODY, NOBODY, NOBODY) < 0)) {
        fprintf(stderr, "cannot become nobody\n");
        return 77;
    }
    return cmocka_run_group_tests_name("rpc, one user", tests, NULL, NULL);
}
