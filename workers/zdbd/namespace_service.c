/* NamespaceService: reads are answered here, changes go through the gate to the orders. */
#include "base/cleanup.h"
#include "describe.h"
#include "node.h"
#include "order.h"
#include "rpc/page.h"

#include <stdlib.h>
#include <string.h>

typedef Storage__V1__NamespaceService_Service service_t;

static struct gate *gate_of(service_t *service)
{
    return &services_node_of_namespaces(service)->gate;
}

GATE_HANDLER(on_reserve, NamespaceReserveRequest, ZDBNamespace, reserve_begin)
GATE_HANDLER(on_release, NamespaceReleaseRequest, NamespaceReleaseReply, release_begin)
GATE_HANDLER(on_resize, NamespaceResizeRequest, ZDBNamespace, resize_begin)
GATE_HANDLER(on_set_password, NamespaceSetPasswordRequest, ZDBNamespace, set_password_begin)
GATE_HANDLER(on_set_public, NamespaceSetPublicRequest, ZDBNamespace, set_public_begin)
GATE_HANDLER(on_lock, NamespaceLockRequest, ZDBNamespace, lock_begin)
GATE_HANDLER(on_freeze, NamespaceFreezeRequest, ZDBNamespace, freeze_begin)

static bool is_listed(const struct namespace *space)
{
    return space->phase == NAMESPACE_LIVE || space->phase == NAMESPACE_DYING;
}

/* ---- Get ---- */

static void get_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__NamespaceGetRequest *request = input;
    autoerr struct err err = {0};
    const struct namespace *space = NULL;
    if (!*request->id == !*request->name)
        (void)err_set(&err, ERR_INVALID_ARGUMENT, 0, "id", "give an id or a name, one of the two");
    else if (*request->name)
        space = namespaces_find_name(&node->namespaces, request->name);
    else if (order_check_id(request->id, &err) == 0)
        space = namespaces_find(&node->namespaces, request->id);
    if (err.code == ERR_OK && (!space || !is_listed(space))) {
        const char *what = *request->name ? request->name : request->id;
        (void)order_not_found(node, space, what, &err);
    }
    if (err.code != ERR_OK) {
        rpc_call_fail(call, &err);
        return;
    }
    struct described_namespace described;
    describe_namespace(space, &described);
    rpc_call_reply(call, &described.message.base);
}

GATE_HANDLER(on_get, NamespaceGetRequest, ZDBNamespace, get_late)

/* ---- List ---- */

static bool is_asked_for(const struct namespace *space,
                         const Storage__V1__NamespaceListRequest *request)
{
    return is_listed(space) && (!*request->pool || strcmp(request->pool, space->pool->id) == 0) &&
           (request->disk_type == STORAGE__V1__DISK_TYPE__DISK_TYPE_UNSPECIFIED ||
            request->disk_type == space->pool->disk_type);
}

static void list_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__NamespaceListRequest *request = input;
    const struct namespaces *all = &node->namespaces;
    struct page page;
    struct described_namespace *described;
    if (!page_open(&page, call, sizeof *described, request->page_token, request->page_size, all->n))
        return;
    for (size_t i = namespaces_after(all, request->page_token); !page.full && i < all->n; i++) {
        if (!is_asked_for(all->by_id[i], request) || !(described = page_slot(&page)))
            continue;
        describe_namespace(all->by_id[i], described);
        page_keep(&page, &described->message.base);
    }
    Storage__V1__NamespaceListReply reply = STORAGE__V1__NAMESPACE_LIST_REPLY__INIT;
    page_fill(&page, &reply.base);
    reply.epoch = event_publisher_epoch(node->worker->events);
    reply.seq = event_publisher_seq(node->worker->events);
    rpc_call_reply(call, &reply.base);
    page_close(&page);
}

GATE_HANDLER(on_list, NamespaceListRequest, NamespaceListReply, list_late)

/* ---- Usage ---- */

/* Answered by the 0-db; holds copies, for the namespace may go meanwhile. */
struct usage {
    struct rpc_call *call;
    char id[UUID_TEXT_SIZE];
    char zdb_name[ZDB_NAME_MAX + 1];
};

static void on_usage_known(const redisReply *reply, const struct err *err, void *data)
{
    struct usage *usage = data;
    autoerr struct err why = {0};
    struct nsinfo info;
    Storage__V1__NamespaceUsage message = STORAGE__V1__NAMESPACE_USAGE__INIT;
    if (err)
        err_copy(&why, err);
    else if (reply->type != REDIS_REPLY_STRING)
        (void)err_set(&why, ERR_INTERNAL, 0, usage->id, "its 0-db says: %.200s",
                      reply->str ? reply->str : "nothing");
    else
        (void)nsinfo_parse(reply->str, (size_t)reply->len, usage->zdb_name, &info, &why);
    if (why.code != ERR_OK) {
        rpc_call_fail(usage->call, &why);
    } else {
        message.id = usage->id;
        message.entries = info.entries;
        message.data_bytes = info.data_bytes;
        message.index_bytes = info.index_bytes;
        message.limit_bytes = info.limit_bytes;
        message.errors = info.errors;
        rpc_call_reply(usage->call, &message.base);
    }
    free(usage);
}

static int ask_usage(struct namespace *space, struct rpc_call *call, struct err *err)
{
    int rc = pool_check_up(space->pool, err);
    if (rc < 0)
        return rc;
    struct usage *usage = calloc(1, sizeof *usage);
    if (!usage)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, space->id, "no memory to ask for it");
    usage->call = call;
    memcpy(usage->id, space->id, sizeof usage->id);
    memcpy(usage->zdb_name, namespace_zdb_name(space), strlen(namespace_zdb_name(space)) + 1);
    const char *const arguments[] = {"NSINFO", usage->zdb_name};
    rc = instance_send(space->pool->instance, (int)array_length(arguments), arguments, NULL,
                       on_usage_known, usage, err);
    if (rc < 0)
        free(usage);
    return rc;
}

static void usage_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__NamespaceUsageRequest *request = input;
    autoerr struct err err = {0};
    int rc = order_check_id(request->id, &err);
    if (rc == 0) {
        struct namespace *space = namespaces_find(&node->namespaces, request->id);
        rc = space && is_listed(space) ? ask_usage(space, call, &err)
                                       : order_not_found(node, space, request->id, &err);
    }
    if (rc < 0)
        rpc_call_fail(call, &err);
}

GATE_HANDLER(on_usage, NamespaceUsageRequest, NamespaceUsage, usage_late)

void namespace_service_init(service_t *service)
{
    storage__v1__namespace_service__init(service, NULL);
    service->reserve = on_reserve;
    service->release = on_release;
    service->get = on_get;
    service->list = on_list;
    service->resize = on_resize;
    service->set_password = on_set_password;
    service->set_public = on_set_public;
    service->lock = on_lock;
    service->freeze = on_freeze;
    service->usage = on_usage;
}
