/* An array in which the event `seq` stands at `seq % max`. */
#include "event/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    void *bytes;
    size_t length;
};

struct event_ring {
    size_t max, max_bytes;
    uint64_t first, last;
    size_t bytes; /* of all entries */
    struct entry entries[];
};

struct event_ring *event_ring_new(size_t max, size_t max_bytes)
{
    assert(max > 0);
    struct event_ring *ring = calloc(1, sizeof *ring + max * sizeof *ring->entries);
    if (!ring)
        return NULL;
    ring->max = max;
    ring->max_bytes = max_bytes;
    ring->first = 1;
    return ring;
}

static void drop_oldest(struct event_ring *ring)
{
    struct entry *entry = &ring->entries[ring->first % ring->max];
    ring->bytes -= entry->length;
    free(entry->bytes);
    *entry = (struct entry){0};
    ring->first++;
}

void event_ring_free(struct event_ring *ring)
{
    if (!ring)
        return;
    while (ring->first <= ring->last)
        drop_oldest(ring);
    free(ring);
}

uint64_t event_ring_last(const struct event_ring *ring)
{
    return ring->last;
}

uint64_t event_ring_first(const struct event_ring *ring)
{
    return ring->first;
}

void event_ring_push(struct event_ring *ring, const void *bytes, size_t length)
{
    void *copy = bytes && length <= ring->max_bytes ? malloc(length ? length : 1) : NULL;
    if (copy)
        memcpy(copy, bytes, length);
    while (ring->first <= ring->last && (!copy || ring->last - ring->first + 1 == ring->max ||
                                         ring->bytes + length > ring->max_bytes))
        drop_oldest(ring);
    ring->last++;
    if (!copy) {
        ring->first = ring->last + 1;
        return;
    }
    ring->entries[ring->last % ring->max] = (struct entry){.bytes = copy, .length = length};
    ring->bytes += length;
}

bool event_ring_reaches(const struct event_ring *ring, uint64_t seq)
{
    return seq <= ring->last && seq + 1 >= ring->first;
}

const void *event_ring_get(const struct event_ring *ring, uint64_t seq, size_t *out_length)
{
    assert(seq >= ring->first && seq <= ring->last);
    const struct entry *entry = &ring->entries[seq % ring->max];
    *out_length = entry->length;
    return entry->bytes;
}
