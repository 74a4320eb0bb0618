/*
 * Reading goes into a buffer that all share, and only what is left of a request moves into one of
 * the client's own; a long value is read straight to where it is written from. A client is not read
 * while it does not take its replies, nor while the budget for long requests is used up.
 */
#include "client.h"

#include "command.h"
#include "limits.h"
#include "server.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IN_LEAST = 16 << 10,
    SEND_SOON = 16 << 10,
    SLICE_NS = 2000000, /* for so long the requests of a client run in one turn, */
    SLICE_LOOKS = 4,    /* and so many of them between two looks at the clock */
};

/* News alone, so that clients come up in the order in which they spoke. That a socket takes more is
 * no news but to a client that waits for it. */
#define IN_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* --- lists ----------------------------------------------------------------------------------- */

static void link_all(struct server *server, struct client *client)
{
    client->all.next = server->clients;
    if (server->clients)
        server->clients->all.previous = client;
    else
        server->oldest = client;
    server->clients = client;
    server->n_clients++;
}

static void unlink_all(struct client *client)
{
    struct server *server = client->server;
    if (client->all.next)
        client->all.next->all.previous = client->all.previous;
    else
        server->oldest = client->all.previous;
    if (client->all.previous)
        client->all.previous->all.next = client->all.next;
    else
        server->clients = client->all.next;
    server->n_clients--;
}

struct client *client_new(struct server *server, int fd, bool admin)
{
    struct client *client = calloc(1, sizeof *client);
    struct epoll_event ready = {.events = IN_EVENTS, .data.ptr = client};
    if (!client || epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &ready) < 0) {
        (void)close(fd);
        free(client);
        return NULL;
    }
    client->server = server;
    client->fd = fd;
    client->admin = admin;
    client->id = ++server->last_id;
    client->ns = server->realm.first;
    client->writable = !server->options->protect;
    link_all(server, client);
    server->counters.clients++;
    return client;
}

static void free_in(struct client *client)
{
    free(client->in);
    client->in = NULL;
    client->in_size = client->in_room = client->in_share = 0;
    budget_count(client);
}

void client_free(struct client *client)
{
    (void)close(client->fd);
    resp_clear(&client->resp);
    out_free(&client->out);
    free_in(client);
    budget_withdraw(client);
    unlink_all(client);
    free(client);
}

static void die(struct client *client)
{
    client->dead = client->server->any_dead = true;
}

void client_drop(struct client *client)
{
    die(client);
    server_queue_send(client->server, client);
}

void client_discard(struct client *client)
{
    client_drop(client);
    resp_clear(&client->resp);
    out_free(&client->out);
    free_in(client);
    budget_withdraw(client);
}

void client_touch(struct client *client)
{
    budget_count(client);
    if (out_size(&client->out) > LIMITS_OUT_CLOSE || client->out.overflown)
        client_drop(client);
    else
        server_queue_send(client->server, client);
}

/* --- what holds it up ------------------------------------------------------------------------ */

static bool is_paused(const struct client *client)
{
    return client->yields || client->need != BUDGET_NOTHING ||
           out_size(&client->out) > LIMITS_OUT_PAUSE;
}

/* --- requests -------------------------------------------------------------------------------- */

static bool may_run(struct client *client)
{
    if (client->closing || client->dead || is_paused(client))
        return false;
    budget_count(client);
    return budget_ask(client, BUDGET_REPLY);
}

/* Of a batch so many requests have run: are others to have their turn before the next one? */
static bool is_over(uint64_t *end_ns, unsigned n)
{
    if (n > 1 && n % SLICE_LOOKS > 0)
        return false;
    uint64_t now_ns = clock_read_ns(CLOCK_MONOTONIC);
    if (n == 1)
        *end_ns = now_ns + SLICE_NS;
    return now_ns >= *end_ns;
}

/* Runs the whole requests; the bytes that are left begin with one that is not, or not yet, or not
 * to its end. */
static size_t run_requests(struct client *client, const uint8_t *bytes, size_t size)
{
    size_t done = 0;
    uint64_t end_ns = 0;
    for (unsigned n = 1; done < size && may_run(client); n++) {
        size_t used = client->resp.at;
        const char *error;
        enum resp_result result = RESP_REQUEST;
        if (!resp_is_whole(&client->resp)) /* it is not one that goes on */
            result = resp_parse(&client->resp, bytes + done, size - done, &used, &error);
        if (result == RESP_MORE)
            break;
        if (result == RESP_ERROR) {
            out_line(&client->out, error);
            client->closing = true;
            break;
        }
        command_run(client, bytes + done);
        if (client->next_arg > 0 || client->again)
            break;
        resp_clear(&client->resp);
        done += used;
        client->yields = done < size && is_over(&end_ns, n);
    }
    budget_count(client);
    if (out_size(&client->out) > 0 || client->closing || client->out.overflown)
        server_queue_send(client->server, client);
    return client->closing ? size : done;
}

/* --- receiving ------------------------------------------------------------------------------- */

static bool take_share(struct client *client)
{
    if (client->in_share > 0)
        return true;
    if (!budget_ask(client, BUDGET_SHARE))
        return false;
    client->in_share = LIMITS_IN_SHARE;
    budget_count(client);
    return true;
}

/* Room for what a request still lacks; while that is long, it grows with what has come. Never for
 * more than the longest one and a little. */
static bool make_room(struct client *client)
{
    size_t missing = resp_missing(&client->resp, client->in_size);
    size_t step = client->in_size < IN_LEAST ? IN_LEAST : client->in_size;
    size_t wanted = client->in_size + (missing + IN_LEAST < step ? missing + IN_LEAST : step);
    if (client->in_room > client->in_size)
        return true;
    if (wanted > LIMITS_IN_SMALL ? !take_share(client) : !budget_ask(client, BUDGET_READ))
        return false;
    uint8_t *grown = realloc(client->in, wanted);
    if (!grown) {
        client_drop(client);
        return false;
    }
    client->in = grown;
    client->in_room = wanted;
    budget_count(client);
    return true;
}

/* What is left of the shared buffer moves into the client's own. */
static void keep_rest(struct client *client, const uint8_t *bytes, size_t size)
{
    if (size == 0 || client->dead) {
        free_in(client);
        return;
    }
    size_t room = size < IN_LEAST ? IN_LEAST : size;
    client->in = malloc(room);
    if (!client->in) {
        client_drop(client);
        return;
    }
    memcpy(client->in, bytes, size);
    client->in_size = size;
    client->in_room = room;
    budget_count(client);
}

static void run_own(struct client *client)
{
    size_t done = run_requests(client, client->in, client->in_size);
    if (done == client->in_size) {
        free_in(client);
        return;
    }
    if (done > 0)
        memmove(client->in, client->in + done, client->in_size - done);
    client->in_size -= done;
}

/* Bytes that were read, 0 when there is nothing for now. */
static size_t receive(struct client *client, uint8_t *into, size_t room, int flags)
{
    ssize_t n;
    do
        n = recv(client->fd, into, room, MSG_DONTWAIT | flags);
    while (n < 0 && errno == EINTR);
    /* A socket that gave less than was asked for is empty; of what comes then epoll tells. But its
     * end has been told of already. */
    client->readable = n > 0 && ((size_t)n == room || client->ending);
    if (n == 0)
        client->read_ended = true;
    else if (n < 0 && errno != EAGAIN)
        die(client);
    return n > 0 ? (size_t)n : 0;
}

static void count_received(struct client *client, size_t n)
{
    client->received += n;
    client->server->counters.received_bytes += n;
}

static void receive_shared(struct client *client)
{
    uint8_t *shared = client->server->shared;
    size_t n = receive(client, shared, SERVER_SHARED, 0);
    size_t done = n > 0 ? run_requests(client, shared, n) : 0;
    count_received(client, n);
    keep_rest(client, shared + done, n - done);
}

/* What was looked at, and stays where it is in the shared buffer. */
static void consume(struct client *client, size_t size)
{
    for (size_t done = 0; done < size && !client->dead;) {
        ssize_t n = recv(client->fd, client->server->shared + done, size - done, MSG_DONTWAIT);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            die(client);
    }
    count_received(client, size);
}

/* While nothing can be kept, whole requests are served all the same. What is none yet stays in the
 * socket, and is looked at again when more of it comes; but a long one asks for its share. */
static void receive_whole(struct client *client)
{
    uint8_t *shared = client->server->shared;
    size_t n = receive(client, shared, IN_LEAST, MSG_PEEK);
    size_t done = n > 0 ? run_requests(client, shared, n) : 0;
    bool goes_on = client->next_arg > 0; /* it cannot begin anew: it has to be kept */
    size_t taken = goes_on ? n : done;
    consume(client, taken);
    if (goes_on && !budget_has(client, BUDGET_REST))
        client_drop(client);
    else if (goes_on)
        keep_rest(client, shared + done, n - done);
    if (taken == n) {
        client->waits_since = 0;
        return;
    }
    size_t lacking = n - done + resp_missing(&client->resp, n - done);
    resp_clear(&client->resp);
    client->readable = true;
    if (is_paused(client))
        return;
    if (lacking > LIMITS_IN_SMALL)
        (void)take_share(client);
    else
        (void)budget_ask(client, BUDGET_READ);
}

static void receive_more(struct client *client)
{
    if (!make_room(client)) {
        client->readable = true;
        return;
    }
    size_t n = receive(client, client->in + client->in_size, client->in_room - client->in_size, 0);
    client->in_size += n;
    count_received(client, n);
    if (n > 0)
        run_own(client);
}

static void read_once(struct client *client)
{
    client->readable = false;
    if (client->in_size > 0)
        receive_more(client);
    else if (client->in_share > 0 || budget_lets(client, BUDGET_READ))
        receive_shared(client);
    else
        receive_whole(client);
}

void client_receive(struct client *client)
{
    struct server *server = client->server;
    bool goes_on = client->yields && client->in_size > 0;
    client->yields = false;
    if (client->in_size == 0 && (client->need == BUDGET_READ || client->need == BUDGET_SHARE))
        budget_withdraw(client); /* nothing is kept: it may try */
    if (client->dead || client->closing || is_paused(client) || (client->read_ended && !goes_on))
        return;
    if (goes_on)
        run_own(client);
    else
        read_once(client);
    if (client->yields)
        server_queue_read(server, client);
    else if (client->read_ended || client->dead || is_paused(client))
        server_queue_send(server, client);
    else if (client->readable)
        server_queue_read(server, client);
    /* Long replies go out while the processor has them at hand, unless they may tell of what is
     * gathered and not written yet. */
    if (out_size(&client->out) >= SEND_SOON && !server_is_to_write(server))
        client_send(client);
}

void client_go_on(struct client *client)
{
    if (client->dead || client->closing || is_paused(client))
        return;
    if (client->in_size > 0)
        run_own(client);
    if (client->readable || client->yields)
        server_queue_read(client->server, client);
    if (client->read_ended)
        server_queue_send(client->server, client);
}

/* --- sending --------------------------------------------------------------------------------- */

static size_t sendable(const struct client *client)
{
    uint64_t end = out_position(&client->out);
    if (client->in_flight.on && client->in_flight.from < end)
        end = client->in_flight.from;
    if (client->next.on && client->next.from < end)
        end = client->next.from;
    return (size_t)(end - client->out.sent);
}

bool client_may_send(const struct client *client)
{
    return sendable(client) > 0;
}

static void ask_for_room(struct client *client, bool on)
{
    struct epoll_event ready = {.events = IN_EVENTS | (on ? EPOLLOUT : 0), .data.ptr = client};
    if (client->blocked == on)
        return;
    client->blocked = on;
    if (epoll_ctl(client->server->epoll, EPOLL_CTL_MOD, client->fd, &ready) < 0)
        die(client);
}

/* As much as the socket takes; epoll tells when it takes more. */
static void send_some(struct client *client, size_t size)
{
    while (size > 0) {
        ssize_t n = send(client->fd, client->out.bytes + client->out.begin, size,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            ask_for_room(client, true);
            return;
        }
        if (n < 0) {
            die(client);
            return;
        }
        client->server->counters.sent_bytes += (uint64_t)n;
        out_sent(&client->out, (size_t)n);
        size -= (size_t)n;
    }
    ask_for_room(client, false);
}

/* Says goodbye: what it may still send is taken and thrown away, so that it reads its last reply
 * before it hears that nobody listens. */
static void finish(struct client *client)
{
    (void)shutdown(client->fd, SHUT_WR);
    for (int i = 0; i < 64; i++)
        if (recv(client->fd, client->server->shared, SERVER_SHARED, MSG_DONTWAIT) <= 0)
            break;
    die(client);
}

void client_send(struct client *client)
{
    if (client->dead)
        return;
    if (client->out.overflown) {
        die(client);
        return;
    }
    bool was_paused = is_paused(client);
    send_some(client, sendable(client));
    budget_count(client);
    if (client->dead)
        return;
    bool all_said = client->closing || (client->read_ended && !is_paused(client));
    if (all_said && out_size(&client->out) == 0 && (client->closing || !was_paused)) {
        finish(client);
        return;
    }
    if (was_paused && !is_paused(client))
        client_go_on(client);
}
