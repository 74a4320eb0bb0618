/*
 * The worker's end of the channel. READY and STATUS are state, not events: what does not fit the
 * socket (the supervisor is stopped, or suspended) stays due and is said as it is by then. A beat
 * that does not fit is dropped, since those before it are still to be read.
 */
#include "worker/tether.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

enum {
    BUSY_TEXT_MAX = 160,       /* of one entry: CHANNEL_BUSY_MAX of them fit a packet */
    RECEIVED_AT_ONCE_MAX = 16, /* packets per turn of the loop */
};

static void on_channel(uv_poll_t *poll, int status, int events);

static void watch(struct tether *tether)
{
    int events = UV_READABLE | (tether->ready_due || tether->status_due ? UV_WRITABLE : 0);
    (void)uv_poll_start(&tether->poll, events, on_channel);
}

static void flush(struct tether *tether)
{
    if (tether->status_due) {
        Storage__V1__ChannelMessage message = STORAGE__V1__CHANNEL_MESSAGE__INIT;
        message.type = STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_STATUS;
        message.text = tether->status;
        message.busy = tether->busy;
        message.n_busy = tether->n_busy;
        tether->status_due = channel_send(tether->fd, &message) == CHANNEL_LATER;
    }
    /* After the status, so that whoever sees a READY worker sees how it is. */
    if (tether->ready_due && !tether->status_due)
        tether->ready_due = channel_say(tether->fd, STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_READY,
                                        NULL) == CHANNEL_LATER;
    if (!uv_is_closing((uv_handle_t *)&tether->poll))
        watch(tether);
}

static void obey(struct tether *tether, const Storage__V1__ChannelMessage *message)
{
    const struct tether_callbacks *callbacks = &tether->callbacks;
    if (message->type == STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_STOP)
        callbacks->stop(WORKER_STOP, callbacks->data);
    else if (message->type == STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_SHUTDOWN)
        callbacks->stop(WORKER_SHUTDOWN, callbacks->data);
    else if (message->type == STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_DRAIN)
        callbacks->drain(callbacks->data);
    else
        log_warning("message of a type that no worker is told", "type", log_i64(message->type));
}

static void on_channel(uv_poll_t *poll, int status, int events)
{
    struct tether *tether = poll->data;
    (void)status; /* an error shows in the read */
    (void)events;
    for (int i = 0; i < RECEIVED_AT_ONCE_MAX; i++) {
        Storage__V1__ChannelMessage *message;
        switch (channel_receive(tether->fd, &message)) {
        case CHANNEL_DONE:
            obey(tether, message);
            storage__v1__channel_message__free_unpacked(message, NULL);
            if (uv_is_closing((uv_handle_t *)poll))
                return;
            break;
        case CHANNEL_LATER:
            flush(tether);
            return;
        case CHANNEL_CLOSED:
            tether->callbacks.lost(tether->callbacks.data);
            return;
        case CHANNEL_GARBAGE:
            log_warning("the supervisor sent a packet that is no message");
            break;
        }
    }
}

static void on_beat(uv_timer_t *timer)
{
    struct tether *tether = timer->data;
    (void)channel_say(tether->fd, STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_BEAT, NULL);
}

int tether_open(struct tether *tether, uv_loop_t *loop, int fd, uint32_t beat_ms,
                const struct tether_callbacks *callbacks, struct err *err)
{
    *tether = (struct tether){.fd = fd, .callbacks = *callbacks, .status = "ok"};
    int rc = uv_poll_init(loop, &tether->poll, fd);
    if (rc < 0)
        return err_errno(err, -rc, "channel", "cannot watch it");
    (void)uv_timer_init(loop, &tether->beat);
    tether->poll.data = tether->beat.data = tether;
    watch(tether);
    (void)uv_timer_start(&tether->beat, on_beat, beat_ms, beat_ms);
    return 0;
}

void tether_say_ready(struct tether *tether)
{
    tether->ready_due = tether->status_due = true;
    flush(tether);
}

void tether_say_status(struct tether *tether, const char *text)
{
    if (strcmp(tether->status, text) == 0)
        return;
    (void)snprintf(tether->status, sizeof tether->status, "%s", text);
    tether->status_due = true;
    flush(tether);
}

static void drop_busy(struct tether *tether)
{
    for (size_t i = 0; i < tether->n_busy; i++)
        free(tether->busy[i]);
    tether->n_busy = 0;
}

static bool same_busy(const struct tether *tether, const char *const *objects)
{
    size_t i = 0;
    while (i < tether->n_busy && objects[i] && strcmp(tether->busy[i], objects[i]) == 0)
        i++;
    return i == tether->n_busy && (!objects[i] || i == CHANNEL_BUSY_MAX);
}

void tether_say_busy(struct tether *tether, const char *const *objects)
{
    if (same_busy(tether, objects))
        return;
    drop_busy(tether);
    for (; *objects && tether->n_busy < CHANNEL_BUSY_MAX; objects++) {
        char *copy = strndup(*objects, BUSY_TEXT_MAX);
        if (copy)
            tether->busy[tether->n_busy++] = copy;
    }
    tether->status_due = true;
    flush(tether);
}

void tether_say_stopping(struct tether *tether, const char *left)
{
    (void)channel_say(tether->fd, STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_STOPPING, left);
}

void tether_close(struct tether *tether)
{
    drop_busy(tether);
    uv_close((uv_handle_t *)&tether->poll, NULL);
    uv_close((uv_handle_t *)&tether->beat, NULL);
}
