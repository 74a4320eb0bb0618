/*
 * Live events that wait while the subscriber asks for what is missing before them. Bounded: when it
 * overflows, all go, and are asked for like anything else that is missing.
 */
#ifndef LIB_EVENT_QUEUE_H
#define LIB_EVENT_QUEUE_H

#include "storage/v1/event.pb-c.h"

#include <stdbool.h>

enum { EVENT_QUEUE_MAX = 4096, EVENT_QUEUE_MAX_BYTES = 16 * 1024 * 1024 };

struct event_queue {
    struct queued_event *first, *last;
    size_t n_events, bytes;
};

/* Takes `event`, whose packed form had `bytes`. It may be gone at once, with all others. */
void event_queue_push(struct event_queue *queue, Storage__V1__Event *event, size_t bytes);
/* Borrowed; NULL when empty. */
Storage__V1__Event *event_queue_first(const struct event_queue *queue);
/* The first, which is the caller's now. */
Storage__V1__Event *event_queue_pop(struct event_queue *queue);
/* Drops the events of all other epochs. */
void event_queue_keep_epoch(struct event_queue *queue, uint64_t epoch);
void event_queue_clear(struct event_queue *queue);

#endif
