/* Pools: what poold says of them decides whether their 0-db runs. */
#include "pool.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "describe.h"
#include "gates.h"
#include "node.h"
#include "order.h"
#include "reconcile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RETRY_AFTER_MS = 1000 };

#define STATE(name) STORAGE__V1__POOL_STATE__POOL_STATE_##name

static size_t position(const struct node *node, const char *id)
{
    size_t at = 0;
    while (at < node->n_pools && strcmp(node->pools[at]->id, id) < 0)
        at++;
    return at;
}

struct pool *pool_find(const struct node *node, const char *id)
{
    size_t at = position(node, id);
    return at < node->n_pools && strcmp(node->pools[at]->id, id) == 0 ? node->pools[at] : NULL;
}

/* ---- its 0-db ---- */

static void on_changed(struct instance *instance, Storage__V1__ZDBState was, void *data)
{
    struct pool *pool = data;
    bool up = instance_is_up(instance);
    if (up && was != STORAGE__V1__ZDBSTATE__ZDB_STATE_UP) {
        pool->agreed = false;
        tell_instance(pool, "zdb.up", NULL);
    } else if (!up && was == STORAGE__V1__ZDBSTATE__ZDB_STATE_UP) {
        pool->agreed = false;
        tell_instance(pool, "zdb.down", instance_reason(instance));
    }
    if (pool->node->restarting == pool && up)
        pool->node->restarting = NULL;
    pool_review(pool);
    orders_pool_changed(pool);
    node_report(pool->node);
    node_stop_review(pool->node);
}

static void on_told(struct instance *instance, const char *topic, const char *reason, void *data)
{
    (void)instance;
    tell_instance(data, topic, reason);
}

static int on_launch(struct instance *instance, int *out_fd, void *data, struct err *err)
{
    (void)instance;
    return gates_list(data, out_fd, err);
}

struct pool *pool_obtain(struct node *node, const char *id)
{
    static const struct instance_callbacks callbacks = {
        .changed = on_changed, .told = on_told, .gates = on_launch};
    autoerr struct err err = {0};
    struct pool *pool = pool_find(node, id);
    if (pool || !uuid_valid(id))
        return pool;
    if (node->n_pools < array_length(node->pools))
        pool = calloc(1, sizeof *pool);
    if (!pool) {
        log_error("a pool is not considered: no memory, or too many", "pool", id);
        return NULL;
    }
    pool->node = node;
    (void)snprintf(pool->id, sizeof pool->id, "%s", id);
    struct instance_callbacks ours = callbacks;
    ours.data = pool;
    if (instance_new(node->loop, node->settings, id, &ours, &pool->instance, &err) < 0) {
        log_err(LOG_ERROR, "a pool is not considered", &err);
        free(pool);
        return NULL;
    }
    size_t at = position(node, id);
    memmove(&node->pools[at + 1], &node->pools[at], (node->n_pools - at) * sizeof(struct pool *));
    node->pools[at] = pool;
    node->n_pools++;
    return pool;
}

void pool_free(struct pool *pool)
{
    free(pool);
}

/* ---- what poold says ---- */

bool pool_is_mounted(const struct pool *pool)
{
    return pool->state == STATE(MOUNTED) || pool->state == STATE(READ_ONLY);
}

void pool_learn(struct pool *pool, const Storage__V1__PoolInfo *info)
{
    if (!info) {
        pool->state = STATE(UNSPECIFIED);
        (void)snprintf(pool->reason, sizeof pool->reason, "no disk of this node carries it");
        return;
    }
    pool->state = info->state;
    pool->opened_once |= pool_is_mounted(pool);
    pool->disk_type = info->disk_type;
    (void)snprintf(pool->reason, sizeof pool->reason, "%s", info->reason);
}

/* It needs nothing but time. */
static bool is_pending(const struct pool *pool)
{
    return pool->state == STATE(OPENING) || pool->state == STATE(FENCED);
}

/* One that has failed is not waited for, as poold does not. */
static bool may_open(const struct pool *pool)
{
    return is_pending(pool) || pool->state == STATE(INCOMPLETE) || pool->state == STATE(DUPLICATE);
}

int pools_check_known(const struct node *node, const char *object, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < node->n_pools; i++) {
        const struct pool *pool = node->pools[i];
        if (pool->opened_once || !may_open(pool))
            continue;
        if (rc == 0)
            rc = err_set(err, ERR_UNAVAILABLE, 0, object, "it may be on a pool that is not open");
        if (is_pending(pool))
            err_retryable(err, RETRY_AFTER_MS);
        err_blocker(err, "pool %s: %s", pool->id,
                    *pool->reason ? pool->reason : "it is being opened");
    }
    return rc;
}

void pool_learn_home(struct pool *pool, const Storage__V1__BookingHome *home)
{
    if (!*home->path || home->uid == 0)
        return;
    (void)snprintf(pool->home, sizeof pool->home, "%s", home->path);
    pool->uid = home->uid;
    pool->gid = home->gid;
}

/* ---- reviews ---- */

bool pool_serves_zdb(const struct pool *pool)
{
    const char *type = pool->disk_type == STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD ? "ssd" : "hdd";
    for (char *const *at = pool->node->settings->zdb_disk_types; *at; at++)
        if (strcasecmp(*at, type) == 0)
            return true;
    return false;
}

/* The same node gives the same pool the same number first, and two pools are rarely given the same.
 */
static uint16_t propose_port(const struct pool *pool)
{
    const struct settings_range *ports = &pool->node->settings->zdb_ports;
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *at = pool->id; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    return (uint16_t)(ports->first + hash % (ports->last - ports->first + 1));
}

static void on_home(const struct rpc_result *result, void *data)
{
    struct pool *pool = data;
    pool->asked_for_home = false;
    if (result->err->code != ERR_OK) {
        log_err(LOG_WARNING, "a pool gets no 0-db yet", result->err);
        return;
    }
    pool_learn_home(pool, (const Storage__V1__BookingHome *)result->output);
    pool_review(pool);
}

/* One that shall run before anything is booked. */
static void ask_for_home(struct pool *pool)
{
    autoerr struct err err = {0};
    Storage__V1__MakeHomeRequest request = STORAGE__V1__MAKE_HOME_REQUEST__INIT;
    request.pool = pool->id;
    if (pool->asked_for_home)
        return;
    pool->asked_for_home = books_call(&pool->node->books, "MakeHome", &request.base,
                                      ORDER_OWN_DEADLINE_MS, on_home, pool, &err) == 0;
}

static void on_home_left(const struct rpc_result *result, void *data)
{
    struct pool *pool = data;
    pool->leaving_home = false;
    if (result->err->code != ERR_OK)
        log_err(LOG_WARNING, "poold does not hear that a pool has no 0-db", result->err);
}

/* Its wipe waits for that. */
static void leave_home(struct pool *pool)
{
    autoerr struct err err = {0};
    Storage__V1__LeaveHomeRequest request = STORAGE__V1__LEAVE_HOME_REQUEST__INIT;
    request.pool = pool->id;
    if (pool->leaving_home ||
        instance_state(pool->instance) != STORAGE__V1__ZDBSTATE__ZDB_STATE_IDLE)
        return;
    pool->leaving_home = books_call(&pool->node->books, "LeaveHome", &request.base,
                                    ORDER_OWN_DEADLINE_MS, on_home_left, pool, &err) == 0;
}

void pool_review_need(struct pool *pool)
{
    if (pool->node->stop_begun)
        return;
    /* While poold does not know the pool, or is about to open it, what runs goes on. */
    bool gone = pool->state == STATE(FAILED);
    bool always = pool->node->settings->zdb_always;
    bool needed = (pool->n_namespaces > 0 || always) && pool_serves_zdb(pool);
    if (gone) {
        instance_unwant(pool->instance, "its pool has failed");
    } else if (pool->state == STATE(LEAVING)) {
        instance_unwant(pool->instance, "its pool is to be wiped");
        leave_home(pool);
    } else if (pool_is_mounted(pool) && !needed) {
        instance_unwant(pool->instance, pool_serves_zdb(pool)
                                            ? "nothing is booked on its pool"
                                            : "its pool's type serves none ([zdb] disk_types)");
    } else if (pool_is_mounted(pool) && *pool->home) {
        const struct process_home home = {.pool = pool->id,
                                          .path = pool->home,
                                          .uid = pool->uid,
                                          .gid = pool->gid,
                                          .port = propose_port(pool)};
        instance_want(pool->instance, &home);
    } else if (pool_is_mounted(pool)) {
        ask_for_home(pool);
    }
}

void pool_review(struct pool *pool)
{
    struct node *node = pool->node;
    if (node->stop_begun)
        return;
    pool_review_need(pool);
    reconcile_review(pool);
    for (size_t i = 0; i < node->namespaces.n; i++)
        if (node->namespaces.by_id[i]->pool == pool)
            tell_state(node->namespaces.by_id[i]);
}

int pool_check_up(const struct pool *pool, struct err *err)
{
    if (!pool_is_mounted(pool)) {
        int rc = err_set(err, ERR_UNAVAILABLE, 0, pool->id, "the pool %s is not mounted%s%s",
                         pool->id, *pool->reason ? ": " : "", pool->reason);
        if (is_pending(pool))
            err_retryable(err, RETRY_AFTER_MS);
        return rc;
    }
    if (!pool->instance)
        return err_set(err, ERR_UNAVAILABLE, 0, pool->id, "zdbd is stopping");
    if (!pool_serves_zdb(pool))
        return err_set(err, ERR_UNAVAILABLE, 0, pool->id,
                       "the pool %s is of a type that serves no 0-db ([zdb] disk_types)", pool->id);
    return instance_check_up(pool->instance, err);
}
