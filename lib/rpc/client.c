/*
 * The client: a REQ socket with one dialer, and the calls that it has to bring home.
 *
 * A call waits for a connection, flies as an attempt, and ends exactly once. Nothing is handed to
 * nng while there is no connection: nng would keep it, and send it when its budget is long spent.
 * On the loop, but for what attempt.c and connection.c say of nng's threads. Memory that lacks
 * fails the call.
 */
#include "rpc/client.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "rpc/attempt.h"
#include "rpc/connection.h"
#include "rpc/nngerr.h"
#include "rpc/probe.h"
#include "rpc/server.h"
#include "rpc/socketfile.h"
#include "rpc/wire.h"

#include <assert.h>
#include <errno.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <string.h>

enum call_state {
    CALL_WAITING, /* for a connection, or to try again */
    CALL_FLYING,
    CALL_ENDING, /* cancelled at its deadline */
    CALL_ENDED,
};

struct client_call {
    struct attempt attempt; /* first: its item is what the inbox delivers */
    struct rpc_client *client;
    struct client_call *prev, *next;
    uv_timer_t timer;
    enum call_state state;
    bool wait;
    unsigned resends;
    uint64_t started_ms;
    uint64_t deadline_ms;
    uint64_t sent_ms;
    uint64_t
        give_up_ms; /* without `wait`: when to stop hoping for a connection; 0: not yet asked */
    uint64_t retry_at_ms; /* not sooner, whatever the connection */
    struct err last;      /* why it has to be tried again */
    const ProtobufCMessageDescriptor *output;
    char *method;
    char *request_id;
    ProtobufCBinaryData input;
    rpc_client_done done;
    void *data;
};

struct rpc_client {
    uv_loop_t *loop;
    char *path; /* of the server's socket */
    nng_socket socket;
    struct inbox inbox;
    struct connection connection;
    struct client_call *calls;
    size_t n_handles;       /* calls whose timers the loop still holds */
    uint64_t last_heard_ms; /* when the last reply came */
    bool closing, inbox_closed;
    void (*closed)(void *data);
    void *closed_data;
};

static void call_advance(struct client_call *call);

static void free_if_closed(struct rpc_client *client)
{
    if (!client->closing || !client->inbox_closed || client->n_handles > 0)
        return;
    void (*closed)(void *data) = client->closed;
    void *data = client->closed_data;
    free(client->path);
    free(client);
    if (closed)
        closed(data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct client_call *call = handle->data;
    struct rpc_client *client = call->client;
    free(call);
    client->n_handles--;
    free_if_closed(client);
}

static void free_texts(struct client_call *call)
{
    free(call->method);
    free(call->request_id);
    free(call->input.data);
    err_clear(&call->last);
}

/* The last act of a call, which must not be touched afterwards; nor the client, if `done` closes
 * it.
 */
static void call_end(struct client_call *call, const struct rpc_result *result)
{
    struct rpc_client *client = call->client;
    call->state = CALL_ENDED;
    *(call->prev ? &call->prev->next : &client->calls) = call->next;
    if (call->next)
        call->next->prev = call->prev;
    attempt_close(&call->attempt);
    uv_close((uv_handle_t *)&call->timer, on_timer_closed);
    call->done(result, call->data);
    free_texts(call);
}

static void call_fail(struct client_call *call, uint64_t epoch, const struct err *err)
{
    struct rpc_result result = {.err = err, .epoch = epoch};
    call_end(call, &result);
}

static void call_fail_unconnected(struct client_call *call, enum err_code code, int os_errno)
{
    const char *path = call->client->path;
    autoerr struct err err = {0};
    if (os_errno == EACCES) {
        (void)err_set(&err, ERR_PERMISSION_DENIED, os_errno, path, "you may not connect to %s",
                      path);
        err_hint(&err, "be root, or a member of the socket's group");
    } else {
        (void)err_set(&err, code, os_errno, path, "no server answers at %s: %s", path,
                      os_errno ? strerror(os_errno) : "it listens, but does not speak");
        err_hint(&err, "see `storagectl worker list`, or try again");
        err_retryable(&err, CONNECTION_REDIAL_MAX_MS);
    }
    call_fail(call, 0, &err);
}

static void call_fail_late(struct client_call *call)
{
    autoerr struct err err = {0};
    (void)err_set(&err, ERR_DEADLINE_EXCEEDED, 0, call->method,
                  "%s was not answered within %llu ms", call->method,
                  (unsigned long long)(call->deadline_ms - call->started_ms));
    err_hint(&err, "call again with request id %s to learn what became of it", call->request_id);
    err_retryable(&err, 0);
    call_fail(call, 0, &err);
}

static void on_timer(uv_timer_t *timer)
{
    struct client_call *call = timer->data;
    inbox_drain(&call->client->inbox); /* the loop may have slept longer than the server */
    if (call->state != CALL_ENDED)
        call_advance(call);
}

static void wake_at(struct client_call *call, uint64_t at_ms)
{
    uint64_t now = clock_monotonic_ms();
    (void)uv_timer_start(&call->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
}

static void call_send(struct client_call *call, uint64_t now)
{
    Storage__V1__Call envelope = STORAGE__V1__CALL__INIT;
    envelope.version = WIRE_VERSION;
    envelope.request_id = call->request_id;
    envelope.deadline_ms = (uint32_t)(call->deadline_ms - now);
    envelope.method = call->method;
    envelope.input = call->input;
    nng_msg *msg = wire_pack_call(&envelope);
    if (!msg) { /* its time is over, and this is why */
        (void)err_errno(&call->last, ENOMEM, call->method, "cannot send %s", call->method);
        call->deadline_ms = now;
        wake_at(call, now);
        return;
    }
    call->state = CALL_FLYING;
    call->sent_ms = now;
    wake_at(call, call->deadline_ms + RPC_DEADLINE_GRACE_MS);
    attempt_start(&call->attempt, msg);
}

/* No connection, and the caller does not wait for servers: is one there that is just being dialed?
 */
static void call_hope(struct client_call *call, uint64_t now)
{
    int os_errno = probe_listener(call->client->path);
    if (call->give_up_ms == 0)
        call->give_up_ms = now + RPC_CONNECT_GRACE_MS;
    if (os_errno != 0 || now >= call->give_up_ms) {
        call_fail_unconnected(call, ERR_UNAVAILABLE, os_errno);
        return;
    }
    wake_at(call, call->give_up_ms < call->deadline_ms ? call->give_up_ms : call->deadline_ms);
}

static void call_advance_waiting(struct client_call *call)
{
    uint64_t now = clock_monotonic_ms();
    if (now >= call->deadline_ms) {
        if (call->last.code != ERR_OK)
            call_fail(call, 0, &call->last);
        else
            call_fail_unconnected(call, ERR_DEADLINE_EXCEEDED, probe_listener(call->client->path));
    } else if (now < call->retry_at_ms) {
        wake_at(call,
                call->retry_at_ms < call->deadline_ms ? call->retry_at_ms : call->deadline_ms);
    } else if (connection_pipe(&call->client->connection)) {
        call_send(call, now);
    } else if (call->wait) {
        wake_at(call, call->deadline_ms);
    } else {
        call_hope(call, now);
    }
}

/* At its deadline without an answer: a server that has said nothing since the call was sent hangs,
 * and so does its connection. */
static void call_give_up(struct client_call *call)
{
    uint64_t at_ms = call->deadline_ms + RPC_DEADLINE_GRACE_MS;
    if (clock_monotonic_ms() < at_ms) {
        wake_at(call, at_ms);
        return;
    }
    if (call->client->last_heard_ms < call->sent_ms)
        connection_reset(&call->client->connection);
    call->state = CALL_ENDING;
    attempt_cancel(&call->attempt);
}

static void call_advance(struct client_call *call)
{
    if (call->state == CALL_WAITING)
        call_advance_waiting(call);
    else if (call->state == CALL_FLYING)
        call_give_up(call);
}

/* Back to waiting; the reason is told if the deadline comes first. */
static void call_retry(struct client_call *call, uint64_t at_ms)
{
    call->state = CALL_WAITING;
    call->retry_at_ms = at_ms;
    call_advance(call);
}

static void call_answered(struct client_call *call, nng_msg *reply)
{
    autoerr struct err err = {0};
    ProtobufCMessage *output = NULL;
    uint64_t epoch, now = clock_monotonic_ms();
    call->client->last_heard_ms = now;
    int rc = wire_unpack_reply(reply, call->output, &epoch, &output, &err);
    nng_msg_free(reply);
    if (rc == 0) {
        struct rpc_result result = {.err = &err, .epoch = epoch, .output = output};
        call_end(call, &result);
        protobuf_c_message_free_unpacked(output, NULL);
    } else if (call->wait && call->state == CALL_FLYING && err.code == ERR_UNAVAILABLE &&
               err.retryable && err.retry_after_ms > 0 &&
               now + err.retry_after_ms < call->deadline_ms) {
        uint64_t at_ms = now + err.retry_after_ms;
        err_move(&call->last, &err);
        call_retry(call, at_ms);
    } else {
        call_fail(call, epoch, &err);
    }
}

/* The connection went while the call was out; whether the server has seen it is not known. */
static void call_bereft(struct client_call *call)
{
    const char *path = call->client->path;
    struct err *err = &call->last;
    (void)err_set(err, ERR_UNAVAILABLE, ECONNRESET, path,
                  "the server at %s went before it answered %s", path, call->method);
    err_hint(err, "call again with request id %s to learn what became of it", call->request_id);
    err_retryable(err, CONNECTION_REDIAL_MAX_MS);
    if (call->wait && call->resends++ < RPC_RESENDS_MAX)
        call_retry(call, 0);
    else
        call_fail(call, 0, err);
}

static void deliver(struct inbox_item *item, void *data)
{
    (void)data;
    struct client_call *call = (struct client_call *)item;
    if (call->state == CALL_ENDED) /* the client was closed by another call's `done` */
        return;
    nng_msg *reply = NULL;
    bool unsent = attempt_unsent(&call->attempt);
    int rv = attempt_finish(&call->attempt, &reply);
    if (rv == 0) {
        call_answered(call, reply);
    } else if (call->state == CALL_ENDING) {
        call_fail_late(call);
    } else if (unsent && rv == NNG_ECANCELED) { /* on_woken() took it back */
        call_retry(call, 0);
    } else if (rv == NNG_ECONNRESET || rv == NNG_ECANCELED || rv == NNG_ECLOSED) {
        call_bereft(call);
    } else {
        autoerr struct err err = {0};
        (void)nngerr_set(&err, rv, call->client->path, "the call cannot be sent");
        call_fail(call, 0, &err);
    }
}

/* The connection may have changed: what waits can go, what did not get out waits again. */
static void on_woken(void *data)
{
    struct rpc_client *client = data;
    bool connected = connection_pipe(&client->connection) != 0;
    for (struct client_call *next, *call = client->calls; call && !client->closing; call = next) {
        next = call->next;
        if (connected && call->state == CALL_WAITING)
            call_advance(call);
        else if (!connected && call->state == CALL_FLYING && attempt_unsent(&call->attempt))
            attempt_cancel(&call->attempt);
    }
}

static void on_inbox_closed(void *data)
{
    struct rpc_client *client = data;
    client->inbox_closed = true;
    free_if_closed(client);
}

static int open_socket(struct rpc_client *client, const char *url, struct err *err)
{
    int rv = nng_req0_open(&client->socket);
    if (rv != 0)
        return nngerr_set(err, rv, url, "cannot open a request socket");
    rv = nng_socket_set_ms(client->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (rv == 0)
        rv = nng_socket_set_size(client->socket, NNG_OPT_RECVMAXSZ,
                                 RPC_REPLY_MAX_BYTES + WIRE_ENVELOPE_MAX_BYTES);
    int rc = rv == 0
                 ? connection_open(&client->connection, client->socket, &client->inbox, url, err)
                 : nngerr_set(err, rv, url, "cannot set up the request socket");
    if (rc < 0)
        (void)nng_close(client->socket);
    return rc;
}

int rpc_client_open(const struct rpc_client_options *options, struct rpc_client **out_client,
                    struct err *err)
{
    const char *place = socketfile_path(options->url);
    if (!place)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, options->url, "only ipc:// is spoken");
    struct rpc_client *client = calloc(1, sizeof *client);
    char *path = strdup(place);
    if (!client || !path) {
        free(client);
        free(path);
        return err_errno(err, ENOMEM, options->url, "cannot make a client");
    }
    client->loop = options->loop;
    client->path = path;
    struct inbox_options inbox = {
        .loop = options->loop, .deliver = deliver, .woken = on_woken, .data = client};
    int rc = inbox_open(&client->inbox, &inbox, err);
    if (rc < 0) {
        free(path);
        free(client);
        return rc;
    }
    rc = open_socket(client, options->url, err);
    if (rc < 0) {
        client->closing = true; /* frees itself when the loop has let go of the inbox */
        inbox_close(&client->inbox, on_inbox_closed);
        return rc;
    }
    *out_client = client;
    return 0;
}

static int pack_request(struct client_call *call, const ProtobufCServiceDescriptor *service,
                        const ProtobufCMethodDescriptor *method, const ProtobufCMessage *input,
                        const char *request_id, struct err *err)
{
    char made_up[UUID_TEXT_SIZE];
    if (!request_id) {
        uuid_random(made_up);
        request_id = made_up;
    }
    size_t length = protobuf_c_message_get_packed_size(input);
    if (length > RPC_REQUEST_MAX_BYTES)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, method->name,
                       "the input of %s is %zu bytes, at most %d can be sent", method->name, length,
                       RPC_REQUEST_MAX_BYTES);
    if (strlen(request_id) > RPC_REQUEST_ID_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "request_id",
                       "a request id is at most %d bytes", RPC_REQUEST_ID_MAX);
    call->input.data = malloc(length + 1);
    call->request_id = strdup(request_id);
    if (asprintf(&call->method, "%s/%s", service->name, method->name) < 0)
        call->method = NULL;
    if (!call->input.data || !call->request_id || !call->method)
        return err_errno(err, ENOMEM, method->name, "cannot call %s", method->name);
    call->input.len = protobuf_c_message_pack(input, call->input.data);
    return 0;
}

static int call_new(struct rpc_client *client, const ProtobufCServiceDescriptor *service,
                    const ProtobufCMethodDescriptor *method, const ProtobufCMessage *input,
                    const char *request_id, struct client_call **out_call, struct err *err)
{
    struct client_call *call = calloc(1, sizeof *call);
    if (!call)
        return err_errno(err, ENOMEM, method->name, "cannot call %s", method->name);
    int rc = pack_request(call, service, method, input, request_id, err);
    if (rc == 0)
        rc = attempt_open(&call->attempt, client->socket, &client->inbox, err);
    if (rc < 0) {
        free_texts(call);
        free(call);
        return rc;
    }
    call->client = client;
    call->output = method->output;
    (void)uv_timer_init(client->loop, &call->timer);
    call->timer.data = call;
    client->n_handles++;
    call->next = client->calls;
    if (client->calls)
        client->calls->prev = call;
    client->calls = call;
    *out_call = call;
    return 0;
}

int rpc_client_call(struct rpc_client *client, const ProtobufCServiceDescriptor *service,
                    const char *method, const ProtobufCMessage *input,
                    const struct rpc_call_options *options, rpc_client_done done, void *data,
                    struct err *err)
{
    static const struct rpc_call_options defaults = {0};
    assert(!client->closing);
    if (!options)
        options = &defaults;
    const ProtobufCMethodDescriptor *descriptor =
        protobuf_c_service_descriptor_get_method_by_name(service, method);
    if (!descriptor || input->descriptor != descriptor->input)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, method, "%s has no method %s with a %s",
                       service->name, method, input->descriptor->name);
    uint32_t budget_ms = options->deadline_ms ? options->deadline_ms : RPC_DEADLINE_DEFAULT_MS;
    if (budget_ms > RPC_DEADLINE_MAX_MS)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, method, "a deadline is at most %d ms away",
                       RPC_DEADLINE_MAX_MS);
    struct client_call *call = NULL;
    int rc = call_new(client, service, descriptor, input, options->request_id, &call, err);
    if (rc < 0)
        return rc;
    call->wait = options->wait;
    call->done = done;
    call->data = data;
    call->started_ms = clock_monotonic_ms();
    call->deadline_ms = call->started_ms + budget_ms;
    if (connection_pipe(&client->connection))
        call_send(call, call->started_ms);
    else
        wake_at(call, 0); /* what becomes of it is told from the loop, not from here */
    return 0;
}

bool rpc_client_connected(const struct rpc_client *client)
{
    return connection_pipe(&client->connection) != 0;
}

void rpc_client_close(struct rpc_client *client, void (*closed)(void *data), void *data)
{
    assert(!client->closing);
    client->closing = true;
    client->closed = closed;
    client->closed_data = data;
    autoerr struct err err = {0};
    (void)err_set(&err, ERR_CANCELLED, 0, client->path, "the client was closed");
    while (client->calls)
        call_fail(client->calls, 0, &err);
    connection_close(&client->connection);
    (void)nng_close(client->socket);
    inbox_discard(&client->inbox);
    inbox_close(&client->inbox, on_inbox_closed);
}
