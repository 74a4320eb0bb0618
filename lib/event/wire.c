/* Packing straight into nng's message, once per event. */
#include "event/wire.h"

#include "rpc/scrub.h"

#include <string.h>

nng_msg *event_wire_pack(const Storage__V1__Event *event)
{
    nng_msg *msg;
    size_t prefix = strlen(event->topic) + 1;
    size_t length = storage__v1__event__get_packed_size(event);
    if (prefix > EVENT_TOPIC_MAX || length > EVENT_MAX_BYTES ||
        nng_msg_alloc(&msg, prefix + length) != 0)
        return NULL;
    uint8_t *body = nng_msg_body(msg);
    memcpy(body, event->topic, prefix);
    (void)storage__v1__event__pack(event, body + prefix);
    scrub_packed(event->base.descriptor, body + prefix, length);
    return msg;
}

Storage__V1__Event *event_wire_unpack(nng_msg *msg)
{
    const uint8_t *body = nng_msg_body(msg);
    size_t length = nng_msg_len(msg);
    const uint8_t *nul = length ? memchr(body, '\0', length) : NULL;
    if (!nul)
        return NULL;
    size_t prefix = (size_t)(nul - body) + 1;
    return storage__v1__event__unpack(NULL, length - prefix, body + prefix);
}
