/* Events: every one is seen, in order and once, or a resync is called within two seconds. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>

#define SSD STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD

enum { PROMISE_MS = 2000, SLOW_MACHINE_MS = 3000 };

static struct node *start_node(void)
{
    struct node *node = node_create(disk_create(4 * GiB, DISK_SSD));
    node_set(node, "spaces.headroom", "0");
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

static void the_life_of_a_space_is_told(void)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "told", SSD, 32 * MiB);
    const Storage__V1__Event *event = watch_wait(node->watch, "space.reserved", space->id);
    assert_string_equal(event->worker, "poold");
    assert_true(event->epoch == node_worker(node, "poold").epoch);
    assert_true(event->seq > 0 && event->time_us > 0);
    assert_int_equal(event->body_case, STORAGE__V1__EVENT__BODY_SPACE);
    assert_string_equal(event->space->id, space->id);
    assert_string_equal(event->space->name, "told");
    assert_int_equal(event->space->size_bytes, 32 * MiB);
    must_release(node, space->id);
    watch_wait(node->watch, "space.released", space->id);
}

/* The numbers of each worker's events, between resyncs, have no hole and no repetition. */
static void the_order_has_no_hole(void)
{
    enum { SPACES = 60 };
    struct node *node = start_node();
    for (int i = 0; i < SPACES; i++) {
        autofree char *name = path_format("n%d", i);
        autoreply Storage__V1__Space *space = must_reserve(node, name, SSD, MiB);
        must_release(node, space->id);
    }
    autoreply Storage__V1__Space *last = must_reserve(node, "last", SSD, MiB);
    watch_wait(node->watch, "space.reserved", last->id);
    struct {
        const char *worker;
        uint64_t epoch, seq;
        unsigned n;
    } streams[] = {{.worker = "diskd"}, {.worker = "poold"}};
    for (size_t i = 0; i < watch_count(node->watch); i++) {
        const Storage__V1__Event *event = watch_at(node->watch, i);
        for (size_t k = 0; k < array_length(streams); k++) {
            if (strcmp(event->worker, streams[k].worker) != 0)
                continue;
            if (strcmp(event->topic, "resync") == 0) {
                streams[k].epoch = event->epoch;
            } else {
                assert_true(event->epoch == streams[k].epoch);
                assert_int_equal(event->seq, streams[k].seq + 1);
                streams[k].n++;
            }
            streams[k].seq = event->seq;
        }
    }
    assert_true(streams[1].n >= 2 * SPACES + 1);
}

static void there_is_a_tick_each_second(void)
{
    struct node *node = start_node();
    node_mark(node);
    for (int i = 0; i < 3; i++)
        assert_true(watch_fill(node->watch, clock_monotonic_ms() + SLOW_MACHINE_MS));
}

static bool seen_or_resynced(struct node *node, const char *id, size_t since)
{
    for (size_t i = since; i < watch_count(node->watch); i++) {
        const Storage__V1__Event *event = watch_at(node->watch, i);
        if (strcmp(event->topic, "resync") == 0 && strcmp(event->worker, "poold") == 0)
            return true;
        if (strcmp(event->topic, "space.reserved") == 0 && strcmp(event->object, id) == 0)
            return true;
    }
    return false;
}

static void a_restart_loses_no_event_without_a_resync(void)
{
    enum { ROUNDS = 5 };
    struct node *node = start_node();
    for (int i = 0; i < ROUNDS; i++) {
        struct worker_info poold = node_worker(node, "poold");
        node_mark(node);
        size_t since = watch_count(node->watch);
        autofree char *name = path_format("round-%d", i);
        autoreply Storage__V1__Space *space = must_reserve(node, name, SSD, MiB);
        assert_int_equal(kill(poold.pid, SIGKILL), 0);
        node_wait_worker(node, "poold", poold.epoch);
        uint64_t deadline = clock_monotonic_ms() + PROMISE_MS + SLOW_MACHINE_MS;
        while (!seen_or_resynced(node, space->id, since))
            if (!watch_fill(node->watch, deadline))
                fail_msg("neither the event nor a resync in time");
        /* And the subscriber hears of the new life at once. */
        watch_wait(node->watch, "resync", NULL);
    }
}

/* One who comes late is told where the stream stands, and lists. */
static void a_late_subscriber_begins_with_a_resync(void)
{
    struct node *node = start_node();
    struct watch *late = watch_start(node);
    bool diskd = false, poold = false;
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    while (!diskd || !poold) {
        bool more = watch_fill(late, deadline);
        for (size_t i = 0; i < watch_count(late); i++) {
            const Storage__V1__Event *event = watch_at(late, i);
            if (strcmp(event->topic, "resync") != 0)
                continue;
            diskd = diskd || strcmp(event->worker, "diskd") == 0;
            poold = poold || strcmp(event->worker, "poold") == 0;
        }
        if (!more)
            break;
    }
    watch_stop(late);
    assert_true(diskd && poold);
}

/* A subscriber that does not read for a while catches up. */
static void a_slow_subscriber_catches_up(void)
{
    enum { SPACES = 100 };
    struct node *node = start_node();
    autofree char *last_id = NULL;
    size_t since = watch_count(node->watch);
    watch_pause(node->watch);
    for (int i = 0; i < SPACES; i++) {
        autofree char *name = path_format("n%d", i);
        autoreply Storage__V1__Space *space = must_reserve(node, name, SSD, MiB);
        free(last_id);
        last_id = path_format("%s", space->id);
    }
    watch_resume(node->watch);
    uint64_t deadline = clock_monotonic_ms() + PROMISE_MS + SLOW_MACHINE_MS;
    while (!seen_or_resynced(node, last_id, since))
        if (!watch_fill(node->watch, deadline))
            fail_msg("neither the event nor a resync in time");
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(the_life_of_a_space_is_told),
        harness_case(the_order_has_no_hole),
        harness_case(there_is_a_tick_each_second),
        harness_case(a_restart_loses_no_event_without_a_resync),
        harness_case(a_late_subscriber_begins_with_a_resync),
        harness_case(a_slow_subscriber_catches_up),
    };
    return harness_main(argc, argv, "events", cases, array_length(cases));
}
