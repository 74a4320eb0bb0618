/*
 * A packet of the control socket, up to the verb that it asks for and the reply. The first byte
 * says who asks: root, an admin or anybody. At most one verb is done, none that its sender has no
 * right to, none at all when the packet is refused; and whatever was asked, the reply is one that
 * every protobuf library takes.
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "control.h"
#include "rpc/validate.h"
#include "verbs.h"
#include "verbs_fixture.h"

#include <string.h>

static void check_reply(const struct supervisor *supervisor, int rc, const struct err *err)
{
    struct verbs_reply reply;
    size_t length;
    fuzz_check(err->code == (enum err_code) - rc);
    verbs_fill_reply(supervisor, err, &reply);
    autofree uint8_t *packet = fuzz_pack(&reply.message.base, &length);
    fuzz_check(length <= CONTROL_PACKET_MAX);
    fuzz_check(validate_packed(&storage__v1__control_reply__descriptor, packet, length, NULL) == 0);
    Storage__V1__ControlReply *read = storage__v1__control_reply__unpack(NULL, length, packet);
    fuzz_check(read && read->status && read->status->code == (Storage__V1__Code)err->code);
    fuzz_check(read->list && read->list->n_workers == supervisor->n_wards);
    storage__v1__control_reply__free_unpacked(read, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static const uid_t askers[] = {0, VERBS_ADMIN, VERBS_STRANGER};
    struct supervisor supervisor = verbs_fixture_make();
    autoerr struct err err = {0};
    if (length == 0)
        return 0;
    struct verbs_request request = {
        .packet = data + 1,
        .length = length - 1,
        .uid = askers[*data % array_length(askers)],
    };
    int rc = verbs_run(&supervisor, &request, &err);
    unsigned changes = verbs_asked.restarts + verbs_asked.resets + verbs_asked.shutdowns;
    fuzz_check(changes <= (request.uid != VERBS_STRANGER));
    fuzz_check((rc == VERBS_LATER) == (verbs_asked.shutdowns == 1));
    fuzz_check(changes == 0 || rc != -ERR_INVALID_ARGUMENT);
    if (rc != VERBS_LATER)
        check_reply(&supervisor, rc, &err);
    return 0;
}

static void seed(uint8_t asker, Storage__V1__ControlRequest__VerbCase verb, const char *name)
{
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    Storage__V1__WorkerListRequest list = STORAGE__V1__WORKER_LIST_REQUEST__INIT;
    Storage__V1__WorkerRequest worker = STORAGE__V1__WORKER_REQUEST__INIT;
    Storage__V1__ShutdownRequest shutdown = STORAGE__V1__SHUTDOWN_REQUEST__INIT;
    uint8_t packet[512] = {asker};
    worker.name = (char *)name;
    request.version = 1;
    request.verb_case = verb;
    if (verb == STORAGE__V1__CONTROL_REQUEST__VERB_LIST)
        request.list = &list;
    else if (verb == STORAGE__V1__CONTROL_REQUEST__VERB_SHUTDOWN)
        request.shutdown = &shutdown;
    else
        request.restart = &worker; /* one union */
    fuzz_check(storage__v1__control_request__get_packed_size(&request) < sizeof packet);
    fuzz_seed(packet, 1 + storage__v1__control_request__pack(&request, packet + 1));
}

void fuzz_seeds(void)
{
    char name[201];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t i = 0; i + 1 < sizeof name - 1; i += 2)
        memcpy(name + i, i < 100 ? "xy" : "\xc3\xa4", 2);
    for (uint8_t asker = 0; asker < 3; asker++) {
        seed(asker, STORAGE__V1__CONTROL_REQUEST__VERB_LIST, "");
        seed(asker, STORAGE__V1__CONTROL_REQUEST__VERB_RESTART, "diskd");
        seed(asker, STORAGE__V1__CONTROL_REQUEST__VERB_RESET, "poold");
        seed(asker, STORAGE__V1__CONTROL_REQUEST__VERB_RESTART, name);
        seed(asker, STORAGE__V1__CONTROL_REQUEST__VERB_SHUTDOWN, "");
    }
}
