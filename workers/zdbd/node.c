/*
 * The node: adopts, dials, tidies, stops. Orders that nobody asked for run a limited number at a
 * time, and one that failed is not begun again before the retry timer says so.
 */
#include "node.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "describe.h"
#include "imports.h"
#include "order.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    TIDY_LEAST_MS = 500,
    TIDY_MOST_MS = 30000,
    TIDY_ORDERS_MAX = 256,
    STOP_MARGIN_MS = 1500, /* of the supervisor's patience, for what follows */
    RUN_DIR_MODE = 0711,
};

/* ---- tidying ---- */

static bool tidy_one(struct node *node, struct namespace *space)
{
    if (space->order || !space->pool || space->strange || !pool_is_mounted(space->pool) ||
        !instance_is_up(space->pool->instance))
        return false;
    if (space->phase == NAMESPACE_UNDONE || space->phase == NAMESPACE_DYING)
        end_begin(node, space);
    else if (space->phase == NAMESPACE_LIVE && space->misaligned &&
             space->presence != NAMESPACE_MISSING)
        align_begin(node, space);
    else
        return false;
    return true;
}

/* An order may end at once and take its namespace out of the list: so by id. */
void node_tidy(struct node *node)
{
    char id[UUID_TEXT_SIZE] = "";
    node->tidy_more = false;
    for (;;) {
        size_t at = namespaces_after(&node->namespaces, id);
        if (at == node->namespaces.n || node->stop_begun)
            return;
        if (node->n_orders >= TIDY_ORDERS_MAX) {
            node->tidy_more = true;
            return;
        }
        struct namespace *space = node->namespaces.by_id[at];
        memcpy(id, space->id, sizeof id);
        (void)tidy_one(node, space);
    }
}

static void on_tidy(void *data)
{
    node_tidy(data);
}

static void on_soon(uv_timer_t *timer)
{
    node_tidy(timer->data);
}

void node_tidy_soon(struct node *node)
{
    if (!node->stop_begun)
        (void)uv_timer_start(&node->soon, on_soon, 0, 0);
}

void node_order_ended(struct node *node)
{
    if (node->tidy_more && node->n_orders < TIDY_ORDERS_MAX / 2)
        node_tidy_soon(node);
}

/* ---- its state ---- */

static void add_missing(char *text, size_t size, const Storage__V1__ZDBInstance *described)
{
    for (size_t i = 0; i < described->n_missing; i++) {
        size_t used = strlen(text);
        if (!strstr(text, described->missing[i]))
            (void)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                           described->missing[i]);
    }
}

void node_report(struct node *node)
{
    const struct pool *down = NULL;
    size_t n_down = 0;
    char missing[ERR_MESSAGE_MAX] = "";
    if (node->stop_begun)
        return;
    for (size_t i = 0; i < node->n_pools; i++) {
        const struct pool *pool = node->pools[i];
        Storage__V1__ZDBInstance described;
        describe_instance(pool, &described);
        add_missing(missing, sizeof missing, &described);
        if (pool->n_namespaces == 0 || instance_is_up(pool->instance))
            continue;
        down = pool;
        n_down++;
    }
    if (!node->books.known)
        worker_status(node->worker, "degraded: poold was not heard of yet");
    else if (n_down > 0)
        worker_status(node->worker, "degraded: %zu 0-db are not up: of pool %s: %s", n_down,
                      down->id, instance_reason(down->instance));
    else if (*missing)
        worker_status(node->worker, "ok; the 0-db run without: %s", missing);
    else
        worker_status(node->worker, "ok");
}

/* ---- the start ---- */

static int adopt_one(struct node *node, const char *id)
{
    autoerr struct err err = {0};
    struct pool *pool = pool_obtain(node, id);
    int rc = pool ? instance_adopt(pool->instance, &err) : -ERR_RESOURCE_EXHAUSTED;
    if (rc < 0 && rc != -ERR_NOT_FOUND)
        log_err(LOG_WARNING, "a 0-db is not adopted", &err);
    return rc;
}

static int adopt_all(struct node *node, struct err *err)
{
    autofree char *path = NULL;
    if (asprintf(&path, "%s/zdb", node->settings->run_dir) < 0) {
        path = NULL;
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, "zdb", "no memory for a path");
    }
    if (mkdir(path, RUN_DIR_MODE) < 0 && errno != EEXIST)
        return err_errno(err, errno, path, "cannot make the directory %s", path);
    autodir DIR *dir = opendir(path);
    if (!dir)
        return err_errno(err, errno, path, "cannot read the directory %s", path);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (uuid_valid(entry->d_name))
            (void)adopt_one(node, entry->d_name);
    return 0;
}

int node_open(struct node *node, struct worker *worker, struct err *err)
{
    node->worker = worker;
    node->settings = worker->settings;
    node->loop = worker->loop;
    gate_init(&node->gate, node, "zdbd");
    retry_init(&node->tidy, node->loop, TIDY_LEAST_MS, TIDY_MOST_MS, on_tidy, node);
    (void)uv_timer_init(node->loop, &node->soon);
    (void)uv_timer_init(node->loop, &node->stopping);
    node->soon.data = node->stopping.data = node;
    instance_set_patience(worker->settings);
    int rc = adopt_all(node, err);
    if (rc == 0)
        rc = services_add(&node->services, node, err);
    if (rc == 0)
        rc = books_open(&node->books, node, err);
    if (rc == 0)
        node_report(node);
    return rc;
}

/* ---- the stop ---- */

static void finish(struct node *node)
{
    char left[ERR_MESSAGE_MAX] = "";
    node->stop_done = true;
    orders_cancel_waiting(node);
    orders_close_importers(node);
    imports_close(node);
    books_close(&node->books);
    uv_close((uv_handle_t *)&node->soon, NULL);
    uv_close((uv_handle_t *)&node->stopping, NULL);
    for (size_t i = 0; i < node->n_pools; i++) {
        struct pool *pool = node->pools[i];
        bool idle = instance_state(pool->instance) == STORAGE__V1__ZDBSTATE__ZDB_STATE_IDLE;
        size_t used = strlen(left);
        if (!idle && node->stop_how == WORKER_SHUTDOWN)
            (void)snprintf(left + used, sizeof left - used, "%sthe 0-db of pool %s: %s",
                           used ? "\n" : "", pool->id, instance_reason(pool->instance));
        instance_close(take_ptr(pool->instance));
    }
    worker_stopped(node->worker, left);
}

void node_stop_review(struct node *node)
{
    if (!node->stop_begun || node->stop_done)
        return;
    for (size_t i = 0; i < node->n_pools; i++)
        if (instance_state(node->pools[i]->instance) != STORAGE__V1__ZDBSTATE__ZDB_STATE_IDLE)
            return;
    finish(node);
}

static void on_stop_patience(uv_timer_t *timer)
{
    finish(timer->data);
}

/* A stop lets the 0-db go on, for the next zdbd; a shutdown ends them, for their pools are to be
 * unmounted. */
void node_stop(struct node *node, enum worker_stop how)
{
    uint32_t patience = node->settings->stop_ms;
    patience = patience > 2 * STOP_MARGIN_MS ? patience - STOP_MARGIN_MS : patience / 2;
    node->stop_begun = true;
    node->stop_how = how;
    gate_close(&node->gate);
    retry_close(&node->tidy);
    orders_kill_importers(node);
    if (how == WORKER_STOP) {
        finish(node);
        return;
    }
    (void)uv_timer_start(&node->stopping, on_stop_patience, patience, 0);
    for (size_t i = 0; i < node->n_pools; i++)
        instance_unwant(node->pools[i]->instance, "storaged shuts down");
    node_stop_review(node);
}

void node_free(struct node *node)
{
    for (size_t i = 0; i < node->n_pools; i++)
        pool_free(node->pools[i]);
    node->n_pools = 0;
    namespaces_free(&node->namespaces);
    books_free(&node->books);
}
