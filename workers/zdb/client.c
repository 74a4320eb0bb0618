/*
 * Reading goes into a buffer that all share, and only what is left of a request moves into one of
 * the client's own; a long value is read straight to where it is written from. A client is not read
 * while it does not take its replies, nor while the budget for long requests is used up.
 */
#include "client.h"

#include "command.h"
#include "limits.h"
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_LEAST = 16 << 10, SEND_SOON = 16 << 10 };

/* News alone, so that clients come up in the order in which they spoke. That a socket takes more is
 * no news but to a client that waits for it. */
#define IN_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* --- lists ----------------------------------------------------------------------------------- */

static void link_all(struct server *server, struct client *client)
{
    client->all.next = server->clients;
    if (server->clients)
        server->clients->all.previous = client;
    server->clients = client;
    server->n_clients++;
}

static void unlink_all(struct client *client)
{
    struct server *server = client->server;
    if (client->all.next)
        client->all.next->all.previous = client->all.previous;
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
    client->moved_ms = server->now_ms;
    link_all(server, client);
    server->counters.clients++;
    return client;
}

static void free_in(struct client *client)
{
    free(client->in);
    client->in = NULL;
    client->in_size = client->in_room = 0;
    client->server->in_budget_used -= client->in_share;
    client->in_share = 0;
}

void client_free(struct client *client)
{
    (void)close(client->fd);
    resp_clear(&client->resp);
    free_in(client);
    client->server->out_sum -= client->out_counted;
    out_free(&client->out);
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

void client_touch(struct client *client)
{
    if (out_size(&client->out) > LIMITS_OUT_CLOSE || client->out.overflown)
        client_drop(client);
    else
        server_queue_send(client->server, client);
}

/* --- what holds it up ------------------------------------------------------------------------ */

static bool is_paused(const struct client *client)
{
    return client->starved || out_size(&client->out) > LIMITS_OUT_PAUSE;
}

/* Counts what it is owed in the sum of all. */
static void count_out(struct client *client)
{
    size_t size = out_size(&client->out);
    client->server->out_sum += size - client->out_counted;
    client->out_counted = size;
}

/* --- requests -------------------------------------------------------------------------------- */

/* So much is owed to all that who is owed something has to wait. */
static bool must_wait(struct client *client)
{
    count_out(client);
    if (client->out_counted == 0 || client->server->out_sum <= (size_t)LIMITS_OUT_MIB * LIMITS_MIB)
        return false;
    client->starved = client->server->starving = true;
    return true;
}

/* Runs the whole requests; the bytes that are left begin with one that is not, or not yet. */
static size_t run_requests(struct client *client, const uint8_t *bytes, size_t size)
{
    size_t done = 0;
    while (done < size && !client->closing && !client->dead && !is_paused(client) &&
           !must_wait(client)) {
        size_t used;
        const char *error;
        enum resp_result result =
            resp_parse(&client->resp, bytes + done, size - done, &used, &error);
        if (result == RESP_MORE)
            break;
        if (result == RESP_ERROR) {
            out_line(&client->out, error);
            client->closing = true;
            break;
        }
        command_run(client, bytes + done);
        resp_clear(&client->resp);
        done += used;
    }
    count_out(client);
    if (out_size(&client->out) > 0 || client->closing || client->out.overflown)
        server_queue_send(client->server, client);
    return client->closing ? size : done;
}

/* --- receiving ------------------------------------------------------------------------------- */

static bool take_share(struct client *client)
{
    struct server *server = client->server;
    if (client->in_share > 0)
        return true;
    if (server->in_budget_used + RESP_REQUEST_MAX > (size_t)LIMITS_IN_MIB * LIMITS_MIB) {
        client->starved = server->starving = true;
        return false;
    }
    client->in_share = RESP_REQUEST_MAX;
    server->in_budget_used += client->in_share;
    return true;
}

/* Room for what a request still lacks; while that is long, it grows with what has come. */
static bool make_room(struct client *client)
{
    size_t missing = resp_missing(&client->resp, client->in_size);
    size_t step = client->in_size < IN_LEAST ? IN_LEAST : client->in_size;
    size_t wanted = client->in_size + (missing < step && missing > IN_LEAST ? missing : step);
    if (client->in_room > client->in_size)
        return true;
    if (wanted > LIMITS_IN_SMALL && !take_share(client))
        return false;
    uint8_t *grown = realloc(client->in, wanted);
    if (!grown) {
        client_drop(client);
        return false;
    }
    client->in = grown;
    client->in_room = wanted;
    return true;
}

/* What is left of the shared buffer moves into the client's own. */
static void keep_rest(struct client *client, const uint8_t *bytes, size_t size)
{
    if (size == 0 || client->dead)
        return;
    size_t room = size < IN_LEAST ? IN_LEAST : size;
    client->in = malloc(room);
    if (!client->in) {
        client_drop(client);
        return;
    }
    memcpy(client->in, bytes, size);
    client->in_size = size;
    client->in_room = room;
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
static size_t receive(struct client *client, uint8_t *into, size_t room)
{
    ssize_t n;
    do
        n = recv(client->fd, into, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    /* A socket that gave less than was asked for is empty; of what comes then epoll tells. But its
     * end has been told of already. */
    client->readable = n > 0 && ((size_t)n == room || client->ending);
    if (n > 0) {
        client->moved_ms = client->server->now_ms;
        client->server->counters.received_bytes += (uint64_t)n;
        return (size_t)n;
    }
    if (n == 0)
        client->read_ended = true;
    else if (errno != EAGAIN)
        die(client);
    return 0;
}

void client_receive(struct client *client)
{
    struct server *server = client->server;
    if (client->dead || client->closing || client->read_ended || is_paused(client))
        return;
    client->readable = false;
    if (client->in_size == 0) {
        size_t n = receive(client, server->shared, SERVER_SHARED);
        size_t done = n > 0 ? run_requests(client, server->shared, n) : 0;
        keep_rest(client, server->shared + done, n - done);
    } else if (!make_room(client)) {
        client->readable = true;
    } else {
        size_t n = receive(client, client->in + client->in_size, client->in_room - client->in_size);
        client->in_size += n;
        if (n > 0)
            run_own(client);
    }
    if (client->read_ended || client->dead || is_paused(client))
        server_queue_send(server, client);
    else if (client->readable)
        server_queue_read(server, client);
    /* Long replies go out while the processor has them at hand, unless they may tell of what is
     * gathered and not written yet. */
    if (out_size(&client->out) >= SEND_SOON && server->n_written == 0)
        client_send(client);
}

void client_go_on(struct client *client)
{
    if (client->dead || client->closing || is_paused(client))
        return;
    if (client->in_size > 0)
        run_own(client);
    if (client->readable)
        server_queue_read(client->server, client);
}

/* --- sending --------------------------------------------------------------------------------- */

static size_t may_send(const struct client *client)
{
    uint64_t end = out_position(&client->out);
    if (client->in_flight.on && client->in_flight.from < end)
        end = client->in_flight.from;
    if (client->next.on && client->next.from < end)
        end = client->next.from;
    return (size_t)(end - client->out.sent);
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
        client->moved_ms = client->server->now_ms;
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
    send_some(client, may_send(client));
    count_out(client);
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
