/* The transport, over a real socket: a server and its clients on one loop. */
#include "rpc_fixture.h"

#include "base/clock.h"

#include <string.h>

static void a_read_is_answered(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    call(fixture, fixture->client, "Read", "hello", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    assert_string_equal(seen.text, "hello");
    assert_int_equal(seen.epoch, FIXTURE_EPOCH);
    assert_true(rpc_client_connected(fixture->client));
}

static void an_answer_may_come_later(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen held = {0}, seen = {0};
    begin(fixture->client, "Hold", "", NULL, &held);
    fixture_run_until_held(fixture, 1);
    assert_int_equal(rpc_server_pending(fixture->server), 1);
    call(fixture, fixture->client, "Read", "meanwhile", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    assert_int_equal(held.times, 0);
    fixture_let_go(fixture, "at last");
    fixture_run_until(fixture, &held.times, 1);
    assert_string_equal(held.text, "at last");
    assert_int_equal(rpc_server_pending(fixture->server), 0);
}

static void a_refusal_names_every_blocker(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    call(fixture, fixture->client, "Refuse", "", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_FAILED_PRECONDITION);
    assert_int_equal(seen.err.os_errno, 16);
    assert_string_equal(seen.err.object, "thing");
    assert_string_equal(seen.err.hint, "stop using it");
    assert_int_equal(seen.err.n_blockers, 2);
    assert_string_equal(seen.err.blockers[0], "process 1 (init)");
    assert_string_equal(seen.err.blockers[1], "process 2 (kthreadd) at café, and ?");
    err_clear(&seen.err);
}

static void what_is_not_there_is_unimplemented(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    call(fixture, fixture->client, "Absent", "", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_UNIMPLEMENTED);
    assert_non_null(strstr(seen.err.message, "test.v1.Probe/Absent"));

    static const char *const names[] = {"test.v1.Probe/Nope", "test.v1.Nope/Read", "Read", "", "/"};
    for (size_t i = 0; i < array_length(names); i++) {
        Storage__V1__Call envelope = STORAGE__V1__CALL__INIT;
        envelope.version = 1;
        envelope.method = (char *)names[i];
        Storage__V1__Reply *reply = exchange_call(fixture, &envelope);
        assert_non_null(reply);
        assert_int_equal(reply->status->code, STORAGE__V1__CODE__UNIMPLEMENTED);
        assert_string_equal(reply->status->details->object, names[i]);
        storage__v1__reply__free_unpacked(reply, NULL);
    }
}

static void the_deadline_answers_and_the_result_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    struct rpc_call_options options = {.request_id = "late-1", .deadline_ms = 100};
    uint64_t begun = clock_monotonic_ms();
    call(fixture, fixture->client, "Hold", "", &options, &seen);
    uint64_t took = clock_monotonic_ms() - begun;
    assert_int_equal(seen.err.code, ERR_DEADLINE_EXCEEDED);
    assert_int_equal(seen.epoch, FIXTURE_EPOCH); /* the server said so, not the client */
    assert_true(seen.err.retryable);
    assert_true(took >= 99 && took < 1000);
    assert_int_equal(rpc_server_pending(fixture->server), 1); /* it runs on */

    struct outcome_seen joined = {0};
    options.deadline_ms = 10000;
    begin(fixture->client, "Hold", "", &options, &joined);
    call(fixture, fixture->client, "Read", "", NULL, &seen); /* the join has arrived before this */
    fixture_let_go(fixture, "late");
    fixture_run_until(fixture, &joined.times, 1);
    assert_string_equal(joined.text, "late");

    call(fixture, fixture->client, "Hold", "", &options, &seen);
    assert_string_equal(seen.text, "late");
    assert_int_equal(fixture->n_invoked, 2); /* Hold once, Read once */
}

static void a_late_read_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    struct rpc_call_options options = {.deadline_ms = 50};
    call(fixture, fixture->client, "Watch", "", &options, &seen);
    assert_int_equal(seen.err.code, ERR_DEADLINE_EXCEEDED);
    fixture_let_go(fixture, "nobody waits");
    assert_int_equal(rpc_server_pending(fixture->server), 0);
}

static void the_same_id_joins_and_another_content_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_client *other = fixture_connect(fixture);
    struct outcome_seen first = {0}, second = {0}, seen = {0};
    struct rpc_call_options options = {.request_id = "same"};
    begin(fixture->client, "Hold", "a", &options, &first);
    fixture_run_until_held(fixture, 1);
    begin(other, "Hold", "a", &options, &second);
    call(fixture, other, "Hold", "b", &options, &seen);
    assert_int_equal(seen.err.code, ERR_INVALID_ARGUMENT);
    assert_string_equal(seen.err.object, "request_id");
    call(fixture, other, "Change", "a", &options, &seen);
    assert_int_equal(seen.err.code, ERR_INVALID_ARGUMENT);
    assert_int_equal(fixture->n_held, 1);
    fixture_let_go(fixture, "both");
    fixture_run_until(fixture, &first.times, 1);
    fixture_run_until(fixture, &second.times, 1);
    assert_string_equal(first.text, "both");
    assert_string_equal(second.text, "both");
    fixture_disconnect(fixture, other);
}

static void what_was_done_is_not_done_again(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    struct rpc_call_options options = {.request_id = "once"};
    call(fixture, fixture->client, "Change", "x", &options, &seen);
    assert_int_equal(seen.number, 1);
    call(fixture, fixture->client, "Change", "x", &options, &seen);
    assert_int_equal(seen.number, 1);
    options.request_id = "twice";
    call(fixture, fixture->client, "Change", "x", &options, &seen);
    assert_int_equal(seen.number, 2);

    /* A refusal is remembered, but not one that passes. */
    options.request_id = "refused";
    call(fixture, fixture->client, "Refuse", "", &options, &seen);
    call(fixture, fixture->client, "Refuse", "", &options, &seen);
    assert_int_equal(seen.err.n_blockers, 2);
    assert_int_equal(fixture->n_invoked, 3);
    options.request_id = "busy";
    call(fixture, fixture->client, "Refuse", "busy", &options, &seen);
    call(fixture, fixture->client, "Refuse", "busy", &options, &seen);
    assert_int_equal(seen.err.code, ERR_ABORTED);
    assert_int_equal(fixture->n_invoked, 5);
    err_clear(&seen.err);
}

static void parked_calls_do_not_stop_a_read(void **state)
{
    enum { PARKED = 300 };
    struct fixture *fixture = *state;
    struct outcome_seen *held = calloc(PARKED, sizeof *held), seen = {0};
    assert_non_null(held);
    for (size_t i = 0; i < PARKED; i++)
        begin(fixture->client, i % 2 ? "Hold" : "Watch", "", NULL, &held[i]);
    fixture_run_until_held(fixture, PARKED);
    call(fixture, fixture->client, "Read", "free", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    fixture_let_go(fixture, "go");
    for (size_t i = 0; i < PARKED; i++) {
        fixture_run_until(fixture, &held[i].times, 1);
        assert_int_equal(held[i].err.code, ERR_OK);
    }
    free(held);
}

static void one_connection_cannot_take_all_room(void **state)
{
    enum { TRIED = RPC_PEER_PARKED_MAX + 50 };
    struct fixture *fixture = *state;
    struct rpc_client *other = fixture_connect(fixture);
    struct outcome_seen *held = calloc(TRIED, sizeof *held), seen = {0};
    assert_non_null(held);
    for (size_t i = 0; i < TRIED; i++)
        begin(fixture->client, "Watch", "", NULL, &held[i]);
    fixture_run_until_held(fixture, RPC_PEER_PARKED_MAX);
    call(fixture, other, "Read", "others go on", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    call(fixture, fixture->client, "Read", "", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_RESOURCE_EXHAUSTED);
    assert_true(seen.err.retryable);
    size_t refused = 0;
    fixture_let_go(fixture, "go");
    for (size_t i = 0; i < TRIED; i++) {
        fixture_run_until(fixture, &held[i].times, 1);
        refused += held[i].err.code == ERR_RESOURCE_EXHAUSTED;
        err_clear(&held[i].err);
    }
    assert_int_equal(refused, TRIED - RPC_PEER_PARKED_MAX);
    free(held);
    fixture_disconnect(fixture, other);
}

static void a_reply_too_large_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    call(fixture, fixture->client, "Huge", "1000000", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    assert_int_equal(seen.length, 1000000);
    call(fixture, fixture->client, "Huge", "1100000", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_INTERNAL);
    assert_non_null(strstr(seen.err.message, "too large"));
    call(fixture, fixture->client, "Read", "the pipe lives", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
}

static void draining_refuses_changes(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen held = {0}, seen = {0};
    begin(fixture->client, "Hold", "", NULL, &held);
    fixture_run_until_held(fixture, 1);
    rpc_server_drain(fixture->server);
    call(fixture, fixture->client, "Change", "", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_UNAVAILABLE);
    assert_true(seen.err.retryable);
    call(fixture, fixture->client, "Read", "reads go on", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    fixture_let_go(fixture, "in flight goes on");
    fixture_run_until(fixture, &held.times, 1);
    assert_int_equal(held.err.code, ERR_OK);
}

static void closing_ends_what_is_in_flight(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen held = {0};
    begin(fixture->client, "Hold", "", NULL, &held);
    fixture_run_until_held(fixture, 1);
    fixture_disconnect(fixture, fixture->client);
    fixture->client = NULL;
    assert_int_equal(held.times, 1);
    assert_int_equal(held.err.code, ERR_CANCELLED);
    fixture_unserve(fixture); /* with the call still in its handler */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_server(a_read_is_answered),
        with_server(an_answer_may_come_later),
        with_server(a_refusal_names_every_blocker),
        with_server(what_is_not_there_is_unimplemented),
        with_server(the_deadline_answers_and_the_result_is_kept),
        with_server(a_late_read_is_forgotten),
        with_server(the_same_id_joins_and_another_content_is_refused),
        with_server(what_was_done_is_not_done_again),
        with_server(parked_calls_do_not_stop_a_read),
        with_server(one_connection_cannot_take_all_room),
        with_server(a_reply_too_large_is_an_error),
        with_server(draining_refuses_changes),
        with_server(closing_ends_what_is_in_flight),
    };
    return cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
}
