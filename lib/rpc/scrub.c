/* A walk over bytes that we packed ourselves, see the header: what cannot be, ends it. */
#include "rpc/scrub.h"

#include "base/utf8.h"

struct span {
    uint8_t *at, *end;
};

static uint64_t take_varint(struct span *span)
{
    uint64_t value = 0;
    for (unsigned shift = 0; span->at < span->end; shift += 7) {
        uint8_t byte = *span->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    return value;
}

/* Takes the next `length` bytes, or what is left. */
static struct span take_bytes(struct span *span, uint64_t length)
{
    size_t left = (size_t)(span->end - span->at);
    struct span taken = {span->at, span->at + (length < left ? (size_t)length : left)};
    span->at = taken.end;
    return taken;
}

static void scrub_field(const ProtobufCFieldDescriptor *field, struct span body)
{
    size_t length = (size_t)(body.end - body.at);
    if (field && field->type == PROTOBUF_C_TYPE_STRING)
        utf8_scrub(body.at, length);
    else if (field && field->type == PROTOBUF_C_TYPE_MESSAGE)
        scrub_packed(field->descriptor, body.at, length);
}

void scrub_packed(const ProtobufCMessageDescriptor *descriptor, void *data, size_t length)
{
    struct span span = {data, (uint8_t *)data + length};
    while (span.at < span.end) {
        uint64_t key = take_varint(&span);
        switch ((ProtobufCWireType)(key & 7)) {
        case PROTOBUF_C_WIRE_TYPE_VARINT:
            (void)take_varint(&span);
            break;
        case PROTOBUF_C_WIRE_TYPE_64BIT:
            (void)take_bytes(&span, 8);
            break;
        case PROTOBUF_C_WIRE_TYPE_32BIT:
            (void)take_bytes(&span, 4);
            break;
        case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED: {
            uint64_t size = take_varint(&span);
            scrub_field(protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(key >> 3)),
                        take_bytes(&span, size));
            break;
        }
        default:
            return;
        }
    }
}
