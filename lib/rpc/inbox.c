/*
 * The queue between nng's threads and the loop. The mutex is held for a few instructions, never
 * while something is delivered.
 */
#include "rpc/inbox.h"

#include "base/cleanup.h"

/* So many things that are not urgent may wait. */
enum { QUIET_MAX = 16 };

static void on_async(uv_async_t *async)
{
    struct inbox *inbox = async->data;
    if (inbox->options.woken)
        inbox->options.woken(inbox->options.data);
    inbox_drain(inbox);
    if (inbox->options.drained)
        inbox->options.drained(inbox->options.data);
}

int inbox_open(struct inbox *inbox, const struct inbox_options *options, struct err *err)
{
    *inbox = (struct inbox){.options = *options};
    int rc = uv_mutex_init(&inbox->mutex);
    if (rc < 0)
        return err_errno(err, -rc, NULL, "cannot make a mutex");
    rc = uv_async_init(options->loop, &inbox->async, on_async);
    if (rc < 0) {
        uv_mutex_destroy(&inbox->mutex);
        return err_errno(err, -rc, NULL, "cannot make a wake-up for the loop");
    }
    inbox->async.data = inbox;
    return 0;
}

/* With the mutex held: whether the loop must be woken, and is not yet. */
static bool begin_wake(struct inbox *inbox)
{
    bool wake = !inbox->waking;
    inbox->waking = true;
    return wake;
}

static void push(struct inbox *inbox, struct inbox_item *item, bool urgent)
{
    item->next = NULL;
    uv_mutex_lock(&inbox->mutex);
    if (inbox->first)
        inbox->last->next = item;
    else
        inbox->first = item;
    inbox->last = item;
    inbox->n_quiet += !urgent;
    bool wake = (urgent || inbox->eager || inbox->n_quiet >= QUIET_MAX) && begin_wake(inbox);
    uv_mutex_unlock(&inbox->mutex);
    if (wake)
        inbox_wake(inbox);
}

void inbox_push(struct inbox *inbox, struct inbox_item *item)
{
    push(inbox, item, true);
}

void inbox_push_quietly(struct inbox *inbox, struct inbox_item *item)
{
    push(inbox, item, false);
}

void inbox_wake(struct inbox *inbox)
{
    (void)uv_async_send(&inbox->async);
}

void inbox_set_eager(struct inbox *inbox, bool eager)
{
    uv_mutex_lock(&inbox->mutex);
    inbox->eager = eager;
    bool wake = eager && inbox->first && begin_wake(inbox);
    uv_mutex_unlock(&inbox->mutex);
    if (wake)
        inbox_wake(inbox);
}

static struct inbox_item *take_all(struct inbox *inbox)
{
    uv_mutex_lock(&inbox->mutex);
    struct inbox_item *first = inbox->first;
    inbox->first = inbox->last = NULL;
    inbox->n_quiet = 0;
    inbox->waking = false;
    uv_mutex_unlock(&inbox->mutex);
    return first;
}

void inbox_drain(struct inbox *inbox)
{
    struct inbox_item *next;
    for (struct inbox_item *item = take_all(inbox); item; item = next) {
        next = item->next; /* delivering may push the item again */
        inbox->options.deliver(item, inbox->options.data);
    }
}

void inbox_discard(struct inbox *inbox)
{
    (void)take_all(inbox);
}

static void on_async_closed(uv_handle_t *handle)
{
    struct inbox *inbox = handle->data;
    uv_mutex_destroy(&inbox->mutex);
    inbox->closed(inbox->options.data);
}

void inbox_close(struct inbox *inbox, void (*closed)(void *data))
{
    inbox->closed = closed;
    uv_close((uv_handle_t *)&inbox->async, on_async_closed);
}
