/*
 * One instance: the 0-db of one pool through all its processes. It wants to be up for as long as
 * its pool is there and needs it, and is started again whenever it ends or hangs, at first at once,
 * then 100 ms doubling to 30 s after the failures before it, which are forgotten after 60 s of
 * being up. It never gives up. Of the loop.
 *
 *   IDLE      nothing needs it, and no process runs
 *   STARTING  a process was launched or adopted, and does not answer yet
 *   UP        it answers, we are its admin
 *   WAITING   for the next try
 *   STOPPING  it was told to end: SIGTERM, after INSTANCE_STOP_MS SIGKILL
 *
 * Health: the link's PING sees a hang within 5 s. At the beginning and each INSTANCE_CANARY_MS a
 * canary is written to a namespace of its own, read back and checked (SET, GET, CHECK), and the
 * counters of errors are looked at. What is found is told when it changes: "zdb.unhealthy",
 * "zdb.full", "zdb.recovered". A hang ends the process, and so does a canary that reads back as
 * another, once. The canary's namespace is made anew when it has grown to
 * INSTANCE_CANARY_MAX_BYTES.
 */
#ifndef WORKERS_ZDBD_INSTANCE_H
#define WORKERS_ZDBD_INSTANCE_H

#include "config/settings.h"
#include "link.h"
#include "process.h"
#include "storage/v1/zdb.pb-c.h"

#include <uv.h>

enum {
    INSTANCES_MAX = 4096,
    INSTANCE_STOP_MS = 5000,
    INSTANCE_CANARY_MS = 30000,
    INSTANCE_CANARY_MAX_BYTES = 1024 * 1024,
    INSTANCE_BACKOFF_MIN_MS = 100,
    INSTANCE_BACKOFF_MAX_MS = 30000,
    INSTANCE_FORGET_MS = 60000,
};

#define INSTANCE_CANARY_NAMESPACE "storaged-canary" /* no id of ours looks like it */

struct instance;

struct instance_callbacks {
    /* Its state or port changed: each time, after the change. */
    void (*changed)(struct instance *instance, Storage__V1__ZDBState was, void *data);
    /* Something to tell: `topic` is "zdb.launched", "zdb.adopted", "zdb.ended", "zdb.failed",
     * "zdb.hung", "zdb.unhealthy", "zdb.recovered", …: borrowed. Changes nothing of the instance.
     */
    void (*told)(struct instance *instance, const char *topic, const char *reason, void *data);
    /* One is launched: the descriptor of what process_launch() takes as gates, to be closed; -1 for
     * none. A failure is one of the launch. May be NULL. */
    int (*gates)(struct instance *instance, int *out_fd, void *data, struct err *err);
    void *data;
};

/* From now on all instances are as patient as the settings say the supervisor is with its workers
 * (backoff_min_ms, backoff_max_ms, forget_ms). */
void instance_set_patience(const struct settings *settings);

int instance_new(uv_loop_t *loop, const struct settings *settings, const char *pool,
                 const struct instance_callbacks *callbacks, struct instance **out_instance,
                 struct err *err);

/* Takes over the process that the run directory's record names, if it runs: -ERR_NOT_FOUND if not.
 * Only once, on an IDLE one. */
int instance_adopt(struct instance *instance, struct err *err);

/* Its pool is there and somebody needs it: start, or go on. The home is copied. Its `port` is what
 * is proposed; when that is busy, the next of the range is tried, in a ring. */
void instance_want(struct instance *instance, const struct process_home *home);
/* Stop, and stay IDLE. */
void instance_unwant(struct instance *instance, const char *reason);
/* Only when it is wanted: ends the process and starts the next at once, whatever the backoff. */
void instance_restart(struct instance *instance, const char *reason);

/* As link_send(); -ERR_UNAVAILABLE with its reason and when it is tried again, if it is not UP. */
int instance_send(struct instance *instance, int n_arguments, const char *const *arguments,
                  const size_t *lengths, link_done done, void *data, struct err *err);

/* What instance_send() would fail with now; 0 if it is UP. */
int instance_check_up(const struct instance *instance, struct err *err);

const char *instance_pool(const struct instance *instance);
Storage__V1__ZDBState instance_state(const struct instance *instance);
bool instance_is_up(const struct instance *instance);
bool instance_is_wanted(const struct instance *instance);
/* It was told to end, and does not end for a failure of its own. */
bool instance_is_stopping(const struct instance *instance);
uint16_t instance_port(const struct instance *instance); /* 0 while it is not known */
const char *instance_reason(const struct instance *instance);

/* All but `namespaces` and `addresses`; strings are borrowed until the next call on the instance.
 */
void instance_describe(const struct instance *instance, Storage__V1__ZDBInstance *out);

/* Lets go of it: a process that runs goes on, for the next zdbd to adopt. Freed on the loop's next
 * turn; nothing is called back any more. */
void instance_close(struct instance *instance);

#endif
