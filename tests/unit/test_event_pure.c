/* The ring and the queue: memory alone. */
#include "event/queue.h"
#include "event/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the headers above. */
#include <cmocka.h>

static void push_text(struct event_ring *ring, const char *text)
{
    event_ring_push(ring, text, strlen(text));
}

static void a_ring_keeps_the_newest(void **state)
{
    (void)state;
    struct event_ring *ring = event_ring_new(3, 1000);
    assert_int_equal(event_ring_last(ring), 0);
    assert_true(event_ring_reaches(ring, 0));
    assert_false(event_ring_reaches(ring, 1));
    static const char *const texts[] = {"one", "two", "three", "four"};
    for (size_t i = 0; i < 4; i++)
        push_text(ring, texts[i]);
    assert_int_equal(event_ring_first(ring), 2);
    assert_int_equal(event_ring_last(ring), 4);
    assert_false(event_ring_reaches(ring, 0));
    assert_true(event_ring_reaches(ring, 1));
    assert_true(event_ring_reaches(ring, 4));
    assert_false(event_ring_reaches(ring, 5));
    for (uint64_t seq = 2; seq <= 4; seq++) {
        size_t length;
        const void *bytes = event_ring_get(ring, seq, &length);
        assert_int_equal(length, strlen(texts[seq - 1]));
        assert_memory_equal(bytes, texts[seq - 1], length);
    }
    event_ring_free(ring);
}

static void a_ring_is_bounded_in_bytes(void **state)
{
    (void)state;
    struct event_ring *ring = event_ring_new(100, 10);
    push_text(ring, "12345");
    push_text(ring, "12345");
    assert_int_equal(event_ring_first(ring), 1);
    push_text(ring, "1");
    assert_int_equal(event_ring_first(ring), 2);
    push_text(ring, "1234567890");
    assert_int_equal(event_ring_first(ring), 4);
    push_text(ring, "12345678901"); /* beyond the ring: lost */
    assert_int_equal(event_ring_last(ring), 5);
    assert_int_equal(event_ring_first(ring), 6);
    event_ring_free(ring);
}

static void a_lost_event_breaks_the_run(void **state)
{
    (void)state;
    struct event_ring *ring = event_ring_new(10, 1000);
    push_text(ring, "one");
    event_ring_push(ring, NULL, 0);
    assert_int_equal(event_ring_last(ring), 2);
    assert_false(event_ring_reaches(ring, 1));
    assert_true(event_ring_reaches(ring, 2));
    push_text(ring, "three");
    assert_false(event_ring_reaches(ring, 1));
    assert_true(event_ring_reaches(ring, 2));
    event_ring_free(ring);
}

static Storage__V1__Event *make(uint64_t epoch, uint64_t seq)
{
    Storage__V1__Event *event = malloc(sizeof *event);
    assert_non_null(event);
    storage__v1__event__init(event);
    event->epoch = epoch;
    event->seq = seq;
    return event;
}

static void a_queue_is_in_order_and_bounded(void **state)
{
    (void)state;
    struct event_queue queue = {0};
    for (uint64_t i = 1; i <= 6; i++)
        event_queue_push(&queue, make(i % 2, i), 10);
    event_queue_keep_epoch(&queue, 1);
    assert_int_equal(queue.n_events, 3);
    for (uint64_t i = 1; i <= 5; i += 2) {
        Storage__V1__Event *event = event_queue_pop(&queue);
        assert_int_equal(event->seq, i);
        storage__v1__event__free_unpacked(event, NULL);
    }
    assert_null(event_queue_first(&queue));
    for (uint64_t i = 1; i <= EVENT_QUEUE_MAX; i++)
        event_queue_push(&queue, make(1, i), 10);
    assert_int_equal(queue.n_events, EVENT_QUEUE_MAX);
    event_queue_push(&queue, make(1, 1), 10);
    assert_int_equal(queue.n_events, 0);
    event_queue_push(&queue, make(1, 1), EVENT_QUEUE_MAX_BYTES);
    event_queue_push(&queue, make(1, 2), 1);
    assert_int_equal(queue.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_keeps_the_newest),
        cmocka_unit_test(a_ring_is_bounded_in_bytes),
        cmocka_unit_test(a_lost_event_breaks_the_run),
        cmocka_unit_test(a_queue_is_in_order_and_bounded),
    };
    return cmocka_run_group_tests_name("event, pure", tests, NULL, NULL);
}
