/* What the files of a preparation share. */
#ifndef DISKD_PREPARE_PRIVATE_H
#define DISKD_PREPARE_PRIVATE_H

#include "base/cleanup.h"
#include "prepare.h"

enum { POOL_NAME_LENGTH = 8 }; /* the first characters of the fsid */

struct preparation;

struct prepare_entry {
    struct lane_job job;
    struct preparation *preparation;
    struct disk *disk; /* the loop's; NULL: unplugged */
    struct sysfs_device device;
    char id[DISK_ID_MAX];
    uint32_t mkfs_ms;
    int stop_fd; /* the registry's */
    char fsid[UUID_TEXT_SIZE];
    char name[POOL_NAME_LENGTH + 1];
    bool made; /* by an earlier try of the same call */
    bool out;  /* the job is on the lane */
    int claim; /* held exclusively; -1: not held */
    struct probe_report report;
    struct err err; /* of the job on the lane, else why the disk is refused */
};

struct preparation {
    struct registry *registry;
    Storage__V1__PrepareReply_Closure closure;
    struct rpc_call *call; /* NULL: answered */
    uv_timer_t timer;      /* the deadline of the claims */
    bool timer_closed;
    bool decided;       /* the claims are over */
    struct err refusal; /* for when those that were claimed are let go */
    size_t n_entries, n_out, n_releasing;
    struct prepare_entry entries[];
};

static inline struct prepare_entry *prepare_entry_of(struct lane_job *job)
{
    return container_of(job, struct prepare_entry, job);
}

/* prepare_work.c, on the disk's lane: the jobs of the rounds. */
void prepare_work_claim(struct lane_job *job);
void prepare_work_release(struct lane_job *job);
void prepare_work_make(struct lane_job *job);

/* prepare_answer.c, on the loop. Both answer the call, unless that was done. */
void prepare_answer(struct preparation *p);
void prepare_refuse(struct preparation *p, const struct err *err);
/* The refusal for all entries that have an error; `before` tells that nothing was written. */
bool prepare_find_errors(const struct preparation *p, bool before, struct err *out_err);

#endif
