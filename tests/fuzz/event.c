/*
 * An event as a subscriber receives it. A newer publisher may know more enum values, so it is not
 * checked before it is unpacked; one that would pass packs to a message, within the limits of both,
 * that is the same event again.
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "event/wire.h"
#include "rpc/validate.h"
#include "rpc/wire.h"

#include <string.h>

static void check_pack(const Storage__V1__Event *event)
{
    nng_msg *msg = event_wire_pack(event);
    bool fits = strlen(event->topic) < EVENT_TOPIC_MAX &&
                storage__v1__event__get_packed_size(event) <= EVENT_MAX_BYTES;
    fuzz_check(fits == (msg != NULL));
    if (!msg)
        return;
    fuzz_check(strcmp(nng_msg_body(msg), event->topic) == 0);
    Storage__V1__Event *again = event_wire_unpack(msg);
    nng_msg_free(msg);
    fuzz_check(again && fuzz_same(&event->base, &again->base));
    storage__v1__event__free_unpacked(again, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    nng_msg *msg = wire_copy(data, length);
    fuzz_check(msg != NULL);
    Storage__V1__Event *event = event_wire_unpack(msg);
    nng_msg_free(msg);
    if (!event)
        return 0;
    size_t prefix = strnlen((const char *)data, length) + 1;
    if (validate_packed(&storage__v1__event__descriptor, data + prefix, length - prefix, NULL) == 0)
        check_pack(event);
    storage__v1__event__free_unpacked(event, NULL);
    return 0;
}

static void seed(Storage__V1__Event *event, const char *topic)
{
    event->epoch = 7, event->seq = 1, event->time_us = 1700000000000000;
    event->topic = (char *)topic;
    event->worker = (char *)"poold";
    nng_msg *msg = event_wire_pack(event);
    fuzz_check(msg != NULL);
    fuzz_seed(nng_msg_body(msg), nng_msg_len(msg));
    nng_msg_free(msg);
}

void fuzz_seeds(void)
{
    Storage__V1__Event tick = STORAGE__V1__EVENT__INIT, added = STORAGE__V1__EVENT__INIT,
                       mounted = STORAGE__V1__EVENT__INIT, reserved = STORAGE__V1__EVENT__INIT;
    Storage__V1__Signature signature = STORAGE__V1__SIGNATURE__INIT, *signatures[] = {&signature};
    Storage__V1__PoolMembership membership = STORAGE__V1__POOL_MEMBERSHIP__INIT;
    Storage__V1__Disk disk = STORAGE__V1__DISK__INIT;
    Storage__V1__PoolMember member = STORAGE__V1__POOL_MEMBER__INIT, *members[] = {&member};
    Storage__V1__PoolCapacity capacity = STORAGE__V1__POOL_CAPACITY__INIT;
    Storage__V1__PoolInfo pool = STORAGE__V1__POOL_INFO__INIT;
    Storage__V1__Space space = STORAGE__V1__SPACE__INIT;
    seed(&tick, EVENT_TICK_TOPIC);

    signature.type = (char *)"btrfs", signature.offset_bytes = 65536;
    disk.signatures = signatures, disk.n_signatures = array_length(signatures);
    membership.devid = 1, membership.label = (char *)"storaged:tank";
    disk.pool = &membership;
    disk.id = (char *)"serial-7", disk.path = (char *)"/dev/sda";
    added.body_case = STORAGE__V1__EVENT__BODY_DISK, added.disk = &disk;
    seed(&added, "disk.added");

    member.devid = 1, member.size_bytes = 1u << 30;
    pool.members = members, pool.n_members = array_length(members);
    capacity.usable = 1u << 29;
    pool.capacity = &capacity;
    pool.state = STORAGE__V1__POOL_STATE__POOL_STATE_MOUNTED;
    mounted.body_case = STORAGE__V1__EVENT__BODY_POOL, mounted.pool = &pool;
    seed(&mounted, "pool.mounted");

    space.name = (char *)"vm7", space.generation = 1;
    reserved.body_case = STORAGE__V1__EVENT__BODY_SPACE, reserved.space = &space;
    seed(&reserved, "space.reserved");
}
