/* The sockets that clients come to. */
#include "server.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

static int open_unix(const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, path, "the path is too long for a socket");
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        if (fd >= 0)
            (void)close(fd);
        return err_errno(err, error, path, "cannot listen");
    }
    return fd;
}

static int open_tcp(const struct options *options, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    char port[8];
    static const int on = 1;
    (void)snprintf(port, sizeof port, "%u", options->port);
    int rc = getaddrinfo(options->listen, port, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, options->listen, "no such address: %s",
                       gai_strerror(rc));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    rc = fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 ? errno : 0;
    freeaddrinfo(found);
    if (rc == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return err_errno(err, rc, options->listen, "cannot listen at port %u", options->port);
}

static int add_listener(struct server *server, int fd, bool is_unix)
{
    unsigned i = server->listeners[0] >= 0;
    if (fd < 0)
        return fd;
    server->listeners[i] = fd;
    server->listener_is_unix[i] = is_unix;
    return 0;
}

int listen_bind(struct server *server, struct err *err)
{
    const struct options *options = server->options;
    int rc = 0;
    if (options->socket)
        rc = add_listener(server, open_unix(options->socket, err), true);
    if (rc == 0 && (!options->socket || options->dualnet))
        rc = add_listener(server, open_tcp(options, err), false);
    if (rc < 0)
        return rc;
    int n = options->socket
                ? asprintf(&server->identity, "unix://%s", options->socket)
                : asprintf(&server->identity, "tcp://%s:%u", options->listen, options->port);
    return n < 0 ? err_errno(err, ENOMEM, "zdb", "cannot start") : 0;
}

int listen_begin(struct server *server, struct err *err)
{
    for (unsigned i = 0; i < SERVER_LISTENERS; i++)
        if (server->listeners[i] >= 0 && listen(server->listeners[i], BACKLOG) < 0)
            return err_errno(err, errno, server->identity, "cannot listen");
    return 0;
}

void listen_close(struct server *server)
{
    for (unsigned i = 0; i < SERVER_LISTENERS; i++) {
        if (server->listeners[i] >= 0)
            (void)close(server->listeners[i]);
        server->listeners[i] = -1;
    }
    free(server->identity);
    server->identity = NULL;
}

/* Without a password: who has our uid, or is root, at the unix socket. */
static bool is_admin(const struct server *server, int fd, bool is_unix)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return !server->options->admin[0] && is_unix &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

bool listen_accept(struct server *server, unsigned listener)
{
    static const int on = 1;
    bool is_unix = server->listener_is_unix[listener];
    for (;;) {
        /* cppcheck-suppress nullPointer ; accept(2) allows it */
        int fd = accept4(server->listeners[listener], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            return errno != EMFILE && errno != ENFILE;
        if (server->n_clients >= LIMITS_CLIENTS) {
            (void)close(fd);
            continue;
        }
        if (!is_unix)
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)client_new(server, fd, is_admin(server, fd, is_unix));
    }
}
