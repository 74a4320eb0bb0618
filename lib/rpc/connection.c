/*
 * Pipe callbacks run on nng's threads and touch the two atomics and the wake-up alone.
 *
 * A pipe that fails while it is being added may be reported as removed before it is reported as
 * added; the id of the last one removed tells. A dialer has one pipe at a time.
 */
#include "rpc/connection.h"

#include "rpc/nngerr.h"

static void on_pipe_added(nng_pipe pipe, nng_pipe_ev event, void *data)
{
    (void)event;
    struct connection *connection = data;
    atomic_store(&connection->pipe, pipe.id);
    if (atomic_load(&connection->removed_pipe) == pipe.id) {
        unsigned id = pipe.id;
        (void)atomic_compare_exchange_strong(&connection->pipe, &id, 0);
    }
    inbox_wake(connection->inbox);
}

static void on_pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *data)
{
    (void)event;
    struct connection *connection = data;
    unsigned id = pipe.id;
    atomic_store(&connection->removed_pipe, id);
    (void)atomic_compare_exchange_strong(&connection->pipe, &id, 0);
    inbox_wake(connection->inbox);
}

int connection_open(struct connection *connection, nng_socket socket, struct inbox *inbox,
                    const char *url, struct err *err)
{
    connection->socket = socket;
    connection->inbox = inbox;
    atomic_init(&connection->pipe, 0);
    atomic_init(&connection->removed_pipe, 0);
    int rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, CONNECTION_REDIAL_MIN_MS);
    if (rv == 0)
        rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, CONNECTION_REDIAL_MAX_MS);
    if (rv == 0)
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe_added, connection);
    if (rv == 0)
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe_removed, connection);
    if (rv == 0)
        rv = nng_dial(socket, url, NULL, NNG_FLAG_NONBLOCK);
    return rv == 0 ? 0 : nngerr_set(err, rv, url, "cannot dial");
}

uint32_t connection_pipe(const struct connection *connection)
{
    return atomic_load(&connection->pipe);
}

void connection_reset(struct connection *connection)
{
    nng_pipe pipe = {.id = connection_pipe(connection)};
    if (pipe.id)
        (void)nng_pipe_close(pipe);
}
