/* Requests as bytes: what is one, however it is cut, and what is none. */
#include "script.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"

struct frame {
    const char *bytes, *reply;
};

static void send_text(unsigned number, const char *text)
{
    assert_true(client_send(on(number), text, strlen(text)));
}

/* What upstream stays stuck at closes the connection here, with the same words. */
static void what_is_no_request_is_refused_and_ends(void)
{
    static const struct frame frames[] = {
        {"PING\r\n", "-Malformed request, array expected|EOF"},
        {"\r\n", "-Malformed request, array expected|EOF"},
        {"$4\r\nPING\r\n", "-Malformed request, array expected|EOF"},
        {"*0\r\n", "-Missing arguments|EOF"},
        {"*abc\r\n", "-Missing arguments|EOF"},
        {"*1025\r\n", "-Too many arguments|EOF"},
        {"*99999999999999999999\r\n", "-?|EOF"},
        {"*1\r\n:4\r\n", "-Malformed query string|EOF"},
        {"*1\r\n+PING\r\n", "-Malformed query string|EOF"},
        {"*2\r\n$3\r\nGET\r\n*1\r\n", "-Malformed query string|EOF"},
        {"*-1\r\n", "-Internal memory error|EOF"},
        {"*2\r\n$3\r\nGET\r\n$8388609\r\n", "-Payload too big|EOF"},
        {"*2\r\n$3\r\nGET\r\n$4294967297\r\n", "-Payload too big|EOF"},
        {"*2\r\n$3\r\nGET\r\n$-1\r\n", "-?|EOF"},
        {"*2\r\n$3\r\nGET\r\n$-9223372036854775808\r\n", "-?|EOF"},
    };
    server_start(&zdb, NULL);
    for (size_t i = 0; i < array_length(frames); i++) {
        ask(1, "PING", "+PONG");
        send_text(1, frames[i].bytes);
        ask(1, "", frames[i].reply);
        hangup(1);
        ask(2, "PING", "+PONG");
    }
}

/* In front of what is refused, what was asked is answered; behind it, nothing is. */
static void a_broken_frame_ends_a_pipeline(void)
{
    server_start(&zdb, NULL);
    send_text(1, "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n?*1\r\n$4\r\nPING\r\n");
    ask(1, "", "+PONG");
    ask(1, "", "+PONG");
    ask(1, "", "-Malformed request, array expected|EOF");
}

static void a_line_without_end_ends_the_connection(void)
{
    char text[8193];
    size_t size;
    memset(text, '1', sizeof text);
    text[0] = '*';
    server_start(&zdb, NULL);
    (void)client_send(on(1), text, sizeof text);
    const uint8_t *reply = client_reply(on(1), &size);
    if (reply)
        reply_match(reply, size, "-?", "8193 bytes without an end of line", __FILE__, __LINE__);
    assert_true(client_ends(on(1)));
}

static void bare_newlines_and_any_ends_of_bodies_are_taken(void)
{
    static const struct frame frames[] = {
        {"*1\n$4\nPING\r\n", "+PONG"},
        {"*1\n$4\r\nPINGxy", "+PONG"},
        {"*3\n$3\nSET\n\n$1\nkzz$1\nv\n\n", "=k"},
        {"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "=v"},
        {"*1\r\n$0\r\n\r\n", "-This is not a valid command"},
    };
    server_start(&zdb, NULL);
    for (size_t i = 0; i < array_length(frames); i++) {
        send_text(1, frames[i].bytes);
        ask(1, "", frames[i].reply);
    }
}

static void as_many_arguments_as_allowed(void)
{
    struct word words[1025];
    size_t size;
    words[0] = word("MGET");
    for (size_t i = 1; i < array_length(words); i++)
        words[i] = word("k");
    server_start(&zdb, NULL);
    ask(1, "SET k v", "=k");
    assert_true(client_send_words(on(1), words, 1024));
    const uint8_t *reply = client_reply(on(1), &size);
    assert_int_equal(size, strlen("*1023\r\n") + 1023 * strlen("$1\r\nv\r\n"));
    assert_memory_equal(reply, "*1023\r\n$1\r\nv\r\n$1\r\n", 18);
    (void)client_send_words(on(1), words, 1025);
    ask(1, "", "-Too many arguments|EOF");
}

static void a_payload_as_large_as_allowed(void)
{
    enum { SIZE = 8388608 };
    size_t size;
    uint8_t *payload = malloc(SIZE + 1);
    assert_non_null(payload);
    for (size_t i = 0; i <= SIZE; i++)
        payload[i] = (uint8_t)(i * 2654435761u >> 24);
    struct word words[] = {word("SET"), word("k"), {payload, SIZE}};
    server_start(&zdb, NULL);
    assert_true(client_send_words(on(1), words, 3));
    ask(1, "", "=k");
    ask(2, "GET k", "");
    const uint8_t *reply = client_reply(on(2), &size);
    assert_int_equal(size, strlen("$8388608\r\n") + SIZE + 2);
    assert_memory_equal(reply + 10, payload, SIZE);
    words[2].size++;
    (void)client_send_words(on(3), words, 3);
    ask(2, "GET k", "");
    (void)client_reply(on(2), &size);
    assert_int_equal(size, strlen("$8388608\r\n") + SIZE + 2);
    free(payload);
}

/* --- cuts ------------------------------------------------------------------------------------ */

#define CONVERSATION                                                                               \
    "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$10\r\n0123456789\r\n"                                        \
    "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"                                                             \
    "*2\n$6\nEXISTS\r\n$3\nkey\r\n"                                                                \
    "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$0\r\n\r\n"                                                   \
    "*1\r\n$4\r\nNOPE\r\n"                                                                         \
    "*2\r\n$3\r\nDEL\r\n$3\r\nkey\r\n"

static void expect_conversation(unsigned number)
{
    static const char *const replies[] = {
        "=key", "=0123456789", ":1", "=key", "-Command not supported", "+OK"};
    for (size_t i = 0; i < array_length(replies); i++)
        ask(number, "", replies[i]);
}

/* One thread serves all: when it answered another connection, it has read this one's part. */
static void a_conversation_cut_at_any_byte_is_the_same(void)
{
    server_start(&zdb, NULL);
    for (size_t cut = 1; cut < strlen(CONVERSATION); cut++) {
        assert_true(client_send(on(1), CONVERSATION, cut));
        ask(2, "PING", "+PONG");
        send_text(1, CONVERSATION + cut);
        expect_conversation(1);
    }
}

static void a_conversation_byte_by_byte_is_the_same(void)
{
    server_start(&zdb, NULL);
    for (const char *at = CONVERSATION; *at; at++) {
        assert_true(client_send(on(1), at, 1));
        ask(2, "PING", "+PONG");
    }
    expect_conversation(1);
}

/* Values whose ends fall on every place around the sizes that buffers have. */
static void frames_end_anywhere_in_a_buffer(void)
{
    static const size_t edges[] = {4096, 8192, 16384, 65536};
    server_start(&zdb, NULL);
    uint8_t *value = calloc(1, 65536 + 32);
    assert_non_null(value);
    for (size_t i = 0; i < array_length(edges); i++) {
        for (size_t size = edges[i] - 64; size < edges[i] + 4; size++) {
            memset(value, (int)(size & 0xff), size);
            const struct word words[] = {word("SET"), word("k"), {value, size}};
            assert_true(client_send_words(on(1), words, 3));
            ask(1, "", "=k");
        }
    }
    free(value);
}

/* --- pipelines ------------------------------------------------------------------------------- */

/* The same request so many times in one write, and all its replies. */
static void pipeline(struct client *client, const struct word *words, size_t n_words, size_t times,
                     const char *reply)
{
    size_t size, got;
    uint8_t *one = request_format(words, n_words, &size);
    uint8_t *all = malloc(size * times);
    assert_non_null(all);
    for (size_t i = 0; i < times; i++)
        memcpy(all + i * size, one, size);
    assert_true(client_send(client, all, size * times));
    free(all);
    free(one);
    for (size_t i = 0; i < times; i++) {
        const uint8_t *bytes = client_reply(client, &got);
        reply_match(bytes, got, reply, words[0].at, __FILE__, __LINE__);
    }
}

/* Upstream: 64 bytes times 256 hangs after 128 replies, 4096 bytes times 4 after 2. */
static void pipelines_of_whole_buffers_are_answered(void)
{
    char key[65] = {0}, value[4097] = {0};
    memset(key, 'k', 64);
    memset(value, 'v', 4096);
    server_start(&zdb, NULL);
    for (unsigned n = 20; n < 64; n++) { /* the request is as many bytes and some more */
        const struct word words[] = {word("EXISTS"), {key, n}};
        pipeline(on(1), words, 2, 256, ":0");
    }
    for (unsigned n = 4040; n < 4096; n++) {
        const struct word words[] = {word("SET"), word("k"), {value, n}};
        pipeline(on(1), words, 3, 1, "=k");
        pipeline(on(1), words, 3, 4, "nil");
    }
}

static void a_long_pipeline_is_answered_in_order(void)
{
    enum { N = 20000 };
    struct peer_bytes all = {0};
    char number[16];
    for (unsigned i = 0; i < N; i++) {
        size_t size;
        (void)snprintf(number, sizeof number, "%u", i);
        const struct word words[] = {word(i % 2 ? "GET" : "SET"), word("k"), word(number)};
        uint8_t *one = request_format(words, i % 2 ? 2 : 3, &size);
        peer_put(&all, one, size);
        free(one);
    }
    server_start(&zdb, NULL);
    assert_true(client_send(on(1), all.at, all.size));
    peer_bytes_free(&all);
    for (unsigned i = 0; i < N; i++) {
        (void)snprintf(number, sizeof number, "=%u", i - 1);
        ask(1, "", i % 2 ? number : "=k");
    }
}

/* No reply waits for an acknowledgement of the one before: upstream takes 44 ms a batch. */
static void batches_over_tcp_do_not_wait(void)
{
    enum { BATCHES = 40, DELAYED_ACK_MS = 40 };
    char port[8];
    zdb.port = port_free();
    (void)snprintf(port, sizeof port, "%u", zdb.port);
    server_start_with(&zdb, "--dualnet", "--listen", "127.0.0.1", "--port", port);
    struct client *client = on_tcp(1);
    const struct word words[] = {word("SET"), word("k"), word("v")};
    pipeline(client, words, 3, 1, "=k");
    uint64_t start = clock_monotonic_ms();
    for (unsigned i = 0; i < BATCHES; i++)
        pipeline(client, words, 3, 16, "nil");
    assert_in_range(clock_monotonic_ms() - start, 0, BATCHES * DELAYED_ACK_MS / 2);
}

/* A client that has said all it wants to say is answered before it is let go. */
static void a_half_closed_connection_gets_its_replies(void)
{
    server_start(&zdb, NULL);
    ask(1, "SET k v", "=k");
    send_text(1, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    assert_int_equal(shutdown(on(1)->fd, SHUT_WR), 0);
    ask(1, "", "=v");
    ask(1, "", "=v|EOF");
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(what_is_no_request_is_refused_and_ends),
        zdb_case(a_broken_frame_ends_a_pipeline),
        zdb_case(a_line_without_end_ends_the_connection),
        zdb_case(bare_newlines_and_any_ends_of_bodies_are_taken),
        zdb_case(as_many_arguments_as_allowed),
        zdb_case(a_payload_as_large_as_allowed),
        zdb_case(a_conversation_cut_at_any_byte_is_the_same),
        zdb_case(a_conversation_byte_by_byte_is_the_same),
        zdb_case(frames_end_anywhere_in_a_buffer),
        zdb_case(pipelines_of_whole_buffers_are_answered),
        zdb_case(a_long_pipeline_is_answered_in_order),
        zdb_case(batches_over_tcp_do_not_wait),
        zdb_case(a_half_closed_connection_gets_its_replies),
    };
    return zdb_main(argc, argv, "zdb_framing", cases, array_length(cases));
}
