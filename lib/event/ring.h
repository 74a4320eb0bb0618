/*
 * The last events of a worker, packed, in the order of their numbers: pure memory.
 *
 * Invariant: what is held is the unbroken run from some number to the last one. An event that could
 * not be kept breaks the run, so everything before it goes too: whoever asks for more is told to
 * list again.
 */
#ifndef LIB_EVENT_RING_H
#define LIB_EVENT_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_ring;

/* Holds at most `max` events of at most `max_bytes` in all; the oldest goes first. NULL when out of
 * memory. */
struct event_ring *event_ring_new(size_t max, size_t max_bytes);
void event_ring_free(struct event_ring *ring);

/* The number of the newest event, 0 before the first; and of the oldest one held, last + 1 if none
 * is. */
uint64_t event_ring_last(const struct event_ring *ring);
uint64_t event_ring_first(const struct event_ring *ring);

/* Adds a copy of the event numbered last + 1. `bytes` of NULL: it is lost. */
void event_ring_push(struct event_ring *ring, const void *bytes, size_t length);

/* Whether everything after `seq` is held. False for numbers that are yet to come. */
bool event_ring_reaches(const struct event_ring *ring, uint64_t seq);

/* The event with this number, which is held; borrowed until the next push. */
const void *event_ring_get(const struct event_ring *ring, uint64_t seq, size_t *out_length);

#endif
