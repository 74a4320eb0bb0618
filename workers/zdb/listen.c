/* The sockets that clients come to. */
#include "server.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096, AT_ONCE = 64, AGAIN_MS = 1000, OTHER_DESCRIPTORS = 32, PLACES_LEAST = 16 };

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

/* A peer that is gone without a word is noticed, so that it does not hold a place for ever. */
static void configure_tcp(int fd)
{
    static const int on = 1, idle_s = 60, interval_s = 15, probes = 4;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static uint64_t count_namespaces(const struct server *server)
{
    uint64_t n = 0;
    for (const struct ns *ns = server->realm.first; ns; ns = ns->next)
        n += ns->index_dir >= 0;
    return n;
}

/* A namespace has its two directories, and its active pair. */
bool listen_has_room(const struct server *server)
{
    uint64_t needed = OTHER_DESCRIPTORS + 4 * (count_namespaces(server) + 1);
    return needed <= server->n_descriptors - server->n_descriptors / 4 &&
           listen_places(server) >= PLACES_LEAST;
}

uint64_t listen_places(const struct server *server)
{
    uint64_t n_namespaces = count_namespaces(server);
    uint64_t files = file_limit() > 2 * n_namespaces ? file_limit() : 2 * n_namespaces;
    uint64_t others = OTHER_DESCRIPTORS + 2 * n_namespaces + files;
    uint64_t places = server->n_descriptors > others ? server->n_descriptors - others : 0;
    return places < LIMITS_CLIENTS ? places : LIMITS_CLIENTS;
}

/* What it has said already is taken, or else it would not hear the reason. */
static void refuse(const struct server *server, int fd)
{
    static const char line[] = "-Too many clients\r\n";
    (void)send(fd, line, sizeof line - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    (void)recv(fd, server->shared, SERVER_SHARED, MSG_DONTWAIT);
    (void)close(fd);
}

static int accept_one(const struct server *server, unsigned listener)
{
    int fd;
    do
        /* cppcheck-suppress nullPointer ; accept(2) allows it */
        fd = accept4(server->listeners[listener], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd;
}

static void hear(struct server *server, bool on)
{
    for (unsigned i = 0; i < SERVER_LISTENERS; i++) {
        struct epoll_event ready = {.events = on ? EPOLLIN : 0, .data.ptr = &server->listeners[i]};
        if (server->listeners[i] >= 0)
            (void)epoll_ctl(server->epoll, EPOLL_CTL_MOD, server->listeners[i], &ready);
    }
    server->accept_again_ms = on ? 0 : server->now_ms + AGAIN_MS;
}

/* No descriptor is left: with the spare one he can at least be told so. */
static bool refuse_with_spare(struct server *server, unsigned listener)
{
    cleanup_fd(&server->spare);
    int fd = accept_one(server, listener);
    bool again = fd >= 0 || errno == EAGAIN;
    if (fd >= 0)
        refuse(server, fd);
    server->spare = fcntl(server->epoll, F_DUPFD_CLOEXEC, 0);
    return again;
}

void listen_accept(struct server *server, unsigned listener)
{
    bool is_unix = server->listener_is_unix[listener];
    uint64_t places = listen_places(server);
    if (places == 0)
        places = 1; /* somebody has to be able to remove a namespace */
    if (server->spare < 0)
        server->spare = fcntl(server->epoll, F_DUPFD_CLOEXEC, 0);
    for (unsigned n = 0; n < AT_ONCE; n++) { /* epoll tells of the others again */
        int fd = accept_one(server, listener);
        if (fd >= 0 && server->n_clients >= places) {
            refuse(server, fd);
        } else if (fd >= 0) {
            if (!is_unix)
                configure_tcp(fd);
            (void)client_new(server, fd, is_admin(server, fd, is_unix));
        } else if (errno == EAGAIN) {
            return;
        } else if (!refuse_with_spare(server, listener)) {
            hear(server, false); /* we would be told of them without end */
            return;
        }
    }
}

void listen_again(struct server *server)
{
    if (server->accept_again_ms > 0 && server->accept_again_ms <= server->now_ms)
        hear(server, true);
}
