/* ZDBService: lists are answered here, imports by imports.h; a restart is answered when it is under
 * way, and one at a time is, so that a node's namespaces are not all gone at once. */
#include "base/cleanup.h"
#include "describe.h"
#include "imports.h"
#include "node.h"

#include <stdlib.h>

typedef Storage__V1__ZDBService_Service service_t;

enum { RETRY_AFTER_MS = 1000 };

static struct gate *gate_of(service_t *service)
{
    return &services_node_of_zdbs(service)->gate;
}

static struct pool *find(struct node *node, const char *id, struct rpc_call *call)
{
    struct pool *pool = pool_find(node, id);
    if (!pool)
        rpc_call_refuse(call, uuid_valid(id) ? ERR_NOT_FOUND : ERR_INVALID_ARGUMENT, id,
                        "there is no pool \"%s\"", id);
    return pool;
}

static void answer(const struct pool *pool, struct rpc_call *call)
{
    Storage__V1__ZDBInstance described;
    describe_instance(pool, &described);
    rpc_call_reply(call, &described.base);
}

static void get_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__ZDBGetRequest *request = input;
    const struct pool *pool = find(node, request->pool, call);
    if (pool)
        answer(pool, call);
}

GATE_HANDLER(on_get, ZDBGetRequest, ZDBInstance, get_late)

static void list_late(struct node *node, const void *input, struct rpc_call *call)
{
    (void)input;
    size_t room = node->n_pools + 1;
    autofree Storage__V1__ZDBInstance *described = malloc(room * sizeof *described);
    autofree Storage__V1__ZDBInstance **list = malloc(room * sizeof *list);
    if (!described || !list) {
        rpc_call_refuse(call, ERR_RESOURCE_EXHAUSTED, NULL, "no memory for a list");
        return;
    }
    Storage__V1__ZDBListReply reply = STORAGE__V1__ZDBLIST_REPLY__INIT;
    reply.instances = list;
    for (size_t i = 0; i < node->n_pools; i++) {
        describe_instance(node->pools[i], &described[i]);
        list[reply.n_instances++] = &described[i];
    }
    reply.epoch = event_publisher_epoch(node->worker->events);
    reply.seq = event_publisher_seq(node->worker->events);
    rpc_call_reply(call, &reply.base);
}

GATE_HANDLER(on_list, ZDBListRequest, ZDBListReply, list_late)

/* One that is not wanted any more does not come up again, and is not waited for. */
static bool is_restarting(const struct pool *pool)
{
    return pool && instance_is_wanted(pool->instance) && !instance_is_up(pool->instance);
}

static void restart_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__ZDBRestartRequest *request = input;
    struct pool *pool = find(node, request->pool, call);
    if (!pool)
        return;
    if (!instance_is_wanted(pool->instance)) {
        const char *reason = instance_reason(pool->instance);
        rpc_call_refuse(call, ERR_FAILED_PRECONDITION, pool->id, "no 0-db is to run on pool %s: %s",
                        pool->id, *reason ? reason : "nothing is booked on it");
    } else if (node->restarting != pool && is_restarting(node->restarting)) {
        autoerr struct err err = {0};
        (void)err_set(&err, ERR_ABORTED, 0, pool->id,
                      "the 0-db of pool %s is being restarted; one at a time is",
                      node->restarting->id);
        err_retryable(&err, RETRY_AFTER_MS);
        rpc_call_fail(call, &err);
    } else {
        node->restarting = pool;
        instance_restart(pool->instance, "an operator asked for it");
        answer(pool, call);
    }
}

GATE_HANDLER(on_restart, ZDBRestartRequest, ZDBInstance, restart_late)
GATE_HANDLER(on_import, ZDBImportRequest, ZDBImportReply, imports_begin)

void zdb_service_init(service_t *service)
{
    storage__v1__zdbservice__init(service, NULL);
    service->get = on_get;
    service->list = on_list;
    service->restart = on_restart;
    service->import = on_import;
}
