/* What peers send that they should not, over a real socket: each gets a status or is closed, and
 * the others are served. */
#include "rpc_fixture.h"

#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void garbage_gets_a_status(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *frame;
        size_t length;
    } frames[] = {{"\xff\xff\xff\xff", 4},
                  {"\x0a", 1},
                  {"hello, world", 12},
                  {"\x22\x05"
                   "a",
                   3}};
    for (size_t i = 0; i < array_length(frames); i++) {
        Storage__V1__Reply *reply = exchange(fixture, frames[i].frame, frames[i].length);
        assert_non_null(reply);
        assert_int_equal(reply->status->code, STORAGE__V1__CODE__INVALID_ARGUMENT);
        assert_int_equal(reply->epoch, FIXTURE_EPOCH);
        storage__v1__reply__free_unpacked(reply, NULL);
    }
}

/* One envelope with one thing wrong; who is told what. */
static void expect(struct fixture *fixture, Storage__V1__Call envelope, Storage__V1__Code code,
                   const char *object)
{
    Storage__V1__Reply *reply = exchange_call(fixture, &envelope);
    assert_non_null(reply);
    assert_int_equal(reply->status->code, code);
    assert_string_equal(reply->status->details->object, object);
    storage__v1__reply__free_unpacked(reply, NULL);
}

static void a_wrong_envelope_is_refused(void **state)
{
    struct fixture *fixture = *state;
    Storage__V1__Call good = STORAGE__V1__CALL__INIT;
    good.version = 1;
    good.method = (char *)"test.v1.Probe/Change";
    good.request_id = (char *)"id-1";
    Storage__V1__Call bad = good;

    bad.version = 2;
    expect(fixture, bad, STORAGE__V1__CODE__INVALID_ARGUMENT, "version");
    bad = good;
    bad.request_id = (char *)"";
    expect(fixture, bad, STORAGE__V1__CODE__INVALID_ARGUMENT, "request_id");
    bad.request_id = (char *)"with space";
    expect(fixture, bad, STORAGE__V1__CODE__INVALID_ARGUMENT, "request_id");
    char longest[RPC_REQUEST_ID_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    bad.request_id = longest;
    expect(fixture, bad, STORAGE__V1__CODE__INVALID_ARGUMENT, "request_id");
    bad = good;
    bad.deadline_ms = RPC_DEADLINE_MAX_MS + 1;
    expect(fixture, bad, STORAGE__V1__CODE__INVALID_ARGUMENT, "deadline_ms");
    bad = good;
    bad.input = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"\xff\xff\xff"};
    expect(fixture, bad, STORAGE__V1__CODE__INVALID_ARGUMENT, "test.v1.Ask");
    assert_int_equal(fixture->n_invoked, 0);
}

static void wrong_input_never_reaches_a_handler(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *field;
    } inputs[] = {
        {"\x0a\x03"
         "a\0b",
         5, "text"},
        {"\x0a\x02\xc3\x28", 4, "text"},
        {"\x10\x07", 2, "colour"},
        {"\x1a\x02\x10\x63", 4, "inner.colour"},
        {"\x22\x03\x0a\x01\xff", 5, "inners.text"},
        {"\x2a\x02\x01\x09", 4, "colours"},
        {"\x32\x01\0", 3, "texts"},
        {"\x3a\x01\0", 3, "chosen_text"},
        {"\x42\x02\x10\x63", 4, "chosen_inner.colour"},
    };
    for (size_t i = 0; i < array_length(inputs); i++) {
        Storage__V1__Call envelope = STORAGE__V1__CALL__INIT;
        envelope.version = 1;
        envelope.method = (char *)"test.v1.Probe/Read";
        envelope.input =
            (ProtobufCBinaryData){.len = inputs[i].length, .data = (uint8_t *)inputs[i].bytes};
        expect(fixture, envelope, STORAGE__V1__CODE__INVALID_ARGUMENT, inputs[i].field);
    }
    assert_int_equal(fixture->n_invoked, 0);
}

static void an_oversize_frame_costs_only_its_sender(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen held = {0}, seen = {0};
    begin(fixture->client, "Hold", "", NULL, &held);
    fixture_run_until_held(fixture, 1);
    size_t length = 2 * RPC_REQUEST_MAX_BYTES;
    autofree char *frame = calloc(1, length);
    assert_non_null(frame);
    assert_null(exchange(fixture, frame, length));
    call(fixture, fixture->client, "Read", "still here", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    fixture_let_go(fixture, "too");
    fixture_run_until(fixture, &held.times, 1);
    assert_int_equal(held.err.code, ERR_OK);

    /* Our own client does not even send it. */
    Test__V1__Ask ask = TEST__V1__ASK__INIT;
    ask.raw = (ProtobufCBinaryData){.len = length, .data = (uint8_t *)frame};
    autoerr struct err err = {0};
    assert_int_equal(rpc_client_call(fixture->client, &test__v1__probe__descriptor, "Read",
                                     &ask.base, NULL, NULL, NULL, &err),
                     -ERR_INVALID_ARGUMENT);
}

/* nng 1.5.2 as it is would never accept again after the first of these: lib/nng/sendmsg.c. */
static void a_connection_that_comes_and_goes_harms_nobody(void **state)
{
    static const struct {
        const char *greeting;
        size_t length;
        bool listens;
    } visits[] = {
        {"", 0, false},
        {"", 0, true},
        {"GARBAGE!", 8, false},
        {"\0SP\0\0\x30\0\0", 8, true},
        {"\0SP\0\0\x21\0\0", 8, true},
        {"\0SP\0\0\x30\0\0\1\0\0\0", 12, true},
    };
    struct fixture *fixture = *state;
    const char *path = fixture->url + strlen("ipc://");
    for (size_t i = 0; i < 4 * array_length(visits); i++) {
        const size_t which = i % array_length(visits);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strcpy(address.sun_path, path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        char header[8];
        if (visits[which].listens)
            assert_int_equal(recv(fd, header, sizeof header, MSG_WAITALL), 8);
        if (visits[which].length)
            assert_true(send(fd, visits[which].greeting, visits[which].length, MSG_NOSIGNAL) > 0);
        close(fd);
    }
    struct rpc_client *other = fixture_connect(fixture);
    struct outcome_seen seen = {0};
    struct rpc_call_options options = {.wait = true, .deadline_ms = 5000};
    call(fixture, other, "Read", "who was that", &options, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
    fixture_disconnect(fixture, other);
}

enum { UNREAD = 40 };

/* Asks for this many replies of a megabyte, and reads none. Speaks the wire format by hand:
 * greeting, then frames of type 1, length, request number, Call. */
static int ask_and_never_read(const char *path)
{
    Test__V1__Ask ask = TEST__V1__ASK__INIT;
    Storage__V1__Call envelope = STORAGE__V1__CALL__INIT;
    uint8_t input[64], call_bytes[256], greeting[8];
    ask.number = 1000000;
    envelope.version = 1;
    envelope.method = (char *)"test.v1.Probe/Huge";
    envelope.input = (ProtobufCBinaryData){.len = test__v1__ask__pack(&ask, input), .data = input};
    size_t length = storage__v1__call__pack(&envelope, call_bytes);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, "\0SP\0\0\x30\0\0", 8, 0), 8);
    assert_int_equal(recv(fd, greeting, sizeof greeting, MSG_WAITALL), 8);
    for (uint32_t i = 0; i < UNREAD; i++) {
        uint64_t frame_length = htobe64(length + sizeof(uint32_t));
        uint32_t number = htobe32(0x80000000u | i);
        uint8_t frame[512] = {1};
        memcpy(frame + 1, &frame_length, sizeof frame_length);
        memcpy(frame + 9, &number, sizeof number);
        memcpy(frame + 13, call_bytes, length);
        assert_int_equal(send(fd, frame, 13 + length, 0), 13 + length);
    }
    return fd;
}

static void a_peer_that_does_not_read_is_closed(void **state)
{
    struct fixture *fixture = *state;
    struct outcome_seen seen = {0};
    int fd = ask_and_never_read(fixture->url + strlen("ipc://"));
    struct pollfd gone = {.fd = fd};
    for (unsigned i = 0; i < 200 && !(gone.revents & POLLHUP); i++) {
        call(fixture, fixture->client, "Read", "others go on", NULL, &seen);
        assert_int_equal(seen.err.code, ERR_OK);
        fixture_run_for(fixture, 10);
        (void)poll(&gone, 1, 0);
    }
    assert_true(gone.revents & POLLHUP);
    close(fd);
    call(fixture, fixture->client, "Read", "", NULL, &seen);
    assert_int_equal(seen.err.code, ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_server(garbage_gets_a_status),
        with_server(a_wrong_envelope_is_refused),
        with_server(wrong_input_never_reaches_a_handler),
        with_server(an_oversize_frame_costs_only_its_sender),
        with_server(a_connection_that_comes_and_goes_harms_nobody),
        with_server(a_peer_that_does_not_read_is_closed),
    };
    return cmocka_run_group_tests_name("rpc_hostile", tests, NULL, NULL);
}
