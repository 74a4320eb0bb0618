/*
 * Opening. A struct pool_opening carries copies of what diskd said to the pool's thread, and what
 * was found there back. An earlier volume of the pool, of a disk that went away and has come back,
 * is closed on the thread first; that must wait until the reaper is done with it.
 */
#include "pool_open.h"

#include "assembly.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "events.h"
#include "executor.h"
#include "node.h"
#include "pool_books.h"
#include "rpc/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNKNOWNS_LISTED_MAX = 16, FOUND_GROW_FIRST = 256 };

struct pool_opening {
    struct pool_job base;
    struct volume *stale;

    /* What diskd said. */
    Storage__V1__Disk *disks[VOLUME_MEMBERS_MAX];
    struct volume_member members[VOLUME_MEMBERS_MAX];
    struct volume_spec spec;
    char *mount_root, *cache_path;
    char fsid[UUID_TEXT_SIZE];

    /* What was found. */
    struct volume *volume;
    enum volume_problem problem;
    struct pool_found *found;
    size_t n_found, found_capacity;
    char *unknown[UNKNOWNS_LISTED_MAX];
    size_t n_unknown; /* all */
    struct survey survey;
    bool cache_bound;
};

static void opening_free(struct pool_opening *opening)
{
    for (size_t i = 0; i < opening->spec.n_members; i++)
        if (opening->disks[i])
            storage__v1__disk__free_unpacked(opening->disks[i], NULL);
    for (size_t i = 0; i < UNKNOWNS_LISTED_MAX; i++)
        free(opening->unknown[i]);
    free(opening->mount_root);
    free(opening->cache_path);
    for (size_t i = 0; i < opening->n_found; i++)
        free(opening->found[i].note);
    free(opening->found);
    survey_free(&opening->survey);
    err_clear(&opening->base.err);
    free(opening);
}

/* ---- on the pool's thread ---- */

static int add_found(struct pool_opening *opening, const struct volume_object *object)
{
    if (opening->n_found == opening->found_capacity) {
        size_t capacity = opening->found_capacity ? opening->found_capacity * 2 : FOUND_GROW_FIRST;
        struct pool_found *grown = reallocarray(opening->found, capacity, sizeof *opening->found);
        if (!grown)
            return err_set(&opening->base.err, ERR_RESOURCE_EXHAUSTED, 0, opening->fsid,
                           "no memory for what is on it");
        opening->found = grown;
        opening->found_capacity = capacity;
    }
    struct pool_found found = {.record = *object->record, .has_data = object->has_data};
    if (found.record.kind == RECORD_KIND_BOOKING) {
        found.note = malloc(sizeof *found.note);
        if (!found.note)
            return err_set(&opening->base.err, ERR_RESOURCE_EXHAUSTED, 0, opening->fsid,
                           "no memory for what is on it");
        *found.note = *object->note;
    }
    opening->found[opening->n_found++] = found;
    return 0;
}

/* What nobody knows is left alone, and said once. */
static int on_object(const struct volume_object *object, void *data)
{
    struct pool_opening *opening = data;
    if (object->record)
        return add_found(opening, object);
    const char *place = volume_place_name(object->place);
    log_warning("left alone", "pool", opening->fsid, "place", place, "entry", object->name,
                "reason", object->reason);
    if (opening->n_unknown < UNKNOWNS_LISTED_MAX &&
        asprintf(&opening->unknown[opening->n_unknown], "%s/%.64s", place, object->name) < 0)
        opening->unknown[opening->n_unknown] = NULL;
    opening->n_unknown++;
    return 0;
}

static int read_all(struct pool_opening *opening, struct err *err)
{
    enum volume_bound bound = VOLUME_BOUND_NOT;
    volume_booking_sweep(opening->volume);
    int rc = volume_scan(opening->volume, on_object, opening, err);
    if (rc == 0)
        rc = survey_take(opening->volume, &opening->survey, err);
    if (rc == 0 && opening->survey.changed)
        rc = volume_commit(opening->volume, err);
    if (rc == 0 && volume_cache_bound(opening->volume, opening->cache_path, &bound, NULL) == 0)
        opening->cache_bound = bound == VOLUME_BOUND_OURS;
    return rc;
}

static int open_work(struct pool_job *base, struct err *err)
{
    struct pool_opening *opening = container_of(base, struct pool_opening, base);
    if (opening->stale)
        (void)volume_close(take_ptr(opening->stale), false, NULL);
    opening->problem = VOLUME_PROBLEM_INTERNAL;
    int rc = volume_open(&opening->spec, &opening->volume, &opening->problem, err);
    if (rc < 0)
        return rc;
    int entered = volume_enter(opening->volume);
    rc = read_all(opening, err);
    volume_leave(entered);
    if (rc < 0) {
        /* Its mount stays: whoever uses the spaces is not worse off than before. */
        opening->problem =
            err_is_want(err->os_errno) ? VOLUME_PROBLEM_INTERNAL : VOLUME_PROBLEM_CORRUPT;
        (void)volume_close(take_ptr(opening->volume), false, NULL);
    }
    return rc;
}

/* ---- on the loop: members ---- */

void pool_open_free_members(struct pool *pool)
{
    for (size_t i = 0; i < pool->n_members; i++) {
        free(pool->members[i].disk_id);
        free(pool->members[i].path);
        free(pool->members[i].serial);
    }
    free(pool->members);
    pool->members = NULL;
    pool->n_members = 0;
}

static bool copy_members(struct pool *pool, const struct assembly *assembly)
{
    pool_open_free_members(pool);
    pool->members = calloc(assembly->n_members, sizeof *pool->members);
    if (!pool->members)
        return false;
    pool->n_members = assembly->n_members;
    bool whole = true;
    for (size_t i = 0; i < assembly->n_members; i++) {
        const Storage__V1__Disk *disk = assembly->members[i];
        struct pool_member *member = &pool->members[i];
        member->disk_id = strdup(disk->id);
        member->path = strdup(disk->path);
        member->serial = strdup(disk->serial);
        member->devid = disk->pool->devid;
        member->size_bytes = disk->size_bytes;
        whole = whole && member->disk_id && member->path && member->serial;
    }
    if (!whole)
        pool_open_free_members(pool);
    return whole;
}

/* Until its descriptor has been read, a pool is what its first disk says. */
static void describe_by_disk(struct pool *pool, const Storage__V1__Disk *disk)
{
    const char *label = disk->pool->label;
    const char *const prefixes[] = {VOLUME_LABEL_NEW, VOLUME_LABEL};
    for (size_t i = 0; i < array_length(prefixes); i++) {
        size_t length = strlen(prefixes[i]);
        if (strncmp(label, prefixes[i], length) != 0)
            continue;
        label += length;
        break;
    }
    (void)snprintf(pool->name, sizeof pool->name, "%s", label);
    (void)snprintf(pool->type_evidence, sizeof pool->type_evidence, "%s", disk->type_evidence);
    pool->type = disk->type;
}

void pool_open_describe(struct pool *pool, const struct assembly *assembly)
{
    if (pool->opened_once || assembly->n_members == 0)
        return;
    describe_by_disk(pool, assembly->members[0]);
    (void)copy_members(pool, assembly);
}

/* ---- on the loop: the result ---- */

static bool may_go_better(enum volume_problem problem)
{
    return problem == VOLUME_PROBLEM_FENCED || problem == VOLUME_PROBLEM_FINISH_FAILED ||
           problem == VOLUME_PROBLEM_PATH_TAKEN || problem == VOLUME_PROBLEM_MOUNT_FAILED ||
           problem == VOLUME_PROBLEM_INTERNAL;
}

static void refused(struct pool *pool, const struct pool_opening *opening)
{
    const struct err *err = &opening->base.err;
    char reason[POOL_REASON_MAX];
    (void)snprintf(reason, sizeof reason, "%s: %s", volume_problem_name(opening->problem),
                   err->message);
    /* First: that it will be tried again. Others look at the pool when it has moved. */
    if (may_go_better(opening->problem))
        pool_retry_later(pool, opening->problem == VOLUME_PROBLEM_FENCED);
    pool_move(pool,
              opening->problem == VOLUME_PROBLEM_FENCED ? POOL_EVENT_FENCED : POOL_EVENT_REFUSED,
              reason);
}

static void describe_by_volume(struct pool *pool, const struct volume_info *info)
{
    (void)snprintf(pool->name, sizeof pool->name, "%s", info->name);
    (void)snprintf(pool->type_evidence, sizeof pool->type_evidence, "%s", info->type_evidence);
    (void)snprintf(pool->path, sizeof pool->path, "%s", info->path);
    pool->type = info->disk_type;
    pool->quota_mode = volume_quota_name(info->quota);
    pool->created_us = info->created_us;
}

static void describe_unknown(const struct pool_opening *opening, char *out_text, size_t size)
{
    size_t used = 0;
    out_text[0] = '\0';
    if (opening->n_unknown > 0)
        used = (size_t)snprintf(out_text, size, "left alone %zu unknown:", opening->n_unknown);
    for (size_t i = 0; i < UNKNOWNS_LISTED_MAX && used < size; i++)
        if (opening->unknown[i])
            used += (size_t)snprintf(out_text + used, size - used, " %s", opening->unknown[i]);
}

static void opened(struct pool *pool, struct pool_opening *opening)
{
    char reason[POOL_REASON_MAX];
    const struct volume_info *info = volume_info(opening->volume);
    bool finished = info->finished;
    pool->volume = take_ptr(opening->volume);
    pool->opened_once = true;
    pool->cache_bound = opening->cache_bound;
    describe_by_volume(pool, info);
    pool_books_begin(pool, opening->found, opening->n_found);
    pool_books_apply(pool, &opening->survey);
    retry_reset(&pool->retry);
    boot_opened(&pool->node->boot);
    describe_unknown(opening, reason, sizeof reason);
    log_info("pool opened", "pool", pool->fsid, "adopted", info->adopted ? "yes" : "no", "spaces",
             log_u64(pool->n_live), "usable_bytes", log_u64(pool->ledger.usable_bytes));
    if (finished)
        events_tell_pool(pool, "pool.created", NULL);
    pool_move(pool, POOL_EVENT_OPENED, reason);
    for (size_t i = 0; finished && i < pool->n_members; i++)
        disks_probe(&pool->node->disks, pool->members[i].disk_id);
    reaper_kick(&pool->reaper);
}

static void open_done(struct pool_job *base)
{
    struct pool_opening *opening = container_of(base, struct pool_opening, base);
    struct pool *pool = base->pool;
    pool->moving = false;
    pool->opening = NULL;
    if (base->rc == 0)
        opened(pool, opening);
    else
        refused(pool, opening);
    opening_free(opening);
    pool_review(pool);
}

/* ---- on the loop: the beginning ---- */

static bool fill(struct pool_opening *opening, const struct pool *pool,
                 const struct assembly *assembly)
{
    const struct settings *settings = pool->node->settings;
    opening->mount_root = strdup(settings->mount_root);
    opening->cache_path = strdup(settings->cache_path);
    (void)snprintf(opening->fsid, sizeof opening->fsid, "%s", pool->fsid);
    bool whole = opening->mount_root && opening->cache_path;
    for (size_t i = 0; i < assembly->n_members; i++) {
        Storage__V1__Disk *disk = message_copy(&assembly->members[i]->base);
        opening->disks[i] = disk;
        opening->spec.n_members = i + 1;
        if (!disk)
            return false;
        opening->members[i] = (struct volume_member){
            .path = disk->path,
            .devid = disk->pool->devid,
            .serial = disk->serial,
            .disk_id = disk->id,
            .major = disk->major,
            .minor = disk->minor,
        };
        opening->spec.log_pending = opening->spec.log_pending || disk->pool->log_pending;
    }
    const Storage__V1__Disk *first = opening->disks[0];
    opening->spec.mount_root = opening->mount_root;
    opening->spec.cache_path = opening->cache_path;
    opening->spec.fsid = opening->fsid;
    opening->spec.label = first->pool->label;
    opening->spec.members = opening->members;
    opening->spec.unfinished = assembly->verdict == ASSEMBLY_UNFINISHED;
    opening->spec.disk_type = first->type;
    opening->spec.type_evidence = first->type_evidence;
    return whole;
}

static void cannot_begin(struct pool *pool, struct pool_opening *opening)
{
    if (opening)
        opening_free(opening);
    pool->moving = false;
    pool->opening = NULL;
    pool_retry_later(pool, false);
    pool_move(pool, POOL_EVENT_REFUSED, "no memory, or no thread, to open it");
}

void pool_open_go_on(struct pool *pool)
{
    struct pool_opening *opening = pool->opening;
    if (!opening || opening->base.pool || pool->reaper.running)
        return;
    opening->stale = take_ptr(pool->volume);
    opening->base.work = open_work;
    opening->base.done = open_done;
    opening->base.barrier = true;
    if (executor_submit(pool, &opening->base, NULL) < 0) {
        pool->volume = take_ptr(opening->stale);
        cannot_begin(pool, opening);
    }
}

void pool_open_cancel(struct pool *pool)
{
    if (!pool->opening || pool->opening->base.pool)
        return;
    opening_free(take_ptr(pool->opening));
    pool->moving = false;
}

void pool_open_begin(struct pool *pool, const struct assembly *assembly)
{
    describe_by_disk(pool, assembly->members[0]);
    if (!pool_move(pool, POOL_EVENT_COMPLETE, ""))
        return;
    pool->moving = true;
    pool->opening = calloc(1, sizeof *pool->opening);
    if (!pool->opening || !copy_members(pool, assembly) || !fill(pool->opening, pool, assembly)) {
        cannot_begin(pool, pool->opening);
        return;
    }
    pool_open_go_on(pool);
}
