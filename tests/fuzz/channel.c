/*
 * A packet of the channel between supervisor and worker, over a real socketpair. A packet is a
 * message, or garbage, and consumed in both cases; a sound message can be sent on and arrives as
 * the same.
 */
#include "fuzz.h"

#include "rpc/validate.h"
#include "worker/channel.h"

#include <sys/socket.h>

static void check_message(const int ends[2], const Storage__V1__ChannelMessage *message)
{
    Storage__V1__ChannelMessage *again;
    fuzz_check(channel_send(ends[0], message) == CHANNEL_DONE);
    fuzz_check(channel_receive(ends[1], &again) == CHANNEL_DONE);
    fuzz_check(fuzz_same(&message->base, &again->base));
    storage__v1__channel_message__free_unpacked(again, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static int ends[2] = {-1, -1};
    Storage__V1__ChannelMessage *message = NULL;
    if (ends[0] < 0)
        fuzz_check(channel_open_pair(ends, NULL) == 0);
    if (length == 0) /* not to be told from the end of the channel */
        return 0;
    fuzz_check(send(ends[0], data, length, MSG_NOSIGNAL) == (ssize_t)length);
    enum channel_outcome outcome = channel_receive(ends[1], &message);
    fuzz_check(outcome == CHANNEL_DONE || (outcome == CHANNEL_GARBAGE && !message));
    if (message) {
        fuzz_check(length <= CHANNEL_PACKET_MAX);
        if (validate_packed(&storage__v1__channel_message__descriptor, data, length, NULL) == 0)
            check_message(ends, message);
        storage__v1__channel_message__free_unpacked(message, NULL);
    }
    fuzz_check(channel_receive(ends[1], &message) == CHANNEL_LATER);
    return 0;
}

void fuzz_seeds(void)
{
    Storage__V1__ChannelMessage message = STORAGE__V1__CHANNEL_MESSAGE__INIT;
    char *busy[] = {(char *)"sda", (char *)"0f8fad5b-d9cb-469f-a165-70867728950e"};
    message.type = STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_READY;
    fuzz_seed_message(&message.base);
    message.type = STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_STATUS;
    message.text = (char *)"degraded: no disk";
    message.busy = busy, message.n_busy = 2;
    fuzz_seed_message(&message.base);
}
