/*
 * The server: its socket, its services, its life. Owns the nng socket, the slots on it, and the
 * memory of outcomes. On the loop, but for the two pipe callbacks, which touch the table of peers.
 */
#include "rpc/server.h"

#include "base/cleanup.h"
#include "rpc/call.h"
#include "rpc/nngerr.h"
#include "rpc/socketfile.h"
#include "rpc/wire.h"

#include <assert.h>
#include <errno.h>
#include <nng/protocol/reqrep0/rep.h>
#include <string.h>

/* On nng's threads: lets in whoever can be named and has room left. */
static void on_pipe_added(nng_pipe pipe, nng_pipe_ev event, void *data)
{
    (void)event;
    struct rpc_server *server = data;
    uint64_t uid, gid;
    if (nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &uid) != 0 ||
        nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_GID, &gid) != 0 ||
        !peers_admit(&server->peers, pipe.id, (uid_t)uid, (gid_t)gid))
        (void)nng_pipe_close(pipe);
}

static void on_pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *data)
{
    (void)event;
    struct rpc_server *server = data;
    peers_dismiss(&server->peers, pipe.id);
}

static void on_requested(struct rpc_slot *slot, nng_msg *msg, bool crowded, void *data)
{
    dispatch_request(data, slot, msg, crowded);
}

static void on_refused(struct rpc_slot *slot, void *data)
{
    dispatch_refuse(data, slot);
}

static void on_expired(struct rpc_slot *slot, void *data)
{
    (void)data;
    call_expire(slot);
}

static void server_free(struct rpc_server *server)
{
    peers_free(&server->peers);
    outcome_table_free(server->outcomes);
    free(server->admins);
    free(server->url);
    free(server);
}

void server_finish_close(struct rpc_server *server)
{
    if (!server->closing || !server->slots_closed || server->n_calls > 0)
        return;
    void (*closed)(void *data) = server->closed;
    void *data = server->closed_data;
    server_free(server);
    if (closed)
        closed(data);
}

static void on_slots_closed(void *data)
{
    struct rpc_server *server = data;
    server->slots_closed = true;
    server_finish_close(server);
}

static int open_socket(struct rpc_server *server, struct err *err)
{
    int rv = nng_rep0_open(&server->socket);
    if (rv != 0)
        return nngerr_set(err, rv, server->url, "cannot open a reply socket");
    rv = nng_socket_set_size(server->socket, NNG_OPT_RECVMAXSZ,
                             RPC_REQUEST_MAX_BYTES + WIRE_ENVELOPE_MAX_BYTES);
    if (rv == 0)
        rv = nng_pipe_notify(server->socket, NNG_PIPE_EV_ADD_PRE, on_pipe_added, server);
    if (rv == 0)
        rv = nng_pipe_notify(server->socket, NNG_PIPE_EV_REM_POST, on_pipe_removed, server);
    if (rv == 0)
        rv = nng_listener_create(&server->listener, server->socket, server->url);
    if (rv == 0)
        rv = nng_listener_set_int(server->listener, NNG_OPT_IPC_PERMISSIONS, SOCKETFILE_MODE);
    if (rv == 0)
        return 0;
    (void)nng_close(server->socket);
    return nngerr_set(err, rv, server->url, "cannot set up the reply socket");
}

static bool copy_options(struct rpc_server *server, const struct rpc_server_options *options)
{
    server->loop = options->loop;
    server->epoch = options->epoch;
    server->n_admins = options->n_admins;
    server->url = strdup(options->url);
    server->admins = calloc(options->n_admins + 1, sizeof *server->admins);
    const struct peers_options peers = {
        .url = server->url,
        .admins = server->admins,
        .n_admins = options->n_admins,
        .user_max =
            options->user_connections ? options->user_connections : RPC_PEERS_MAX - RPC_PEERS_KEPT,
    };
    peers_init(&server->peers, &peers);
    if (!server->url || !server->admins)
        return false;
    if (options->n_admins)
        memcpy(server->admins, options->admins, options->n_admins * sizeof *server->admins);
    return true;
}

int rpc_server_open(const struct rpc_server_options *options, struct rpc_server **out_server,
                    struct err *err)
{
    static const struct outcome_limits limits = {
        .keep_ms = RPC_OUTCOME_KEEP_MS,
        .max_done = RPC_OUTCOME_MAX,
        .max_done_bytes = RPC_OUTCOME_MAX_BYTES,
    };
    if (!socketfile_path(options->url))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, options->url, "only ipc:// is served");
    struct rpc_server *server = calloc(1, sizeof *server);
    if (!server)
        return err_errno(err, ENOMEM, options->url, "cannot make a server");
    bool copied = copy_options(server, options);
    server->outcomes = outcome_table_new(&limits);
    if (!copied || !server->outcomes) {
        server_free(server);
        return err_errno(err, ENOMEM, options->url, "cannot make a server");
    }
    int rc = open_socket(server, err);
    if (rc < 0) {
        server_free(server);
        return rc;
    }
    struct rpc_slots_options slots = {
        .loop = options->loop,
        .socket = server->socket,
        .peers = &server->peers,
        .user_calls = options->user_calls ? options->user_calls : RPC_PEER_PARKED_MAX,
        .requested = on_requested,
        .refused = on_refused,
        .expired = on_expired,
        .closed = on_slots_closed,
        .data = server,
    };
    rc = slots_open(&server->slots, &slots, err);
    if (rc < 0) {
        (void)nng_close(server->socket);
        server_free(server);
        return rc;
    }
    *out_server = server;
    return 0;
}

int rpc_server_add(struct rpc_server *server, ProtobufCService *service, const char *const *reads,
                   struct err *err)
{
    const char *name = service->descriptor->name;
    if (server->n_services == RPC_SERVICES_MAX)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, name, "a server has at most %d services",
                       RPC_SERVICES_MAX);
    for (const char *const *read = reads; read && *read; read++)
        if (!protobuf_c_service_descriptor_get_method_by_name(service->descriptor, *read))
            return err_set(err, ERR_INVALID_ARGUMENT, 0, name, "%s has no method %s", name, *read);
    server->services[server->n_services++] =
        (struct rpc_service_entry){.service = service, .reads = reads};
    return 0;
}

int rpc_server_listen(struct rpc_server *server, struct err *err)
{
    int rc = socketfile_remove_stale(server->url, err);
    if (rc == 0)
        rc = slots_begin(&server->slots, err);
    if (rc < 0)
        return rc;
    int rv = nng_listener_start(server->listener, 0);
    return rv == 0 ? 0 : nngerr_set(err, rv, server->url, "cannot listen");
}

void rpc_server_drain(struct rpc_server *server)
{
    server->draining = true;
}

size_t rpc_server_pending(const struct rpc_server *server)
{
    return server->n_calls;
}

void rpc_server_close(struct rpc_server *server, void (*closed)(void *data), void *data)
{
    assert(!server->closing);
    server->closing = true;
    server->closed = closed;
    server->closed_data = data;
    call_forsake_all(server);
    slots_close(&server->slots);
    (void)nng_close(server->socket);
}
