/* Many clients, slow ones, silent ones and large ones: what each may cost has a bound. */
#include "script.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"

#define MiB (UINT64_C(1) << 20)

/* What ASan keeps of freed memory is not the server's. */
static const char *const plain_memory[] = {"ASAN_OPTIONS=quarantine_size_mb=1", NULL};

enum { IDLE = 5000 };

static void idle_connections_cost_little(void)
{
    static struct client *idle[IDLE];
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max < IDLE + 100)
        skip();
    zdb.environment = plain_memory;
    zdb.files_max = 1024; /* it has to raise it by itself */
    server_start(&zdb, NULL);
    ask(1, "SET key value", "=key");
    uint64_t before = server_rss_bytes(&zdb);
    for (size_t i = 0; i < IDLE; i++)
        idle[i] = server_connect(&zdb);
    const struct word words[] = {word("GET"), word("key")};
    for (size_t i = 0; i < IDLE; i += 97) {
        size_t size;
        assert_true(client_send_words(idle[i], words, 2));
        const uint8_t *reply = client_reply(idle[i], &size);
        reply_match(reply, size, "=value", "GET", __FILE__, __LINE__);
    }
    ask(2, "PING", "+PONG"); /* all those before are accepted */
    uint64_t grown = server_rss_bytes(&zdb) - before;
    for (size_t i = 0; i < IDLE; i++)
        client_close(idle[i]);
    ask(1, "GET key", "=value");
    assert_in_range(grown, 0, 64 * MiB);
}

/* Asks without reading until the server takes no more; what it took. */
static size_t ask_until_it_stops(struct client *client, const uint8_t *one, size_t size)
{
    size_t sent = 0;
    enum { BLOCK = 1024, LIMIT = 512 << 20 };
    uint8_t *block = malloc(BLOCK * size);
    assert_non_null(block);
    for (size_t i = 0; i < BLOCK; i++)
        memcpy(block + i * size, one, size);
    while (sent < LIMIT) {
        size_t at = sent % (BLOCK * size);
        ssize_t n = send(client->fd, block + at, BLOCK * size - at, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN)
            break;
        struct pollfd writable = {.fd = client->fd, .events = POLLOUT};
        if (poll(&writable, 1, 500) == 0)
            break;
    }
    free(block);
    assert_in_range(sent, 1, LIMIT - 1);
    return sent;
}

static void a_client_that_does_not_read_is_not_read(void)
{
    enum { VALUE = 1024 };
    char value[VALUE + 1] = {0};
    size_t size, got;
    memset(value, 'v', VALUE);
    zdb.environment = plain_memory;
    server_start(&zdb, NULL);
    const struct word set[] = {word("SET"), word("k"), {value, VALUE}};
    assert_true(client_send_words(on(1), set, 3));
    ask(1, "", "=k");
    uint64_t before = server_rss_bytes(&zdb);
    const struct word words[] = {word("GET"), word("k")};
    uint8_t *one = request_format(words, 2, &size);
    size_t sent = ask_until_it_stops(on(2), one, size);
    assert_in_range(server_rss_bytes(&zdb), 0, before + 48 * MiB);
    ask(1, "PING", "+PONG");
    /* Now it reads: every whole question is answered, in order, and the connection goes on. */
    assert_true(client_send(on(2), one + sent % size, size - sent % size));
    for (size_t i = 0; i <= sent / size; i++) {
        const uint8_t *reply = client_reply(on(2), &got);
        assert_int_equal(got, VALUE + 9);
        assert_memory_equal(reply, "$1024\r\nvvvv", 11);
    }
    ask(2, "PING", "+PONG");
    free(one);
}

static void an_announced_payload_costs_nothing_until_it_comes(void)
{
    enum { N = 200 };
    static struct client *clients[N];
    static const char announced[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\nonly this";
    zdb.environment = plain_memory;
    server_start(&zdb, NULL);
    ask(1, "PING", "+PONG");
    uint64_t before = server_rss_bytes(&zdb);
    for (size_t i = 0; i < N; i++) {
        clients[i] = server_connect(&zdb);
        assert_true(client_send(clients[i], announced, strlen(announced)));
    }
    ask(1, "GET k", "nil");
    uint64_t grown = server_rss_bytes(&zdb) - before;
    for (size_t i = 0; i < N; i++)
        client_close(clients[i]);
    ask(1, "GET k", "nil");
    assert_in_range(grown, 0, 64 * MiB);
}

/* A peer that closes in the middle of anything is forgotten. */
static void peers_that_vanish_are_forgotten(void)
{
    static const char half[] = "*3\r\n$3\r\nSET\r\n$4\r\nkeys\r\n$10\r\n0123456789\r\n";
    server_start(&zdb, NULL);
    for (size_t cut = 1; cut < strlen(half); cut++) {
        assert_true(client_send(on(1), half, cut));
        if (cut % 2)
            assert_int_equal(shutdown(on(1)->fd, SHUT_WR), 0);
        hangup(1);
    }
    ask(2, "GET keys", "nil");
    ask(1, "WAIT SET 1000000", "");
    hangup(1);
    ask(1, "MIRROR", "+Starting mirroring");
    hangup(1);
    ask(2, "SET key value", "=key");
    for (unsigned i = 0; i < 200; i++) {
        assert_true(client_send(on(1), half, strlen(half)));
        hangup(1); /* its reply has nobody */
    }
    ask(1, "GET keys", "=0123456789"); /* a new connection comes behind those before */
}

/* "memory" and a number of MiB in one line of --help: the bound that it states. */
static uint64_t stated_bound(void)
{
    struct peer_bytes help = {0};
    assert_int_equal(server_start_refused(&zdb, (const char *const[]){"--help", NULL}), 1);
    assert_true(peer_file_read(zdb.log, &help));
    peer_put_u8(&help, 0);
    uint64_t bound = 0;
    for (const char *at = (const char *)help.at; (at = strstr(at, " MiB")); at++) {
        const char *digits = at;
        while (digits > (const char *)help.at && digits[-1] >= '0' && digits[-1] <= '9')
            digits--;
        uint64_t mib = strtoull(digits, NULL, 10);
        bound = mib > bound ? mib : bound;
    }
    peer_bytes_free(&help);
    if (bound == 0)
        fail_msg("--help states no bound of memory");
    return bound * MiB;
}

/* All of them push at once, each as far as the server takes it. */
static void send_all_at_once(struct client **clients, size_t n, const uint8_t *bytes, size_t size)
{
    struct pollfd fds[64];
    size_t at[64] = {0}, left = n;
    uint64_t deadline = clock_monotonic_ms() + CLIENT_WAIT_MS;
    assert_true(n <= array_length(fds));
    for (size_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = clients[i]->fd, .events = POLLOUT};
    while (left > 0) {
        assert_true(poll(fds, n, CLIENT_WAIT_MS) > 0 && clock_monotonic_ms() < deadline);
        for (size_t i = 0; i < n; i++) {
            if (!fds[i].revents)
                continue;
            size_t part = size - at[i] < MiB ? size - at[i] : MiB;
            ssize_t sent = send(fds[i].fd, bytes + at[i], part, MSG_NOSIGNAL);
            assert_true(sent > 0 || errno == EAGAIN);
            at[i] += sent > 0 ? (size_t)sent : 0;
            if (at[i] == size) {
                fds[i].fd = -1;
                left--;
            }
        }
    }
}

/* Each sets the same value of 8 MiB, and gets it back. So many ask for it before one of them
 * reads: whoever keeps others waiting meanwhile would be let go. */
static void exchange_large_values(size_t n_unread)
{
    enum { N = 50, SIZE = 8 << 20 };
    static struct client *clients[N];
    size_t size, n_first = 0;
    uint8_t *payload = malloc(SIZE);
    assert_non_null(payload);
    for (size_t i = 0; i < SIZE; i++)
        payload[i] = (uint8_t)(i >> 12);
    const struct word words[] = {word("SET"), word("key"), {payload, SIZE}};
    uint8_t *request = request_format(words, 3, &size);
    for (size_t i = 0; i < N; i++)
        clients[i] = server_connect(&zdb);
    send_all_at_once(clients, N, request, size);
    free(request);
    for (size_t i = 0; i < N; i++) {
        const uint8_t *reply = client_reply(clients[i], &size);
        assert_non_null(reply);
        n_first += reply[1] == '3';
        reply_match(reply, size, reply[1] == '3' ? "=key" : "nil", "SET", __FILE__, __LINE__);
    }
    assert_int_equal(n_first, 1);
    static const struct word get[] = {{"GET", 3}, {"key", 3}};
    for (size_t i = 0; i < N; i++) {
        for (size_t next = i; i % n_unread == 0 && next < N && next < i + n_unread; next++)
            assert_true(client_send_words(clients[next], get, 2));
        ask(1, "PING", "+PONG");
        const uint8_t *reply = client_reply(clients[i], &size);
        assert_non_null(reply);
        assert_int_equal(size, strlen("$8388608\r\n") + SIZE + 2);
        assert_memory_equal(reply + 10, payload, SIZE);
        client_close(clients[i]);
    }
    free(payload);
}

static void large_values_from_many_stay_within_the_stated_bound(void)
{
    uint64_t bound = stated_bound();
    zdb.environment = plain_memory;
    server_start(&zdb, NULL);
    exchange_large_values(50);
    assert_in_range(server_peak_bytes(&zdb), 0, bound);
}

/* Idle ones, some that ask and do not read, some that stop in the middle of a long request: who
 * does what he should is served beside them. */
static void a_crowd_of_all_kinds_stays_within_the_stated_bound(void)
{
    enum { READERS = 20, HALVES = 20, VALUE = 64 << 10 };
    static struct client *crowd[IDLE + READERS + HALVES];
    static const char half[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\nonly this";
    size_t n = 0, size;
    uint64_t bound = stated_bound();
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max < 2 * IDLE)
        skip();
    zdb.environment = plain_memory;
    server_start(&zdb, NULL);
    uint8_t *value = calloc(1, VALUE);
    assert_non_null(value);
    const struct word set[] = {word("SET"), word("value"), {value, VALUE}};
    assert_true(client_send_words(on(1), set, 3));
    ask(1, "", "=value");
    free(value);
    const struct word get[] = {word("GET"), word("value")};
    uint8_t *asked = request_format(get, 2, &size);
    while (n < IDLE)
        crowd[n++] = server_connect(&zdb);
    for (unsigned i = 0; i < READERS; i++) {
        crowd[n] = server_connect(&zdb);
        for (unsigned times = 0; times < 200; times++) /* 12 MiB */
            (void)send(crowd[n]->fd, asked, size, MSG_NOSIGNAL);
        n++;
    }
    free(asked);
    for (unsigned i = 0; i < HALVES; i++) {
        crowd[n] = server_connect(&zdb);
        assert_true(client_send(crowd[n++], half, strlen(half)));
    }
    exchange_large_values(10);
    ask(1, "PING", "+PONG");
    assert_in_range(server_peak_bytes(&zdb), 0, bound);
    while (n > 0)
        client_close(crowd[--n]);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(idle_connections_cost_little),
        zdb_case(a_client_that_does_not_read_is_not_read),
        zdb_case(an_announced_payload_costs_nothing_until_it_comes),
        zdb_case(peers_that_vanish_are_forgotten),
        zdb_case(large_values_from_many_stay_within_the_stated_bound),
        zdb_case(a_crowd_of_all_kinds_stays_within_the_stated_bound),
    };
    return zdb_main(argc, argv, "zdb_load", cases, array_length(cases));
}
