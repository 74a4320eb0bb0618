/*
 * A wipe is two jobs on the disk's lane:
 *
 *   claim   open exclusively, probe. What was found then, on the disk that is held, is judged; a
 *           refusal lets it go by a job too, for closing may block.
 *   erase   write, and probe, until nothing is found any more.
 *
 * The disk is engaged from the first moment to the last job. Unplugged meanwhile, it leaves the
 * wipe without a disk; a diskd that stops leaves the erasure to its thread.
 */
#include "wipe.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/step.h"
#include "claim.h"
#include "erase.h"
#include "show.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { ROUNDS_MAX = 8 }; /* of erasing what the probe after the last one still found */

struct wipe {
    struct lane_job job;
    struct registry *registry;
    struct disk *disk; /* the loop's; NULL: unplugged */
    struct sysfs_device device;
    char id[DISK_ID_MAX];
    const Storage__V1__WipeRequest *request; /* the call's; NULL: answered */
    Storage__V1__Disk_Closure closure;
    struct rpc_call *call;
    int claim; /* held exclusively; -1: not held */
    struct probe_report report;
    struct err err;
};

static struct wipe *wipe_of(struct lane_job *job)
{
    return container_of(job, struct wipe, job);
}

/* ---- the lane's side ---- */

static void probe(struct wipe *wipe, int *claim)
{
    const struct probe_request request = {
        .path = wipe->device.path,
        .major = wipe->device.major,
        .minor = wipe->device.minor,
        .diskseq = wipe->device.diskseq,
        .claim = claim != NULL,
    };
    int none;
    probe_disk(&request, &wipe->report, claim ? claim : &none);
}

static void work_claim(struct lane_job *job)
{
    struct wipe *wipe = wipe_of(job);
    probe(wipe, &wipe->claim);
}

static void work_release(struct lane_job *job)
{
    struct wipe *wipe = wipe_of(job);
    (void)close(take_fd(&wipe->claim));
}

static bool is_clean(const struct probe_report *report)
{
    return report->outcome == PROBE_READ && report->n_found == 0 && !report->has_super;
}

static int erase_found(struct wipe *wipe, int fd)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < wipe->report.n_signatures; i++)
        rc = erase_signature(fd, wipe->device.size_bytes, wipe->report.signatures[i].offset_bytes,
                             wipe->id, &wipe->err);
    return rc;
}

static int erase(struct wipe *wipe, int fd)
{
    int rc = erase_ends(fd, wipe->device.size_bytes, wipe->id, &wipe->err);
    for (int round = 0; rc == 0; round++) {
        probe(wipe, NULL);
        if (is_clean(&wipe->report))
            return 0;
        if (wipe->report.outcome != PROBE_READ)
            return err_set(&wipe->err, ERR_DATA_LOSS, wipe->report.os_errno, wipe->id,
                           "%s was erased, but cannot be read back: %s", wipe->device.path,
                           wipe->report.failure);
        if (round == ROUNDS_MAX)
            return err_set(&wipe->err, ERR_DATA_LOSS, 0, wipe->id,
                           "%s still shows a signature of %s at %llu", wipe->device.path,
                           wipe->report.n_signatures ? wipe->report.signatures[0].type : "btrfs",
                           wipe->report.n_signatures
                               ? (unsigned long long)wipe->report.signatures[0].offset_bytes
                               : 0ULL);
        rc = erase_found(wipe, fd);
    }
    return rc;
}

static void work_erase(struct lane_job *job)
{
    struct wipe *wipe = wipe_of(job);
    autoclose int fd = -1;
    if (claim_open(wipe->claim, wipe->device.path, O_RDWR, wipe->id, &fd, &wipe->err) == 0 &&
        erase(wipe, fd) == 0)
        (void)step_around(
            ioctl(fd, BLKRRPART)); /* its partitions go; a disk that cannot have any refuses */
    (void)close(take_fd(&wipe->claim));
}

/* ---- what may be wiped ---- */

static int refuse_member(struct wipe *wipe, const char *fsid)
{
    struct err *err = &wipe->err;
    if (!*wipe->request->pool)
        (void)err_set(err, ERR_FAILED_PRECONDITION, 0, wipe->id,
                      "%s carries the pool %s; nothing was written", wipe->device.path, fsid);
    else
        (void)err_set(err, ERR_FAILED_PRECONDITION, 0, wipe->id,
                      "%s carries the pool %s, not %s; nothing was written", wipe->device.path,
                      fsid, wipe->request->pool);
    err_hint(err, "wipe the pool: `storagectl pool wipe --yes %s`", fsid);
    return -ERR_FAILED_PRECONDITION;
}

static int refuse_state(struct wipe *wipe, const char *why, const char *hint)
{
    int rc =
        err_set(&wipe->err, ERR_FAILED_PRECONDITION, 0, wipe->id, "%s %s%s; nothing was written",
                wipe->device.path, why, wipe->disk->verdict.reason);
    err_hint(&wipe->err, "%s", hint);
    return rc;
}

/* 0: it may be. What a wipe left that was cut off is nobody's. Of a disk that is in use, or could
 * not be read, not even `force` makes one that may. */
static int check(struct wipe *wipe)
{
    const char *fsid = wipe->report.super.fsid;
    const bool force = wipe->request->force;
    switch (wipe->disk->verdict.state) {
    case STORAGE__V1__DISK_STATE__DISK_STATE_BLANK:
    case STORAGE__V1__DISK_STATE__DISK_STATE_UNFINISHED:
        return 0;
    case STORAGE__V1__DISK_STATE__DISK_STATE_POOL_MEMBER:
        return force || strcmp(wipe->request->pool, fsid) == 0 ? 0 : refuse_member(wipe, fsid);
    case STORAGE__V1__DISK_STATE__DISK_STATE_FOREIGN:
    case STORAGE__V1__DISK_STATE__DISK_STATE_DUPLICATE:
    case STORAGE__V1__DISK_STATE__DISK_STATE_BROKEN:
        if ((force || wipe->report.wipe_begun) && wipe->report.outcome == PROBE_READ &&
            !wipe->device.read_only)
            return 0;
        return refuse_state(wipe, "is not ours to wipe: ",
                            "`force` wipes what can be read and written, by its exact id");
    default:
        return refuse_state(wipe, "", "stop who uses it, or look again: `storagectl disk probe`");
    }
}

/* ---- the loop's side ---- */

static void on_done(struct lane_job *job);

static void fail(struct wipe *wipe)
{
    if (wipe->request)
        rpc_call_fail(wipe->call, &wipe->err);
    wipe->request = NULL;
}

/* Answers when the disk is let go, so that who is answered may have another go at it. */
static void end(struct wipe *wipe)
{
    struct disk *disk = wipe->disk;
    if (disk)
        registry_disengage(disk);
    if (wipe->claim >= 0)
        (void)close(wipe->claim);
    if (wipe->err.code != ERR_OK) {
        fail(wipe);
    } else if (wipe->request) {
        struct disk_picture picture;
        show_disk(disk, &picture);
        wipe->closure(&picture.message, wipe->call);
    }
    err_clear(&wipe->err);
    free(wipe);
}

static bool submit(struct wipe *wipe, lane_work work)
{
    struct lane *lane;
    wipe->job = (struct lane_job){.work = work, .done = on_done};
    int rc = registry_lane(wipe->disk, &lane, &wipe->err);
    if (rc == 0 && (rc = lane_submit(lane, &wipe->job)) < 0)
        (void)err_set(&wipe->err, ERR_RESOURCE_EXHAUSTED, 0, wipe->id, "%s has too much to do",
                      wipe->device.path);
    return rc == 0;
}

/* The claim is back: refuse, be done, or erase. The result tells whether a job is out. */
static bool judge_claim(struct wipe *wipe)
{
    if (wipe->report.outcome == PROBE_CLAIMED) {
        registry_check_use(wipe->disk);
        (void)err_set(&wipe->err, ERR_FAILED_PRECONDITION, EBUSY, wipe->id,
                      "%s is in use: %s; nothing was written", wipe->device.path,
                      *wipe->disk->use.by ? wipe->disk->use.by : "somebody holds it exclusively");
        return false;
    }
    registry_take_report(wipe->disk, &wipe->report);
    bool blank = wipe->disk->verdict.state == STORAGE__V1__DISK_STATE__DISK_STATE_BLANK;
    if (check(wipe) == 0 && !blank && submit(wipe, work_erase))
        return true;
    return wipe->claim >= 0 && submit(wipe, work_release);
}

static void finish_erase(struct wipe *wipe)
{
    if (wipe->report.outcome != PROBE_CLAIMED)
        registry_take_report(wipe->disk, &wipe->report);
    if (wipe->err.code == ERR_OK)
        log_info("wiped", "disk", wipe->device.path, "id", wipe->id);
    else
        log_err(LOG_ERROR, "a disk could not be wiped", &wipe->err);
}

static void on_done(struct lane_job *job)
{
    struct wipe *wipe = wipe_of(job);
    if (!wipe->disk)
        (void)err_set(&wipe->err, ERR_FAILED_PRECONDITION, 0, wipe->id, "%s was unplugged",
                      wipe->device.path);
    else if (job->work == work_erase)
        finish_erase(wipe);
    else if (job->work == work_claim && judge_claim(wipe))
        return;
    end(wipe);
}

/* The disk is gone, or diskd stops: then no job comes back any more. */
static void on_gone(void *data)
{
    struct wipe *wipe = data;
    wipe->disk = NULL;
    if (!wipe->registry->closing)
        return;
    (void)err_set(&wipe->err, ERR_UNAVAILABLE, 0, wipe->id,
                  "diskd is stopping; wipe it again to be sure");
    err_retryable(&wipe->err, 1000);
    fail(wipe);
}

static struct disk *find_exact(struct registry *registry, const char *id, struct err *err)
{
    struct disk *disk = registry_find(registry, id);
    if (disk && strcmp(disk->id, id) == 0)
        return disk;
    if (disk)
        (void)err_set(err, ERR_INVALID_ARGUMENT, 0, id, "%s is the disk %s: a wipe takes its id",
                      id, disk->id);
    else
        (void)registry_miss(registry, id, err);
    err_hint(err, "see `storagectl disk list`");
    return NULL;
}

static int begin(struct wipe *wipe, struct err *err)
{
    struct disk *disk = wipe->disk;
    registry_check_use(disk);
    if (disk->late)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, disk->id, "%s does not answer",
                       disk->device.path);
    if (*disk->use.by)
        return err_set(err, ERR_FAILED_PRECONDITION, EBUSY, disk->id,
                       "%s is in use: %s; nothing was written", disk->device.path, disk->use.by);
    int rc = registry_engage(disk, on_gone, wipe, err);
    if (rc < 0 || submit(wipe, work_claim))
        return rc;
    registry_disengage(disk);
    err_move(err, &wipe->err);
    return -(int)err->code;
}

void wipe_handle(struct registry *registry, const Storage__V1__WipeRequest *input,
                 Storage__V1__Disk_Closure closure, struct rpc_call *call)
{
    autoerr struct err err = {0};
    struct disk *disk = find_exact(registry, input->id, &err);
    struct wipe *wipe = disk ? calloc(1, sizeof *wipe) : NULL;
    if (disk && !wipe)
        (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, input->id, "no memory to wipe it");
    if (wipe) {
        *wipe = (struct wipe){.registry = registry,
                              .disk = disk,
                              .device = disk->device,
                              .request = input,
                              .closure = closure,
                              .call = call,
                              .claim = -1};
        memcpy(wipe->id, disk->id, sizeof wipe->id);
        if (begin(wipe, &err) == 0)
            return;
        free(wipe);
    }
    rpc_call_fail(call, &err);
}
