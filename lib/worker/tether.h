/*
 * The worker's end of the channel, on its loop: beats while the loop turns, says READY, STATUS and
 * STOPPING, hears DRAIN, STOP and SHUTDOWN. All on the loop; the caller owns the struct.
 */
#ifndef LIB_WORKER_TETHER_H
#define LIB_WORKER_TETHER_H

#include "worker/channel.h"
#include "worker/worker.h"

#include <uv.h>

struct tether_callbacks {
    void (*drain)(void *data);                      /* these two: each time */
    void (*stop)(enum worker_stop how, void *data); /* the supervisor says so */
    void (*lost)(void *data);                       /* the supervisor is gone */
    void *data;
};

struct tether {
    uv_poll_t poll;
    uv_timer_t beat;
    int fd;
    bool ready_due; /* to be said, as soon as the channel has room */
    bool status_due;
    char status[CHANNEL_TEXT_MAX];
    char *busy[CHANNEL_BUSY_MAX];
    size_t n_busy;
    struct tether_callbacks callbacks;
};

/* `fd` stays the caller's. The first beat comes after `beat_ms`. */
int tether_open(struct tether *tether, uv_loop_t *loop, int fd, uint32_t beat_ms,
                const struct tether_callbacks *callbacks, struct err *err);

void tether_say_ready(struct tether *tether);
/* Told now and whenever it changes; the same again is not sent. */
void tether_say_status(struct tether *tether, const char *text);
void tether_say_busy(struct tether *tether, const char *const *objects);
void tether_say_stopping(struct tether *tether, const char *left);

/* Stops beating and listening; the handles are closed when the loop has turned once more. */
void tether_close(struct tether *tether);

#endif
