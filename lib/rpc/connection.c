/*
 * The directory is watched on the loop, where all but the pipe callbacks runs. nng cannot be told
 * to dial sooner than its backoff says: a new dialer takes the place of the one that waits.
 *
 * Pipe callbacks run on nng's threads and touch the atomics and the wake-up alone. They look at the
 * socket file after it was dialed: taken for a newer one than it is, a pipe is only kept for
 * longer.
 *
 * A pipe that fails while it is being added may be reported as removed before it is reported as
 * added; the id of the last one removed tells. A dialer has one pipe at a time.
 */
#include "rpc/connection.h"

#include "base/log.h"
#include "rpc/nngerr.h"
#include "rpc/socketfile.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Tells two files of the same name apart; 0 if there is none. */
static uint64_t identify_file(const struct connection *connection)
{
    struct statx st;
    if (statx(AT_FDCWD, socketfile_path(connection->url), 0, STATX_INO | STATX_BTIME, &st) < 0)
        return 0;
    return ((uint64_t)st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec) ^ st.stx_ino << 40;
}

static void on_pipe_added(nng_pipe pipe, nng_pipe_ev event, void *data)
{
    (void)event;
    struct connection *connection = data;
    atomic_store(&connection->peer_file, identify_file(connection));
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

/* Once for each pipe that went: a second time would end the dial that the first began. */
static void redial(struct connection *connection)
{
    unsigned removed = atomic_load(&connection->removed_pipe);
    if (connection->redialed && connection->redialed_for == removed)
        return;
    connection->redialed = true;
    connection->redialed_for = removed;
    (void)nng_dialer_close(connection->dialer);
    int rv = nng_dial(connection->socket, connection->url, &connection->dialer, NNG_FLAG_NONBLOCK);
    if (rv != 0)
        log_error("cannot dial", "url", connection->url, "error", nng_strerror(rv));
}

static void on_directory_changed(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct connection *connection = handle->data;
    const char *path = socketfile_path(connection->url), *file = strrchr(path, '/') + 1;
    bool made = status == 0 && (events & UV_RENAME) && name && strcmp(name, file) == 0 &&
                access(path, F_OK) == 0;
    if (made && !connection_pipe(connection))
        redial(connection);
    else if (made && atomic_load(&connection->peer_file) != identify_file(connection))
        connection_reset(connection);
}

static void on_directory_closed(uv_handle_t *handle)
{
    free(handle);
}

/* Without it the dialer comes back all the same, only later. */
static bool watch_directory(struct connection *connection)
{
    char path[sizeof connection->url];
    uv_fs_event_t *handle = malloc(sizeof *handle);
    if (!handle || uv_fs_event_init(connection->inbox->options.loop, handle) < 0) {
        free(handle);
        return false;
    }
    (void)snprintf(path, sizeof path, "%s", socketfile_path(connection->url));
    handle->data = connection;
    connection->directory = handle;
    return uv_fs_event_start(handle, on_directory_changed, dirname(path), 0) == 0;
}

int connection_open(struct connection *connection, nng_socket socket, struct inbox *inbox,
                    const char *url, struct err *err)
{
    connection->socket = socket;
    connection->inbox = inbox;
    connection->directory = NULL;
    connection->redialed = false;
    if (strlen(url) >= sizeof connection->url || !socketfile_path(url))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, url, "no address of a socket file");
    (void)snprintf(connection->url, sizeof connection->url, "%s", url);
    atomic_init(&connection->pipe, 0);
    atomic_init(&connection->removed_pipe, 0);
    atomic_init(&connection->peer_file, 0);
    bool watched = watch_directory(connection);
    int rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, CONNECTION_REDIAL_MIN_MS);
    if (rv == 0)
        rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT,
                               watched ? CONNECTION_REDIAL_WATCHED_MS : CONNECTION_REDIAL_MAX_MS);
    if (rv == 0)
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe_added, connection);
    if (rv == 0)
        rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe_removed, connection);
    if (rv == 0)
        rv = nng_dial(socket, url, &connection->dialer, NNG_FLAG_NONBLOCK);
    if (rv == 0)
        return 0;
    connection_close(connection);
    return nngerr_set(err, rv, url, "cannot dial");
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

void connection_close(struct connection *connection)
{
    if (connection->directory)
        uv_close((uv_handle_t *)connection->directory, on_directory_closed);
    connection->directory = NULL;
}
