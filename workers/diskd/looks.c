/*
 * A look is one job on the disk's lane: the first one only asks who the disk is, so that it can be
 * announced; each later one also probes, unless somebody uses the disk. The job owns all that it
 * reads and writes; when the disk goes away, the job loses its disk and its result is dropped.
 *
 * Between two looks lies a rest, so that a storm of uevents costs one look each REST_MS.
 */
#include "looks.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "registry.h"
#include "verdicts.h"
#include "worker/channel.h"

#include <stdio.h>
#include <string.h>

enum {
    REST_MS = 50,
    RETRY_MS = 1000, /* after a look that could not even begin */
    HANG_CHECK_MS = 1000,
    HANG_MS = 2000, /* a lane that is busy for longer is named to the supervisor */
};

struct look {
    struct lane_job job;
    struct disk *disk; /* the loop's; NULL: gone */
    const char *sys;
    struct sysfs_device device;
    bool probe; /* else only ask who it is */
    struct sysfs_identity identity;
    struct probe_report report;
};

static void start_look(struct disk *disk);

/* ---- the lane's side ---- */

static void work(struct lane_job *job)
{
    struct look *look = container_of(job, struct look, job);
    const struct probe_request request = {
        .path = look->device.path,
        .major = look->device.major,
        .minor = look->device.minor,
        .diskseq = look->device.diskseq,
    };
    int claim;
    sysfs_read_identity(look->sys, look->device.name, &look->identity);
    if (look->probe)
        probe_disk(&request, &look->report, &claim);
}

/* ---- waiters ---- */

static void answer(struct disk *owner, struct disk_waiter **list, struct disk *disk)
{
    struct disk_waiter *waiter = *list;
    *list = NULL;
    for (struct disk_waiter *next; waiter; waiter = next) {
        next = waiter->next;
        owner->n_waiters--;
        waiter->done(waiter, disk);
    }
}

void look_answer_all(struct disk *owner, struct disk *disk)
{
    answer(owner, &owner->waiting, disk);
    answer(owner, &owner->waiting_next, disk);
}

/* ---- the loop's side ---- */

static void on_rested(uv_timer_t *timer)
{
    struct disk *disk = timer->data;
    disk->resting = false;
    if (disk->again)
        look_soon(disk);
}

static void rest(struct disk *disk, uint64_t ms)
{
    disk->resting = true;
    (void)uv_timer_start(&disk->timer, on_rested, ms, 0);
}

static void on_deadline(uv_timer_t *timer)
{
    struct disk *disk = timer->data;
    log_warning("a disk does not answer", "disk", disk->device.path);
    disk->late = true;
    verdict_announce(disk);
    verdict_judge(disk);
    answer(disk, &disk->waiting, disk);
}

static void take_result(struct disk *disk, const struct look *look)
{
    disk->identity = look->identity;
    disk->identified = true;
    verdict_announce(disk);
    if (look->probe && !verdict_is_taken(disk))
        registry_take_report(disk, &look->report);
    verdict_judge(disk);
}

static void on_done(struct lane_job *job)
{
    struct look *look = container_of(job, struct look, job);
    struct disk *disk = look->disk;
    autofree struct look *owned = look;
    if (!disk)
        return;
    (void)uv_timer_stop(&disk->timer);
    disk->look = NULL;
    disk->late = false;
    take_result(disk, look);
    if (!look->probe && !verdict_is_taken(disk) && !disk->engaged) {
        start_look(disk); /* who it is, is known; the waiters want to know what is on it */
        return;
    }
    answer(disk, &disk->waiting, disk);
    if (disk->waiting_next && !disk->engaged)
        start_look(disk);
    else
        rest(disk, REST_MS);
}

int look_open_lane(struct disk *disk, struct err *err)
{
    if (disk->lane)
        return 0;
    const struct lane_options options = {.name = disk->device.name};
    return lane_open(disk->registry->worker->loop, &options, &disk->lane, err);
}

static int submit(struct disk *disk, struct err *err)
{
    int rc = look_open_lane(disk, err);
    if (rc < 0)
        return rc;
    struct look *look = calloc(1, sizeof *look);
    if (!look)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, disk->device.path, "no memory to probe it");
    look->job = (struct lane_job){.work = work, .done = on_done};
    look->disk = disk;
    look->sys = disk->registry->sys;
    look->device = disk->device;
    look->probe = disk->identified && !verdict_is_taken(disk);
    rc = lane_submit(disk->lane, &look->job);
    if (rc < 0) {
        free(look);
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, disk->device.path, "its lane is full");
    }
    disk->look = look;
    return 0;
}

static void start_look(struct disk *disk)
{
    autoerr struct err err = {0};
    disk->again = false;
    disk->resting = false;
    if (submit(disk, &err) < 0) {
        log_err(LOG_WARNING, "cannot look at a disk", &err);
        disk->again = true;
        rest(disk, RETRY_MS);
        return;
    }
    while (disk->waiting_next) {
        struct disk_waiter *waiter = disk->waiting_next;
        disk->waiting_next = waiter->next;
        waiter->next = disk->waiting;
        disk->waiting = waiter;
    }
    (void)uv_timer_start(&disk->timer, on_deadline, disk->registry->worker->settings->probe_ms, 0);
    look_watch_hangs(disk->registry);
}

void look_now(struct disk *disk)
{
    disk->again = true;
    if (!disk->look && !disk->engaged)
        start_look(disk);
}

void look_soon(struct disk *disk)
{
    disk->again = true;
    if (!disk->look && !disk->engaged && !disk->resting)
        start_look(disk);
}

/* ---- the end of a lane ---- */

static void forget_retired(struct retired_lane *retired)
{
    struct registry *registry = retired->registry;
    struct retired_lane **at = &registry->retired;
    while (*at != retired)
        at = &(*at)->next;
    *at = retired->next;
    free(retired);
    registry_release(registry);
}

static void on_lane_closed(void *data)
{
    forget_retired(data);
}

void look_abandon_hung(struct registry *registry, uint64_t busy_ms)
{
    for (struct retired_lane *retired = registry->retired, *next; retired; retired = next) {
        next = retired->next;
        if (lane_busy_ms(retired->lane) <= busy_ms)
            continue;
        lane_abandon(retired->lane);
        forget_retired(retired);
    }
}

void look_end(struct disk *disk)
{
    struct registry *registry = disk->registry;
    if (disk->look)
        disk->look->disk = NULL;
    disk->look = NULL;
    if (!disk->lane)
        return;
    bool hangs = registry->closing && disk->late;
    struct retired_lane *retired = hangs ? NULL : calloc(1, sizeof *retired);
    if (!retired) {
        lane_abandon(disk->lane);
    } else {
        *retired = (struct retired_lane){registry, disk->lane, registry->retired};
        registry->retired = retired;
        registry->holders++;
        lane_close(disk->lane, on_lane_closed, retired);
    }
    disk->lane = NULL;
}

/* ---- hangs ---- */

static bool note_hang(const struct lane *lane, const char **list, size_t *n)
{
    if (!lane || lane_busy_ms(lane) == 0)
        return false;
    if (lane_busy_ms(lane) > HANG_MS && *n < CHANNEL_BUSY_MAX)
        list[(*n)++] = lane_name(lane);
    return true;
}

void look_on_hang_timer(uv_timer_t *timer)
{
    struct registry *registry = timer->data;
    const char *list[CHANNEL_BUSY_MAX + 1];
    size_t n = 0;
    bool working = false;
    for (const struct disk *disk = registry->disks; disk; disk = disk->next)
        working |= note_hang(disk->lane, list, &n) || disk->look || disk->engaged;
    for (const struct retired_lane *r = registry->retired; r; r = r->next)
        working |= note_hang(r->lane, list, &n);
    list[n] = NULL;
    worker_busy(registry->worker, list);
    if (!working)
        (void)uv_timer_stop(timer);
}

void look_watch_hangs(struct registry *registry)
{
    if (!uv_is_active((uv_handle_t *)&registry->hang_timer))
        (void)uv_timer_start(&registry->hang_timer, look_on_hang_timer, HANG_CHECK_MS,
                             HANG_CHECK_MS);
}
