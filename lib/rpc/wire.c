/*
 * Packing and unpacking the envelope. Everything is owned by the caller; every allocation may fail.
 */
#include "rpc/wire.h"

#include "base/cleanup.h"
#include "rpc/scrub.h"
#include "rpc/server.h"
#include "rpc/validate.h"

#include <stdio.h>
#include <string.h>

static nng_msg *pack(const ProtobufCMessage *message)
{
    nng_msg *msg;
    if (nng_msg_alloc(&msg, protobuf_c_message_get_packed_size(message)) != 0)
        return NULL;
    (void)protobuf_c_message_pack(message, nng_msg_body(msg));
    return msg;
}

nng_msg *wire_pack_call(const Storage__V1__Call *call)
{
    return pack(&call->base);
}

int wire_unpack_call(nng_msg *msg, Storage__V1__Call **out_call, struct err *err)
{
    uint8_t *bytes = nng_msg_body(msg);
    size_t length = validate_strip(&storage__v1__call__descriptor, bytes, nng_msg_len(msg));
    int rc = validate_packed(&storage__v1__call__descriptor, bytes, length, err);
    if (rc < 0)
        return rc;
    Storage__V1__Call *call = storage__v1__call__unpack(NULL, length, bytes);
    if (!call)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, NULL, "no memory to read the call");
    *out_call = call;
    return 0;
}

/* Shortens the list of blockers until the reply fits, and says so in its last line. */
static void fit_blockers(Storage__V1__Reply *reply, char *note, size_t note_size)
{
    Storage__V1__ErrorDetails *details = reply->status->details;
    size_t all = details->n_blockers, kept = all;
    while (kept && storage__v1__reply__get_packed_size(reply) > RPC_REPLY_MAX_BYTES) {
        kept /= 2;
        (void)snprintf(note, note_size, "… and %zu more", all - kept);
        details->blockers[kept] = note;
        details->n_blockers = kept + 1;
    }
}

nng_msg *wire_pack_failure(uint64_t epoch, const struct err *failure)
{
    char note[64];
    autoerr struct err err = {0};
    Storage__V1__ErrorDetails details = STORAGE__V1__ERROR_DETAILS__INIT;
    Storage__V1__Status status = STORAGE__V1__STATUS__INIT;
    Storage__V1__Reply reply = STORAGE__V1__REPLY__INIT;
    autofree char **blockers = NULL;

    err_copy(&err, failure);
    status.code = (Storage__V1__Code)err.code;
    status.message = err.message;
    status.details = &details;
    details.object = err.object;
    details.os_errno = err.os_errno;
    details.hint = err.hint;
    details.retryable = err.retryable;
    details.retry_after_ms = err.retry_after_ms;
    if (err.n_blockers) {
        blockers = reallocarray(NULL, err.n_blockers, sizeof *blockers);
        if (!blockers)
            return NULL;
        memcpy(blockers, err.blockers, err.n_blockers * sizeof *blockers);
        details.blockers = blockers;
        details.n_blockers = err.n_blockers;
    }
    reply.status = &status;
    reply.epoch = epoch;
    fit_blockers(&reply, note, sizeof note);
    nng_msg *msg = pack(&reply.base);
    if (msg)
        scrub_packed(reply.base.descriptor, nng_msg_body(msg), nng_msg_len(msg));
    return msg;
}

int wire_pack_output(uint64_t epoch, const ProtobufCMessage *output, nng_msg **out_msg,
                     struct err *err)
{
    size_t length = protobuf_c_message_get_packed_size(output);
    if (length > RPC_REPLY_MAX_BYTES - WIRE_ENVELOPE_MAX_BYTES)
        return err_set(err, ERR_INTERNAL, 0, output->descriptor->name,
                       "the reply is too large to be sent: %zu bytes, at most %d can be", length,
                       RPC_REPLY_MAX_BYTES - WIRE_ENVELOPE_MAX_BYTES);
    autofree uint8_t *bytes = malloc(length ? length : 1);
    Storage__V1__Status status = STORAGE__V1__STATUS__INIT;
    Storage__V1__Reply reply = STORAGE__V1__REPLY__INIT;
    nng_msg *msg = NULL;
    if (bytes) {
        (void)protobuf_c_message_pack(output, bytes);
        scrub_packed(output->descriptor, bytes, length);
        reply.status = &status;
        reply.epoch = epoch;
        reply.output = (ProtobufCBinaryData){.len = length, .data = bytes};
        msg = pack(&reply.base);
    }
    if (!msg)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, NULL, "no memory to send the reply");
    *out_msg = msg;
    return 0;
}

nng_msg *wire_copy(const void *bytes, size_t length)
{
    nng_msg *msg;
    if (nng_msg_alloc(&msg, length) != 0)
        return NULL;
    memcpy(nng_msg_body(msg), bytes, length);
    return msg;
}

int wire_read_status(const Storage__V1__Status *status, struct err *err)
{
    /* Any number can stand there, and only one of ours, negated, is an error to our callers. */
    bool known = status->code >= STORAGE__V1__CODE__CANCELLED &&
                 status->code <= STORAGE__V1__CODE__UNAUTHENTICATED;
    enum err_code code = known ? (enum err_code)status->code : ERR_UNKNOWN;
    int rc = err_set(err, code, 0, NULL, "%s", status->message);
    const Storage__V1__ErrorDetails *details = status->details;
    if (!details || !err)
        return rc;
    err->os_errno = details->os_errno;
    err->retryable = details->retryable;
    err->retry_after_ms = details->retry_after_ms;
    (void)snprintf(err->object, sizeof err->object, "%s", details->object);
    err_hint(err, "%s", details->hint);
    for (size_t i = 0; i < details->n_blockers; i++)
        err_blocker(err, "%s", details->blockers[i]);
    return rc;
}

int wire_unpack_reply(nng_msg *msg, const ProtobufCMessageDescriptor *descriptor,
                      uint64_t *out_epoch, ProtobufCMessage **out_output, struct err *err)
{
    int rc;
    *out_epoch = 0;
    Storage__V1__Reply *reply =
        storage__v1__reply__unpack(NULL, nng_msg_len(msg), nng_msg_body(msg));
    if (!reply || !reply->status) {
        rc = err_set(err, ERR_INTERNAL, 0, NULL, "the server's answer is not a storage.v1.Reply");
        goto out;
    }
    *out_epoch = reply->epoch;
    if (reply->status->code != STORAGE__V1__CODE__OK) {
        rc = wire_read_status(reply->status, err);
        goto out;
    }
    ProtobufCMessage *output =
        protobuf_c_message_unpack(descriptor, NULL, reply->output.len, reply->output.data);
    if (!output) {
        rc = err_set(err, ERR_INTERNAL, 0, NULL, "the server's answer is not a %s",
                     descriptor->name);
        goto out;
    }
    *out_output = output;
    rc = 0;
out:
    if (reply)
        storage__v1__reply__free_unpacked(reply, NULL);
    return rc;
}
