/* A list, oldest first. */
#include "event/queue.h"

#include <stdlib.h>

struct queued_event {
    struct queued_event *next;
    Storage__V1__Event *event;
    size_t bytes;
};

void event_queue_push(struct event_queue *queue, Storage__V1__Event *event, size_t bytes)
{
    struct queued_event *entry = calloc(1, sizeof *entry);
    if (!entry || queue->n_events == EVENT_QUEUE_MAX ||
        queue->bytes + bytes > EVENT_QUEUE_MAX_BYTES) {
        free(entry);
        storage__v1__event__free_unpacked(event, NULL);
        event_queue_clear(queue);
        return;
    }
    entry->event = event;
    entry->bytes = bytes;
    *(queue->last ? &queue->last->next : &queue->first) = entry;
    queue->last = entry;
    queue->n_events++;
    queue->bytes += bytes;
}

Storage__V1__Event *event_queue_first(const struct event_queue *queue)
{
    return queue->first ? queue->first->event : NULL;
}

Storage__V1__Event *event_queue_pop(struct event_queue *queue)
{
    struct queued_event *entry = queue->first;
    Storage__V1__Event *event = entry->event;
    queue->first = entry->next;
    if (!queue->first)
        queue->last = NULL;
    queue->n_events--;
    queue->bytes -= entry->bytes;
    free(entry);
    return event;
}

void event_queue_keep_epoch(struct event_queue *queue, uint64_t epoch)
{
    struct event_queue kept = {0};
    while (queue->first) {
        size_t bytes = queue->first->bytes;
        Storage__V1__Event *event = event_queue_pop(queue);
        if (event->epoch == epoch)
            event_queue_push(&kept, event, bytes);
        else
            storage__v1__event__free_unpacked(event, NULL);
    }
    *queue = kept;
}

void event_queue_clear(struct event_queue *queue)
{
    while (queue->first)
        storage__v1__event__free_unpacked(event_queue_pop(queue), NULL);
}
