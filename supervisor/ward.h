/*
 * A ward: one worker through all its incarnations, as the supervisor sees it. It lets the policy
 * decide and does what it says: starts, restarts, waits, gives up what is stuck. All on the loop.
 */
#ifndef SUPERVISOR_WARD_H
#define SUPERVISOR_WARD_H

#include "child.h"
#include "policy.h"
#include "storage/v1/worker.pb-c.h"
#include "tail.h"

enum {
    WARD_STUCK_MAX = 4, /* with as many, the next one is waited for, however long it takes */
    WARD_PATH_MAX = 4096,
};

struct ward {
    const char *name;
    const struct settings *settings;
    uv_loop_t *loop;
    char *const *args; /* the shared flags for its processes */
    void (*begun)(struct ward *ward, void *data);
    void (*stopped)(struct ward *ward, void *data);
    void *data;

    struct policy policy;
    struct child *child; /* NULL when none runs */
    struct child *stuck[WARD_STUCK_MAX];
    size_t n_stuck;
    uv_timer_t due;
    bool draining;     /* it will be stopped: no process of it takes changes */
    bool shutdown;     /* how it is being stopped */
    bool told;         /* its process was, in that way */
    bool obeyed;       /* and has ended by itself, with 0 */
    uint64_t since_us; /* realtime of the last change of state */
    struct tail tail;
    char reason[CHILD_REASON_MAX]; /* how the last incarnation ended */
    char left[CHANNEL_TEXT_MAX];   /* what it left busy */
};

/* `begun` is called each time that a start is over: it is READY, or has failed. `stopped` is called
 * once, when the ward has come to rest for good. */
int ward_open(struct ward *ward, uv_loop_t *loop, const struct settings *settings, const char *name,
              char *const *args, void (*begun)(struct ward *ward, void *data),
              void (*stopped)(struct ward *ward, void *data), void *data);

/* The first start, unless the operator was faster. */
void ward_start(struct ward *ward);

/* What the operator asks for; -ERR_FAILED_PRECONDITION when it is being stopped for good. */
int ward_restart(struct ward *ward, struct err *err);
int ward_reset(struct ward *ward, struct err *err);

void ward_config_changed(struct ward *ward);

/* Its worker takes no more changes: ward_stop() follows. */
void ward_drain(struct ward *ward);

/* Ends it for good; `stopped` follows, or is called from within when it does not run. */
void ward_stop(struct ward *ward, bool shutdown);

bool ward_is_stopped(const struct ward *ward);

/*
 * For a reply: the texts are the ward's and valid until the loop turns; the arrays are `room`'s,
 * which outlives the message.
 */
struct ward_room {
    char *log[TAIL_LINES];
    Storage__V1__StuckProcess *stuck[WARD_STUCK_MAX];
    Storage__V1__StuckProcess stuck_rows[WARD_STUCK_MAX];
};
void ward_describe(const struct ward *ward, struct ward_room *room,
                   Storage__V1__Worker *out_worker);

/* Closes what it has on the loop; a stuck process is left to the kernel. */
void ward_close(struct ward *ward);

#endif
