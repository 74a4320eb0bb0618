/*
 * From nng's threads to the loop: a queue of what has completed, and the wake-up.
 *
 * uv_async_send() coalesces, so one wake-up takes the whole queue. An item is embedded in what it
 * stands for, and is in the queue at most once, because each aio has one operation at a time.
 */
#ifndef LIB_RPC_INBOX_H
#define LIB_RPC_INBOX_H

#include "base/error.h"

#include <uv.h>

struct inbox_item {
    struct inbox_item *next;
};

struct inbox_options {
    uv_loop_t *loop;
    void (*deliver)(struct inbox_item *item, void *data); /* on the loop, in order of arrival */
    void (*woken)(void *data);   /* on the loop, before the items of each wake-up; may be NULL */
    void (*drained)(void *data); /* on the loop, after them; may be NULL */
    void *data;
};

struct inbox {
    struct inbox_options options;
    uv_async_t async;
    uv_mutex_t mutex; /* guards what follows, up to `closed` */
    struct inbox_item *first, *last;
    unsigned n_quiet;
    bool waking, eager; /* the loop is on its way; nothing is quiet */
    void (*closed)(void *data);
};

int inbox_open(struct inbox *inbox, const struct inbox_options *options, struct err *err);

/* From any thread. */
void inbox_push(struct inbox *inbox, struct inbox_item *item);
/* The same, for what may wait until something else wakes the loop, or until there are some of it.
 */
void inbox_push_quietly(struct inbox *inbox, struct inbox_item *item);
void inbox_wake(struct inbox *inbox);

/* On the loop: delivers what is there now, without waiting for the wake-up. */
void inbox_drain(struct inbox *inbox);
/* On the loop: from now on nothing is quiet, also not what is there. */
void inbox_set_eager(struct inbox *inbox, bool eager);
/* On the loop: forgets what is queued, when its aios have been stopped. */
void inbox_discard(struct inbox *inbox);

/* When no thread pushes or wakes any more. `closed` runs on the loop with the data of the options.
 */
void inbox_close(struct inbox *inbox, void (*closed)(void *data));

#endif
