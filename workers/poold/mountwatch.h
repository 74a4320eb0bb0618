/*
 * Whether anybody changes mounts in this mount namespace: the kernel tells by poll(2) on
 * /proc/self/mountinfo (proc_pid_mountinfo(5)), without saying what has changed. Of the loop.
 */
#ifndef WORKERS_POOLD_MOUNTWATCH_H
#define WORKERS_POOLD_MOUNTWATCH_H

#include "base/error.h"

#include <uv.h>

enum { MOUNTWATCH_REST_MS = 250 }; /* a storm of mounts is told so often */

struct mountwatch {
    uv_poll_t poll;
    uv_timer_t rest;
    int fd;
    void (*changed)(void *data);
    void *data;
};

/* Lives as long as the loop has its handles. `changed` comes MOUNTWATCH_REST_MS after a change. */
int mountwatch_open(struct mountwatch *watch, uv_loop_t *loop, void (*changed)(void *data),
                    void *data, struct err *err);
void mountwatch_close(struct mountwatch *watch);

#endif
