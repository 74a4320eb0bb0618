/*
 * Packets of the channel. Owns nothing: descriptors are the callers'. What is sent is cut to the
 * limits of the header, so that a packet always fits; what arrives is bounded by its buffer.
 */
#include "worker/channel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int channel_open_pair(int out_ends[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out_ends) < 0)
        return err_errno(err, errno, "channel", "cannot make a socketpair");
    return 0;
}

static enum channel_outcome outcome_of_errno(int os_errno)
{
    return os_errno == EAGAIN || os_errno == ENOBUFS ? CHANNEL_LATER : CHANNEL_CLOSED;
}

enum channel_outcome channel_send(int fd, const Storage__V1__ChannelMessage *message)
{
    uint8_t packet[CHANNEL_PACKET_MAX];
    size_t length = storage__v1__channel_message__get_packed_size(message);
    if (length > sizeof packet)
        return CHANNEL_GARBAGE;
    (void)storage__v1__channel_message__pack(message, packet);
    ssize_t sent;
    do
        sent = send(fd, packet, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? outcome_of_errno(errno) : CHANNEL_DONE;
}

enum channel_outcome channel_say(int fd, Storage__V1__ChannelType type, const char *text)
{
    char cut[CHANNEL_TEXT_MAX];
    Storage__V1__ChannelMessage message = STORAGE__V1__CHANNEL_MESSAGE__INIT;
    (void)snprintf(cut, sizeof cut, "%s", text ? text : "");
    message.type = type;
    message.text = cut;
    return channel_send(fd, &message);
}

enum channel_outcome channel_receive(int fd, Storage__V1__ChannelMessage **out_message)
{
    uint8_t packet[CHANNEL_PACKET_MAX];
    ssize_t length;
    do
        length = recv(fd, packet, sizeof packet, MSG_TRUNC | MSG_DONTWAIT);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return outcome_of_errno(errno);
    /* Every message has a type, so an empty packet cannot be one: zero is the end of file. */
    if (length == 0)
        return CHANNEL_CLOSED;
    if ((size_t)length > sizeof packet)
        return CHANNEL_GARBAGE;
    Storage__V1__ChannelMessage *message =
        storage__v1__channel_message__unpack(NULL, (size_t)length, packet);
    if (message && message->type == STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_UNSPECIFIED) {
        storage__v1__channel_message__free_unpacked(message, NULL);
        message = NULL;
    }
    if (!message)
        return CHANNEL_GARBAGE;
    *out_message = message;
    return CHANNEL_DONE;
}
