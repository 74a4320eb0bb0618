/*
 * A call in a handler, and its end: one packed answer for all slots that wait, remembered under the
 * request id where that helps a retry. On the loop. The call frees itself with its answer.
 */
#include "rpc/call.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "rpc/wire.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void call_await(struct rpc_call *call, struct rpc_slot *slot, uint64_t deadline_ms)
{
    slot->call = call;
    slot->next_waiter = call->waiters;
    call->waiters = slot;
    slot_set_deadline(slot, deadline_ms);
}

void call_expire(struct rpc_slot *slot)
{
    struct rpc_call *call = slot->call;
    struct rpc_slot **link = &call->waiters;
    while (*link != slot)
        link = &(*link)->next_waiter;
    *link = slot->next_waiter;
    slot->call = NULL;

    autoerr struct err err = {0};
    (void)err_set(&err, ERR_DEADLINE_EXCEEDED, 0, call->method->name,
                  "%s has no answer yet, %llu ms after it was asked", call->method->name,
                  (unsigned long long)(slot->deadline_ms - slot->received_ms));
    if (call->outcome)
        err_hint(&err, "it goes on; ask again with request id %s to learn what became of it",
                 call->request_id);
    err_retryable(&err, 0);
    slot_answer(slot, wire_pack_failure(call->server->epoch, &err));
}

void call_forsake_all(struct rpc_server *server)
{
    for (struct rpc_call *call = server->calls; call; call = call->next)
        call->waiters = NULL;
}

static void call_free(struct rpc_call *call)
{
    struct rpc_server *server = call->server;
    *(call->prev ? &call->prev->next : &server->calls) = call->next;
    if (call->next)
        call->next->prev = call->prev;
    server->n_calls--;
    protobuf_c_message_free_unpacked(call->input, NULL);
    free(call);
    server_finish_close(server);
}

/* Takes `msg`, which is NULL when there was no memory for it. */
static void call_end(struct rpc_call *call, nng_msg *msg, bool memorable)
{
    struct outcome_table *outcomes = call->server->outcomes;
    if (call->outcome && msg && memorable)
        outcome_finish(outcomes, call->outcome, nng_msg_body(msg), nng_msg_len(msg),
                       clock_monotonic_ms());
    else if (call->outcome)
        outcome_forget(outcomes, call->outcome);
    call->outcome = NULL;

    for (struct rpc_slot *next, *slot = call->waiters; slot; slot = next) {
        next = slot->next_waiter;
        slot->call = NULL;
        slot_answer(slot, msg && next ? wire_copy(nng_msg_body(msg), nng_msg_len(msg)) : msg);
        if (!next)
            msg = NULL;
    }
    if (msg)
        nng_msg_free(msg);
    call_free(call);
}

/* A failure that only says "not now" must not stand in the way of the retry. */
static bool is_memorable(const struct err *err)
{
    static const bool passing[] = {
        [ERR_CANCELLED] = true, [ERR_DEADLINE_EXCEEDED] = true, [ERR_RESOURCE_EXHAUSTED] = true,
        [ERR_ABORTED] = true,   [ERR_UNAVAILABLE] = true,
    };
    size_t code = (size_t)err->code;
    return !err->retryable && !(code < sizeof passing / sizeof *passing && passing[code]);
}

void rpc_call_fail(struct rpc_call *call, const struct err *err)
{
    assert(err->code != ERR_OK);
    call_end(call, wire_pack_failure(call->server->epoch, err), is_memorable(err));
}

void rpc_call_refuse(struct rpc_call *call, enum err_code code, const char *object, const char *fmt,
                     ...)
{
    autoerr struct err err = {0};
    char message[ERR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    (void)err_set(&err, code, 0, object, "%s", message);
    rpc_call_fail(call, &err);
}

void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *output)
{
    if (!output || output->descriptor != call->method->output) {
        rpc_call_refuse(call, ERR_INTERNAL, call->method->name, "%s gave no answer",
                        call->method->name);
        return;
    }
    autoerr struct err err = {0};
    nng_msg *msg;
    if (wire_pack_output(call->server->epoch, output, &msg, &err) < 0)
        rpc_call_fail(call, &err);
    else
        call_end(call, msg, true);
}

void call_closure(const ProtobufCMessage *output, void *closure_data)
{
    rpc_call_reply(closure_data, output);
}

uint64_t rpc_call_deadline_ms(const struct rpc_call *call)
{
    return call->deadline_ms;
}

uid_t rpc_call_uid(const struct rpc_call *call)
{
    return call->uid;
}

gid_t rpc_call_gid(const struct rpc_call *call)
{
    return call->gid;
}

const char *rpc_call_request_id(const struct rpc_call *call)
{
    return call->request_id;
}
