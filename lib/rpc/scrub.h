/*
 * What the kernel, a disk or a tenant calls things is bytes, and a text that is cut at a length may
 * end in the middle of a character. Other languages refuse a whole message for one such string.
 */
#ifndef LIB_RPC_SCRUB_H
#define LIB_RPC_SCRUB_H

#include <protobuf-c/protobuf-c.h>

/* Puts a question mark for each byte of its strings that is no UTF-8. The message was packed by
 * protobuf-c; its length stays what it is. */
void scrub_packed(const ProtobufCMessageDescriptor *descriptor, void *data, size_t length);

#endif
