/*
 * Following events: a subscriber per worker on the handle's loop, and one queue between them and
 * the callbacks.
 *
 * The callbacks run outside of the loop, so that they may make calls, which turn it. The events
 * that come meanwhile wait in the queue. It is bounded: what does not fit is dropped, and
 * remembered as a resync of its worker, up to the last event that was dropped.
 */
#include "handle.h"

#include "base/cleanup.h"
#include "event/subscriber.h"
#include "rpc/message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { QUEUE_MAX = 8192 };

struct item {
    struct item *next;
    struct feed *feed;
    Storage__V1__Event *event; /* NULL: a resync */
    uint64_t epoch, seq;       /* of a resync */
};

struct feed {
    struct follow *follow;
    const char *worker;
    struct event_subscriber *subscriber;
    bool lost; /* events were dropped, up to this one */
    uint64_t lost_epoch, lost_seq;
};

struct follow {
    const struct storage_follower *follower;
    struct feed feeds[ROUTE_WORKERS_MAX];
    size_t n_feeds, n_open;
    struct item *first, *last;
    size_t n_items;
    uv_timer_t deadline, connect;
    bool reached; /* a worker, once */
    bool late, unreached;
};

/* --- on the loop ----------------------------------------------------------------------------- */

static void lose(struct feed *feed, uint64_t epoch, uint64_t seq)
{
    feed->lost = true;
    feed->lost_epoch = epoch;
    feed->lost_seq = seq;
}

static void push(struct feed *feed, Storage__V1__Event *event, uint64_t epoch, uint64_t seq)
{
    struct follow *follow = feed->follow;
    struct item *item = feed->lost || follow->n_items == QUEUE_MAX ? NULL : malloc(sizeof *item);
    if (!item) {
        lose(feed, epoch, seq);
        storage_free(event);
        return;
    }
    *item = (struct item){.feed = feed, .event = event, .epoch = epoch, .seq = seq};
    if (follow->last)
        follow->last->next = item;
    else
        follow->first = item;
    follow->last = item;
    follow->n_items++;
}

static void on_event(const Storage__V1__Event *event, void *data)
{
    struct feed *feed = data;
    Storage__V1__Event *copy = feed->lost ? NULL : message_copy(&event->base);
    if (copy)
        push(feed, copy, event->epoch, event->seq);
    else
        lose(feed, event->epoch, event->seq);
}

static void on_resync(uint64_t epoch, uint64_t seq, void *data)
{
    struct feed *feed = data;
    feed->follow->reached = true;
    push(feed, NULL, epoch, seq);
}

static void on_deadline(uv_timer_t *timer)
{
    struct follow *follow = timer->data;
    follow->late = true;
}

static void on_connect_deadline(uv_timer_t *timer)
{
    struct follow *follow = timer->data;
    follow->unreached = !follow->reached;
}

static void on_closed(void *data)
{
    struct follow *follow = data;
    follow->n_open--;
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_closed(handle->data);
}

/* --- outside of it --------------------------------------------------------------------------- */

static int deliver_item(struct item *item)
{
    const struct storage_follower *follower = item->feed->follow->follower;
    if (item->event)
        return follower->on_event ? follower->on_event(item->event, follower->data) : 0;
    return follower->on_resync
               ? follower->on_resync(item->feed->worker, item->epoch, item->seq, follower->data)
               : 0;
}

static int deliver_first(struct follow *follow)
{
    struct item *item = follow->first;
    follow->first = item->next;
    if (!follow->first)
        follow->last = NULL;
    follow->n_items--;
    int rc = deliver_item(item);
    storage_free(item->event);
    free(item);
    return rc;
}

/* With the queue empty: whose events were dropped is resynced. */
static int deliver_losses(struct follow *follow)
{
    int rc = 0;
    for (size_t i = 0; i < follow->n_feeds && rc == 0; i++) {
        struct feed *feed = &follow->feeds[i];
        if (!feed->lost)
            continue;
        feed->lost = false;
        struct item item = {.feed = feed, .epoch = feed->lost_epoch, .seq = feed->lost_seq};
        rc = deliver_item(&item);
    }
    return rc;
}

static int fail_unreached(const struct storage *storage, const char *worker, struct err *err)
{
    autoerr struct err why = {0};
    (void)err_set(&why, ERR_UNAVAILABLE, 0, worker, "it sends no events");
    state_explain(storage->run_dir, worker, &why);
    int rc = -(int)why.code;
    err_move(err, &why);
    return rc;
}

static int run(struct storage *storage, struct follow *follow, struct err *err)
{
    for (;;) {
        int rc = 0;
        while (follow->first && rc == 0)
            rc = deliver_first(follow);
        if (rc == 0)
            rc = deliver_losses(follow);
        if (rc != 0)
            return rc;
        if (follow->first)
            continue;
        if (follow->late)
            return err_set(err, ERR_DEADLINE_EXCEEDED, 0, "events", "the time to follow is over");
        if (follow->unreached)
            return fail_unreached(storage, follow->feeds[0].worker, err);
        (void)uv_run(&storage->loop, UV_RUN_ONCE);
    }
}

static void open_timer(struct storage *storage, struct follow *follow, uv_timer_t *timer,
                       uv_timer_cb expired, uint32_t ms)
{
    (void)uv_timer_init(&storage->loop, timer);
    timer->data = follow;
    follow->n_open++;
    if (ms)
        (void)uv_timer_start(timer, expired, ms, 0);
}

static int open_feed(struct storage *storage, struct follow *follow, const char *worker,
                     struct err *err)
{
    if (follow->n_feeds == ROUTE_WORKERS_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, worker, "at most %d workers can be followed",
                       ROUTE_WORKERS_MAX);
    struct feed *feed = &follow->feeds[follow->n_feeds];
    *feed = (struct feed){.follow = follow, .worker = worker};
    struct event_subscriber_options options = {
        .loop = &storage->loop,
        .run_dir = storage->run_dir,
        .worker = worker,
        .topics = follow->follower->topics,
        .on_event = on_event,
        .on_resync = on_resync,
        .data = feed,
    };
    int rc = event_subscriber_open(&options, &feed->subscriber, err);
    if (rc == 0) {
        follow->n_feeds++;
        follow->n_open++;
    }
    return rc;
}

static void close_all(struct storage *storage, struct follow *follow)
{
    for (size_t i = 0; i < follow->n_feeds; i++)
        event_subscriber_close(follow->feeds[i].subscriber, on_closed, follow);
    uv_close((uv_handle_t *)&follow->deadline, on_timer_closed);
    uv_close((uv_handle_t *)&follow->connect, on_timer_closed);
    while (follow->n_open > 0)
        (void)uv_run(&storage->loop, UV_RUN_ONCE);
    while (follow->first) {
        struct item *item = follow->first;
        follow->first = item->next;
        storage_free(item->event);
        free(item);
    }
}

int storage_follow(struct storage *storage, const struct storage_follower *follower,
                   struct err *err)
{
    struct follow follow = {.follower = follower};
    const char *const *workers = follower->workers ? follower->workers : route_workers;
    if (!*workers)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "workers", "no worker is named");
    open_timer(storage, &follow, &follow.deadline, on_deadline, follower->deadline_ms);
    open_timer(storage, &follow, &follow.connect, on_connect_deadline, follower->connect_ms);
    int rc = 0;
    for (; *workers && rc == 0; workers++)
        rc = open_feed(storage, &follow, *workers, err);
    if (rc == 0)
        rc = run(storage, &follow, err);
    close_all(storage, &follow);
    return rc;
}
