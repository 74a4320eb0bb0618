/* SpaceService: reads are answered here, changes go through the gate to reserve.c and release.c. */
#include "answer.h"
#include "base/cleanup.h"
#include "base/uuid.h"
#include "describe.h"
#include "node.h"
#include "rpc/page.h"

#include <stdlib.h>
#include <string.h>

typedef Storage__V1__SpaceService_Service service_t;

static struct gate *gate_of(service_t *service)
{
    return &services_node_of_spaces(service)->gate;
}

GATE_HANDLER(on_reserve, ReserveRequest, Space, reserve_begin)
GATE_HANDLER(on_release, ReleaseRequest, ReleaseReply, release_begin)

/* ---- Get ---- */

static struct space *find(struct node *node, const Storage__V1__SpaceGetRequest *request)
{
    struct space *space = *request->id ? index_find_id(&node->index, request->id)
                                       : index_find_name(&node->index, request->name);
    return space && space->phase != SPACE_BUILDING ? space : NULL;
}

static void get_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__SpaceGetRequest *request = input;
    const char *key = *request->id ? request->id : request->name;
    const struct space *space = find(node, request);
    if (space)
        answer_space(call, space, false);
    else if (!answer_not_known_yet(node, call, key))
        rpc_call_refuse(call, ERR_NOT_FOUND, key, "there is no such space");
}

/* What is known is told at once; that something is not there, when all pools are known. */
static void on_get(service_t *service, const Storage__V1__SpaceGetRequest *input,
                   Storage__V1__Space_Closure closure, void *data)
{
    (void)closure;
    struct node *node = services_node_of_spaces(service);
    if (!*input->id == !*input->name)
        rpc_call_refuse(data, ERR_INVALID_ARGUMENT, "id",
                        "give the id or the name of the space, one of the two");
    else if (find(node, input))
        answer_space(data, find(node, input), false);
    else
        gate_pass(gate_of(service), get_late, input, data);
}

/* ---- List ---- */

static bool is_wanted(const struct space *space, const Storage__V1__SpaceListRequest *request)
{
    if (space->phase == SPACE_BUILDING)
        return false;
    if (*request->pool && strcmp(request->pool, space->pool->fsid) != 0)
        return false;
    return request->disk_type == STORAGE__V1__DISK_TYPE__DISK_TYPE_UNSPECIFIED ||
           request->disk_type == space->record.disk_type;
}

static void list_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__SpaceListRequest *request = input;
    struct page page;
    struct described_space *described;
    const struct space *space;
    if (!page_open(&page, call, sizeof *described, request->page_token, request->page_size,
                   index_count(&node->index)))
        return;
    for (size_t i = index_after(&node->index, request->page_token);
         !page.full && (space = index_at(&node->index, i)); i++) {
        if (!is_wanted(space, request) || !(described = page_slot(&page)))
            continue;
        describe_space(space, described);
        page_keep(&page, &described->space.base);
    }
    Storage__V1__SpaceListReply reply = STORAGE__V1__SPACE_LIST_REPLY__INIT;
    page_fill(&page, &reply.base);
    reply.epoch = event_publisher_epoch(node->worker->events);
    reply.seq = event_publisher_seq(node->worker->events);
    rpc_call_reply(call, &reply.base);
    page_close(&page);
}

GATE_HANDLER(on_list, SpaceListRequest, SpaceListReply, list_late)

void space_service_init(service_t *service)
{
    storage__v1__space_service__init(service, NULL);
    service->reserve = on_reserve;
    service->release = on_release;
    service->get = on_get;
    service->list = on_list;
}
