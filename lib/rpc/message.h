/* Messages of any type. */
#ifndef LIB_RPC_MESSAGE_H
#define LIB_RPC_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

/* A copy with all that is below it, to be freed by its type's free_unpacked(); NULL without memory.
 */
void *message_copy(const ProtobufCMessage *message);

#endif
