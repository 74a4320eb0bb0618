/*
 * storagectl status: the whole node on one page, also when half of it is down. Only storaged itself
 * must run: a worker that is not READY is not asked, and what it would have told is left out. What
 * is wrong comes last, a line each.
 */
#include "command.h"

#include "base/cleanup.h"
#include "text.h"
#include "value.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { TYPES = 2 };

struct status {
    Storage__V1__ControlReply *control;
    struct rows disks, pools;
    bool has_disks, has_pools;
    Storage__V1__CacheInfo *cache;
    Storage__V1__CapacityReply *capacity[TYPES];
    size_t n_capacity;
    Storage__V1__ZDBListReply *zdb;
    char **problems;
    size_t n_problems;
};

static void status_free(struct status *status)
{
    storage_free(status->control);
    rows_free(&status->disks);
    rows_free(&status->pools);
    storage_free(status->cache);
    for (size_t i = 0; i < status->n_capacity; i++)
        storage_free(status->capacity[i]);
    storage_free(status->zdb);
    for (size_t i = 0; i < status->n_problems; i++)
        free(status->problems[i]);
    free(status->problems);
}

/* One that cannot be kept for lack of memory is left out. */
static void add_problem(struct status *status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void add_problem(struct status *status, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int length = vasprintf(&text, fmt, ap);
    va_end(ap);
    char **grown =
        length < 0 ? NULL : reallocarray(status->problems, status->n_problems + 1, sizeof *grown);
    if (!grown) {
        if (length >= 0)
            free(text);
        return;
    }
    status->problems = grown;
    status->problems[status->n_problems++] = text;
}

/* --- asking ---------------------------------------------------------------------------------- */

/* NULL where storaged runs none. */
static const Storage__V1__Worker *find_worker(const struct status *status, const char *name)
{
    const Storage__V1__WorkerListReply *list = status->control->list;
    for (size_t i = 0; i < list->n_workers; i++)
        if (strcmp(list->workers[i]->name, name) == 0)
            return list->workers[i];
    return NULL;
}

static bool is_ready(const struct status *status, const char *name)
{
    const Storage__V1__Worker *worker = find_worker(status, name);
    return worker && worker->state == STORAGE__V1__WORKER_STATE__WORKER_STATE_READY;
}

/* True if it went well; else it becomes a problem. */
static bool went_well(struct status *status, const char *worker, int rc, const struct err *err)
{
    if (rc < 0)
        add_problem(status, "%s does not answer: %s", worker, err->message);
    return rc == 0;
}

static void ask_diskd(struct session *session, struct status *status)
{
    autoerr struct err err = {0};
    Storage__V1__DiskListRequest list = STORAGE__V1__DISK_LIST_REQUEST__INIT;
    if (!is_ready(status, "diskd"))
        return;
    int rc = session_list(session, "storage.v1.DiskService/List", &list.base, "disks",
                          &status->disks, &err);
    status->has_disks = went_well(status, "diskd", rc, &err);
}

static void ask_poold(struct session *session, struct status *status)
{
    static const Storage__V1__DiskType types[TYPES] = {STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD,
                                                       STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD};
    autoerr struct err err = {0};
    Storage__V1__ListPoolsRequest list = STORAGE__V1__LIST_POOLS_REQUEST__INIT;
    Storage__V1__CacheRequest cache = STORAGE__V1__CACHE_REQUEST__INIT;
    if (!is_ready(status, "poold"))
        return;
    int rc = session_list(session, "storage.v1.PoolService/ListPools", &list.base, "pools",
                          &status->pools, &err);
    status->has_pools = went_well(status, "poold", rc, &err);
    if (!status->has_pools)
        return;
    rc = session_call(session, "storage.v1.PoolService/Cache", &cache, &status->cache, &err);
    (void)went_well(status, "poold", rc, &err);
    for (size_t i = 0; i < TYPES && rc == 0; i++) {
        rc = capacity_ask(session, types[i], &status->capacity[i], &err);
        if (rc == 0)
            status->n_capacity++;
    }
}

static void ask_zdbd(struct session *session, struct status *status)
{
    autoerr struct err err = {0};
    Storage__V1__ZDBListRequest list = STORAGE__V1__ZDBLIST_REQUEST__INIT;
    if (!is_ready(status, "zdbd"))
        return;
    int rc = session_call(session, "storage.v1.ZDBService/List", &list, &status->zdb, &err);
    (void)went_well(status, "zdbd", rc, &err);
}

/* --- what is wrong --------------------------------------------------------------------------- */

/* "ok", also when it goes on: "ok; the 0-db run without: io.weight". */
static bool says_ok(const char *status)
{
    return strncmp(status, "ok", 2) == 0 && (!status[2] || status[2] == ';');
}

static void judge_workers(struct status *status)
{
    const Storage__V1__WorkerListReply *list = status->control->list;
    for (size_t i = 0; i < list->n_workers; i++) {
        const Storage__V1__Worker *worker = list->workers[i];
        char state[64];
        if (worker->state != STORAGE__V1__WORKER_STATE__WORKER_STATE_READY)
            add_problem(
                status, "%s is not ready (%s)%s%s", worker->name,
                value_enum_name(&storage__v1__worker_state__descriptor, (int)worker->state, state),
                *worker->exit_reason ? ": " : "", worker->exit_reason);
        else if (*worker->status && !says_ok(worker->status))
            add_problem(status, "%s: %s", worker->name, worker->status);
        for (size_t j = 0; j < worker->n_stuck; j++)
            add_problem(status, "%s: a former process, pid %d, hangs in %s", worker->name,
                        worker->stuck[j]->pid, worker->stuck[j]->where);
    }
}

static void judge_disks(struct status *status)
{
    for (size_t i = 0; i < status->disks.n; i++) {
        const Storage__V1__Disk *disk = (const Storage__V1__Disk *)status->disks.rows[i];
        if (disk->state == STORAGE__V1__DISK_STATE__DISK_STATE_BROKEN ||
            disk->state == STORAGE__V1__DISK_STATE__DISK_STATE_DUPLICATE)
            add_problem(status, "disk %s: %s", disk->path, disk->reason);
    }
}

static void judge_pools(struct status *status)
{
    for (size_t i = 0; i < status->pools.n; i++) {
        const Storage__V1__PoolInfo *pool = (const Storage__V1__PoolInfo *)status->pools.rows[i];
        char state[64];
        if (pool->state != STORAGE__V1__POOL_STATE__POOL_STATE_MOUNTED)
            add_problem(
                status, "pool %s is %s: %s", *pool->name ? pool->name : pool->id,
                value_enum_name(&storage__v1__pool_state__descriptor, (int)pool->state, state),
                pool->reason);
    }
    if (status->cache && !status->cache->mounted)
        add_problem(status, "the cache is not mounted: %s", status->cache->reason);
}

static void judge_zdb(struct status *status)
{
    for (size_t i = 0; status->zdb && i < status->zdb->n_instances; i++) {
        const Storage__V1__ZDBInstance *instance = status->zdb->instances[i];
        if (instance->state == STORAGE__V1__ZDBSTATE__ZDB_STATE_WAITING)
            add_problem(status, "the 0-db of pool %s is down: %s; tried again in %u ms",
                        instance->pool, instance->reason, instance->retry_in_ms);
    }
}

/* --- printing -------------------------------------------------------------------------------- */

static void print_json(const struct session *session, const struct status *status)
{
    struct json json = {.out = session->out};
    const Storage__V1__WorkerListReply *list = status->control->list;
    json_open(&json, NULL, '{');
    json_bool(&json, "healthy", status->n_problems == 0);
    json_open(&json, "problems", '[');
    for (size_t i = 0; i < status->n_problems; i++)
        json_text(&json, NULL, status->problems[i]);
    json_close(&json, '[');
    json_i64(&json, "supervisor_pid", list->supervisor_pid);
    json_open(&json, "workers", '[');
    for (size_t i = 0; i < list->n_workers; i++)
        json_message(&json, NULL, &list->workers[i]->base);
    json_close(&json, '[');
    json_open(&json, "disks", '[');
    for (size_t i = 0; i < status->disks.n; i++)
        json_message(&json, NULL, status->disks.rows[i]);
    json_close(&json, '[');
    json_open(&json, "pools", '[');
    for (size_t i = 0; i < status->pools.n; i++)
        json_message(&json, NULL, status->pools.rows[i]);
    json_close(&json, '[');
    json_message(&json, "cache", status->cache ? &status->cache->base : NULL);
    json_open(&json, "capacity", '[');
    for (size_t i = 0; i < status->n_capacity; i++)
        json_message(&json, NULL, &status->capacity[i]->base);
    json_close(&json, '[');
    json_open(&json, "zdb", '[');
    for (size_t i = 0; status->zdb && i < status->zdb->n_instances; i++)
        json_message(&json, NULL, &status->zdb->instances[i]->base);
    json_close(&json, '[');
    json_close(&json, '{');
}

static int print_section(const char *title, bool known, const struct column *columns,
                         const ProtobufCMessage *const *rows, size_t n, FILE *out, struct err *err)
{
    (void)fprintf(out, "\n%s\n", title);
    if (known && n > 0)
        return table_print(columns, rows, n, out, err);
    (void)fputs(known ? "none\n" : "not known: its worker is down\n", out);
    return 0;
}

static void print_cache(const Storage__V1__CacheInfo *cache, FILE *out)
{
    static const char *const fields[] = {"path", "used_bytes", "limit_bytes", "pool"};
    static const char *const before[] = {"on ", ", ", " used of ", ", in pool "};
    (void)fputs("\nCACHE\n", out);
    if (!cache || !cache->mounted) {
        (void)fputs(cache ? "not mounted\n" : "not known: its worker is down\n", out);
        return;
    }
    for (size_t i = 0; i < array_length(fields); i++) {
        autofree char *text = value_text(&cache->base, fields[i]);
        (void)fprintf(out, "%s%s", before[i], text ? text : "?");
    }
    (void)fputc('\n', out);
}

static int print_zdb(const Storage__V1__ZDBListReply *zdb, FILE *out, struct err *err)
{
    return print_section("0-DB", zdb, zdb_columns,
                         zdb ? (const ProtobufCMessage *const *)zdb->instances : NULL,
                         zdb ? zdb->n_instances : 0, out, err);
}

static void print_problems(const struct status *status, FILE *out)
{
    (void)fprintf(out, "\n%s\n", status->n_problems ? "DEGRADED" : "All is well.");
    for (size_t i = 0; i < status->n_problems; i++) {
        (void)fputs("- ", out);
        text_print(status->problems[i], out);
        (void)fputc('\n', out);
    }
}

static int print_page(const struct session *session, const struct status *status, struct err *err)
{
    FILE *out = session->out;
    const Storage__V1__WorkerListReply *list = status->control->list;
    (void)fprintf(out, "WORKERS of storaged, pid %d\n", list->supervisor_pid);
    int rc = table_print(worker_columns, (const ProtobufCMessage *const *)list->workers,
                         list->n_workers, out, err);
    if (rc == 0)
        rc = print_section("DISKS", status->has_disks, disk_columns, status->disks.rows,
                           status->disks.n, out, err);
    if (rc == 0)
        rc = print_section("POOLS", status->has_pools, pool_columns, status->pools.rows,
                           status->pools.n, out, err);
    if (rc < 0)
        return rc;
    print_cache(status->cache, out);
    rc = print_section("CAPACITY", status->n_capacity > 0, capacity_columns,
                       (const ProtobufCMessage *const *)status->capacity, status->n_capacity, out,
                       err);
    if (rc == 0 && find_worker(status, "zdbd"))
        rc = print_zdb(status->zdb, out, err);
    print_problems(status, out);
    return rc;
}

static int run(struct session *session, struct err *err)
{
    __attribute__((cleanup(status_free))) struct status status = {0};
    int rc = session_workers(session, &status.control, err);
    if (rc < 0)
        return rc;
    ask_diskd(session, &status);
    ask_poold(session, &status);
    ask_zdbd(session, &status);
    judge_workers(&status);
    judge_disks(&status);
    judge_pools(&status);
    judge_zdb(&status);
    if (!session->json)
        return print_page(session, &status, err);
    print_json(session, &status);
    return 0;
}

static const struct verb verbs[] = {
    {.help = "the whole node on one page", .impatient = true, .run = run},
    {0},
};

const struct command command_status = {
    .noun = "status",
    .help = "Workers, disks, pools, cache, capacity, 0-db, and what is wrong with them.\n"
            "Exits with 0 when storaged runs, however its workers are.",
    .verbs = verbs};
