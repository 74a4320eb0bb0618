/*
 * The sendmsg(2) that nng calls: it says ECONNRESET where the kernel says EPIPE.
 *
 * Why: in nng 1.5.2 a peer that connects to an ipc listener and is gone before the greeting is
 * written makes that write fail with EPIPE, which nng takes for "the listener itself was closed":
 * it never accepts again, while the sockets that are connected go on as if nothing were wrong. So
 * anybody who may connect could cut a worker off for good by closing early, also by accident, when
 * he is killed. ECONNRESET is what nng's accept loop expects of a peer that went, and everywhere
 * else it handles the two alike. (Later versions of nng tell the two apart themselves; with them
 * this does nothing.)
 */
#include <errno.h>
#include <sys/socket.h>

ssize_t storaged_nng_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t storaged_nng_sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t sent = sendmsg(fd, message, flags);
    if (sent < 0 && errno == EPIPE)
        errno = ECONNRESET;
    return sent;
}
