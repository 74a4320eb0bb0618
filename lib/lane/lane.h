/*
 * A lane: one thread that belongs to one disk or one pool, and runs what may block there.
 *
 * The loop submits jobs; the lane's thread takes everything that waits as one batch, runs it, and
 * hands the batch back; each job's `done` then runs on the loop. A hung disk stalls its own lane
 * alone. All functions but lane_current() are called on the loop's thread.
 */
#ifndef LIB_LANE_LANE_H
#define LIB_LANE_LANE_H

#include "base/error.h"

#include <uv.h>

struct lane;
struct lane_job;

/* On the lane's thread: the loop's state is out of bounds, the job's own is not. */
typedef void (*lane_work)(struct lane_job *job);
/* On the loop: the job is the caller's again. */
typedef void (*lane_done)(struct lane_job *job);
/*
 * On the lane's thread: runs a batch, linked by `next` in the order of submission. The default
 * calls each job's `work` in turn. A pool's lane uses it for group commit: work on each, commit
 * once.
 */
typedef void (*lane_batch)(struct lane_job *first, void *data);

/* Embedded in the caller's own struct, owned by the lane between lane_submit() and `done`. */
struct lane_job {
    lane_work work;
    lane_done done;
    struct lane_job *next;
};

struct lane_options {
    const char *name;  /* copied; names the thread (first 15 bytes) and appears in reports */
    unsigned capacity; /* jobs that may wait or run; 0: 256 */
    lane_batch batch;  /* NULL: the default */
    void *data;        /* for `batch` */
};

int lane_open(uv_loop_t *loop, const struct lane_options *options, struct lane **out_lane,
              struct err *err);

/* -ERR_RESOURCE_EXHAUSTED when `capacity` jobs are in it; the job is then still the caller's. */
int lane_submit(struct lane *lane, struct lane_job *job);

/* Milliseconds since the running batch began, at least 1; 0 when idle. Takes no lock. */
uint64_t lane_busy_ms(const struct lane *lane);
const char *lane_name(const struct lane *lane);

/*
 * No job may be submitted afterwards. Jobs that wait are still run. `closed` (may be NULL) is
 * called on the loop when the thread has ended and the lane is freed: never, while its thread hangs
 * in the kernel.
 */
void lane_close(struct lane *lane, void (*closed)(void *data), void *data);

/*
 * As lane_close() for a lane that hangs: the lane is detached from the loop, which may then end.
 * Jobs in it are lost to the loop: their `done` is never called. What they own leaks with the
 * thread, until the process ends.
 */
void lane_abandon(struct lane *lane);

#endif
