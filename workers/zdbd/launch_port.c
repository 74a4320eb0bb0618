/*
 * Whether a port can be had. Somebody may take it in the moment between this and the 0-db's own
 * bind, which then ends at once and is started again; so this is for a clear word, not for safety.
 *
 * With SO_REUSEADDR, connections that ended a moment ago do not count, and neither does who is
 * bound and does not listen yet, as a 0-db that loads. So it is set for a port that is kept, and
 * not for a new one, of which there are others.
 */
#include "launch_private.h"

#include "base/cleanup.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

static int try_address(const struct addrinfo *address, bool kept)
{
    const int reuse = kept;
    autoclose int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) < 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, 1) < 0)
        return -errno;
    return 0;
}

int launch_try_port(const char *listen_address, uint16_t port, bool kept)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    char text[8];
    (void)snprintf(text, sizeof text, "%u", port);
    if (getaddrinfo(listen_address, text, &hints, &found) != 0)
        return -EADDRNOTAVAIL;
    int rc = try_address(found, kept);
    freeaddrinfo(found);
    return rc;
}
