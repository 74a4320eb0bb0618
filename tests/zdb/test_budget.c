/*
 * Memory for clients, and those who take more than their part of it: who drips, who stalls, who
 * does not read. The sum holds, and others are served once the time for such peers is over.
 */
#include "script.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"

#define MiB (UINT64_C(1) << 20)

enum { MEMORY_MIB = 128, LARGE = 8 << 20, CROWD = 1200, TICK_MS = 50 };

/* What ASan keeps of freed memory is not the server's. */
static const char *const plain_memory[] = {"ASAN_OPTIONS=quarantine_size_mb=1", NULL};

static struct client *crowd[CROWD];
static size_t n_crowd;
static uint64_t rss_before;

static void begin(void)
{
    zdb.environment = plain_memory;
    server_start_with(&zdb, "--memory", "128M");
    ask(1, "SET small value", "=small");
    rss_before = server_rss_bytes(&zdb);
}

static void set_large(unsigned number, const char *key)
{
    uint8_t *value = malloc(LARGE);
    assert_non_null(value);
    memset(value, key[0], LARGE);
    const struct word words[] = {word("SET"), word(key), {value, LARGE}};
    assert_true(client_send_words(on(number), words, 3));
    free(value);
}

static void expect_large(struct client *client, char fill)
{
    size_t size;
    const uint8_t *reply = client_reply(client, &size);
    assert_non_null(reply);
    assert_int_equal(size, strlen("$8388608\r\n") + LARGE + 2);
    for (size_t i = 10; i < LARGE; i += 4099)
        assert_int_equal(reply[i], (uint8_t)fill);
}

/* As much of it as the server takes without waiting. */
static void push(struct client *client, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = send(client->fd, bytes + at, size - at, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* full, or let go already */
        at += (size_t)n;
    }
}

static void gather_crowd(size_t n, const void *bytes, size_t size)
{
    for (n_crowd = 0; n_crowd < n; n_crowd++) {
        crowd[n_crowd] = server_connect(&zdb);
        push(crowd[n_crowd], bytes, size);
    }
}

static void dismiss_crowd(void)
{
    while (n_crowd > 0)
        client_close(crowd[--n_crowd]);
}

/* Until the client has its reply: the crowd goes on in this way. */
static void wait_amid(unsigned number, const char *reply, void (*tick)(struct client *client))
{
    uint64_t deadline = clock_monotonic_ms() + CLIENT_WAIT_MS;
    struct pollfd answered = {.fd = on(number)->fd, .events = POLLIN};
    while (poll(&answered, 1, TICK_MS) == 0) {
        assert_true(clock_monotonic_ms() < deadline);
        for (size_t i = 0; tick && i < n_crowd; i++)
            tick(crowd[i]);
    }
    ask(number, "", reply);
}

static void assert_within_memory(void)
{
    uint64_t peak = server_peak_bytes(&zdb);
    print_message("            %ju MiB at most\n", (uintmax_t)((peak - rss_before) / MiB));
    assert_in_range(peak - rss_before, 0, MEMORY_MIB * MiB);
}

static void drip(struct client *client)
{
    (void)send(client->fd, "x", 1, MSG_NOSIGNAL);
}

/* --- requests that do not end ---------------------------------------------------------------- */

/* So short that none needs a share: the first bytes of a value. */
static void gather_halves(size_t n)
{
    enum { PART = 200 << 10 };
    uint8_t *part = calloc(1, PART);
    assert_non_null(part);
    static const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\n";
    memcpy(part, head, sizeof head - 1);
    gather_crowd(n, part, PART);
    free(part);
}

static void those_who_drip_are_let_go(void)
{
    begin();
    gather_halves(CROWD);
    ask(1, "GET small", "");
    wait_amid(1, "=value", drip);
    set_large(1, "a");
    wait_amid(1, "=a", drip);
    assert_within_memory();
    ask(2, "GET k", "nil");
    dismiss_crowd();
}

static void ask_many(unsigned number, const char *key, size_t n)
{
    struct word words[64];
    assert_in_range(n, 1, array_length(words) - 1);
    words[0] = word("MGET");
    for (size_t i = 1; i <= n; i++)
        words[i] = word(key);
    assert_true(client_send_words(on(number), words, n + 1));
}

static void expect_array(struct client *client, const char *head)
{
    size_t size = strlen(head);
    while (client_fill(client, size, CLIENT_WAIT_MS) < size)
        ;
    assert_memory_equal(client->in + client->taken, head, size);
    client->taken += size;
}

/* However they are cut, and wherever one ends in what is looked at. */
static void whole_requests_are_served_while_nothing_can_be_kept(void)
{
    enum { N = 3000 };
    struct peer_bytes all = {0};
    begin();
    set_large(1, "a");
    ask(1, "", "=a");
    for (unsigned i = 0; i < N; i++) {
        size_t size;
        char number[16];
        (void)snprintf(number, sizeof number, "%u", i);
        const struct word words[] = {word(i % 2 ? "GET" : "SET"), word("k"), word(number)};
        uint8_t *one = request_format(words, i % 2 ? 2 : 3, &size);
        peer_put(&all, one, size);
        free(one);
    }
    gather_halves(200);
    for (size_t at = 0; at < all.size; at += 5000) {
        assert_true(client_send(on(1), all.at + at, all.size - at < 5000 ? all.size - at : 5000));
        ask(2, "PING", "+PONG");
    }
    peer_bytes_free(&all);
    for (unsigned i = 0; i < N; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "=%u", i - 1);
        ask(1, "", i % 2 ? number : "=k");
    }
    ask_many(2, "a", 3);
    ask(2, "GET small", "");
    expect_array(on(2), "*3\r\n");
    for (unsigned i = 0; i < 3; i++)
        expect_large(on(2), 'a');
    ask(2, "", "=value");
    dismiss_crowd();
}

/* With a share each, so that nobody else has one. */
static void those_who_stall_with_a_long_request_are_let_go(void)
{
    uint8_t *part = calloc(1, MiB);
    assert_non_null(part);
    static const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\n";
    memcpy(part, head, sizeof head - 1);
    begin();
    gather_crowd(20, part, MiB);
    for (size_t i = 0; i < n_crowd; i++) /* what did not go at once */
        push(crowd[i], part, MiB / 4);
    free(part);
    set_large(1, "a");
    wait_amid(1, "=a", NULL);
    assert_within_memory();
    dismiss_crowd();
}

/* Lines of arguments cost more than their bytes. */
static void requests_of_many_arguments_are_counted(void)
{
    struct peer_bytes request = {0};
    peer_put(&request, "*1024\r\n", 7);
    for (unsigned i = 0; i < 1023; i++)
        peer_put(&request, "$1\r\nk\r\n", 7);
    begin();
    gather_crowd(CROWD, request.at, request.size);
    peer_bytes_free(&request);
    ask(1, "GET small", "=value");
    assert_within_memory();
    dismiss_crowd();
}

/* --- replies that nobody takes --------------------------------------------------------------- */

static void ask_large(struct client *client)
{
    static const char get[] = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
    push(client, (const uint8_t *)get, sizeof get - 1);
}

static void those_who_do_not_read_are_let_go(void)
{
    begin();
    set_large(1, "a");
    ask(1, "", "=a");
    gather_crowd(100, "", 0);
    for (size_t i = 0; i < n_crowd; i++)
        ask_large(crowd[i]);
    ask(2, "GET small", "=value"); /* what is short has a part of its own */
    ask(1, "GET a", "");
    expect_large(on(1), 'a');
    assert_within_memory();
    dismiss_crowd();
}

/* As slow as it goes, but all the time: nobody of them is let go, and each gets all. */
static void those_who_read_slowly_get_all(void)
{
    enum { N = 12, PIECE = 64 << 10, WHOLE = 10 + LARGE + 2 };
    static uint8_t piece[PIECE];
    size_t left[N], n_left = N;
    begin();
    set_large(1, "a");
    ask(1, "", "=a");
    gather_crowd(N, "", 0);
    for (size_t i = 0; i < N; i++) {
        ask_large(crowd[i]);
        left[i] = WHOLE;
    }
    uint64_t deadline = clock_monotonic_ms() + CLIENT_WAIT_MS;
    while (n_left > 0) {
        assert_true(clock_monotonic_ms() < deadline);
        for (size_t i = 0; i < N; i++) {
            ssize_t n = left[i] > 0 ? recv(crowd[i]->fd, piece, PIECE, 0) : -1;
            assert_int_not_equal(n, 0);
            left[i] -= n > 0 ? (size_t)n : 0;
            n_left -= n > 0 && left[i] == 0;
        }
    }
    assert_within_memory();
    dismiss_crowd();
}

static void mirrors_that_do_not_read_are_let_go(void)
{
    begin();
    gather_crowd(20, "*1\r\n$6\r\nMIRROR\r\n", 16);
    ask(1, "GET small", "=value"); /* all those before are mirrors now */
    for (unsigned i = 0; i < 8; i++) {
        set_large(1, i % 2 ? "a" : "b");
        ask(1, "", i % 2 ? i < 2 ? "=a" : "nil" : i < 2 ? "=b" : "nil");
    }
    assert_within_memory();
    dismiss_crowd();
}

/* --- replies that are longer than any budget -------------------------------------------------- */

static void an_mget_of_any_length_is_answered(void)
{
    enum { N = 40 };
    begin();
    set_large(1, "a");
    ask(1, "", "=a");
    ask_many(1, "a", N);
    ask(1, "PING", ""); /* behind it */
    ask_many(2, "a", 3);
    expect_array(on(1), "*40\r\n");
    for (unsigned i = 0; i < N; i++)
        expect_large(on(1), 'a');
    ask(1, "", "+PONG");
    ask(3, "NSNEW other", "+OK");
    expect_array(on(2), "*3\r\n");
    for (unsigned i = 0; i < 3; i++)
        expect_large(on(2), 'a');
    assert_within_memory();
}

/* What it has not read yet is not there any more when its turn comes. */
static void an_mget_outlives_its_namespace(void)
{
    begin();
    ask(1, "NSNEW gone", "+OK");
    ask(1, "SELECT gone", "+OK");
    set_large(1, "a");
    ask(1, "", "=a");
    ask_many(1, "a", 4);
    ask(2, "NSDEL gone", "+OK");
    expect_array(on(1), "*4\r\n");
    expect_large(on(1), 'a');
    unsigned n_errors = 0;
    for (unsigned i = 1; i < 4; i++) {
        size_t size;
        const uint8_t *reply = client_reply(on(1), &size);
        assert_non_null(reply);
        n_errors += reply_fits(reply, size, "-Internal Error");
    }
    assert_in_range(n_errors, 1, 3);
    ask(1, "PING", "-Your active namespace is not available anymore (probably removed).|EOF");
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(those_who_drip_are_let_go),
        zdb_case(whole_requests_are_served_while_nothing_can_be_kept),
        zdb_case(those_who_stall_with_a_long_request_are_let_go),
        zdb_case(requests_of_many_arguments_are_counted),
        zdb_case(those_who_do_not_read_are_let_go),
        zdb_case(those_who_read_slowly_get_all),
        zdb_case(mirrors_that_do_not_read_are_let_go),
        zdb_case(an_mget_of_any_length_is_answered),
        zdb_case(an_mget_outlives_its_namespace),
    };
    return zdb_main(argc, argv, "zdb_budget", cases, array_length(cases));
}
