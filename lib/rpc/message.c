/* protobuf-c has no copy: a message is copied through its packed form. */
#include "rpc/message.h"

#include "base/cleanup.h"

void *message_copy(const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    autofree uint8_t *packed = malloc(length + 1);
    if (!packed)
        return NULL;
    (void)protobuf_c_message_pack(message, packed);
    return protobuf_c_message_unpack(message->descriptor, NULL, length, packed);
}
