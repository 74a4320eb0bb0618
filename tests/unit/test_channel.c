/* The channel between supervisor and worker: packets, their limits, and how its end is noticed. */
#include "base/cleanup.h"
#include "worker/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define BEAT   STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_BEAT
#define STATUS STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_STATUS

struct pair {
    int near, far;
};

static int open_pair(void **state)
{
    static struct pair pair;
    int ends[2];
    if (channel_open_pair(ends, NULL) < 0)
        return -1;
    pair = (struct pair){ends[0], ends[1]};
    *state = &pair;
    return 0;
}

static int close_pair(void **state)
{
    struct pair *pair = *state;
    cleanup_fd(&pair->near);
    cleanup_fd(&pair->far);
    return 0;
}

static void messages_arrive_whole_and_in_order(void **state)
{
    struct pair *pair = *state;
    Storage__V1__ChannelMessage *message;
    assert_int_equal(channel_say(pair->near, BEAT, NULL), CHANNEL_DONE);
    assert_int_equal(channel_say(pair->near, STATUS, "degraded: no disk"), CHANNEL_DONE);

    assert_int_equal(channel_receive(pair->far, &message), CHANNEL_DONE);
    assert_int_equal(message->type, BEAT);
    storage__v1__channel_message__free_unpacked(message, NULL);
    assert_int_equal(channel_receive(pair->far, &message), CHANNEL_DONE);
    assert_string_equal(message->text, "degraded: no disk");
    storage__v1__channel_message__free_unpacked(message, NULL);
    assert_int_equal(channel_receive(pair->far, &message), CHANNEL_LATER);
}

static void a_long_text_is_cut(void **state)
{
    struct pair *pair = *state;
    Storage__V1__ChannelMessage *message;
    char text[2 * CHANNEL_PACKET_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(channel_say(pair->near, STATUS, text), CHANNEL_DONE);
    assert_int_equal(channel_receive(pair->far, &message), CHANNEL_DONE);
    assert_int_equal(strlen(message->text), CHANNEL_TEXT_MAX - 1);
    storage__v1__channel_message__free_unpacked(message, NULL);
}

static void the_other_end_gone_is_closed(void **state)
{
    struct pair *pair = *state;
    Storage__V1__ChannelMessage *message;
    assert_int_equal(channel_say(pair->near, BEAT, NULL), CHANNEL_DONE);
    cleanup_fd(&pair->near);
    pair->near = -1;
    assert_int_equal(channel_receive(pair->far, &message), CHANNEL_DONE);
    storage__v1__channel_message__free_unpacked(message, NULL);
    assert_int_equal(channel_receive(pair->far, &message), CHANNEL_CLOSED);
    assert_int_equal(channel_say(pair->far, BEAT, NULL), CHANNEL_CLOSED);
}

static void a_full_channel_says_later(void **state)
{
    struct pair *pair = *state;
    enum channel_outcome outcome;
    int sent = 0;
    while ((outcome = channel_say(pair->near, BEAT, NULL)) == CHANNEL_DONE)
        sent++;
    assert_int_equal(outcome, CHANNEL_LATER);
    assert_true(sent > 16); /* a supervisor that sleeps some seconds loses no beat */
}

static void garbage_costs_one_packet(void **state)
{
    struct pair *pair = *state;
    Storage__V1__ChannelMessage *message;
    static const char huge[CHANNEL_PACKET_MAX + 1];
    assert_int_equal(send(pair->near, "\xff\xff\xff", 3, 0), 3);
    assert_int_equal(send(pair->near, huge, sizeof huge, 0), sizeof huge);
    assert_int_equal(channel_say(pair->near, BEAT, NULL), CHANNEL_DONE);
    assert_int_equal(channel_receive(pair->far, &message), CHANNEL_GARBAGE);
    assert_int_equal(channel_receive(pair->far, &message), CHANNEL_GARBAGE);
    assert_int_equal(channel_receive(pair->far, &message), CHANNEL_DONE);
    storage__v1__channel_message__free_unpacked(message, NULL);
}

/* Of the type that stands for none: a well-formed message, and still not one of ours. */
static void a_message_without_a_type_is_garbage(void **state)
{
    struct pair *pair = *state;
    Storage__V1__ChannelMessage *message = NULL;
    assert_int_equal(send(pair->near, "\x12\x04text", 6, 0), 6);
    assert_int_equal(channel_receive(pair->far, &message), CHANNEL_GARBAGE);
    assert_null(message);
}

#define channel_test(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)

int main(void)
{
    const struct CMUnitTest tests[] = {
        channel_test(messages_arrive_whole_and_in_order),
        channel_test(a_long_text_is_cut),
        channel_test(the_other_end_gone_is_closed),
        channel_test(a_full_channel_says_later),
        channel_test(garbage_costs_one_packet),
        channel_test(a_message_without_a_type_is_garbage),
    };
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
