/*
 * The envelope on the wire: Call and Reply of storage/v1/rpc.proto in nng messages, and the status
 * of a reply as an error value.
 */
#ifndef LIB_RPC_WIRE_H
#define LIB_RPC_WIRE_H

#include "base/error.h"
#include "storage/v1/rpc.pb-c.h"

#include <nng/nng.h>

enum {
    WIRE_VERSION = 1,
    WIRE_ENVELOPE_MAX_BYTES = 1024, /* what a Call may hold beside its input, and nng's header */
};

/* NULL when out of memory. */
nng_msg *wire_pack_call(const Storage__V1__Call *call);
/* Checked and unpacked; free with storage__v1__call__free_unpacked(). */
int wire_unpack_call(nng_msg *msg, Storage__V1__Call **out_call, struct err *err);

/* Blockers are left out from the end, and counted, where they would not fit. NULL when out of
 * memory. */
nng_msg *wire_pack_failure(uint64_t epoch, const struct err *failure);
/* Fails with INTERNAL when the reply would be too large, RESOURCE_EXHAUSTED without memory. */
int wire_pack_output(uint64_t epoch, const ProtobufCMessage *output, nng_msg **out_msg,
                     struct err *err);
/* A message of bytes that were packed before. NULL when out of memory. */
nng_msg *wire_copy(const void *bytes, size_t length);

/* The status of a failure as an error value; returns its negative code, UNKNOWN for one that is
 * none of ours. */
int wire_read_status(const Storage__V1__Status *status, struct err *err);

/*
 * What a Reply says: 0 with the output (free with protobuf_c_message_free_unpacked()), or the
 * failure it carries. The epoch is written in both cases, 0 when the bytes are not a Reply
 * (INTERNAL then).
 */
int wire_unpack_reply(nng_msg *msg, const ProtobufCMessageDescriptor *descriptor,
                      uint64_t *out_epoch, ProtobufCMessage **out_output, struct err *err);

#endif
