/*
 * The channel between supervisor and worker: a SOCK_SEQPACKET socketpair, one packed ChannelMessage
 * a packet (proto/storage/v1/worker.proto). Both ends are non-blocking; the worker finds its end as
 * descriptor CHANNEL_FD. Its closing is how each learns that the other is gone.
 */
#ifndef LIB_WORKER_CHANNEL_H
#define LIB_WORKER_CHANNEL_H

#include "base/error.h"
#include "storage/v1/worker.pb-c.h"

enum {
    CHANNEL_FD = 3,
    CHANNEL_PACKET_MAX = 16 * 1024,
    CHANNEL_TEXT_MAX = 512, /* longer texts are cut */
    CHANNEL_BUSY_MAX = 64,  /* entries of a busy list; further ones are left out */
};

/* Both ends close on exec. */
int channel_open_pair(int out_ends[2], struct err *err);

enum channel_outcome {
    CHANNEL_DONE,    /* sent, or received: *out_message is set */
    CHANNEL_LATER,   /* full, or empty: wait for the descriptor */
    CHANNEL_CLOSED,  /* the other end is gone */
    CHANNEL_GARBAGE, /* one packet that is no ChannelMessage; it is consumed */
};

enum channel_outcome channel_send(int fd, const Storage__V1__ChannelMessage *message);

/* A message that is no more than its type and a text; `text` may be NULL. */
enum channel_outcome channel_say(int fd, Storage__V1__ChannelType type, const char *text);

/* The message is freed with storage__v1__channel_message__free_unpacked(message, NULL). */
enum channel_outcome channel_receive(int fd, Storage__V1__ChannelMessage **out_message);

#endif
