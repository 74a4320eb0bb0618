/*
 * The EventLog service: pages out of the ring, each below the limit of a reply. Events are kept
 * packed and unpacked again here, because protobuf-c has no way to put packed bytes into a message.
 */
#include "event/log.h"

#include "event/publisher.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    SINCE_MAX_EVENTS = 512,
    SINCE_MAX_BYTES = RPC_REPLY_MAX_BYTES - 64 * 1024, /* the rest is for tags and the envelope */
    EVENT_OVERHEAD_BYTES = 8,                          /* tag and length of one element */
};

static void refuse_stale(struct event_log *log, const Storage__V1__EventSinceRequest *request,
                         struct rpc_call *call)
{
    struct err err = {0};
    if (request->epoch != log->epoch)
        (void)err_set(&err, ERR_OUT_OF_RANGE, 0, "epoch",
                      "this is not the worker that you heard of: it was reborn");
    else
        (void)err_set(&err, ERR_OUT_OF_RANGE, 0, "seq",
                      "events after %" PRIu64 " are not all kept: only %" PRIu64 " to %" PRIu64,
                      request->seq, event_ring_first(log->ring), event_ring_last(log->ring));
    err_hint(&err, "list again what you watch, and follow from the epoch and seq of that list");
    rpc_call_fail(call, &err);
}

/* The events after `seq` that fit one page; false when out of memory. */
static bool fill_page(const struct event_ring *ring, uint64_t seq, size_t limit,
                      Storage__V1__EventSinceReply *reply)
{
    size_t bytes = 0;
    while (reply->n_events < limit && seq < event_ring_last(ring)) {
        size_t length;
        const void *packed = event_ring_get(ring, ++seq, &length);
        bytes += length + EVENT_OVERHEAD_BYTES;
        if (reply->n_events > 0 && bytes > SINCE_MAX_BYTES)
            break;
        Storage__V1__Event *event = storage__v1__event__unpack(NULL, length, packed);
        if (!event)
            return false;
        reply->events[reply->n_events++] = event;
    }
    return true;
}

static void since(Storage__V1__EventLog_Service *service,
                  const Storage__V1__EventSinceRequest *request,
                  Storage__V1__EventSinceReply_Closure closure, void *call)
{
    struct event_log *log = (struct event_log *)service;
    Storage__V1__Event *events[SINCE_MAX_EVENTS];
    Storage__V1__EventSinceReply reply = STORAGE__V1__EVENT_SINCE_REPLY__INIT;
    reply.epoch = log->epoch;
    reply.last_seq = event_ring_last(log->ring);
    reply.events = events;
    size_t limit =
        request->limit && request->limit < SINCE_MAX_EVENTS ? request->limit : SINCE_MAX_EVENTS;
    if (request->epoch != 0 &&
        (request->epoch != log->epoch || !event_ring_reaches(log->ring, request->seq)))
        refuse_stale(log, request, call);
    else if (request->epoch == 0 || fill_page(log->ring, request->seq, limit, &reply))
        closure(&reply, call);
    else
        rpc_call_refuse(call, ERR_RESOURCE_EXHAUSTED, "Since", "no memory for a page of events");
    for (size_t i = 0; i < reply.n_events; i++)
        storage__v1__event__free_unpacked(events[i], NULL);
}

void event_log_init(struct event_log *log, const struct event_ring *ring, uint64_t epoch)
{
    *log =
        (struct event_log){.service = STORAGE__V1__EVENT_LOG__INIT(), .ring = ring, .epoch = epoch};
    log->service.since = since;
}
