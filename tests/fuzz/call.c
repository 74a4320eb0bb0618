/*
 * A request as a worker receives it: the envelope, and in it the input of its method. What is taken
 * packs to what is taken again; an input that passes the check can be unpacked.
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "base/utf8.h"
#include "rpc/validate.h"
#include "rpc/wire.h"
#include "storage/v1/booking.pb-c.h"
#include "storage/v1/disk.pb-c.h"
#include "storage/v1/event.pb-c.h"
#include "storage/v1/pool.pb-c.h"

#include <stdio.h>
#include <string.h>

static const ProtobufCServiceDescriptor *const services[] = {
    &storage__v1__disk_service__descriptor,  &storage__v1__pool_service__descriptor,
    &storage__v1__space_service__descriptor, &storage__v1__booking_service__descriptor,
    &storage__v1__event_log__descriptor,
};

static const ProtobufCMethodDescriptor *find_method(const char *name)
{
    const char *slash = strrchr(name, '/');
    for (size_t i = 0; slash && i < array_length(services); i++)
        if (strlen(services[i]->name) == (size_t)(slash - name) &&
            strncmp(services[i]->name, name, (size_t)(slash - name)) == 0)
            return protobuf_c_service_descriptor_get_method_by_name(services[i], slash + 1);
    return NULL;
}

static void check_input(const Storage__V1__Call *call)
{
    autoerr struct err err = {0};
    const ProtobufCMethodDescriptor *method = find_method(call->method);
    if (!method)
        return;
    int rc = validate_packed(method->input, call->input.data, call->input.len, &err);
    if (rc < 0) {
        fuzz_check_refusal(rc, &err);
        return;
    }
    ProtobufCMessage *input =
        protobuf_c_message_unpack(method->input, NULL, call->input.len, call->input.data);
    fuzz_check(input != NULL);
    fuzz_check_packs(input);
    protobuf_c_message_free_unpacked(input, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    autoerr struct err err = {0};
    Storage__V1__Call *call = NULL, *again;
    nng_msg *msg = wire_copy(data, length);
    fuzz_check(msg != NULL);
    int rc = wire_unpack_call(msg, &call, &err);
    nng_msg_free(msg);
    if (rc < 0) {
        fuzz_check_refusal(rc, &err);
        fuzz_check(!call);
        return 0;
    }
    fuzz_check(utf8_valid(call->method, strlen(call->method)));
    check_input(call);
    msg = wire_pack_call(call);
    fuzz_check(msg != NULL);
    fuzz_check(wire_unpack_call(msg, &again, NULL) == 0);
    fuzz_check(fuzz_same(&call->base, &again->base));
    nng_msg_free(msg);
    storage__v1__call__free_unpacked(again, NULL);
    storage__v1__call__free_unpacked(call, NULL);
    return 0;
}

static void seed_call(const char *method, const ProtobufCMessage *input)
{
    Storage__V1__Call call = STORAGE__V1__CALL__INIT;
    size_t length;
    autofree uint8_t *bytes = fuzz_pack(input, &length);
    call.version = WIRE_VERSION;
    call.request_id = (char *)"5a0b7a5e-retry.1";
    call.deadline_ms = 30000;
    call.method = (char *)method;
    call.input = (ProtobufCBinaryData){.len = length, .data = bytes};
    fuzz_seed_message(&call.base);
}

/* One call of every method with an empty input, and two with a full one. */
void fuzz_seeds(void)
{
    Storage__V1__Owner owner = STORAGE__V1__OWNER__INIT;
    Storage__V1__ReserveRequest reserve = STORAGE__V1__RESERVE_REQUEST__INIT;
    Storage__V1__PreparePolicy prepare = STORAGE__V1__PREPARE_POLICY__INIT;
    char *disks[] = {(char *)"/dev/sda", (char *)"serial-\xc3\xa4"};
    for (size_t i = 0; i < array_length(services); i++) {
        for (unsigned k = 0; k < services[i]->n_methods; k++) {
            char name[128];
            ProtobufCMessage *input =
                protobuf_c_message_unpack(services[i]->methods[k].input, NULL, 0, NULL);
            fuzz_check(input != NULL);
            (void)snprintf(name, sizeof name, "%s/%s", services[i]->name,
                           services[i]->methods[k].name);
            seed_call(name, input);
            protobuf_c_message_free_unpacked(input, NULL);
        }
    }
    owner.uid = 1000, owner.gid = 1000;
    reserve.disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD;
    reserve.size_bytes = 10u << 20;
    reserve.name = (char *)"vm7";
    reserve.owner = &owner;
    reserve.mode = 0750;
    seed_call("storage.v1.SpaceService/Reserve", &reserve.base);
    prepare.profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
    prepare.disks = disks, prepare.n_disks = array_length(disks);
    seed_call("storage.v1.DiskService/Prepare", &prepare.base);
}
