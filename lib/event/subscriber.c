/*
 * The subscriber: a SUB socket that may lose, and a request client that refills.
 *
 * It is asking (one Since in flight; live events queue) or following. What it knows is its
 * position: the epoch and the seq up to which the user has everything, by events or by his own
 * list. Every live event is held against the position: old, the next, behind a gap, or of another
 * epoch; a gap and another epoch are asked about from the position. The server refuses
 * (OUT_OF_RANGE) where the ring does not reach, or when it was reborn; then the position is lost,
 * the next question is only where the stream stands, and its answer is a resync.
 *
 * On the loop, but for on_received(), on nng's threads.
 */
#include "event/subscriber.h"

#include "base/cleanup.h"
#include "event/queue.h"
#include "event/wire.h"
#include "rpc/client.h"
#include "rpc/connection.h"
#include "rpc/inbox.h"
#include "rpc/nngerr.h"

#include <assert.h>
#include <errno.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdio.h>
#include <string.h>

enum {
    ASK_DEADLINE_MS = 1000,
    ASK_AGAIN_MS = 100, /* after a failure */
    SILENCE_MS = 3000,  /* three ticks: the connection is dead, whatever the kernel says of it */
    RECEIVE_QUEUE = 1024,
};

struct event_subscriber {
    struct inbox_item received;              /* first: what the inbox delivers */
    struct event_subscriber_options options; /* run_dir and worker are not kept */
    nng_socket socket;
    nng_aio *aio;
    struct inbox inbox;
    struct connection connection;
    uint32_t seen_pipe;
    struct rpc_client *client;
    uv_timer_t silence, again;

    bool positioned;
    uint64_t epoch, seq;
    bool asking;
    struct event_queue queue;

    bool closing;
    unsigned n_open; /* parts that the loop still holds */
    void (*closed)(void *data);
    void *closed_data;
};

static void ask(struct event_subscriber *subscriber);
static void on_again(uv_timer_t *timer);

/* On nng's threads. */
static void on_received(void *data)
{
    struct event_subscriber *subscriber = data;
    inbox_push(&subscriber->inbox, &subscriber->received);
}

static void receive(struct event_subscriber *subscriber)
{
    nng_aio_set_msg(subscriber->aio, NULL);
    nng_recv_aio(subscriber->socket, subscriber->aio);
}

static bool is_wanted(const struct event_subscriber *subscriber, const char *topic)
{
    const char *const *prefix = subscriber->options.topics;
    if (!prefix)
        return strcmp(topic, EVENT_TICK_TOPIC) != 0;
    for (; *prefix; prefix++)
        if (strncmp(topic, *prefix, strlen(*prefix)) == 0)
            return true;
    return false;
}

static void hand_over(struct event_subscriber *subscriber, const Storage__V1__Event *event)
{
    if (is_wanted(subscriber, event->topic))
        subscriber->options.on_event(event, subscriber->options.data);
}

enum standing { STANDING_OLD, STANDING_NEXT, STANDING_TICK, STANDING_UNCLEAR };

/* Where a live event stands to the position. */
static enum standing stand(const struct event_subscriber *subscriber,
                           const Storage__V1__Event *event)
{
    bool tick = strcmp(event->topic, EVENT_TICK_TOPIC) == 0;
    if (!subscriber->positioned || event->epoch != subscriber->epoch)
        return STANDING_UNCLEAR;
    if (tick && event->seq == subscriber->seq)
        return STANDING_TICK;
    if (event->seq <= subscriber->seq)
        return STANDING_OLD;
    return !tick && event->seq == subscriber->seq + 1 ? STANDING_NEXT : STANDING_UNCLEAR;
}

/* Hands over what is queued, up to the first event that has to be asked about. */
static void follow(struct event_subscriber *subscriber)
{
    while (!subscriber->closing && !subscriber->asking) {
        Storage__V1__Event *event = event_queue_first(&subscriber->queue);
        if (!event)
            return;
        enum standing standing = stand(subscriber, event);
        if (standing == STANDING_UNCLEAR) {
            ask(subscriber);
            return;
        }
        (void)event_queue_pop(&subscriber->queue);
        if (standing == STANDING_NEXT)
            subscriber->seq = event->seq;
        if (standing != STANDING_OLD)
            hand_over(subscriber, event);
        storage__v1__event__free_unpacked(event, NULL);
    }
}

/* The answer to "where does the stream stand?": the user lists now. */
static void take_position(struct event_subscriber *subscriber,
                          const Storage__V1__EventSinceReply *reply)
{
    subscriber->positioned = true;
    subscriber->epoch = reply->epoch;
    subscriber->seq = reply->last_seq;
    subscriber->options.on_resync(reply->epoch, reply->last_seq, subscriber->options.data);
}

/* The answer to "what comes after my position?" */
static void take_page(struct event_subscriber *subscriber,
                      const Storage__V1__EventSinceReply *reply)
{
    uint64_t begun_at = subscriber->seq;
    for (size_t i = 0; i < reply->n_events && !subscriber->closing; i++) {
        const Storage__V1__Event *event = reply->events[i];
        if (event->seq != subscriber->seq + 1)
            continue;
        subscriber->seq = event->seq;
        hand_over(subscriber, event);
    }
    if (subscriber->seq < reply->last_seq && !subscriber->closing) {
        /* A page without progress cannot be: better list again than ask for ever. */
        subscriber->positioned = subscriber->seq > begun_at;
        ask(subscriber);
    }
}

static void on_asked(const struct rpc_result *result, void *data)
{
    struct event_subscriber *subscriber = data;
    subscriber->asking = false;
    if (subscriber->closing)
        return;
    if (result->err->code == ERR_OUT_OF_RANGE) {
        subscriber->positioned = false;
        ask(subscriber);
        return;
    }
    if (result->err->code != ERR_OK) {
        if (connection_pipe(&subscriber->connection)) /* else its return asks */
            (void)uv_timer_start(&subscriber->again, on_again, ASK_AGAIN_MS, 0);
        return;
    }
    const Storage__V1__EventSinceReply *reply =
        (const Storage__V1__EventSinceReply *)result->output;
    event_queue_keep_epoch(&subscriber->queue, reply->epoch);
    if (subscriber->positioned)
        take_page(subscriber, reply);
    else
        take_position(subscriber, reply);
    follow(subscriber);
}

static void on_again(uv_timer_t *timer)
{
    ask(timer->data);
}

static void ask(struct event_subscriber *subscriber)
{
    static const struct rpc_call_options options = {.deadline_ms = ASK_DEADLINE_MS, .wait = true};
    if (subscriber->asking)
        return;
    Storage__V1__EventSinceRequest request = STORAGE__V1__EVENT_SINCE_REQUEST__INIT;
    if (subscriber->positioned) {
        request.epoch = subscriber->epoch;
        request.seq = subscriber->seq;
    }
    subscriber->asking = true;
    (void)uv_timer_stop(&subscriber->again);
    if (rpc_client_call(subscriber->client, &storage__v1__event_log__descriptor, "Since",
                        &request.base, &options, on_asked, subscriber, NULL) < 0) {
        subscriber->asking = false;
        (void)uv_timer_start(&subscriber->again, on_again, ASK_AGAIN_MS, 0);
    }
}

static void on_silence(uv_timer_t *timer)
{
    struct event_subscriber *subscriber = timer->data;
    if (!connection_pipe(&subscriber->connection))
        return;
    connection_reset(&subscriber->connection);
    ask(subscriber);
}

static void heard(struct event_subscriber *subscriber)
{
    (void)uv_timer_start(&subscriber->silence, on_silence, SILENCE_MS, SILENCE_MS);
}

static void deliver(struct inbox_item *item, void *data)
{
    (void)item;
    struct event_subscriber *subscriber = data;
    if (subscriber->closing)
        return;
    nng_msg *msg = nng_aio_result(subscriber->aio) == 0 ? nng_aio_get_msg(subscriber->aio) : NULL;
    if (msg) {
        size_t bytes = nng_msg_len(msg);
        Storage__V1__Event *event = event_wire_unpack(msg);
        nng_msg_free(msg);
        heard(subscriber);
        if (event)
            event_queue_push(&subscriber->queue, event, bytes);
    }
    receive(subscriber);
    follow(subscriber);
}

static void on_woken(void *data)
{
    struct event_subscriber *subscriber = data;
    uint32_t pipe = connection_pipe(&subscriber->connection);
    if (subscriber->closing || pipe == subscriber->seen_pipe)
        return;
    subscriber->seen_pipe = pipe;
    if (!pipe)
        return;
    heard(subscriber);
    ask(subscriber);
}

static int open_socket(struct event_subscriber *subscriber, const char *url, struct err *err)
{
    int rv = nng_sub0_open(&subscriber->socket);
    if (rv != 0)
        return nngerr_set(err, rv, url, "cannot open a subscribing socket");
    rv = nng_aio_alloc(&subscriber->aio, on_received, subscriber);
    if (rv != 0) {
        (void)nng_close(subscriber->socket);
        return nngerr_set(err, rv, url, "cannot make an aio");
    }
    nng_aio_set_timeout(subscriber->aio, NNG_DURATION_INFINITE);
    rv = nng_socket_set(subscriber->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0);
    if (rv == 0)
        rv = nng_socket_set_int(subscriber->socket, NNG_OPT_RECVBUF, RECEIVE_QUEUE);
    if (rv == 0)
        rv = nng_socket_set_size(subscriber->socket, NNG_OPT_RECVMAXSZ,
                                 EVENT_MAX_BYTES + EVENT_TOPIC_MAX + 64);
    int rc = rv == 0 ? connection_open(&subscriber->connection, subscriber->socket,
                                       &subscriber->inbox, url, err)
                     : nngerr_set(err, rv, url, "cannot set up the subscribing socket");
    if (rc < 0) {
        nng_aio_free(subscriber->aio);
        (void)nng_close(subscriber->socket);
    }
    return rc;
}

static void part_closed(struct event_subscriber *subscriber)
{
    if (--subscriber->n_open > 0)
        return;
    void (*closed)(void *data) = subscriber->closed;
    void *data = subscriber->closed_data;
    free(subscriber);
    if (closed)
        closed(data);
}

static void on_part_closed(void *data)
{
    part_closed(data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void close_parts(struct event_subscriber *subscriber)
{
    subscriber->closing = true;
    if (subscriber->client)
        rpc_client_close(subscriber->client, on_part_closed, subscriber);
    uv_close((uv_handle_t *)&subscriber->silence, on_timer_closed);
    uv_close((uv_handle_t *)&subscriber->again, on_timer_closed);
    inbox_close(&subscriber->inbox, on_part_closed);
    event_queue_clear(&subscriber->queue);
}

static int open_parts(struct event_subscriber *subscriber,
                      const struct event_subscriber_options *options, struct err *err)
{
    char requests[160], events[160];
    (void)snprintf(requests, sizeof requests, "ipc://%s/%s.sock", options->run_dir,
                   options->worker);
    (void)snprintf(events, sizeof events, "ipc://%s/%s.events", options->run_dir, options->worker);
    struct rpc_client_options client = {.loop = options->loop, .url = requests};
    int rc = rpc_client_open(&client, &subscriber->client, err);
    if (rc < 0)
        return rc;
    subscriber->n_open++;
    return open_socket(subscriber, events, err);
}

int event_subscriber_open(const struct event_subscriber_options *options,
                          struct event_subscriber **out_subscriber, struct err *err)
{
    struct event_subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (!subscriber)
        return err_errno(err, ENOMEM, options->worker, "cannot make a subscriber");
    subscriber->options = *options;
    subscriber->options.run_dir = subscriber->options.worker = NULL;
    struct inbox_options inbox = {
        .loop = options->loop, .deliver = deliver, .woken = on_woken, .data = subscriber};
    int rc = inbox_open(&subscriber->inbox, &inbox, err);
    if (rc < 0) {
        free(subscriber);
        return rc;
    }
    (void)uv_timer_init(options->loop, &subscriber->silence);
    (void)uv_timer_init(options->loop, &subscriber->again);
    subscriber->silence.data = subscriber->again.data = subscriber;
    subscriber->n_open = 3; /* the inbox and the timers */
    rc = open_parts(subscriber, options, err);
    if (rc < 0) {
        close_parts(subscriber); /* frees itself when the loop has let go */
        return rc;
    }
    receive(subscriber);
    *out_subscriber = subscriber;
    return 0;
}

void event_subscriber_close(struct event_subscriber *subscriber, void (*closed)(void *data),
                            void *data)
{
    assert(!subscriber->closing);
    subscriber->closed = closed;
    subscriber->closed_data = data;
    nng_aio_stop(subscriber->aio);
    nng_msg *msg = nng_aio_result(subscriber->aio) == 0 ? nng_aio_get_msg(subscriber->aio) : NULL;
    if (msg)
        nng_msg_free(msg);
    nng_aio_free(subscriber->aio);
    connection_close(&subscriber->connection);
    (void)nng_close(subscriber->socket);
    inbox_discard(&subscriber->inbox);
    close_parts(subscriber);
}
