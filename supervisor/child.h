/*
 * One incarnation of a worker: its process, channel and stderr, from spawn to reaping. It is
 * watched in phases, each with a patience of its own:
 *
 *   starting  ready_ms for READY                   then hung
 *   ready     beat_ms * beats_missed without beat  then hung
 *   stopping  stop_ms                              then hung
 *   aborted   abort_grace_ms after SIGABRT         then SIGKILL
 *   killed    kill_grace_ms after SIGKILL          then stuck: a thread of it hangs in the kernel
 *
 * All on the loop.
 */
#ifndef SUPERVISOR_CHILD_H
#define SUPERVISOR_CHILD_H

#include "base/error.h"
#include "config/settings.h"
#include "tail.h"
#include "worker/channel.h"

#include <uv.h>

enum {
    CHILD_REASON_MAX = 256,
    CHILD_WHERE_MAX = 256,
    CHILD_ARGS_MAX = 256, /* arguments that are handed on to workers */
};

struct child;

/* None is called from within a function of this header. */
struct child_callbacks {
    void (*ready)(struct child *child, void *data);
    void (*hung)(struct child *child, void *data); /* it is being ended */
    void (*stuck)(struct child *child,
                  void *data);                     /* SIGKILL did not end it; `gone` may come yet */
    void (*gone)(struct child *child, void *data); /* reaped: read it, then child_free() */
};

struct child_options {
    uv_loop_t *loop;
    const struct settings *settings;
    const char *name;
    const char *path;  /* of the program */
    char *const *args; /* the shared flags, NULL-terminated */
    uint64_t epoch;
    struct tail *tail; /* gets what it says on stderr */
    struct child_callbacks callbacks;
    void *data;
};

/* Borrows settings, name and tail for the child's life. */
int child_spawn(const struct child_options *options, struct child **out_child, struct err *err);

/* Asks it to take no more changes, since it will be asked to end. */
void child_drain(struct child *child);

/* Asks it to end: STOP, or SHUTDOWN. False, and nothing is done, when it is being ended already. */
bool child_stop(struct child *child, bool shutdown);

int child_pid(const struct child *child);
uint64_t child_epoch(const struct child *child);
const char *child_status(const struct child *child); /* as it said last; "" before */
const char *child_where(const struct child *child);  /* what its threads were in, as it said last */
const char *child_left(const struct child *child);   /* what it left busy, as it said at its end */

/* Why it is ended, or how it ended: "hung: no beat for 5000 ms", "signal 9 (Killed)", "exit 1". */
const char *child_reason(const struct child *child);
/* Its exit code once it is gone, -1 if a signal ended it. */
int child_exit_code(const struct child *child);

/* After `gone`, from within it too; the memory goes when the loop has closed its handles. */
void child_free(struct child *child);

#endif
