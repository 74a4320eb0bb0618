/*
 * The subscriber: every event of one worker in order, or a resync call, within two seconds. On a
 * loop.
 *
 * It subscribes to all topics, connects, asks EventLog/Since where the stream stands, and calls
 * `on_resync`: the user lists what he watches (the list then holds everything up to that seq, and
 * perhaps more). From there on each event is delivered once, in order; gaps are refilled from the
 * ring. A reborn worker, or a gap older than the ring, is `on_resync` again. An event that the list
 * already showed may come once more: events carry the object as it is now, so take the latest.
 */
#ifndef LIB_EVENT_SUBSCRIBER_H
#define LIB_EVENT_SUBSCRIBER_H

#include "base/error.h"
#include "storage/v1/event.pb-c.h"

#include <uv.h>

struct event_subscriber;

struct event_subscriber_options {
    uv_loop_t *loop;
    const char *run_dir;
    const char *worker;        /* "diskd" */
    const char *const *topics; /* prefixes, NULL-terminated, borrowed until closed, applied after
                                  the sequence check; NULL: all but ticks */
    void (*on_event)(const Storage__V1__Event *event, void *data); /* borrowed for the call */
    void (*on_resync)(uint64_t epoch, uint64_t seq, void *data);
    void *data;
};

/* Does not wait for the worker: it may come later. The callbacks may close the subscriber. */
int event_subscriber_open(const struct event_subscriber_options *options,
                          struct event_subscriber **out_subscriber, struct err *err);
void event_subscriber_close(struct event_subscriber *subscriber, void (*closed)(void *data),
                            void *data);

#endif
