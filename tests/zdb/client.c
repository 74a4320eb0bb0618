/* One non-blocking socket and one buffer; every wait is a poll(2) with what is left of a deadline.
 */
#include "client.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { READ_CHUNK = 1 << 18, LINE_MAX_BYTES = 1 << 16 };

/* --- connecting ------------------------------------------------------------------------------ */

static struct client *connect_to(const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, address, size) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return NULL;
    }
    struct client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    client->fd = fd;
    return client;
}

struct client *client_try_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    return connect_to((const struct sockaddr *)&address, sizeof address);
}

struct client *client_try_tcp(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    return connect_to((const struct sockaddr *)&address, sizeof address);
}

struct client *client_open_unix(const char *path)
{
    struct client *client = client_try_unix(path);
    if (!client)
        fail_msg("connect to %s: %s", path, strerror(errno));
    return client;
}

struct client *client_open_tcp(uint16_t port)
{
    struct client *client = client_try_tcp(port);
    if (!client)
        fail_msg("connect to port %u: %s", port, strerror(errno));
    return client;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    (void)close(client->fd);
    free(client->in);
    free(client);
}

/* --- receiving ------------------------------------------------------------------------------- */

static int ms_left(uint64_t deadline_ms)
{
    uint64_t now = clock_monotonic_ms();
    return deadline_ms > now ? (int)(deadline_ms - now) : 0;
}

static void drop_taken(struct client *client)
{
    if (client->taken < READ_CHUNK && client->taken < client->in_size)
        return;
    if (client->in_size > client->taken)
        memmove(client->in, client->in + client->taken, client->in_size - client->taken);
    client->in_size -= client->taken;
    client->taken = 0;
}

/* Reads what is there; never waits. */
static void receive(struct client *client)
{
    while (!client->ended) {
        if (client->in_room - client->in_size < READ_CHUNK) {
            client->in_room = 2 * client->in_room + READ_CHUNK;
            client->in = realloc(client->in, client->in_room);
            assert_non_null(client->in);
        }
        ssize_t n = recv(client->fd, client->in + client->in_size, READ_CHUNK, 0);
        if (n > 0) {
            client->in_size += (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        } else {
            client->ended = true; /* a reset is an end as well */
        }
    }
}

size_t client_fill(struct client *client, size_t size, int timeout_ms)
{
    uint64_t deadline = clock_monotonic_ms() + (uint64_t)timeout_ms;
    drop_taken(client);
    receive(client);
    while (client->in_size - client->taken < size && !client->ended) {
        struct pollfd readable = {.fd = client->fd, .events = POLLIN};
        if (poll(&readable, 1, ms_left(deadline)) == 0)
            break;
        receive(client);
    }
    return client->in_size - client->taken;
}

bool client_ends(struct client *client)
{
    size_t left = client_fill(client, 1, CLIENT_WAIT_MS);
    return left == 0 && client->ended;
}

bool client_silent(struct client *client, int ms)
{
    return client_fill(client, 1, ms) == 0 && !client->ended;
}

/* The line at the start without its end: its size with it, 0 if there is no end yet. */
static size_t line_size(const uint8_t *bytes, size_t size)
{
    const uint8_t *end = memchr(bytes, '\n', size < LINE_MAX_BYTES ? size : LINE_MAX_BYTES);
    if (!end)
        return size < LINE_MAX_BYTES ? 0 : SIZE_MAX;
    if (end - bytes < 2 || end[-1] != '\r')
        return SIZE_MAX;
    return (size_t)(end - bytes) + 1;
}

static size_t bulk_size(const uint8_t *bytes, size_t size, size_t line, long length)
{
    if (length == -1)
        return line;
    if (length < 0)
        return SIZE_MAX;
    size_t whole = line + (size_t)length + 2;
    if (size < whole)
        return 0;
    return memcmp(bytes + whole - 2, "\r\n", 2) == 0 ? whole : SIZE_MAX;
}

size_t reply_size(const uint8_t *bytes, size_t size)
{
    size_t line = line_size(bytes, size);
    if (line == 0 || line == SIZE_MAX)
        return line;
    if (bytes[0] == '+' || bytes[0] == '-' || bytes[0] == ':')
        return line;
    char *end;
    long n = strtol((const char *)bytes + 1, &end, 10);
    if ((bytes[0] != '$' && bytes[0] != '*') || end != (const char *)bytes + line - 2)
        return SIZE_MAX;
    if (bytes[0] == '$')
        return bulk_size(bytes, size, line, n);
    size_t whole = line;
    for (long i = 0; i < n; i++) {
        size_t one = whole < size ? reply_size(bytes + whole, size - whole) : 0;
        if (one == 0 || one == SIZE_MAX)
            return one;
        whole += one;
    }
    return whole;
}

const uint8_t *client_reply(struct client *client, size_t *out_size)
{
    uint64_t deadline = clock_monotonic_ms() + CLIENT_WAIT_MS;
    size_t here = client_fill(client, 0, 0), size = 0, asked = 0;
    for (;;) {
        if (here > asked)
            size = reply_size(client->in + client->taken, here);
        if (size == SIZE_MAX)
            fail_msg("no reply: %.*s", here < 80 ? (int)here : 80, client->in + client->taken);
        if (size > 0)
            break;
        if (client->ended)
            return NULL;
        asked = here;
        here = client_fill(client, here + 1, ms_left(deadline));
        if (here == asked && !client->ended)
            fail_msg("no whole reply in %d ms, only %zu bytes: %.*s", CLIENT_WAIT_MS, here,
                     here < 80 ? (int)here : 80, here ? client->in + client->taken : NULL);
    }
    const uint8_t *reply = client->in + client->taken;
    client->taken += size;
    *out_size = size;
    return reply;
}

/* --- sending --------------------------------------------------------------------------------- */

bool client_send(struct client *client, const void *bytes, size_t size)
{
    uint64_t deadline = clock_monotonic_ms() + CLIENT_WAIT_MS;
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t n = send(client->fd, at, size, MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            size -= (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        struct pollfd ready = {.fd = client->fd, .events = POLLIN | POLLOUT};
        if (poll(&ready, 1, ms_left(deadline)) == 0)
            fail_msg("the server did not read for %d ms", CLIENT_WAIT_MS);
        receive(client);
        if (client->ended)
            return false;
    }
    return true;
}

uint8_t *request_format(const struct word *words, size_t n, size_t *out_size)
{
    size_t size = 32;
    for (size_t i = 0; i < n; i++)
        size += 32 + words[i].size;
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    size_t used = (size_t)snprintf((char *)bytes, size, "*%zu\r\n", n);
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf((char *)bytes + used, size - used, "$%zu\r\n", words[i].size);
        if (words[i].size > 0)
            memcpy(bytes + used, words[i].at, words[i].size);
        used += words[i].size;
        memcpy(bytes + used, "\r\n", 2);
        used += 2;
    }
    *out_size = used;
    return bytes;
}

bool client_send_words(struct client *client, const struct word *words, size_t n)
{
    size_t size;
    uint8_t *bytes = request_format(words, n, &size);
    bool sent = client_send(client, bytes, size);
    free(bytes);
    return sent;
}
