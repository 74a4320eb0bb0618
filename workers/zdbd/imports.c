/*
 * An import: what was found, in a row, and what has become of each. A namespace that cannot be
 * taken over is left, with the reason, and stops no other. The source is never changed, so whatever
 * ends an import early, it can be asked for again.
 */
#include "imports.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "describe.h"
#include "node.h"
#include "order.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_AFTER_MS = 1000 };

#define NO_PASSWORD "it has no password: anybody may write; set one"

struct import {
    struct node *node;
    struct pool *pool;
    struct rpc_call *call;
    const Storage__V1__ZDBImportRequest *request; /* until the call's reply */
    struct importer *importer;                    /* the scan */
    struct import_report *found;                  /* what became of it is noted in place: */
    size_t n_found, next;                         /* IMPORT_LEFT with the reason, or IMPORT_DONE */
    char (*ids)[UUID_TEXT_SIZE];                  /* of those, in the same row */
    struct import_wish wish;                      /* of the order that runs */
};

static void free_import(struct import *import)
{
    import->node->import = NULL;
    free(import->found);
    free(import->ids);
    free(import);
}

static void fail(struct import *import, const struct err *err)
{
    rpc_call_fail(import->call, err);
    free_import(import);
}

/* ---- the answer ------------------------------------------------------------------------------ */

struct answer {
    struct described_namespace *described;
    Storage__V1__ZDBNamespace **imported;
    Storage__V1__ZDBImportLeft *left, **left_list;
};

static void free_answer(struct answer *answer)
{
    free(answer->described);
    free(answer->imported);
    free(answer->left);
    free(answer->left_list);
}

static bool make_answer(struct answer *answer, size_t n)
{
    n += n == 0;
    *answer = (struct answer){
        .described = calloc(n, sizeof *answer->described),
        .imported = calloc(n, sizeof *answer->imported),
        .left = calloc(n, sizeof *answer->left),
        .left_list = calloc(n, sizeof *answer->left_list),
    };
    return answer->described && answer->imported && answer->left && answer->left_list;
}

/* Of a dry run, or released since. */
static void describe_found(const struct import *import, const struct import_report *found,
                           Storage__V1__ZDBNamespace *to)
{
    storage__v1__zdbnamespace__init(to);
    to->zdb_name = (char *)found->name;
    to->size_bytes = import_size(found);
    to->mode = found->mode;
    to->public_ = found->public;
    to->disk_type = import->pool->disk_type;
    to->pool = import->pool->id;
}

static void answer(struct import *import)
{
    struct answer answer;
    Storage__V1__ZDBImportReply reply = STORAGE__V1__ZDBIMPORT_REPLY__INIT;
    if (!make_answer(&answer, import->n_found)) {
        rpc_call_refuse(import->call, ERR_RESOURCE_EXHAUSTED, NULL, "no memory for an answer");
        free_answer(&answer);
        free_import(import);
        return;
    }
    reply.imported = answer.imported;
    reply.left = answer.left_list;
    for (size_t i = 0; i < import->n_found; i++) {
        const struct import_report *found = &import->found[i];
        struct described_namespace *described = &answer.described[reply.n_imported];
        Storage__V1__ZDBImportLeft *left = &answer.left[reply.n_left];
        if (found->kind == IMPORT_LEFT) {
            storage__v1__zdbimport_left__init(left);
            left->name = (char *)found->name;
            left->size_bytes = found->disk_bytes;
            left->reason = (char *)found->reason;
            answer.left_list[reply.n_left++] = left;
            continue;
        }
        const struct namespace *space = namespaces_find(&import->node->namespaces, import->ids[i]);
        if (space && space->pool)
            describe_namespace(space, described);
        else
            describe_found(import, found, &described->message);
        if (!found->password)
            described->message.reason = NO_PASSWORD;
        answer.imported[reply.n_imported++] = &described->message;
    }
    rpc_call_reply(import->call, &reply.base);
    free_answer(&answer);
    free_import(import);
}

/* ---- one after the other --------------------------------------------------------------------- */

static void leave(struct import_report *found, const char *reason)
{
    found->kind = IMPORT_LEFT;
    (void)snprintf(found->reason, sizeof found->reason, "%s", reason);
}

/* A name that a 0-db has once, by all that is booked there or may come to be. */
static const char *find_obstacle(const struct import *import, const char *name)
{
    const struct namespaces *all = &import->node->namespaces;
    if (namespaces_find(all, name))
        return "a namespace has this id already";
    for (size_t i = 0; i < all->n; i++) {
        const struct namespace *space = all->by_id[i];
        if (space->pool != import->pool || strcmp(space->noted.zdb_name, name) != 0)
            continue;
        return space->phase == NAMESPACE_LIVE
                   ? "the 0-db of the pool has a namespace of this name already"
                   : "what an earlier one of this name has left is being removed: try again";
    }
    return NULL;
}

static void go_on(struct import *import);

/* Whoever asks the next zdbd gets the rest. */
static void fail_stopping(struct import *import)
{
    autoerr struct err err = {0};
    (void)err_set(&err, ERR_UNAVAILABLE, 0, "zdbd", "zdbd is stopping: ask again for the rest");
    err_retryable(&err, RETRY_AFTER_MS);
    fail(import, &err);
}

static void on_ended(struct order *order)
{
    struct import *import = order->ended_data;
    struct import_report *found = &import->found[import->next];
    if (order->failed && import->node->stop_begun) {
        fail_stopping(import);
        return;
    }
    if (order->failed) {
        leave(found, order->err.message);
    } else {
        found->kind = IMPORT_DONE;
        if (order->space)
            memcpy(import->ids[import->next], order->space->id, UUID_TEXT_SIZE);
    }
    import->next++;
    go_on(import);
}

static void take(struct import *import, struct import_report *found)
{
    import->wish = (struct import_wish){.data_path = import->request->data_path,
                                        .index_path = import->request->index_path,
                                        .pool = import->pool->id,
                                        .found = found};
    if (import_begin(import->node, &import->wish, on_ended, import))
        return;
    leave(found, "no memory for an order");
    import->next++;
    go_on(import);
}

static void go_on(struct import *import)
{
    while (import->next < import->n_found) {
        struct import_report *found = &import->found[import->next];
        const char *obstacle =
            found->kind == IMPORT_FOUND ? find_obstacle(import, found->name) : NULL;
        if (obstacle)
            leave(found, obstacle);
        if (found->kind == IMPORT_FOUND && import->node->stop_begun) {
            fail_stopping(import);
            return;
        }
        if (found->kind == IMPORT_FOUND && !import->request->dry_run) {
            take(import, found);
            return;
        }
        import->next++;
    }
    answer(import);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static void on_scanned(const struct import_report *reports, size_t n,
                       const struct import_report *last, const struct err *err, void *data)
{
    struct import *import = data;
    (void)last;
    import->importer = NULL;
    if (err) {
        fail(import, err);
        return;
    }
    import->found = calloc(n + 1, sizeof *import->found);
    import->ids = calloc(n + 1, sizeof *import->ids);
    if (!import->found || !import->ids) {
        autoerr struct err why = {0};
        (void)err_set(&why, ERR_RESOURCE_EXHAUSTED, 0, NULL, "no memory for an import");
        fail(import, &why);
        return;
    }
    if (n > 0)
        memcpy(import->found, reports, n * sizeof *reports);
    import->n_found = n;
    go_on(import);
}

static int check(struct node *node, const Storage__V1__ZDBImportRequest *request,
                 struct pool **out_pool, struct err *err)
{
    const char *const paths[] = {request->data_path, request->index_path};
    for (size_t i = 0; i < array_length(paths); i++)
        if (paths[i][0] != '/' || strlen(paths[i]) >= PATH_MAX)
            return err_set(err, ERR_INVALID_ARGUMENT, 0, i == 0 ? "data_path" : "index_path",
                           "\"%.200s\" is no absolute path", paths[i]);
    struct pool *pool = pool_find(node, request->pool);
    if (!pool)
        return err_set(err, uuid_valid(request->pool) ? ERR_NOT_FOUND : ERR_INVALID_ARGUMENT, 0,
                       request->pool, "there is no pool \"%s\"", request->pool);
    if (!pool_is_mounted(pool))
        return err_set(err, ERR_UNAVAILABLE, 0, pool->id, "the pool %s is not mounted%s%s",
                       pool->id, *pool->reason ? ": " : "", pool->reason);
    if (!pool_serves_zdb(pool))
        return err_set(err, ERR_FAILED_PRECONDITION, 0, pool->id,
                       "the pool %s is of a disk type that serves no 0-db here ([zdb] disk_types)",
                       pool->id);
    if (node->import) {
        (void)err_set(err, ERR_ABORTED, 0, pool->id, "another import runs; one at a time does");
        err_retryable(err, RETRY_AFTER_MS);
        return -ERR_ABORTED;
    }
    *out_pool = pool;
    return 0;
}

void imports_begin(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__ZDBImportRequest *request = input;
    autoerr struct err err = {0};
    struct pool *pool;
    if (check(node, request, &pool, &err) < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    struct import *import = calloc(1, sizeof *import);
    if (!import) {
        rpc_call_refuse(call, ERR_RESOURCE_EXHAUSTED, NULL, "no memory for an import");
        return;
    }
    *import = (struct import){.node = node, .pool = pool, .call = call, .request = request};
    node->import = import;
    const char *const arguments[] = {"scan", request->data_path, request->index_path, NULL};
    if (importer_run(node->loop, arguments, on_scanned, import, &import->importer, &err) < 0)
        fail(import, &err);
}

void imports_close(struct node *node)
{
    struct import *import = node->import;
    if (!import || !import->importer)
        return;
    importer_close(import->importer);
    fail_stopping(import);
}
