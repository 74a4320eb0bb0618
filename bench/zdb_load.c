/* The loop of the load; see the header. */
#include "zdb_load.h"

#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, HEAD_MAX = 96 };

struct connection {
    int fd;
    uint8_t *requests; /* of a batch */
    size_t got;        /* of its replies */
    uint64_t sent_ns;
};

struct run {
    const struct load *load;
    struct connection clients[LOAD_CLIENTS_MAX];
    size_t request_bytes, key_at, value_at; /* of one request */
    size_t reply_bytes;                     /* of one reply */
    char reply_kind;
    uint64_t random, done, deadline_ns;
    uint32_t next; /* of a fill */
    struct samples *latencies_us;
    int epoll;
    unsigned busy;
};

static uint64_t values; /* written so far, in all runs: each begins with its number */

/* --- requests -------------------------------------------------------------------------------- */

static uint64_t next_random(struct run *run)
{
    run->random ^= run->random << 13;
    run->random ^= run->random >> 7;
    run->random ^= run->random << 17;
    return run->random;
}

static void write_key(uint8_t *at, uint32_t number)
{
    for (unsigned i = LOAD_KEY_BYTES - 1; number > 0; i--, number /= 10)
        at[i] = (uint8_t)('0' + number % 10);
}

/* One request with its first key, and where its parts are. */
static uint8_t *make_request(struct run *run)
{
    const struct load *load = run->load;
    char head[HEAD_MAX], key[LOAD_KEY_BYTES + 1];
    unsigned key_bytes = load->sequential ? 0 : LOAD_KEY_BYTES;
    (void)snprintf(key, sizeof key, "%c%0*u", load->kind, LOAD_KEY_BYTES - 1, 0u);
    int before = snprintf(head, sizeof head, "*%d\r\n$3\r\n%s\r\n$%u\r\n", load->set ? 3 : 2,
                          load->set ? "SET" : "GET", key_bytes);
    run->key_at = (size_t)before;
    int size = before + snprintf(head + before, sizeof head - (size_t)before, "%.*s\r\n",
                                 (int)key_bytes, key);
    if (load->set)
        size += snprintf(head + size, sizeof head - (size_t)size, "$%u\r\n", load->value_bytes);
    run->value_at = (size_t)size;
    run->request_bytes = (size_t)size + (load->set ? (size_t)load->value_bytes + 2 : 0);
    uint8_t *request = malloc(run->request_bytes);
    assert_non_null(request);
    memcpy(request, head, (size_t)size);
    for (size_t i = (size_t)size; i < run->request_bytes; i++)
        request[i] = (uint8_t)next_random(run);
    if (load->set)
        memcpy(request + run->request_bytes - 2, "\r\n", 2);
    return request;
}

static void make_requests(struct run *run)
{
    const struct load *load = run->load;
    autofree uint8_t *request = make_request(run);
    for (unsigned c = 0; c < load->clients; c++) {
        uint8_t *batch = malloc(load->pipeline * run->request_bytes);
        assert_non_null(batch);
        for (unsigned i = 0; i < load->pipeline; i++)
            memcpy(batch + i * run->request_bytes, request, run->request_bytes);
        run->clients[c].requests = batch;
    }
}

static void expect_replies(struct run *run)
{
    const struct load *load = run->load;
    char head[HEAD_MAX];
    uint32_t bytes = load->set ? (load->sequential ? 8 : LOAD_KEY_BYTES) : load->value_bytes;
    bool says_ok = load->set && load->server->says_ok;
    run->reply_kind = says_ok ? '+' : '$';
    run->reply_bytes = says_ok ? strlen("+OK\r\n")
                               : (size_t)snprintf(head, sizeof head, "$%u\r\n", bytes) + bytes + 2;
}

static void send_batch(struct run *run, struct connection *client)
{
    const struct load *load = run->load;
    size_t size = load->pipeline * run->request_bytes;
    for (unsigned i = 0; i < load->pipeline; i++) {
        uint8_t *request = client->requests + i * run->request_bytes;
        uint32_t key = load->ms ? (uint32_t)(next_random(run) % load->keys) : run->next++;
        if (!load->sequential)
            write_key(request + run->key_at, key + 10000000); /* always as many digits */
        if (load->set) {
            values++;
            memcpy(request + run->value_at, &values, sizeof values);
        }
    }
    client->got = 0;
    if (run->latencies_us)
        client->sent_ns = clock_read_ns(CLOCK_MONOTONIC);
    for (size_t done = 0; done < size;) {
        ssize_t n = send(client->fd, client->requests + done, size - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            fail_msg("%s does not listen: %s", load->server->name, strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    run->busy++;
}

/* --- replies --------------------------------------------------------------------------------- */

static bool wants_more(const struct run *run)
{
    if (run->load->ms)
        return clock_read_ns(CLOCK_MONOTONIC) < run->deadline_ns;
    return run->next < run->load->keys;
}

/* The first byte of each reply says what it is. */
static void check(const struct run *run, const struct connection *client, const uint8_t *bytes,
                  size_t size)
{
    size_t skip = (run->reply_bytes - client->got % run->reply_bytes) % run->reply_bytes;
    for (size_t at = skip; at < size; at += run->reply_bytes)
        if (bytes[at] != (uint8_t)run->reply_kind)
            fail_msg("%s answers: %.*s", run->load->server->name,
                     (int)(size - at < 60 ? size - at : 60), (const char *)bytes + at);
}

static void hear(struct run *run, struct connection *client)
{
    static uint8_t buffer[BUFFER];
    const struct load *load = run->load;
    size_t expected = load->pipeline * run->reply_bytes;
    ssize_t n = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        fail_msg("%s hung up", load->server->name);
    check(run, client, buffer, (size_t)n);
    client->got += (size_t)n;
    assert_true(client->got <= expected);
    if (client->got < expected)
        return;
    run->done += load->pipeline;
    run->busy--;
    if (run->latencies_us)
        samples_add(run->latencies_us,
                    (double)(clock_read_ns(CLOCK_MONOTONIC) - client->sent_ns) / 1e3);
    if (wants_more(run))
        send_batch(run, client);
}

/* --- a run ----------------------------------------------------------------------------------- */

static void connect_all(struct run *run)
{
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_true(run->epoll >= 0);
    for (unsigned i = 0; i < run->load->clients; i++) {
        struct connection *client = &run->clients[i];
        struct epoll_event ready = {.events = EPOLLIN, .data.ptr = client};
        client->fd = kv_connect(run->load->server);
        assert_true(client->fd >= 0);
        assert_int_equal(epoll_ctl(run->epoll, EPOLL_CTL_ADD, client->fd, &ready), 0);
    }
}

static void disconnect_all(struct run *run)
{
    for (unsigned i = 0; i < run->load->clients; i++) {
        (void)close(run->clients[i].fd);
        free(run->clients[i].requests);
    }
    (void)close(run->epoll);
}

struct load_result load_run(const struct load *load, struct samples *latencies_us)
{
    struct run run = {
        .load = load, .random = clock_read_ns(CLOCK_MONOTONIC) | 1, .latencies_us = latencies_us};
    struct epoll_event events[LOAD_CLIENTS_MAX];
    assert_true(load->clients <= LOAD_CLIENTS_MAX);
    connect_all(&run);
    make_requests(&run);
    expect_replies(&run);
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    run.deadline_ns = start + load->ms * UINT64_C(1000000);
    for (unsigned i = 0; i < load->clients && wants_more(&run); i++)
        send_batch(&run, &run.clients[i]);
    while (run.busy > 0) {
        int n = epoll_wait(run.epoll, events, LOAD_CLIENTS_MAX, HARNESS_WAIT_MS);
        if (n == 0)
            fail_msg("%s answers no more", load->server->name);
        for (int i = 0; i < n; i++)
            hear(&run, events[i].data.ptr);
    }
    double seconds = (double)(clock_read_ns(CLOCK_MONOTONIC) - start) / 1e9;
    disconnect_all(&run);
    return (struct load_result){run.done, (double)run.done / seconds};
}

void load_fill(const struct kv_server *server, char kind, uint32_t keys, uint32_t value_bytes)
{
    struct load load = {.server = server,
                        .set = true,
                        .clients = 4,
                        .pipeline = 10,
                        .value_bytes = value_bytes,
                        .kind = kind,
                        .keys = keys};
    (void)load_run(&load, NULL);
}
