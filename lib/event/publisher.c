/*
 * The publisher: numbers, the ring, the PUB socket, the tick. On the loop.
 *
 * Sending never waits: PUB drops what a subscriber's queue has no room for, and the subscriber
 * notices by the numbers. An event that cannot be packed breaks the ring, so that whoever misses it
 * is told to list again.
 */
#include "event/publisher.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/log.h"
#include "event/ring.h"
#include "event/wire.h"
#include "rpc/nngerr.h"
#include "rpc/socketfile.h"

#include <assert.h>
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <stdatomic.h>
#include <string.h>

struct event_publisher {
    const char *worker;
    uint64_t epoch;
    nng_socket socket;
    struct event_ring *ring;
    struct event_log log;
    uv_timer_t tick;
    atomic_uint n_peers; /* connections: nng's threads count */
    void (*closed)(void *data);
    void *closed_data;
};

const char *const event_publisher_reads[] = {"Since", NULL};

/* On nng's threads. */
static void on_pipe_added(nng_pipe pipe, nng_pipe_ev event, void *data)
{
    (void)event;
    struct event_publisher *publisher = data;
    if (atomic_fetch_add(&publisher->n_peers, 1) >= EVENT_SUBSCRIBERS_MAX)
        (void)nng_pipe_close(pipe);
}

static void on_pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *data)
{
    (void)pipe;
    (void)event;
    struct event_publisher *publisher = data;
    (void)atomic_fetch_sub(&publisher->n_peers, 1);
}

static void send_packed(struct event_publisher *publisher, nng_msg *msg)
{
    if (nng_sendmsg(publisher->socket, msg, NNG_FLAG_NONBLOCK) != 0)
        nng_msg_free(msg); /* its number tells the subscribers that something is missing */
}

static void fill_in(const struct event_publisher *publisher, Storage__V1__Event *event,
                    uint64_t seq)
{
    event->epoch = publisher->epoch;
    event->seq = seq;
    event->time_us = clock_realtime_us();
    event->worker = (char *)publisher->worker;
}

static void on_tick(uv_timer_t *timer)
{
    struct event_publisher *publisher = timer->data;
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    event.topic = (char *)EVENT_TICK_TOPIC;
    fill_in(publisher, &event, event_ring_last(publisher->ring));
    nng_msg *msg = event_wire_pack(&event);
    if (msg)
        send_packed(publisher, msg);
}

void event_publish(struct event_publisher *publisher, const Storage__V1__Event *event)
{
    uint64_t seq = event_ring_last(publisher->ring) + 1;
    Storage__V1__Event numbered = *event;
    fill_in(publisher, &numbered, seq);
    nng_msg *msg = event_wire_pack(&numbered);
    if (!msg) {
        event_ring_push(publisher->ring, NULL, 0);
        log_error("an event is lost: it cannot be packed", "topic", event->topic, "object",
                  event->object, "seq", log_u64(seq));
        return;
    }
    size_t prefix = strlen(numbered.topic) + 1;
    event_ring_push(publisher->ring, (const char *)nng_msg_body(msg) + prefix,
                    nng_msg_len(msg) - prefix);
    send_packed(publisher, msg);
}

static int open_socket(struct event_publisher *publisher, const char *url, struct err *err)
{
    int rc = socketfile_remove_stale(url, err);
    if (rc < 0)
        return rc;
    int rv = nng_pub0_open(&publisher->socket);
    if (rv != 0)
        return nngerr_set(err, rv, url, "cannot open a publishing socket");
    nng_listener listener;
    rv = nng_socket_set_int(publisher->socket, NNG_OPT_SENDBUF, EVENT_SEND_QUEUE);
    if (rv == 0) /* subscribers have nothing to say */
        rv = nng_socket_set_size(publisher->socket, NNG_OPT_RECVMAXSZ, 1024);
    if (rv == 0)
        rv = nng_pipe_notify(publisher->socket, NNG_PIPE_EV_ADD_PRE, on_pipe_added, publisher);
    if (rv == 0)
        rv = nng_pipe_notify(publisher->socket, NNG_PIPE_EV_REM_POST, on_pipe_removed, publisher);
    if (rv == 0)
        rv = nng_listener_create(&listener, publisher->socket, url);
    if (rv == 0)
        rv = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, SOCKETFILE_MODE);
    if (rv == 0)
        rv = nng_listener_start(listener, 0);
    if (rv == 0)
        return 0;
    (void)nng_close(publisher->socket);
    return nngerr_set(err, rv, url, "cannot listen for subscribers");
}

int event_publisher_open(const struct event_publisher_options *options,
                         struct event_publisher **out_publisher, struct err *err)
{
    struct event_publisher *publisher = calloc(1, sizeof *publisher);
    struct event_ring *ring = event_ring_new(EVENT_RING_MAX, EVENT_RING_MAX_BYTES);
    if (!publisher || !ring) {
        free(publisher);
        event_ring_free(ring);
        return err_errno(err, ENOMEM, options->url, "cannot make a publisher");
    }
    publisher->worker = options->worker;
    publisher->epoch = options->epoch;
    publisher->ring = ring;
    event_log_init(&publisher->log, ring, options->epoch);
    int rc = open_socket(publisher, options->url, err);
    if (rc < 0) {
        event_ring_free(ring);
        free(publisher);
        return rc;
    }
    (void)uv_timer_init(options->loop, &publisher->tick);
    publisher->tick.data = publisher;
    (void)uv_timer_start(&publisher->tick, on_tick, EVENT_TICK_MS, EVENT_TICK_MS);
    *out_publisher = publisher;
    return 0;
}

ProtobufCService *event_publisher_service(struct event_publisher *publisher)
{
    return &publisher->log.service.base;
}

uint64_t event_publisher_epoch(const struct event_publisher *publisher)
{
    return publisher->epoch;
}

uint64_t event_publisher_seq(const struct event_publisher *publisher)
{
    return event_ring_last(publisher->ring);
}

static void on_tick_closed(uv_handle_t *handle)
{
    struct event_publisher *publisher = handle->data;
    void (*closed)(void *data) = publisher->closed;
    void *data = publisher->closed_data;
    event_ring_free(publisher->ring);
    free(publisher);
    if (closed)
        closed(data);
}

void event_publisher_close(struct event_publisher *publisher, void (*closed)(void *data),
                           void *data)
{
    assert(!uv_is_closing((uv_handle_t *)&publisher->tick));
    publisher->closed = closed;
    publisher->closed_data = data;
    (void)nng_close(publisher->socket);
    uv_close((uv_handle_t *)&publisher->tick, on_tick_closed);
}
