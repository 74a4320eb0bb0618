/*
 * A reply as a client reads it, which is the output or a failure and never both; and both encoders:
 * each packs what was read to a reply that reads the same, in proper UTF-8 where it is a failure.
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "rpc/server.h"
#include "rpc/validate.h"
#include "rpc/wire.h"
#include "storage/v1/pool.pb-c.h"

static const ProtobufCMessageDescriptor *const kind = &storage__v1__space_list_reply__descriptor;

/* protobuf-c reads unknown fields, and keeps them, that it does not read a second time. */
static bool is_sound(const ProtobufCMessage *output)
{
    size_t length;
    autofree uint8_t *bytes = fuzz_pack(output, &length);
    return validate_packed(kind, bytes, length, NULL) == 0;
}

static void check_output(uint64_t epoch, ProtobufCMessage *output)
{
    uint64_t epoch_again;
    ProtobufCMessage *again;
    nng_msg *msg;
    fuzz_check(wire_pack_output(epoch, output, &msg, NULL) == 0);
    fuzz_check(nng_msg_len(msg) <= RPC_REPLY_MAX_BYTES);
    fuzz_check(wire_unpack_reply(msg, kind, &epoch_again, &again, NULL) == 0);
    fuzz_check(epoch_again == epoch && fuzz_same(output, again));
    protobuf_c_message_free_unpacked(again, NULL);
    nng_msg_free(msg);
}

static void check_failure(uint64_t epoch, const struct err *failure)
{
    autoerr struct err again = {0};
    uint64_t epoch_again;
    ProtobufCMessage *output = NULL;
    nng_msg *msg = wire_pack_failure(epoch, failure);
    fuzz_check(msg != NULL);
    fuzz_check(nng_msg_len(msg) <= RPC_REPLY_MAX_BYTES);
    fuzz_check(validate_packed(&storage__v1__reply__descriptor, nng_msg_body(msg), nng_msg_len(msg),
                               NULL) == 0);
    int rc = wire_unpack_reply(msg, kind, &epoch_again, &output, &again);
    fuzz_check(rc == -(int)failure->code && again.code == failure->code && !output);
    fuzz_check(epoch_again == epoch && again.n_blockers == failure->n_blockers);
    fuzz_check(again.retryable == failure->retryable);
    nng_msg_free(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    autoerr struct err err = {0};
    uint64_t epoch;
    ProtobufCMessage *output = NULL;
    nng_msg *msg = wire_copy(data, length);
    fuzz_check(msg != NULL);
    int rc = wire_unpack_reply(msg, kind, &epoch, &output, &err);
    nng_msg_free(msg);
    fuzz_check((rc == 0) == (output != NULL));
    if (rc == 0) {
        if (is_sound(output))
            check_output(epoch, output);
        protobuf_c_message_free_unpacked(output, NULL);
        return 0;
    }
    fuzz_check(rc < 0 && rc >= -ERR_UNAUTHENTICATED && err.code == (enum err_code) - rc);
    check_failure(epoch, &err);
    return 0;
}

static void seed(nng_msg *msg)
{
    fuzz_check(msg != NULL);
    fuzz_seed(nng_msg_body(msg), nng_msg_len(msg));
    nng_msg_free(msg);
}

void fuzz_seeds(void)
{
    autoerr struct err err = {0};
    nng_msg *msg;
    Storage__V1__Space space = STORAGE__V1__SPACE__INIT, *spaces[] = {&space, &space};
    Storage__V1__SpaceListReply list = STORAGE__V1__SPACE_LIST_REPLY__INIT;
    space.id = (char *)"0f8fad5b-d9cb-469f-a165-70867728950e";
    space.name = (char *)"vm7";
    space.size_bytes = 1u << 30;
    space.state = STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE;
    list.spaces = spaces, list.n_spaces = array_length(spaces);
    list.epoch = 7, list.seq = 9;
    fuzz_check(wire_pack_output(7, &list.base, &msg, NULL) == 0);
    seed(msg);

    (void)err_set(&err, ERR_FAILED_PRECONDITION, 16, "a space", "it is in use");
    err_hint(&err, "end what uses it");
    err_blocker(&err, "pid 7 (sh) works in it");
    err_blocker(&err, "swap file \xff");
    err_retryable(&err, 1000);
    seed(wire_pack_failure(7, &err));
}
