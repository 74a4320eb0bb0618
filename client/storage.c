/*
 * The handle: a private loop, a request client per worker, and the blocking call over both.
 *
 * The loop turns only within the functions below, on the caller's thread. A call ends by its
 * client's callback, which always comes, at the latest shortly after the deadline.
 */
#include "handle.h"

#include "base/cleanup.h"
#include "rpc/message.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RUN_DIR_DEFAULT "/run/storaged"

static const char *choose_run_dir(const struct storage_options *options)
{
    const char *named = options->run_dir ? options->run_dir : secure_getenv("STORAGED_RUN_DIR");
    return named && *named ? named : RUN_DIR_DEFAULT;
}

int storage_open(const struct storage_options *options, struct storage **out_storage,
                 struct err *err)
{
    static const struct storage_options defaults = {0};
    if (!options)
        options = &defaults;
    if (options->timeout_ms > RPC_DEADLINE_MAX_MS)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "timeout", "a timeout is at most %d ms",
                       RPC_DEADLINE_MAX_MS);
    const char *run_dir = choose_run_dir(options);
    struct storage *storage = calloc(1, sizeof *storage);
    char *copy = strdup(run_dir);
    int rc = storage && copy ? uv_loop_init(&storage->loop) : UV_ENOMEM;
    if (rc < 0) {
        free(storage);
        free(copy);
        return err_errno(err, -rc, run_dir, "cannot make a storage handle");
    }
    storage->run_dir = copy;
    storage->timeout_ms = options->timeout_ms ? options->timeout_ms : RPC_DEADLINE_DEFAULT_MS;
    storage->wait = options->wait;
    *out_storage = storage;
    return 0;
}

void storage_close(struct storage *storage)
{
    if (!storage)
        return;
    for (size_t i = 0; i < storage->n_clients; i++)
        rpc_client_close(storage->clients[i].rpc, NULL, NULL);
    (void)uv_run(&storage->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&storage->loop);
    assert(rc == 0);
    (void)rc;
    free(storage->run_dir);
    free(storage);
}

int storage_set_request_id(struct storage *storage, const char *request_id, struct err *err)
{
    if (strlen(request_id) >= sizeof storage->request_id)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "request_id",
                       "a request id is at most %d bytes long", RPC_REQUEST_ID_MAX);
    (void)snprintf(storage->request_id, sizeof storage->request_id, "%s", request_id);
    return 0;
}

uint64_t storage_epoch(const struct storage *storage)
{
    return storage->epoch;
}

void storage_free(void *reply)
{
    if (reply)
        protobuf_c_message_free_unpacked(reply, NULL);
}

/* --- a call ---------------------------------------------------------------------------------- */

static int find_client(struct storage *storage, const char *worker, struct rpc_client **out_client,
                       struct err *err)
{
    for (size_t i = 0; i < storage->n_clients; i++) {
        if (strcmp(storage->clients[i].worker, worker) == 0) {
            *out_client = storage->clients[i].rpc;
            return 0;
        }
    }
    if (storage->n_clients == array_length(storage->clients))
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, worker,
                       "one handle talks to at most %d workers", ROUTE_WORKERS_MAX);
    struct worker_client *client = &storage->clients[storage->n_clients];
    autofree char *url = NULL;
    if (asprintf(&url, "ipc://%s/%s.sock", storage->run_dir, worker) < 0)
        return err_errno(err, ENOMEM, worker, "cannot call %s", worker);
    struct rpc_client_options options = {.loop = &storage->loop, .url = url};
    int rc = rpc_client_open(&options, &client->rpc, err);
    if (rc < 0)
        return rc;
    (void)snprintf(client->worker, sizeof client->worker, "%s", worker);
    storage->n_clients++;
    *out_client = client->rpc;
    return 0;
}

struct answer {
    bool done;
    uint64_t epoch;
    ProtobufCMessage *output; /* a copy: the reply's own is the client's */
    struct err err;
};

static void on_done(const struct rpc_result *result, void *data)
{
    struct answer *answer = data;
    answer->done = true;
    answer->epoch = result->epoch;
    err_copy(&answer->err, result->err);
    if (result->output && !(answer->output = message_copy(result->output)))
        (void)err_errno(&answer->err, ENOMEM, NULL, "cannot keep the reply");
}

static int check_input(const struct route *route, const char *method, const void *input,
                       struct err *err)
{
    const ProtobufCMessage *message = input;
    if (message->descriptor != route->method->input)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, method, "%s takes a %s, not a %s", method,
                       route->method->input->name,
                       message->descriptor ? message->descriptor->name
                                           : "message that was never initialised");
    if (!protobuf_c_message_check(message))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, method, "the %s has a field without a value",
                       message->descriptor->name);
    return 0;
}

static int call(struct storage *storage, const struct route *route, const ProtobufCMessage *input,
                const char *request_id, struct answer *answer, struct err *err)
{
    struct rpc_client *client = NULL;
    int rc = find_client(storage, route->worker, &client, err);
    if (rc < 0)
        return rc;
    struct rpc_call_options options = {
        .request_id = *request_id ? request_id : NULL,
        .deadline_ms = storage->timeout_ms,
        .wait = storage->wait,
    };
    rc = rpc_client_call(client, route->service, route->method->name, input, &options, on_done,
                         answer, err);
    if (rc < 0)
        return rc;
    while (!answer->done)
        (void)uv_run(&storage->loop, UV_RUN_ONCE);
    bool unanswered = answer->epoch == 0 && (answer->err.code == ERR_UNAVAILABLE ||
                                             answer->err.code == ERR_DEADLINE_EXCEEDED);
    if (unanswered)
        state_explain(storage->run_dir, route->worker, &answer->err);
    rc = -(int)answer->err.code;
    if (rc < 0)
        err_move(err, &answer->err);
    return rc;
}

int storage_call(struct storage *storage, const char *method, const void *input, void *out_reply,
                 struct err *err)
{
    struct route route;
    struct answer answer = {0};
    char request_id[sizeof storage->request_id];
    memcpy(request_id, storage->request_id, sizeof request_id);
    *storage->request_id = '\0';
    storage->epoch = 0;

    int rc = route_find(method, &route, err);
    if (rc == 0)
        rc = check_input(&route, method, input, err);
    if (rc == 0)
        rc = call(storage, &route, input, request_id, &answer, err);
    storage->epoch = answer.epoch;
    if (rc == 0)
        *(ProtobufCMessage **)out_reply = take_ptr(answer.output);
    storage_free(answer.output);
    err_clear(&answer.err);
    return rc;
}

int storage_control(struct storage *storage, Storage__V1__ControlRequest *request,
                    Storage__V1__ControlReply **out_reply, struct err *err)
{
    return control_ask(storage->run_dir, request, storage->timeout_ms, out_reply, err);
}
