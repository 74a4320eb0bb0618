/*
 * The dialing half of a socket: a dialer that comes back within 5..250 ms, and which pipe it has.
 * Shared by the request client and the event subscriber.
 */
#ifndef LIB_RPC_CONNECTION_H
#define LIB_RPC_CONNECTION_H

#include "rpc/inbox.h"

#include <nng/nng.h>
#include <stdatomic.h>

enum { CONNECTION_REDIAL_MIN_MS = 5, CONNECTION_REDIAL_MAX_MS = 250 };

struct connection {
    nng_socket socket;        /* owned by the user of the connection */
    struct inbox *inbox;      /* woken at each change */
    atomic_uint pipe;         /* id of the pipe that is up, 0 if none */
    atomic_uint removed_pipe; /* id of the last pipe that went */
};

/* The socket's options are set by then; begins to dial, and does not wait. */
int connection_open(struct connection *connection, nng_socket socket, struct inbox *inbox,
                    const char *url, struct err *err);

/* Any thread. 0 if there is none. */
uint32_t connection_pipe(const struct connection *connection);

/* Closes the pipe; the dialer makes a new one. */
void connection_reset(struct connection *connection);

#endif
