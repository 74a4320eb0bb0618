/*
 * Checks a packed message against its descriptor before it is unpacked.
 *
 * protobuf-c lets pass what no handler should ever see: strings that are not UTF-8, strings with a
 * NUL (silently cut there), and numbers that no enum value has. A NUL can only be seen in the
 * packed bytes, so those are walked. Wire format:
 * https://protobuf.dev/programming-guides/encoding/. Unknown fields are let pass, for newer
 * clients.
 */
#ifndef LIB_RPC_VALIDATE_H
#define LIB_RPC_VALIDATE_H

#include "base/error.h"

#include <protobuf-c/protobuf-c.h>

enum { VALIDATE_DEPTH_MAX = 16 };

/* INVALID_ARGUMENT naming the field ("owner.name") as the object, or the message type if the bytes
 * are not a message at all. What passes is unpacked without loss, or not at all: for want of
 * memory, or where a submessage with a oneof comes twice, which protobuf-c 1.4.1 cannot always
 * merge. */
int validate_packed(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t length,
                    struct err *err);

/* Takes the fields that the descriptor does not know out of a packed message, in place; returns the
 * length of what is left, which passes validate_packed() if all of it did. protobuf-c would keep
 * each of them in memory of its own: 64 KiB of them take it 4 ms. Those of submessages stay. */
size_t validate_strip(const ProtobufCMessageDescriptor *descriptor, uint8_t *data, size_t length);

#endif
