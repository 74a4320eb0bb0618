/*
 * The set of disks: who comes, who goes, who is used by whom. Level-triggered: whatever the watch
 * says, sysfs is read and the registry made equal to it, so that events may be lost, doubled or
 * late. The one exception is the kernel's "remove", which comes while sysfs still shows the disk.
 */
#include "registry.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "looks.h"
#include "verdicts.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum {
    MISS_RETRY_MS = 50,
    USAGE_DELAY_MS = 10, /* mounts come in bursts */
    USAGE_REST_MS = 50,  /* and reading who has what takes longer the more disks there are */
    HANGS_FOR_MS = 1000, /* at the end: a lane that is busy for longer is not waited for */
};

static bool is_allowed(const struct registry *registry, const char *name)
{
    char *const *globs = registry->worker->settings->allow;
    char path[SYSFS_NODE_MAX];
    if (!sysfs_is_disk_name(name))
        return false;
    if (!*globs)
        return true;
    sysfs_node_path(name, path);
    for (; *globs; globs++)
        if (fnmatch(*globs, path, FNM_PATHNAME) == 0)
            return true;
    return false;
}

static struct disk *find_by_name(struct registry *registry, const char *name)
{
    struct disk *disk = registry->disks;
    while (disk && strcmp(disk->device.name, name) != 0)
        disk = disk->next;
    return disk;
}

struct disk *registry_find(struct registry *registry, const char *id)
{
    for (struct disk *disk = registry->disks; disk; disk = disk->next)
        if (disk->announced && (strcmp(disk->id, id) == 0 || strcmp(disk->device.path, id) == 0 ||
                                strcmp(disk->device.name, id) == 0))
            return disk;
    return NULL;
}

int registry_miss(const struct registry *registry, const char *id, struct err *err)
{
    for (const struct disk *disk = registry->disks; disk; disk = disk->next) {
        if (disk->announced || disk->late)
            continue;
        err_set(err, ERR_UNAVAILABLE, 0, id, "no such disk so far: %s is still being identified",
                disk->device.path);
        err_retryable(err, MISS_RETRY_MS);
        return -ERR_UNAVAILABLE;
    }
    err_set(err, ERR_NOT_FOUND, 0, id, "no such disk: %s", id);
    err_hint(err, "disks outside of [disks] allow, and those without a medium, do not exist here");
    return -ERR_NOT_FOUND;
}

/* ---- usage ---- */

/* Reads the tables if something may have changed since; false: who uses what is not known. */
static bool refresh_usage(struct registry *registry)
{
    autoerr struct err err = {0};
    struct usage *usage;
    if (registry->usage && !registry->usage_stale)
        return true;
    if (usage_read(registry->sys, registry->proc, &usage, &err) < 0) {
        log_err(LOG_ERROR, "cannot tell who uses the disks", &err);
        return false;
    }
    usage_free(registry->usage);
    registry->usage = usage;
    registry->usage_stale = false;
    return true;
}

/* True when somebody came or went. */
static bool update_use(struct disk *disk)
{
    struct disk_usage use;
    if (!refresh_usage(disk->registry))
        return false;
    usage_of_disk(disk->registry->usage, &disk->device, &use);
    if (strcmp(use.by, disk->use.by) == 0 && use.by_pool == disk->use.by_pool &&
        strcmp(use.label, disk->use.label) == 0)
        return false;
    disk->use = use;
    if (verdict_is_taken(disk))
        verdict_set_report(disk, NULL); /* its user writes to it */
    return true;
}

void registry_check_use(struct disk *disk)
{
    disk->registry->usage_stale = true;
    (void)update_use(disk);
}

static void on_usage_timer(uv_timer_t *timer)
{
    struct registry *registry = timer->data;
    registry->usage_stale = true;
    for (struct disk *disk = registry->disks; disk; disk = disk->next) {
        if (!update_use(disk))
            continue;
        verdict_judge(disk);
        if (!verdict_is_confirmed(disk))
            look_soon(disk);
    }
    registry->usage_rest_until = uv_now(registry->worker->loop) + USAGE_REST_MS;
}

static void on_usage(void *data)
{
    struct registry *registry = data;
    uint64_t now = uv_now(registry->worker->loop);
    uint64_t rest = registry->usage_rest_until > now ? registry->usage_rest_until - now : 0;
    if (!uv_is_active((uv_handle_t *)&registry->usage_timer))
        (void)uv_timer_start(&registry->usage_timer, on_usage_timer,
                             rest > USAGE_DELAY_MS ? rest : USAGE_DELAY_MS, 0);
}

/* ---- who comes and goes ---- */

static void free_disk(uv_handle_t *handle)
{
    struct disk *disk = handle->data;
    free(disk->report);
    free(disk->news);
    free(disk);
}

static void drop_disk(struct disk *disk)
{
    look_answer_all(disk, NULL);
    if (disk->engaged)
        disk->gone(disk->gone_data);
    look_end(disk);
    uv_close((uv_handle_t *)&disk->timer, free_disk);
}

static void remove_disk(struct disk *disk, const char *reason)
{
    struct registry *registry = disk->registry;
    struct disk **at = &registry->disks;
    while (*at != disk)
        at = &(*at)->next;
    *at = disk->next;
    verdict_retract(disk, reason);
    verdict_set_report(disk, NULL);
    drop_disk(disk);
    verdict_sum_up(registry);
}

static void add_disk(struct registry *registry, const struct sysfs_device *device)
{
    struct disk *disk = calloc(1, sizeof *disk);
    if (!disk) {
        log_error("no memory for a disk", "disk", device->path);
        return;
    }
    disk->registry = registry;
    disk->device = *device;
    disk->timer.data = disk;
    (void)uv_timer_init(registry->worker->loop, &disk->timer);
    struct disk **at = &registry->disks;
    while (*at && strverscmp((*at)->device.path, device->path) < 0)
        at = &(*at)->next;
    disk->next = *at;
    *at = disk;
    registry->settled = false;
    (void)update_use(disk);
    look_now(disk);
}

/* Makes the registry equal to sysfs in this one disk. */
static void update_disk(struct registry *registry, const char *name)
{
    struct sysfs_device device;
    struct disk *disk = find_by_name(registry, name);
    if (!is_allowed(registry, name))
        return;
    if (sysfs_read_device(registry->sys, name, &device) < 0) {
        if (disk)
            remove_disk(disk, "it is not there any more");
        return;
    }
    watch_attributes(registry->watch, name);
    if (disk && device.size_bytes == 0) {
        remove_disk(disk, "its medium was taken out");
        return;
    }
    if (disk && (device.diskseq != disk->device.diskseq || device.major != disk->device.major ||
                 device.minor != disk->device.minor)) {
        remove_disk(disk, "another medium has taken its place");
        disk = NULL;
    }
    if (device.size_bytes == 0)
        return;
    if (!disk) {
        add_disk(registry, &device);
        return;
    }
    disk->device = device;
    (void)update_use(disk);
    look_soon(disk);
}

static void on_changed(const char *name, void *data)
{
    struct registry *registry = data;
    registry->usage_stale = true;
    on_usage(data); /* it may stand on another disk */
    update_disk(registry, name);
}

static void on_removed(const char *name, uint64_t diskseq, void *data)
{
    struct registry *registry = data;
    struct disk *disk = find_by_name(registry, name);
    on_usage(data);
    watch_forget(registry->watch, name);
    if (disk && (diskseq == 0 || disk->device.diskseq == 0 || diskseq == disk->device.diskseq))
        remove_disk(disk, "it was unplugged");
}

static void update_each(const char *name, void *data)
{
    update_disk(data, name);
}

static int enumerate(struct registry *registry, struct err *err)
{
    registry->usage_stale = true;
    for (struct disk *disk = registry->disks, *next; disk; disk = next) {
        struct sysfs_device device;
        next = disk->next;
        if (sysfs_read_device(registry->sys, disk->device.name, &device) < 0)
            remove_disk(disk, "it is not there any more");
    }
    return sysfs_each_disk(registry->sys, update_each, registry, err);
}

static void on_lost(void *data)
{
    autoerr struct err err = {0};
    if (enumerate(data, &err) < 0)
        log_err(LOG_ERROR, "cannot list the disks", &err);
}

/* ---- for operations ---- */

int registry_probe(struct disk *disk, struct disk_waiter *waiter, struct err *err)
{
    if (disk->n_waiters >= DISK_WAITERS_MAX) {
        err_set(err, ERR_RESOURCE_EXHAUSTED, 0, disk->id, "%u calls wait for this disk already",
                disk->n_waiters);
        err_retryable(err, disk->registry->worker->settings->probe_ms);
        return -ERR_RESOURCE_EXHAUSTED;
    }
    disk->n_waiters++;
    waiter->next = disk->waiting_next;
    disk->waiting_next = waiter;
    registry_check_use(disk);
    look_now(disk);
    return 0;
}

int registry_engage(struct disk *disk, void (*gone)(void *data), void *data, struct err *err)
{
    if (disk->engaged) {
        err_set(err, ERR_ABORTED, 0, disk->id, "another operation is at work on this disk");
        err_retryable(err, 1000);
        return -ERR_ABORTED;
    }
    disk->engaged = true;
    disk->gone = gone;
    disk->gone_data = data;
    return 0;
}

void registry_disengage(struct disk *disk)
{
    disk->engaged = false;
    if (disk->waiting_next)
        look_now(disk);
    else if (disk->again)
        look_soon(disk);
}

int registry_lane(struct disk *disk, struct lane **out_lane, struct err *err)
{
    int rc = look_open_lane(disk, err);
    if (rc < 0)
        return rc;
    look_watch_hangs(disk->registry);
    *out_lane = disk->lane;
    return 0;
}

void registry_take_report(struct disk *disk, const struct probe_report *report)
{
    struct probe_report *kept = malloc(sizeof *kept);
    if (!kept) {
        log_error("no memory for what a disk says", "disk", disk->device.path);
        return;
    }
    *kept = *report;
    if (report->outcome == PROBE_CHANGED)
        disk->again = true;
    disk->probes++;
    verdict_set_report(disk, kept);
    verdict_judge(disk);
}

/* ---- life ---- */

int registry_open(struct worker *worker, const char *sys, const char *proc,
                  struct registry **out_registry, struct err *err)
{
    struct registry *registry = calloc(1, sizeof *registry);
    const struct watch_callbacks callbacks = {.changed = on_changed,
                                              .removed = on_removed,
                                              .lost = on_lost,
                                              .usage = on_usage,
                                              .data = registry};
    if (!registry)
        return err_errno(err, ENOMEM, "disks", "cannot keep a registry");
    registry->worker = worker;
    registry->sys = sys;
    registry->proc = proc;
    registry->holders = 2; /* the timers */
    registry->usage_timer.data = registry;
    registry->hang_timer.data = registry;
    (void)uv_timer_init(worker->loop, &registry->usage_timer);
    (void)uv_timer_init(worker->loop, &registry->hang_timer);
    registry->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = registry->stop_fd < 0 ? err_errno(err, errno, "disks", "cannot make an eventfd") : 0;
    if (rc == 0)
        rc = watch_open(worker->loop, sys, proc, &callbacks, &registry->watch, err);
    if (rc == 0)
        rc = enumerate(registry, err);
    if (rc < 0) {
        registry_close(registry);
        return rc;
    }
    registry->enumerated = true;
    verdict_sum_up(registry);
    *out_registry = registry;
    return 0;
}

/* The timers and the retired lanes hold the registry: the last one to close frees it. */
void registry_release(struct registry *registry)
{
    if (--registry->holders > 0)
        return;
    usage_free(registry->usage);
    cleanup_fd(&registry->stop_fd);
    free(registry);
}

static void on_timer_closed(uv_handle_t *handle)
{
    registry_release(handle->data);
}

void registry_close(struct registry *registry)
{
    registry->closing = true;
    (void)eventfd_write(registry->stop_fd, 1);
    watch_close(registry->watch);
    look_abandon_hung(registry, HANGS_FOR_MS);
    while (registry->disks) {
        struct disk *disk = registry->disks;
        registry->disks = disk->next;
        drop_disk(disk);
    }
    uv_close((uv_handle_t *)&registry->usage_timer, on_timer_closed);
    uv_close((uv_handle_t *)&registry->hang_timer, on_timer_closed);
}
