/*
 * The dialing half of a socket: a dialer that comes back, and which pipe it has. Shared by the
 * request client and the event subscriber.
 *
 * It dials at once when the server's socket file is made anew, and lets go of a server whose file
 * was another: a process with a thread in the kernel for good lives on after it was killed, answers
 * nobody, and closes nothing. Beside that, it dials as nng does by itself, ever less often: for a
 * directory that was not there yet, and a loop that does not turn. A dial that finds nobody costs
 * nng half a millisecond of CPU, so where the directory is watched, one that waits for a server for
 * long seldom tries.
 */
#ifndef LIB_RPC_CONNECTION_H
#define LIB_RPC_CONNECTION_H

#include "rpc/inbox.h"

#include <nng/nng.h>
#include <stdatomic.h>

enum {
    CONNECTION_REDIAL_MIN_MS = 5,
    CONNECTION_REDIAL_MAX_MS = 250,
    CONNECTION_REDIAL_WATCHED_MS = 1000, /* the same, where the directory is watched */
};

struct connection {
    nng_socket socket; /* owned by the user of the connection */
    nng_dialer dialer;
    struct inbox *inbox;      /* woken at each change */
    uv_fs_event_t *directory; /* of the socket file; frees itself */
    bool redialed;            /* since the pipe `redialed_for` went */
    unsigned redialed_for;
    char url[NNG_MAXADDRLEN];
    atomic_uint pipe;         /* id of the pipe that is up, 0 if none */
    atomic_uint removed_pipe; /* id of the last pipe that went */
    atomic_ullong peer_file;  /* which file the pipe was made through */
};

/* The socket's options are set by then; begins to dial, and does not wait. */
int connection_open(struct connection *connection, nng_socket socket, struct inbox *inbox,
                    const char *url, struct err *err);

/* Any thread. 0 if there is none. */
uint32_t connection_pipe(const struct connection *connection);

/* Closes the pipe; the dialer makes a new one. */
void connection_reset(struct connection *connection);

/* Once after connection_open(), on the loop; then the socket may be closed. */
void connection_close(struct connection *connection);

#endif
