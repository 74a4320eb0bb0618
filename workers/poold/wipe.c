/*
 * A wipe in order: check; wait until zdbd has ended the pool's 0-db, if it may have one; take the
 * pool from the node and end it, with its mount; have diskd wipe one disk after the other; answer.
 * The wipe owns the pool from the third step on, and frees it when it has ended. While its thread
 * hangs it never ends, and the call goes at its deadline.
 *
 * Whether a 0-db has ended is seen by the unmount alone. What zdbd says, and what it does not, only
 * tells when to try.
 */
#include "wipe.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cache.h"
#include "events.h"
#include "node.h"
#include "pool_end.h"
#include "rpc/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIPE_DISK_MS = 120000, RETRY_MS = 1000 };

struct pool_wipe {
    struct node *node;
    struct pool_wipe *next;
    struct pool *pool; /* until it has ended */
    bool leaving;      /* it is the node's still */
    char fsid[UUID_TEXT_SIZE];
    struct rpc_call *call;
    bool force;
    size_t n, n_wiped;
    char *ids[VOLUME_MEMBERS_MAX];
    Storage__V1__Disk *disks[VOLUME_MEMBERS_MAX]; /* as they are afterwards */
};

static struct pool_wipe *find(const struct node *node, const char *fsid)
{
    struct pool_wipe *wipe = node->wipes;
    while (wipe && strcmp(wipe->fsid, fsid) != 0)
        wipe = wipe->next;
    return wipe;
}

bool wipe_is_under_way(const struct node *node, const char *fsid)
{
    return fsid ? find(node, fsid) != NULL : node->wipes != NULL;
}

size_t wipe_count_ending(const struct node *node)
{
    size_t n = 0;
    for (const struct pool_wipe *wipe = node->wipes; wipe; wipe = wipe->next)
        n += wipe->pool && !wipe->leaving;
    return n;
}

void wipe_abandon(struct node *node)
{
    for (struct pool_wipe *wipe = node->wipes; wipe; wipe = wipe->next)
        if (wipe->pool && !wipe->leaving)
            pool_end_abandon(wipe->pool);
}

/* ---- the end ---- */

static void wipe_free(struct pool_wipe *wipe)
{
    for (size_t i = 0; i < wipe->n; i++)
        free(wipe->ids[i]);
    for (size_t i = 0; i < wipe->n_wiped; i++)
        storage__v1__disk__free_unpacked(wipe->disks[i], NULL);
    free(wipe);
}

/* Whatever became of the pool, it is looked at again. */
static void finish(struct pool_wipe *wipe, const struct err *err)
{
    struct node *node = wipe->node;
    struct pool_wipe **link = &node->wipes;
    while (*link != wipe)
        link = &(*link)->next;
    *link = wipe->next;
    if (err) {
        rpc_call_fail(wipe->call, err);
    } else {
        Storage__V1__WipePoolReply reply = STORAGE__V1__WIPE_POOL_REPLY__INIT;
        reply.n_disks = wipe->n_wiped;
        reply.disks = wipe->disks;
        events_tell(node, "pool.wiped", wipe->fsid, NULL);
        rpc_call_reply(wipe->call, &reply.base);
    }
    wipe_free(wipe);
    node_disks_changed(node);
}

/* ---- its disks ---- */

static void wipe_next(struct pool_wipe *wipe);

static void on_wiped(const struct rpc_result *result, void *data)
{
    struct pool_wipe *wipe = data;
    if (result->err->code != ERR_OK) {
        finish(wipe, result->err);
        return;
    }
    const Storage__V1__Disk *disk = (const Storage__V1__Disk *)result->output;
    wipe->disks[wipe->n_wiped] = message_copy(&disk->base);
    if (!wipe->disks[wipe->n_wiped]) {
        autoerr struct err err = {0};
        (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, wipe->fsid,
                      "%s is wiped, but there is no memory to go on: wipe the pool again",
                      disk->id);
        finish(wipe, &err);
        return;
    }
    wipe->n_wiped++;
    disks_learn(&wipe->node->disks, disk);
    wipe_next(wipe);
}

static void wipe_next(struct pool_wipe *wipe)
{
    autoerr struct err err = {0};
    Storage__V1__WipeRequest request = STORAGE__V1__WIPE_REQUEST__INIT;
    const struct rpc_call_options options = {.deadline_ms = WIPE_DISK_MS, .wait = true};
    if (wipe->n_wiped == wipe->n) {
        finish(wipe, NULL);
        return;
    }
    request.id = wipe->ids[wipe->n_wiped];
    request.pool = wipe->fsid;
    if (rpc_client_call(wipe->node->disks.client, &storage__v1__disk_service__descriptor, "Wipe",
                        &request.base, &options, on_wiped, wipe, &err) < 0)
        finish(wipe, &err);
}

/* ---- its pool ---- */

static int refuse_stopping(const struct pool_wipe *wipe, struct err *err)
{
    int rc = err_set(err, ERR_UNAVAILABLE, 0, wipe->fsid, "poold is stopping; nothing was written");
    err_retryable(err, RETRY_MS);
    return rc;
}

static void on_given_up(struct pool *pool, void *data)
{
    struct pool_wipe *wipe = data;
    struct node *node = wipe->node;
    autoerr struct err err = {0};
    wipe->pool = NULL;
    if (node->stop.begun) {
        (void)refuse_stopping(wipe, &err);
    } else if (*pool->ending.left) {
        (void)err_set(&err, ERR_FAILED_PRECONDITION, 0, wipe->fsid,
                      "the pool cannot be given up; nothing was written");
        err_hint(&err,
                 "end who uses it, or save what storaged did not make there: `force` wipes that "
                 "too");
        err_blocker(&err, "%s", pool->ending.left);
    }
    pool_free(pool);
    if (err.code == ERR_OK) {
        boot_give_up(&node->boot); /* first: from the first byte on it is wiped */
        wipe_next(wipe);
        return;
    }
    finish(wipe, &err);
    if (node->stop.begun)
        stop_pool_ended(node, "");
}

static void give_up(struct pool_wipe *wipe)
{
    wipe->leaving = false;
    node_take_pool(wipe->node, wipe->pool);
    pool_end(wipe->pool, wipe->force ? POOL_END_UNMOUNTED : POOL_END_EMPTY, on_given_up, wipe);
}

/* ---- its 0-db ---- */

static void on_patience(uv_timer_t *timer)
{
    const struct pool *pool = timer->data;
    log_warning("zdbd does not say that the 0-db of a pool has ended; trying to wipe it", "pool",
                pool->fsid);
    give_up(find(pool->node, pool->fsid));
}

static void leave(struct pool_wipe *wipe)
{
    struct pool *pool = wipe->pool;
    wipe->leaving = true;
    (void)uv_timer_start(&pool->patience, on_patience, wipe->node->settings->stop_ms, 0);
    pool_move(pool, POOL_EVENT_LEAVES, "it is to be wiped");
}

void wipe_home_left(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__LeaveHomeRequest *request = input;
    struct pool_wipe *wipe = find(node, request->pool);
    if (!wipe && !node_find_pool(node, request->pool)) {
        rpc_call_refuse(call, ERR_NOT_FOUND, request->pool, "there is no pool %s", request->pool);
        return;
    }
    Storage__V1__LeaveHomeReply reply = STORAGE__V1__LEAVE_HOME_REPLY__INIT;
    rpc_call_reply(call, &reply.base);
    if (wipe && wipe->leaving)
        give_up(wipe);
}

void wipe_refuse_leaving(struct node *node)
{
    for (struct pool_wipe *wipe = node->wipes, *next; wipe; wipe = next) {
        autoerr struct err err = {0};
        next = wipe->next;
        if (!wipe->leaving)
            continue;
        (void)refuse_stopping(wipe, &err);
        finish(wipe, &err);
    }
}

/* ---- the beginning ---- */

static int refuse_spaces(struct pool *pool, struct err *err)
{
    int rc = err_set(err, ERR_FAILED_PRECONDITION, 0, pool->fsid,
                     "the pool %s has %u spaces and %u bookings; nothing was written", pool->fsid,
                     pool->n_live, pool->n_bookings);
    err_hint(err,
             "release them first: `storagectl space list` and `storagectl namespace list` show "
             "them by pool; the id of a booking is its namespace's");
    for (size_t i = 0; i < order_count(&pool->objects); i++) {
        const struct space *space = order_at(&pool->objects, i);
        if (space->record.kind == RECORD_KIND_SPACE && space->record.state == RECORD_STATE_LIVE)
            err_blocker(err, "space %s%s%s", space->record.id,
                        *space->record.name ? ", named " : "", space->record.name);
    }
    struct index *bookings = &pool->node->bookings;
    for (size_t i = 0; i < index_count(bookings); i++) {
        const struct space *booking = index_at(bookings, i);
        if (booking->pool == pool)
            err_blocker(err, "booking %s", booking->record.id);
    }
    return rc;
}

static int check(struct pool *pool, bool force, struct err *err)
{
    bool mounted = pool_is_mounted(pool);
    if (pool->moving || pool->n_calls > 0) {
        (void)err_set(err, ERR_ABORTED, 0, pool->fsid, "the pool %s is busy; nothing was written",
                      pool->fsid);
        err_retryable(err, RETRY_MS);
        return -ERR_ABORTED;
    }
    if (pool->state == POOL_FENCED || pool->state == POOL_DUPLICATE)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, pool->fsid,
                       "the pool %s is %s: %s; nothing was written", pool->fsid,
                       pool_state_name(pool->state), pool->reason);
    if (pool->n_live + pool->n_bookings > 0 && (mounted || !force))
        return refuse_spaces(pool, err);
    if (mounted || force)
        return 0;
    (void)err_set(err, ERR_FAILED_PRECONDITION, 0, pool->fsid,
                  "the pool %s is %s, so nobody knows what is on it: %s; nothing was written",
                  pool->fsid, pool_state_name(pool->state), pool->reason);
    err_hint(err, "`force` wipes it all the same");
    return -ERR_FAILED_PRECONDITION;
}

/* Each disk that carries a part of it; all of them must be there. */
static int find_disks(struct pool_wipe *wipe, struct err *err)
{
    const struct disks *disks = &wipe->node->disks;
    uint64_t wanted = 1;
    for (size_t i = 0; i < disks->n; i++) {
        const Storage__V1__Disk *disk = disks->list[i];
        if (!disk->pool || strcmp(disk->pool->fsid, wipe->fsid) != 0)
            continue;
        wanted = disk->pool->num_devices;
        if (wipe->n < VOLUME_MEMBERS_MAX && !(wipe->ids[wipe->n++] = strdup(disk->id)))
            return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, wipe->fsid, "no memory to wipe it");
    }
    if (wipe->n == wanted || (wipe->n > 0 && wipe->force))
        return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, 0, wipe->fsid,
                   "%zu of the %llu disks of the pool are there; nothing was written", wipe->n,
                   (unsigned long long)wanted);
}

static int begin(struct node *node, const Storage__V1__WipePoolRequest *request,
                 struct rpc_call *call, struct err *err)
{
    if (wipe_is_under_way(node, request->id))
        return err_set(err, ERR_ABORTED, 0, request->id, "the pool %s is being wiped", request->id);
    struct pool *pool = node_find_pool(node, request->id);
    if (!pool)
        return err_set(err, ERR_NOT_FOUND, 0, request->id, "there is no pool %s", request->id);
    int rc = check(pool, request->force, err);
    if (rc < 0)
        return rc;
    struct pool_wipe *wipe = calloc(1, sizeof *wipe);
    if (!wipe)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, pool->fsid, "no memory to wipe it");
    *wipe = (struct pool_wipe){.node = node, .call = call, .force = request->force};
    memcpy(wipe->fsid, pool->fsid, sizeof wipe->fsid);
    rc = find_disks(wipe, err);
    if (rc < 0) {
        wipe_free(wipe);
        return rc;
    }
    wipe->next = node->wipes;
    node->wipes = wipe;
    wipe->pool = pool;
    cache_leave(&node->cache, pool);
    if (pool->home.space && pool_is_mounted(pool))
        leave(wipe);
    else
        give_up(wipe);
    return 0;
}

void wipe_pool(struct node *node, const void *input, struct rpc_call *call)
{
    autoerr struct err err = {0};
    if (begin(node, input, call, &err) < 0)
        rpc_call_fail(call, &err);
}
