/*
 * From a request to a handler: a row of checks, each of which may refuse, then the memory of what
 * was asked before, then the call. On the loop. A refusal costs its sender an answer, and nobody
 * else anything.
 */
#include "rpc/call.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "rpc/validate.h"
#include "rpc/wire.h"

#include <inttypes.h>
#include <string.h>

struct request {
    struct rpc_server *server;
    struct rpc_slot *slot;
    Storage__V1__Call *envelope;
    ProtobufCService *service;
    unsigned method_index;
    const ProtobufCMethodDescriptor *method;
    bool changes;
    uint64_t deadline_ms;
};

static int check_version(struct request *request, struct err *err)
{
    uint32_t version = request->envelope->version;
    if (version == WIRE_VERSION)
        return 0;
    return err_set(err, ERR_INVALID_ARGUMENT, 0, "version",
                   "version %" PRIu32 " of the call envelope is not spoken here, only %d", version,
                   WIRE_VERSION);
}

static bool is_listed(const char *const *names, const char *name)
{
    for (; names && *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* protobuf_c_service_invoke_internal() calls the function pointers that follow the base. */
static bool has_handler(const ProtobufCService *service, unsigned index)
{
    void (*const *handlers)(void) = (void (*const *)(void))(const void *)(service + 1);
    return service->invoke != protobuf_c_service_invoke_internal || handlers[index];
}

static int check_method(struct request *request, struct err *err)
{
    const char *name = request->envelope->method;
    const char *slash = strrchr(name, '/');
    for (size_t i = 0; slash && i < request->server->n_services; i++) {
        const struct rpc_service_entry *entry = &request->server->services[i];
        const ProtobufCServiceDescriptor *descriptor = entry->service->descriptor;
        size_t length = strlen(descriptor->name);
        if ((size_t)(slash - name) != length || memcmp(name, descriptor->name, length) != 0)
            continue;
        request->method = protobuf_c_service_descriptor_get_method_by_name(descriptor, slash + 1);
        if (!request->method)
            break;
        request->service = entry->service;
        request->method_index = (unsigned)(request->method - descriptor->methods);
        request->changes = !is_listed(entry->reads, request->method->name);
        if (!has_handler(entry->service, request->method_index))
            break;
        return 0;
    }
    return err_set(err, ERR_UNIMPLEMENTED, 0, name, "there is no method %s here", name);
}

static int check_rights(struct request *request, struct err *err)
{
    const struct peer_user *user = request->slot->peer->user;
    if (!request->changes || user->trusted)
        return 0;
    return err_set(err, ERR_PERMISSION_DENIED, 0, request->envelope->method,
                   "uid %ju may not call %s: only root and the configured admins change things",
                   (uintmax_t)user->uid, request->envelope->method);
}

static int check_request_id(struct request *request, struct err *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._:-";
    const char *id = request->envelope->request_id;
    size_t length = strlen(id);
    if (length > RPC_REQUEST_ID_MAX || strspn(id, allowed) != length)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "request_id",
                       "a request id is at most %d bytes of [A-Za-z0-9._:-]", RPC_REQUEST_ID_MAX);
    if (length > 0 || !request->changes)
        return 0;
    (void)err_set(err, ERR_INVALID_ARGUMENT, 0, "request_id",
                  "%s changes things, so it needs a request id", request->envelope->method);
    err_hint(err, "make up a random one, and use the same one again to retry this call");
    return -ERR_INVALID_ARGUMENT;
}

static int check_deadline(struct request *request, struct err *err)
{
    uint32_t budget_ms = request->envelope->deadline_ms;
    if (budget_ms > RPC_DEADLINE_MAX_MS)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "deadline_ms",
                       "a deadline is at most %d ms away, not %" PRIu32, RPC_DEADLINE_MAX_MS,
                       budget_ms);
    request->deadline_ms =
        request->slot->received_ms + (budget_ms ? budget_ms : RPC_DEADLINE_DEFAULT_MS);
    if (clock_monotonic_ms() < request->deadline_ms)
        return 0;
    (void)err_set(err, ERR_DEADLINE_EXCEEDED, 0, request->envelope->method,
                  "%s came too late to be begun", request->envelope->method);
    err_retryable(err, 0);
    return -ERR_DEADLINE_EXCEEDED;
}

static int check_input(struct request *request, struct err *err)
{
    ProtobufCBinaryData *input = &request->envelope->input;
    if (input->len > RPC_REQUEST_MAX_BYTES)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "input",
                       "the input is %zu bytes, at most %d are taken", input->len,
                       RPC_REQUEST_MAX_BYTES);
    input->len = validate_strip(request->method->input, input->data, input->len);
    int rc = validate_packed(request->method->input, input->data, input->len, err);
    if (rc < 0)
        err_hint(err, "of the input of %s", request->envelope->method);
    return rc;
}

static int check_request(struct request *request, struct err *err)
{
    static int (*const checks[])(struct request * request, struct err * err) = {
        check_version, check_method, check_rights, check_request_id, check_deadline, check_input,
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < array_length(checks); i++)
        rc = checks[i](request, err);
    return rc;
}

/* Whether there is room for one more, and time. */
static int check_room(const struct request *request, bool crowded, struct err *err)
{
    const struct rpc_server *server = request->server;
    if (request->changes && server->draining) {
        (void)err_set(err, ERR_UNAVAILABLE, 0, request->envelope->method,
                      "this worker is stopping, and takes no more changes");
        err_retryable(err, 100);
        return -ERR_UNAVAILABLE;
    }
    if (!crowded && server->n_calls < RPC_PARKED_MAX)
        return 0;
    (void)err_set(err, ERR_RESOURCE_EXHAUSTED, 0, request->envelope->method,
                  "%zu calls wait here already, or too many of yours", server->n_calls);
    err_retryable(err, 1000);
    return -ERR_RESOURCE_EXHAUSTED;
}

static struct outcome_key key_of(const struct request *request)
{
    const Storage__V1__Call *envelope = request->envelope;
    return (struct outcome_key){
        .uid = request->slot->peer->user->uid,
        .request_id = envelope->request_id,
        .content = outcome_digest(envelope->method, envelope->input.data, envelope->input.len),
    };
}

/* Whether the memory answers: 0 if so, 1 if the call is new, or the refusal. */
static int answer_from_memory(struct request *request, const struct outcome_key *key,
                              struct err *err)
{
    struct outcome *outcome;
    size_t length;
    const void *reply;
    switch (outcome_find(request->server->outcomes, key, clock_monotonic_ms(), &outcome)) {
    case OUTCOME_PENDING:
        call_await(outcome_owner(outcome), request->slot, request->deadline_ms);
        return 0;
    case OUTCOME_DONE:
        reply = outcome_reply(outcome, &length);
        slot_answer(request->slot, wire_copy(reply, length));
        return 0;
    case OUTCOME_CONFLICT:
        (void)err_set(err, ERR_INVALID_ARGUMENT, 0, "request_id",
                      "request id %s stands for a call with another content", key->request_id);
        err_hint(err, "a new call needs a new request id");
        return -ERR_INVALID_ARGUMENT;
    default:
        return 1;
    }
}

static int no_memory(const struct request *request, struct err *err)
{
    (void)err_set(err, ERR_RESOURCE_EXHAUSTED, 0, request->envelope->method,
                  "no memory to begin %s", request->envelope->method);
    err_retryable(err, 1000);
    return -ERR_RESOURCE_EXHAUSTED;
}

static int call_begin(const struct request *request, const struct outcome_key *key,
                      struct rpc_call **out_call, struct err *err)
{
    struct rpc_server *server = request->server;
    const ProtobufCBinaryData *input = &request->envelope->input;
    struct rpc_call *call = calloc(1, sizeof *call);
    if (!call)
        return no_memory(request, err);
    call->input = protobuf_c_message_unpack(request->method->input, NULL, input->len, input->data);
    if (call->input && request->changes)
        call->outcome = outcome_begin(server->outcomes, key, call);
    if (!call->input || (request->changes && !call->outcome)) {
        if (call->input)
            protobuf_c_message_free_unpacked(call->input, NULL);
        free(call);
        return no_memory(request, err);
    }
    call->server = server;
    call->method = request->method;
    call->uid = key->uid;
    call->gid = request->slot->peer->gid;
    call->deadline_ms = request->deadline_ms;
    memcpy(call->request_id, key->request_id, strlen(key->request_id) + 1);
    call->next = server->calls;
    if (server->calls)
        server->calls->prev = call;
    server->calls = call;
    server->n_calls++;
    *out_call = call;
    return 0;
}

static int dispatch(struct request *request, bool crowded, struct err *err)
{
    struct outcome_key key = key_of(request);
    if (request->changes) {
        int rc = answer_from_memory(request, &key, err);
        if (rc <= 0)
            return rc;
    }
    struct rpc_call *call;
    int rc = check_room(request, crowded, err);
    if (rc == 0)
        rc = call_begin(request, &key, &call, err);
    if (rc < 0)
        return rc;
    call_await(call, request->slot, request->deadline_ms);
    /* The handler may answer at once: the call and the slot are gone then. */
    request->service->invoke(request->service, request->method_index, call->input, call_closure,
                             call);
    return 0;
}

void dispatch_request(struct rpc_server *server, struct rpc_slot *slot, nng_msg *msg, bool crowded)
{
    autoerr struct err err = {0};
    Storage__V1__Call *envelope = NULL;
    int rc = wire_unpack_call(msg, &envelope, &err);
    nng_msg_free(msg);
    if (rc == 0) {
        struct request request = {.server = server, .slot = slot, .envelope = envelope};
        rc = check_request(&request, &err);
        if (rc == 0)
            rc = dispatch(&request, crowded, &err);
    }
    if (rc < 0)
        slot_answer(slot, wire_pack_failure(server->epoch, &err));
    if (envelope)
        storage__v1__call__free_unpacked(envelope, NULL);
}

void dispatch_refuse(struct rpc_server *server, struct rpc_slot *slot)
{
    autoerr struct err err = {0};
    struct peer_user *user = slot->peer->user;
    size_t most = server->slots.options.user_calls;
    (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, NULL,
                  "%zu calls of uid %ju, with %zu bytes, wait here already: at most %zu may, "
                  "with %d bytes",
                  user->n_calls - 1, (uintmax_t)user->uid, user->waiting_bytes, most,
                  RPC_USER_WAITING_MAX_BYTES);
    err_retryable(&err, 1000);
    if (peers_tell(&server->peers, user))
        log_err(LOG_WARNING, "a call was refused", &err);
    slot_answer(slot, wire_pack_failure(server->epoch, &err));
}
