/*
 * A preparation goes through two rounds, each a job on the lane of every disk:
 *
 * claim: open exclusively, probe. When all are back, each must be blank, large enough and writable;
 * else all are let go (a third kind of job, for closing may block too), and then the call is
 * refused with every reason.
 *
 * make: let the claim go - mkfs.btrfs takes its own, and looks for signatures again - but keep the
 * disk open and locked, so that its name cannot come to stand for another, a loop cannot change its
 * file and udevd does not probe meanwhile; then mkfs, then a probe of what it made.
 *
 * The fsid follows from caller, request id and disk: so a retry, also of one that an earlier diskd
 * was killed at, knows what the first try made, and answers with it instead of refusing the disk.
 *
 * The disks are engaged from the first moment to the last job. The call is answered when all is
 * known, or refused at the deadline of the claims; the preparation itself lives until its last job
 * is back. A disk that is unplugged meanwhile leaves its entry without a disk.
 */
#include "prepare_private.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the rounds ---- */

static void on_done(struct lane_job *job);

static void refuse_if_let_go(struct preparation *p)
{
    if (p->refusal.code != ERR_OK && p->n_releasing == 0)
        prepare_refuse(p, &p->refusal);
}

/* When the last job is back, and the timer closed. */
static void free_if_over(struct preparation *p)
{
    if (!p->timer_closed || p->n_out > 0)
        return;
    for (size_t i = 0; i < p->n_entries; i++)
        err_clear(&p->entries[i].err);
    err_clear(&p->refusal);
    free(p);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct preparation *p = handle->data;
    p->timer_closed = true;
    free_if_over(p);
}

static void close_timer(struct preparation *p)
{
    if (!uv_is_closing((uv_handle_t *)&p->timer))
        uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

static void let_go(struct prepare_entry *entry)
{
    if (entry->disk)
        registry_disengage(entry->disk);
    entry->disk = NULL;
}

static void end(struct preparation *p)
{
    for (size_t i = 0; i < p->n_entries; i++)
        let_go(&p->entries[i]);
    close_timer(p);
    free_if_over(p);
}

static void submit(struct prepare_entry *entry, lane_work work)
{
    struct lane *lane;
    struct err err = {0};
    int rc = registry_lane(entry->disk, &lane, &err);
    entry->job = (struct lane_job){.work = work, .done = on_done};
    if (rc == 0 && (rc = lane_submit(lane, &entry->job)) < 0)
        err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, entry->id, "%s has too much to do",
                entry->device.path);
    if (rc < 0) {
        err_move(&entry->err, &err);
        return;
    }
    entry->out = true;
    entry->preparation->n_out++;
}

/* Lets an exclusive claim go, on the lane if there is one: closing may block. */
static void release(struct prepare_entry *entry)
{
    if (entry->claim < 0)
        return;
    if (entry->disk)
        submit(entry, prepare_work_release);
    entry->preparation->n_releasing += entry->out;
    if (!entry->out) {
        (void)close(entry->claim);
        entry->claim = -1;
    }
}

static bool is_made(const struct prepare_entry *entry)
{
    const struct probe_report *report = entry->disk->report;
    return report && report->outcome == PROBE_READ && report->has_super && report->super.intact &&
           strcmp(report->super.fsid, entry->fsid) == 0;
}

/* Takes the report of a claimed disk, and refuses all but a blank one. */
static void judge_claim(struct prepare_entry *entry)
{
    const char *path = entry->device.path;
    if (entry->err.code != ERR_OK || entry->made)
        return;
    if (!entry->disk) {
        err_set(&entry->err, ERR_FAILED_PRECONDITION, 0, entry->id, "%s was unplugged", path);
        return;
    }
    if (entry->out) {
        err_set(&entry->err, ERR_FAILED_PRECONDITION, 0, entry->id, "%s does not answer", path);
        return;
    }
    registry_take_report(entry->disk, &entry->report);
    entry->made = is_made(entry);
    if (entry->made)
        return;
    const struct disk_verdict *verdict = &entry->disk->verdict;
    if (verdict->state != STORAGE__V1__DISK_STATE__DISK_STATE_BLANK)
        err_set(&entry->err, ERR_FAILED_PRECONDITION, 0, entry->id, "%s is not blank: %s", path,
                verdict->reason);
    else if (!classify_is_preparable(verdict, entry->device.size_bytes))
        err_set(&entry->err, ERR_FAILED_PRECONDITION, 0, entry->id, "%s %s", path, verdict->reason);
}

static void decide(struct preparation *p)
{
    p->decided = true;
    (void)uv_timer_stop(&p->timer);
    for (size_t i = 0; i < p->n_entries; i++)
        judge_claim(&p->entries[i]);
    bool refused = prepare_find_errors(p, true, &p->refusal) || !p->call;
    for (size_t i = 0; i < p->n_entries; i++) {
        struct prepare_entry *entry = &p->entries[i];
        if (entry->out)
            continue;
        if (refused || entry->made)
            release(entry);
        else
            submit(entry, prepare_work_make);
        if (!entry->out && refused)
            let_go(entry);
    }
    refuse_if_let_go(p);
}

static void finish_make(struct preparation *p)
{
    autoerr struct err err = {0};
    for (size_t i = 0; i < p->n_entries; i++) {
        struct prepare_entry *entry = &p->entries[i];
        if (entry->disk && !entry->made && entry->report.outcome != PROBE_CLAIMED)
            registry_take_report(entry->disk, &entry->report);
        if (!entry->disk && entry->err.code == ERR_OK)
            err_set(&entry->err, ERR_FAILED_PRECONDITION, 0, entry->id,
                    "%s was unplugged while its filesystem was made", entry->device.path);
        if (entry->err.code == ERR_OK)
            log_info("prepared a pool", "disk", entry->device.path, "fsid", entry->fsid);
    }
    if (prepare_find_errors(p, false, &err))
        prepare_refuse(p, &err);
    else
        prepare_answer(p);
}

static void on_done(struct lane_job *job)
{
    struct prepare_entry *entry = prepare_entry_of(job);
    struct preparation *p = entry->preparation;
    entry->out = false;
    p->n_out--;
    p->n_releasing -= job->work == prepare_work_release;
    if (p->decided && job->work == prepare_work_claim)
        release(entry); /* it comes too late */
    if (p->decided && job->work != prepare_work_make && !entry->out && !entry->made)
        let_go(entry);
    if (job->work == prepare_work_release)
        refuse_if_let_go(p);
    if (p->n_out > 0)
        return;
    if (!p->decided)
        decide(p);
    else if (p->call)
        finish_make(p);
    if (p->n_out == 0)
        end(p);
}

static void on_claim_deadline(uv_timer_t *timer)
{
    decide(timer->data);
}

/* The disk is gone, or diskd stops: then no job may come back any more. */
static void on_gone(void *data)
{
    struct prepare_entry *entry = data;
    struct preparation *p = entry->preparation;
    autoerr struct err err = {0};
    entry->disk = NULL;
    if (!p->registry->closing)
        return;
    err_set(&err, ERR_UNAVAILABLE, 0, entry->id,
            "diskd is stopping; the disk is blank or unfinished afterwards");
    err_retryable(&err, 1000);
    prepare_refuse(p, &err);
    close_timer(p);
}

/* ---- the beginning ---- */

static int check_policy(const Storage__V1__PreparePolicy *policy, struct err *err)
{
    switch (policy->profile) {
    case STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE:
        break;
    case STORAGE__V1__POOL_PROFILE__POOL_PROFILE_UNSPECIFIED:
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "profile", "a profile is required");
    default:
        return err_set(err, ERR_UNIMPLEMENTED, 0, "profile",
                       "only pools of a single disk can be made so far");
    }
    if (policy->n_disks == 0 || policy->n_disks > PREPARE_DISKS_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "disks",
                       "%zu disks are named; 1 to %d are possible", policy->n_disks,
                       PREPARE_DISKS_MAX);
    return 0;
}

/* Of who asked for what with which request: the same call again means the same pool. */
static void derive_fsid(const struct rpc_call *call, const struct disk *disk,
                        char out_fsid[UUID_TEXT_SIZE])
{
    const char *const names[] = {log_u64(rpc_call_uid(call)), rpc_call_request_id(call), disk->id};
    uuid_derive(names, array_length(names), out_fsid);
}

static int find_entry(struct preparation *p, size_t i, const char *wanted, struct err *err)
{
    struct prepare_entry *entry = &p->entries[i];
    struct disk *disk = registry_find(p->registry, wanted);
    if (!disk)
        return registry_miss(p->registry, wanted, err);
    for (size_t k = 0; k < i; k++)
        if (p->entries[k].disk == disk)
            return err_set(err, ERR_INVALID_ARGUMENT, 0, wanted, "named twice");
    entry->preparation = p;
    entry->disk = disk;
    entry->device = disk->device;
    entry->claim = -1;
    entry->stop_fd = p->registry->stop_fd;
    entry->mkfs_ms = p->registry->worker->settings->mkfs_ms;
    (void)snprintf(entry->id, sizeof entry->id, "%s", disk->id);
    derive_fsid(p->call, disk, entry->fsid);
    memcpy(entry->name, entry->fsid, POOL_NAME_LENGTH);
    return 0;
}

/* All or none. */
static int engage_all(struct preparation *p, struct err *err)
{
    for (size_t i = 0; i < p->n_entries; i++) {
        int rc = registry_engage(p->entries[i].disk, on_gone, &p->entries[i], err);
        if (rc == 0)
            continue;
        while (i-- > 0)
            registry_disengage(p->entries[i].disk);
        return rc;
    }
    return 0;
}

/* A disk that is in use, or hangs, is refused without being opened. */
static void begin_entry(struct prepare_entry *entry)
{
    struct disk *disk = entry->disk;
    entry->made = is_made(entry);
    if (entry->made)
        return;
    registry_check_use(disk);
    if (!*disk->use.by && !disk->late) {
        submit(entry, prepare_work_claim);
        return;
    }
    if (disk->late)
        err_set(&entry->err, ERR_FAILED_PRECONDITION, 0, entry->id, "%s does not answer",
                entry->device.path);
    else
        err_set(&entry->err, ERR_FAILED_PRECONDITION, 0, entry->id, "%s is in use: %s",
                entry->device.path, disk->use.by);
}

static void begin(struct preparation *p)
{
    const struct worker *worker = p->registry->worker;
    p->timer.data = p;
    (void)uv_timer_init(worker->loop, &p->timer);
    for (size_t i = 0; i < p->n_entries; i++)
        begin_entry(&p->entries[i]);
    if (p->n_out > 0) {
        /* A look may be out, with a deadline of its own, before the claim's turn comes. */
        (void)uv_timer_start(&p->timer, on_claim_deadline, 2 * (uint64_t)worker->settings->probe_ms,
                             0);
        return;
    }
    decide(p);
    if (p->n_out == 0 && p->call) /* all were made before */
        finish_make(p);
    if (p->n_out == 0)
        end(p);
}

void prepare_handle(struct registry *registry, const Storage__V1__PreparePolicy *policy,
                    Storage__V1__PrepareReply_Closure closure, struct rpc_call *call)
{
    autoerr struct err err = {0};
    struct preparation *p = NULL;
    int rc = check_policy(policy, &err);
    if (rc == 0) {
        p = calloc(1, sizeof *p + policy->n_disks * sizeof *p->entries);
        rc = p ? 0 : err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, NULL, "no memory to prepare");
    }
    if (rc == 0) {
        p->registry = registry;
        p->call = call;
        p->closure = closure;
        p->n_entries = policy->n_disks;
        for (size_t i = 0; rc == 0 && i < p->n_entries; i++)
            rc = find_entry(p, i, policy->disks[i], &err);
    }
    if (rc == 0)
        rc = engage_all(p, &err);
    if (rc < 0) {
        free(p);
        rpc_call_fail(call, &err);
        return;
    }
    begin(p);
}
