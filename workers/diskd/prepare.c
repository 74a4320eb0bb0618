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
#include "prepare.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "claim.h"
#include "mkfs.h"
#include "show.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

enum {
    POOL_NAME_LENGTH = 8, /* the first characters of the fsid */
    POOL_LABEL_MAX = 32,
};

struct preparation;

struct entry {
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
    struct entry entries[];
};

/* ---- the lane's side ---- */

static struct entry *entry_of(struct lane_job *job)
{
    return container_of(job, struct entry, job);
}

static void probe_entry(struct entry *entry, bool claim)
{
    const struct probe_request request = {
        .path = entry->device.path,
        .major = entry->device.major,
        .minor = entry->device.minor,
        .diskseq = entry->device.diskseq,
        .claim = claim,
    };
    probe_disk(&request, &entry->report, &entry->claim);
}

static void work_claim(struct lane_job *job)
{
    probe_entry(entry_of(job), true);
}

static void work_release(struct lane_job *job)
{
    struct entry *entry = entry_of(job);
    (void)close(take_fd(&entry->claim));
}

static void verify(struct entry *entry)
{
    const struct superblock *super = &entry->report.super;
    if (entry->report.outcome != PROBE_READ || !entry->report.has_super || !super->intact ||
        strcmp(super->fsid, entry->fsid) != 0)
        err_set(&entry->err, ERR_DATA_LOSS, 0, entry->id,
                "mkfs.btrfs ended well, but the filesystem cannot be read back from %s",
                entry->device.path);
}

static void work_make(struct lane_job *job)
{
    struct entry *entry = entry_of(job);
    char label[POOL_LABEL_MAX];
    autoclose int guard = -1;
    int rc = claim_open(entry->claim, entry->device.path, O_RDONLY, entry->id, &guard, &entry->err);
    if (rc == 0)
        (void)flock(guard, LOCK_EX | LOCK_NB); /* systemd.io/BLOCK_DEVICE_LOCKING: a courtesy */
    (void)close(take_fd(&entry->claim));
    (void)snprintf(label, sizeof label, POOL_LABEL_UNFINISHED_PREFIX "%s", entry->name);
    if (rc == 0)
        rc = mkfs_btrfs(entry->device.path, entry->fsid, label, entry->mkfs_ms, entry->stop_fd,
                        &entry->err);
    probe_entry(entry, false);
    if (rc == 0)
        verify(entry);
}

/* ---- the answer ---- */

static void refuse(struct preparation *p, const struct err *err)
{
    if (p->call)
        rpc_call_fail(p->call, err);
    p->call = NULL;
}

static void answer(struct preparation *p)
{
    Storage__V1__PrepareReply reply = STORAGE__V1__PREPARE_REPLY__INIT;
    Storage__V1__PreparedPool pools[PREPARE_DISKS_MAX], *pool_list[PREPARE_DISKS_MAX];
    Storage__V1__Disk *disk_list[PREPARE_DISKS_MAX];
    autofree struct disk_picture *pictures = calloc(p->n_entries, sizeof *pictures);
    autoerr struct err err = {0};
    if (!pictures) {
        err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, NULL,
                "the pools are made, but there is no "
                "memory to say so: list the disks");
        refuse(p, &err);
        return;
    }
    for (size_t i = 0; i < p->n_entries; i++) {
        struct entry *entry = &p->entries[i];
        show_disk(entry->disk, &pictures[i]);
        disk_list[i] = &pictures[i].message;
        storage__v1__prepared_pool__init(&pools[i]);
        pools[i].fsid = entry->fsid;
        pools[i].name = entry->name;
        pools[i].profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
        pools[i].n_disks = 1;
        pools[i].disks = &disk_list[i];
        pool_list[i] = &pools[i];
    }
    reply.n_pools = p->n_entries;
    reply.pools = pool_list;
    if (p->call)
        p->closure(&reply, p->call);
    p->call = NULL;
}

/* The refusal for all entries that have an error; `before` tells that nothing was written. */
static bool find_errors(const struct preparation *p, bool before, struct err *out_err)
{
    const struct err *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < p->n_entries; i++) {
        if (p->entries[i].err.code == ERR_OK)
            continue;
        first = first ? first : &p->entries[i].err;
        n++;
    }
    if (!first)
        return false;
    err_set(out_err, first->code, first->os_errno, first->object, "%s%s",
            before ? "nothing was written: " : "", first->message);
    if (n > 1)
        err_set(out_err, first->code, 0, NULL, "%zu of %zu disks %s", n, p->n_entries,
                before ? "cannot be used; nothing was written" : "could not be prepared");
    if (before)
        err_hint(out_err,
                 "only a blank disk becomes a pool: see what it carries, and wipe it if that "
                 "is not needed any more");
    for (size_t i = 0; i < p->n_entries; i++) {
        const struct entry *entry = &p->entries[i];
        if (entry->err.code != ERR_OK)
            err_blocker(out_err, "%s", entry->err.message);
        else if (!before)
            log_info("prepared beside one that failed", "disk", entry->device.path);
    }
    return true;
}

/* ---- the rounds ---- */

static void on_done(struct lane_job *job);

static void refuse_if_let_go(struct preparation *p)
{
    if (p->refusal.code != ERR_OK && p->n_releasing == 0)
        refuse(p, &p->refusal);
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

static void let_go(struct entry *entry)
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

static void submit(struct entry *entry, lane_work work)
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
static void release(struct entry *entry)
{
    if (entry->claim < 0)
        return;
    if (entry->disk)
        submit(entry, work_release);
    entry->preparation->n_releasing += entry->out;
    if (!entry->out) {
        (void)close(entry->claim);
        entry->claim = -1;
    }
}

static bool is_made(const struct entry *entry)
{
    const struct probe_report *report = entry->disk->report;
    return report && report->outcome == PROBE_READ && report->has_super && report->super.intact &&
           strcmp(report->super.fsid, entry->fsid) == 0;
}

/* Takes the report of a claimed disk, and refuses all but a blank one. */
static void judge_claim(struct entry *entry)
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
    bool refused = find_errors(p, true, &p->refusal) || !p->call;
    for (size_t i = 0; i < p->n_entries; i++) {
        struct entry *entry = &p->entries[i];
        if (entry->out)
            continue;
        if (refused || entry->made)
            release(entry);
        else
            submit(entry, work_make);
        if (!entry->out && refused)
            let_go(entry);
    }
    refuse_if_let_go(p);
}

static void finish_make(struct preparation *p)
{
    autoerr struct err err = {0};
    for (size_t i = 0; i < p->n_entries; i++) {
        struct entry *entry = &p->entries[i];
        if (entry->disk && !entry->made && entry->report.outcome != PROBE_CLAIMED)
            registry_take_report(entry->disk, &entry->report);
        if (!entry->disk && entry->err.code == ERR_OK)
            err_set(&entry->err, ERR_FAILED_PRECONDITION, 0, entry->id,
                    "%s was unplugged while its filesystem was made", entry->device.path);
        if (entry->err.code == ERR_OK)
            log_info("prepared a pool", "disk", entry->device.path, "fsid", entry->fsid);
    }
    if (find_errors(p, false, &err))
        refuse(p, &err);
    else
        answer(p);
}

static void on_done(struct lane_job *job)
{
    struct entry *entry = entry_of(job);
    struct preparation *p = entry->preparation;
    entry->out = false;
    p->n_out--;
    p->n_releasing -= job->work == work_release;
    if (p->decided && job->work == work_claim)
        release(entry); /* it comes too late */
    if (p->decided && job->work != work_make && !entry->out && !entry->made)
        let_go(entry);
    if (job->work == work_release)
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
    struct entry *entry = data;
    struct preparation *p = entry->preparation;
    autoerr struct err err = {0};
    entry->disk = NULL;
    if (!p->registry->closing)
        return;
    err_set(&err, ERR_UNAVAILABLE, 0, entry->id,
            "diskd is stopping; the disk is blank or unfinished afterwards");
    err_retryable(&err, 1000);
    refuse(p, &err);
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
    struct entry *entry = &p->entries[i];
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
static void begin_entry(struct entry *entry)
{
    struct disk *disk = entry->disk;
    entry->made = is_made(entry);
    if (entry->made)
        return;
    registry_check_use(disk);
    if (!*disk->use.by && !disk->late) {
        submit(entry, work_claim);
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
