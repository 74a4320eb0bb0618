/*
 * The publisher: numbers a worker's events, keeps the last EVENT_RING_MAX of them, sends each to
 * whoever listens, and ticks once a second. It also is the EventLog service, from the ring. All on
 * the loop.
 */
#ifndef LIB_EVENT_PUBLISHER_H
#define LIB_EVENT_PUBLISHER_H

#include "base/error.h"
#include "rpc/server.h"
#include "storage/v1/event.pb-c.h"

#include <uv.h>

enum {
    EVENT_RING_MAX = 4096,
    EVENT_RING_MAX_BYTES = 16 * 1024 * 1024, /* of packed events; the oldest goes first */
    EVENT_TICK_MS = 1000,
    EVENT_SUBSCRIBERS_MAX = 1024, /* connections */
    EVENT_SEND_QUEUE = 1024, /* events that one subscriber may be behind, before he misses some */
};

struct event_publisher;

struct event_publisher_options {
    uv_loop_t *loop;
    const char *url;    /* "ipc:///run/storaged/poold.events" */
    const char *worker; /* borrowed */
    uint64_t epoch;
};

int event_publisher_open(const struct event_publisher_options *options,
                         struct event_publisher **out_publisher, struct err *err);

/* The EventLog service over the ring: rpc_server_add(server, event_publisher_service(p),
 * event_publisher_reads, …). */
ProtobufCService *event_publisher_service(struct event_publisher *publisher);
extern const char *const event_publisher_reads[];

/*
 * Publishes `event`: topic, object, reason and body are the caller's, the rest is filled in here.
 * Packed at once, nothing is kept of it. An event that cannot be allocated, or is beyond the limits
 * of event/wire.h, still takes its number, so that subscribers resync.
 */
void event_publish(struct event_publisher *publisher, const Storage__V1__Event *event);

/* For list replies. */
uint64_t event_publisher_epoch(const struct event_publisher *publisher);
uint64_t event_publisher_seq(const struct event_publisher *publisher);

void event_publisher_close(struct event_publisher *publisher, void (*closed)(void *data),
                           void *data);

#endif
