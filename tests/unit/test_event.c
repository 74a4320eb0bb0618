/*
 * Publisher and subscriber over real sockets, on one loop. Where a test must lose live events, it
 * has a PUB socket of its own beside the EventLog service: what it does not send there is lost.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "event/log.h"
#include "event/publisher.h"
#include "event/ring.h"
#include "event/subscriber.h"
#include "event/wire.h"
#include "rpc/server.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the headers above. */
#include <cmocka.h>

struct world {
    uv_loop_t loop;
    char folder[64], requests[96], events[96];
    struct rpc_server *server;

    struct event_publisher *publisher; /* either a real one, */
    nng_socket socket;                 /* or a lossy one */
    struct event_ring *ring;
    struct event_log log;
    uint64_t epoch;

    struct event_subscriber *subscriber;
    bool close_at_first; /* the subscriber closes itself in its callback */
    unsigned closed;

    /* What the subscriber was told. */
    unsigned n_resyncs, n_events, n_ticks;
    uint64_t at_epoch, at_seq; /* where it stands */
    uint64_t resync_ms;        /* when it was last told to list again */
    bool gap;
    char topic[64];
};

static void on_closed(void *data)
{
    ++*(unsigned *)data;
}

static void on_resync(uint64_t epoch, uint64_t seq, void *data)
{
    struct world *world = data;
    world->n_resyncs++;
    world->at_epoch = epoch;
    world->at_seq = seq;
    world->resync_ms = clock_monotonic_ms();
}

static void on_event(const Storage__V1__Event *event, void *data)
{
    struct world *world = data;
    assert_int_equal(event->epoch, world->at_epoch);
    if (strcmp(event->topic, "tick") == 0) {
        world->n_ticks++;
        assert_int_equal(event->seq, world->at_seq);
        return;
    }
    world->gap |= event->seq != world->at_seq + 1;
    world->at_seq = event->seq;
    world->n_events++;
    snprintf(world->topic, sizeof world->topic, "%s", event->topic);
    if (world->close_at_first) {
        event_subscriber_close(world->subscriber, on_closed, &world->closed);
        world->subscriber = NULL;
    }
}

static void on_time(uv_timer_t *timer)
{
    ++*(unsigned *)timer->data;
}

/* Runs the loop until the seq is reached, something is counted, or the time is over. */
static bool run_until(struct world *world, uint64_t seq, const unsigned *counter, unsigned least,
                      unsigned ms)
{
    unsigned over = 0;
    bool met = false;
    uv_timer_t timer;
    uv_timer_init(&world->loop, &timer);
    timer.data = &over;
    uv_update_time(&world->loop);
    uv_timer_start(&timer, on_time, ms, 0);
    while (!over && !met) {
        uv_run(&world->loop, UV_RUN_ONCE);
        met = counter ? *counter >= least : world->n_resyncs && world->at_seq >= seq;
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    return met;
}

static void serve(struct world *world, ProtobufCService *service)
{
    struct rpc_server_options options = {
        .loop = &world->loop, .url = world->requests, .epoch = world->epoch};
    assert_int_equal(rpc_server_open(&options, &world->server, NULL), 0);
    assert_int_equal(rpc_server_add(world->server, service, event_publisher_reads, NULL), 0);
    assert_int_equal(rpc_server_listen(world->server, NULL), 0);
}

static void start_worker(struct world *world, uint64_t epoch)
{
    world->epoch = epoch;
    struct event_publisher_options options = {
        .loop = &world->loop, .url = world->events, .worker = "probed", .epoch = epoch};
    struct err err = {0};
    assert_int_equal(event_publisher_open(&options, &world->publisher, &err), 0);
    serve(world, event_publisher_service(world->publisher));
}

static void stop_worker(struct world *world)
{
    unsigned closed = 0, least = 1;
    rpc_server_close(world->server, on_closed, &closed);
    if (world->publisher) {
        event_publisher_close(world->publisher, on_closed, &closed);
        least = 2;
    } else {
        nng_close(world->socket);
    }
    assert_true(run_until(world, 0, &closed, least, 5000));
    event_ring_free(world->ring);
    world->ring = NULL;
    world->publisher = NULL;
    world->server = NULL;
}

static void start_lossy_worker(struct world *world, uint64_t epoch)
{
    world->epoch = epoch;
    world->ring = event_ring_new(EVENT_RING_MAX, EVENT_RING_MAX_BYTES);
    event_log_init(&world->log, world->ring, epoch);
    assert_int_equal(nng_pub0_open(&world->socket), 0);
    assert_int_equal(nng_listen(world->socket, world->events, NULL, 0), 0);
    serve(world, &world->log.service.base);
}

/* A numbered event goes into the ring; if it is not `lost`, also to whoever listens. */
static void emit(struct world *world, const char *topic, bool lost)
{
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    bool tick = strcmp(topic, "tick") == 0;
    event.topic = (char *)topic;
    event.epoch = world->epoch;
    event.seq = event_ring_last(world->ring) + !tick;
    nng_msg *msg = event_wire_pack(&event);
    assert_non_null(msg);
    size_t prefix = strlen(topic) + 1;
    if (!tick)
        event_ring_push(world->ring, (char *)nng_msg_body(msg) + prefix, nng_msg_len(msg) - prefix);
    if (lost || nng_sendmsg(world->socket, msg, NNG_FLAG_NONBLOCK) != 0)
        nng_msg_free(msg);
}

static void publish(struct world *world, const char *topic)
{
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    event.topic = (char *)topic;
    event.object = (char *)"thing";
    event_publish(world->publisher, &event);
}

static void subscribe(struct world *world, const char *const *topics)
{
    struct event_subscriber_options options = {
        .loop = &world->loop,
        .run_dir = world->folder,
        .worker = "probed",
        .topics = topics,
        .on_event = on_event,
        .on_resync = on_resync,
        .data = world,
    };
    assert_int_equal(event_subscriber_open(&options, &world->subscriber, NULL), 0);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    strcpy(world->folder, "/tmp/storaged-event-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->requests, sizeof world->requests, "ipc://%s/probed.sock", world->folder);
    snprintf(world->events, sizeof world->events, "ipc://%s/probed.events", world->folder);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    if (world->subscriber) {
        event_subscriber_close(world->subscriber, on_closed, &world->closed);
        assert_true(run_until(world, 0, &world->closed, 1, 5000));
    }
    if (world->server)
        stop_worker(world);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    (void)unlink(world->requests + strlen("ipc://"));
    (void)unlink(world->events + strlen("ipc://"));
    assert_int_equal(rmdir(world->folder), 0);
    free(world);
    return 0;
}

static void it_begins_with_a_resync(void **state)
{
    struct world *world = *state;
    start_worker(world, 5);
    publish(world, "pool.mounted");
    publish(world, "pool.mounted");
    subscribe(world, NULL);
    assert_true(run_until(world, 2, NULL, 0, 2000));
    assert_int_equal(world->n_resyncs, 1);
    assert_int_equal(world->at_epoch, 5);
    assert_int_equal(world->at_seq, 2);
    assert_int_equal(world->n_events, 0);
    assert_int_equal(event_publisher_seq(world->publisher), 2);
}

static void events_come_in_order(void **state)
{
    struct world *world = *state;
    start_worker(world, 5);
    subscribe(world, NULL);
    assert_true(run_until(world, 0, NULL, 0, 2000));
    for (unsigned i = 1; i <= 500; i++)
        publish(world, i % 2 ? "space.reserved" : "space.released");
    assert_true(run_until(world, 500, NULL, 0, 2000));
    assert_false(world->gap);
    assert_int_equal(world->n_events, 500);
    assert_int_equal(world->n_resyncs, 1);
    assert_string_equal(world->topic, "space.released");
}

static void the_worker_may_come_later(void **state)
{
    struct world *world = *state;
    subscribe(world, NULL);
    assert_false(run_until(world, 0, NULL, 0, 300));
    start_worker(world, 6);
    for (unsigned i = 1; i <= 200; i++) /* while it connects: PUB loses some of these */
        publish(world, "disk.added");
    assert_true(run_until(world, 200, NULL, 0, 2000));
    assert_false(world->gap);
    assert_int_equal(world->n_resyncs, 1);
}

static void what_is_lost_is_refilled(void **state)
{
    struct world *world = *state;
    start_lossy_worker(world, 7);
    subscribe(world, NULL);
    assert_true(run_until(world, 0, NULL, 0, 2000));
    emit(world, "a", false);
    assert_true(run_until(world, 1, NULL, 0, 2000));
    for (unsigned i = 2; i <= 2000; i++)
        emit(world, "a", i % 500 != 0); /* most are lost, some come while it asks */
    assert_true(run_until(world, 2000, NULL, 0, 2000));
    assert_int_equal(world->n_events, 2000);
    assert_false(world->gap);

    /* Lost at the tail: only the tick tells. */
    emit(world, "a", true);
    assert_false(run_until(world, 2001, NULL, 0, 100));
    emit(world, "tick", false);
    assert_true(run_until(world, 2001, NULL, 0, 2000));
    assert_int_equal(world->n_resyncs, 1);
    assert_false(world->gap);
}

static void a_gap_beyond_the_ring_is_a_resync(void **state)
{
    struct world *world = *state;
    start_lossy_worker(world, 7);
    subscribe(world, NULL);
    assert_true(run_until(world, 0, NULL, 0, 2000));
    for (unsigned i = 0; i < EVENT_RING_MAX + 10; i++)
        emit(world, "a", true);
    emit(world, "a", false);
    assert_true(run_until(world, EVENT_RING_MAX + 11, NULL, 0, 2000));
    assert_int_equal(world->n_resyncs, 2);
    emit(world, "a", false);
    assert_true(run_until(world, EVENT_RING_MAX + 12, NULL, 0, 2000));
    assert_int_equal(world->n_events, 1);
}

static void an_event_that_could_not_be_kept_is_a_resync(void **state)
{
    struct world *world = *state;
    start_worker(world, 8);
    subscribe(world, NULL);
    assert_true(run_until(world, 0, NULL, 0, 2000));
    publish(world, "a");
    char endless[EVENT_TOPIC_MAX + 10];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    publish(world, endless);
    publish(world, "b");
    assert_true(run_until(world, 3, NULL, 0, 2000));
    assert_int_equal(world->n_resyncs, 2);
}

static void a_burst_is_seen_or_resynced(void **state)
{
    enum { BURST = 3 * EVENT_RING_MAX };
    struct world *world = *state;
    start_worker(world, 9);
    subscribe(world, NULL);
    assert_true(run_until(world, 0, NULL, 0, 2000));
    for (unsigned i = 0; i < BURST; i++)
        publish(world, "flood");
    assert_true(run_until(world, BURST, NULL, 0, 2000));
    assert_true(world->n_events == BURST || world->n_resyncs > 1);
}

static void a_reborn_worker_is_a_resync(void **state)
{
    struct world *world = *state;
    start_worker(world, 10);
    subscribe(world, NULL);
    assert_true(run_until(world, 0, NULL, 0, 2000));
    publish(world, "a");
    assert_true(run_until(world, 1, NULL, 0, 2000));
    stop_worker(world);
    start_worker(world, 11);
    publish(world, "b");
    assert_true(run_until(world, 0, &world->n_resyncs, 2, 2000));
    assert_int_equal(world->at_epoch, 11);
    publish(world, "c");
    assert_true(run_until(world, 2, NULL, 0, 2000));
    assert_string_equal(world->topic, "c");
    assert_int_equal(world->n_resyncs, 2);
}

static void topics_are_prefixes(void **state)
{
    static const char *const topics[] = {"pool.", "tick", NULL};
    struct world *world = *state;
    start_worker(world, 12);
    subscribe(world, topics);
    assert_true(run_until(world, 0, NULL, 0, 2000));
    publish(world, "pool.failed");
    assert_true(run_until(world, 1, NULL, 0, 2000));
    assert_true(run_until(world, 0, &world->n_ticks, 1, 2000));
    publish(world, "space.reserved");
    assert_false(run_until(world, 2, NULL, 0, 300));
    world->at_seq = 2; /* the unwanted one counts in the sequence */
    publish(world, "pool.mounted");
    assert_true(run_until(world, 3, NULL, 0, 2000));
    assert_int_equal(world->n_events, 2);
    assert_int_equal(world->n_resyncs, 1);
    assert_false(world->gap);
}

/* The connection stands, and says nothing: a worker stopped in the kernel looks like that. */
static void silence_makes_it_ask(void **state)
{
    struct world *world = *state;
    start_lossy_worker(world, 13);
    subscribe(world, NULL);
    assert_true(run_until(world, 0, NULL, 0, 2000));
    emit(world, "a", true);
    assert_false(run_until(world, 1, NULL, 0, 2000));
    assert_true(run_until(world, 1, NULL, 0, 3000));
    assert_int_equal(world->n_events, 1);
    assert_int_equal(world->n_resyncs, 1);
}

static void it_may_be_closed_from_its_callback(void **state)
{
    struct world *world = *state;
    start_worker(world, 14);
    subscribe(world, NULL);
    assert_true(run_until(world, 0, NULL, 0, 2000));
    world->close_at_first = true;
    for (unsigned i = 0; i < 10; i++)
        publish(world, "a");
    assert_true(run_until(world, 0, &world->closed, 1, 2000));
    assert_int_equal(world->n_events, 1);
}

int main(void)
{
#define in_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        in_world(it_begins_with_a_resync),
        in_world(events_come_in_order),
        in_world(the_worker_may_come_later),
        in_world(what_is_lost_is_refilled),
        in_world(a_gap_beyond_the_ring_is_a_resync),
        in_world(an_event_that_could_not_be_kept_is_a_resync),
        in_world(a_burst_is_seen_or_resynced),
        in_world(a_reborn_worker_is_a_resync),
        in_world(topics_are_prefixes),
        in_world(silence_makes_it_ask),
        in_world(it_may_be_closed_from_its_callback),
    };
    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
