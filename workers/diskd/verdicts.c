/*
 * From facts to news. The rules themselves are in classify.c; here the facts are put together - two
 * disks with one btrfs device know of each other only here - and what has changed is published.
 */
#include "verdicts.h"

#include "base/log.h"
#include "show.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_NAMES_MAX = 256 };

bool verdict_is_taken(const struct disk *disk)
{
    return *disk->use.by && !disk->use.by_pool;
}

static const struct superblock *super_of(const struct probe_report *report)
{
    bool valid = report && report->outcome == PROBE_READ && report->has_super;
    return valid && report->super.intact ? &report->super : NULL;
}

bool verdict_is_confirmed(const struct disk *disk)
{
    const struct superblock *super = super_of(disk->report);
    return super && disk->use.by_pool && strcmp(super->fsid, disk->use.fsid) == 0 &&
           strcmp(super->label, disk->use.label) == 0;
}

static bool same_device(const struct superblock *a, const struct superblock *b)
{
    return a && b && a->devid == b->devid && strcmp(a->fsid, b->fsid) == 0;
}

static const char *find_twin(const struct disk *disk)
{
    const struct superblock *super = super_of(disk->report);
    for (const struct disk *other = disk->registry->disks; super && other; other = other->next)
        if (other != disk && same_device(super, super_of(other->report)))
            return other->device.path;
    return NULL;
}

static bool is_listed(char *const *globs, const struct disk *disk)
{
    for (; *globs; globs++)
        if (fnmatch(*globs, disk->device.path, FNM_PATHNAME) == 0 ||
            fnmatch(*globs, disk->id, 0) == 0)
            return true;
    return false;
}

static void decide(struct disk *disk)
{
    const struct settings *settings = disk->registry->worker->settings;
    const struct disk_facts facts = {
        .size_bytes = disk->device.size_bytes,
        .read_only = disk->device.read_only,
        .use = &disk->use,
        .report = disk->report,
        .late_ms = disk->late ? settings->probe_ms : 0,
        .twin = find_twin(disk),
        .rotational = disk->identified ? disk->identity.rotational : -1,
        .said_ssd = is_listed(settings->ssd, disk),
        .said_hdd = is_listed(settings->hdd, disk),
    };
    classify_state(&facts, &disk->verdict);
    disk->type = classify_type(&facts, disk->type_evidence);
}

/* ---- telling ---- */

static void publish(struct disk *disk, const char *topic, const char *reason)
{
    struct disk_picture picture;
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    show_disk(disk, &picture);
    event.topic = (char *)(uintptr_t)topic;
    event.object = disk->id;
    event.reason = (char *)(uintptr_t)reason;
    event.body_case = STORAGE__V1__EVENT__BODY_DISK;
    event.disk = &picture.message;
    event_publish(disk->registry->worker->events, &event);
    log_info(topic, "disk", disk->device.path, "id", disk->id, "state",
             protobuf_c_enum_descriptor_get_value(&storage__v1__disk_state__descriptor,
                                                  (int)disk->verdict.state)
                 ->name,
             "reason", reason);
}

/* Remembers the picture; true if it is another one than before. Without memory it is news. */
static bool is_news(struct disk *disk)
{
    uint8_t *news = NULL;
    size_t size = 0;
    if (show_pack_news(disk, &news, &size) == 0 && disk->news && size == disk->news_size &&
        memcmp(news, disk->news, size) == 0) {
        free(news);
        return false;
    }
    free(disk->news);
    disk->news = news;
    disk->news_size = size;
    return true;
}

static void judge_one(struct disk *disk)
{
    decide(disk);
    if (disk->announced && is_news(disk))
        publish(disk, "disk.changed", disk->verdict.reason);
}

void verdict_judge(struct disk *disk)
{
    judge_one(disk);
    verdict_sum_up(disk->registry);
}

static bool id_is_taken(const struct disk *disk)
{
    for (const struct disk *other = disk->registry->disks; other; other = other->next)
        if (other != disk && other->announced && strcmp(other->id, disk->id) == 0)
            return true;
    return false;
}

void verdict_announce(struct disk *disk)
{
    if (disk->announced)
        return;
    /* Until it has answered, it is known by its name alone. */
    sysfs_make_id(&disk->identity, disk->device.name, disk->id, sizeof disk->id);
    if (id_is_taken(disk)) {
        size_t used = strlen(disk->id);
        (void)snprintf(disk->id + used, sizeof disk->id - used, "-%s", disk->device.name);
    }
    decide(disk);
    disk->announced = true;
    (void)is_news(disk);
    publish(disk, "disk.added", disk->verdict.reason);
}

void verdict_retract(struct disk *disk, const char *reason)
{
    if (disk->announced)
        publish(disk, "disk.removed", reason);
}

static void judge_kin(struct disk *disk, const struct superblock *super)
{
    for (struct disk *other = disk->registry->disks; super && other; other = other->next)
        if (other != disk && same_device(super, super_of(other->report)))
            judge_one(other);
}

void verdict_set_report(struct disk *disk, struct probe_report *report)
{
    struct probe_report *old = disk->report;
    const struct superblock *was = super_of(old), *is = super_of(report);
    disk->report = report;
    if (!was || !is || !same_device(was, is)) {
        judge_kin(disk, was);
        judge_kin(disk, is);
    }
    free(old);
}

/* ---- all of them ---- */

static bool is_pending(const struct disk *disk)
{
    bool known = disk->report && disk->report->outcome != PROBE_CHANGED;
    return !disk->announced || !(known || disk->late || verdict_is_taken(disk));
}

static void tell_status(struct registry *registry)
{
    char names[STATUS_NAMES_MAX] = "";
    unsigned n = 0, n_disks = 0;
    for (const struct disk *disk = registry->disks; disk; disk = disk->next) {
        n_disks++;
        if (disk->verdict.state != STORAGE__V1__DISK_STATE__DISK_STATE_BROKEN && !disk->late)
            continue;
        size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, "%s%s", n > 0 ? ", " : "",
                       disk->device.path);
        n++;
    }
    if (n > 0)
        worker_status(registry->worker, "degraded: %u disk%s broken or hanging: %s", n,
                      n > 1 ? "s" : "", names);
    else
        worker_status(registry->worker, n_disks > 0 ? "ok" : "degraded: no disk");
}

void verdict_sum_up(struct registry *registry)
{
    bool settled = registry->enumerated;
    for (const struct disk *disk = registry->disks; settled && disk; disk = disk->next)
        settled = !is_pending(disk);
    if (settled && !registry->settled) {
        Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
        event.topic = (char *)(uintptr_t) "disk.settled";
        registry->settled = true; /* before anybody can hear of it */
        event_publish(registry->worker->events, &event);
        log_info("the disks have settled");
    }
    registry->settled = settled;
    if (settled)
        tell_status(registry);
}
