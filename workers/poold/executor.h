/*
 * The executor: how work gets onto a pool's threads and back.
 *
 * On the executor lane a batch is applied job by job and committed once, then all are answered: a
 * job whose commit failed did not happen for whoever waits for it. With a commit that failed, or a
 * change that failed because the kernel takes none any more, the pool is read-only. Releases in one
 * batch share one walk of /proc. The reaping lane runs its jobs in turn and leaves commits to them.
 */
#ifndef WORKERS_POOLD_EXECUTOR_H
#define WORKERS_POOLD_EXECUTOR_H

#include "lane/lane.h"
#include "volume/volume.h"

#include <stdbool.h>
#include <uv.h>

struct pool;
struct pool_job;

enum { EXECUTOR_JOBS_MAX = 320 }; /* POOL_CALLS_MAX and what the pool does by itself */

/* On the pool's thread: the volume and the job's own fields, nothing else. */
typedef int (*pool_work)(struct pool_job *job, struct err *err);
/* On the loop: job->rc and job->err say how it went. The job is freed by its owner here. */
typedef void (*pool_done)(struct pool_job *job);

/* Embedded in what the job needs. Zero-initialise, then fill the first block. */
struct pool_job {
    pool_work work;
    pool_done done;
    bool changes;               /* wants the commit of its batch */
    bool barrier;               /* what came before is committed first, and it runs alone */
    struct volume_claim *claim; /* looked up in the batch's walk of /proc before the work runs */

    struct pool *pool;
    struct volume *volume;
    int rc;
    struct err err;
    bool unwritable; /* it showed that the pool takes no writes any more */
    int claim_rc;
    struct err claim_err;
    struct lane_job lane;
};

int executor_open(uv_loop_t *loop, const char *fsid, struct lane **out_executor,
                  struct lane **out_reaping, struct err *err);

/* -ERR_RESOURCE_EXHAUSTED when too many wait, or the pool is at its end: the job is still the
 * caller's. `err` may be NULL. */
int executor_submit(struct pool *pool, struct pool_job *job, struct err *err);
int executor_submit_reaping(struct pool *pool, struct pool_job *job);

#endif
