/* PoolService: what the pools and the cache are now, and their end. */
#include "describe.h"
#include "node.h"
#include "rpc/page.h"
#include "wipe.h"

#include <string.h>

typedef Storage__V1__PoolService_Service service_t;

static struct gate *gate_of(service_t *service)
{
    return &services_node_of_pools(service)->gate;
}

/* ---- ListPools ---- */

static void on_list_pools(service_t *service, const Storage__V1__ListPoolsRequest *input,
                          Storage__V1__ListPoolsReply_Closure closure, void *data)
{
    (void)closure;
    struct node *node = services_node_of_pools(service);
    struct page page;
    struct described_pool *described;
    if (!page_open(&page, data, sizeof *described, input->page_token, input->page_size,
                   node->n_pools))
        return;
    for (size_t i = 0; !page.full && i < node->n_pools; i++) {
        if (strcmp(node->pools[i]->fsid, input->page_token) <= 0 || !(described = page_slot(&page)))
            continue;
        describe_pool(node->pools[i], described);
        page_keep(&page, &described->info.base);
    }
    Storage__V1__ListPoolsReply reply = STORAGE__V1__LIST_POOLS_REPLY__INIT;
    page_fill(&page, &reply.base);
    reply.epoch = event_publisher_epoch(node->worker->events);
    reply.seq = event_publisher_seq(node->worker->events);
    rpc_call_reply(data, &reply.base);
    page_close(&page);
}

/* ---- Capacity ---- */

static void add(uint64_t *sum, uint64_t more)
{
    *sum = more > UINT64_MAX - *sum ? UINT64_MAX : *sum + more;
}

static void capacity_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__CapacityRequest *request = input;
    Storage__V1__CapacityReply reply = STORAGE__V1__CAPACITY_REPLY__INIT;
    Storage__V1__PoolCapacity sum = STORAGE__V1__POOL_CAPACITY__INIT;
    for (size_t i = 0; i < node->n_pools; i++) {
        const struct pool *pool = node->pools[i];
        Storage__V1__PoolCapacity one;
        if (pool->type != request->disk_type || !pool_is_mounted(pool))
            continue;
        describe_capacity(pool, &one);
        add(&sum.total, one.total);
        add(&sum.usable, one.usable);
        add(&sum.booked, one.booked);
        add(&sum.used, one.used);
        add(&sum.releasing, one.releasing);
        sum.largest = one.largest > sum.largest ? one.largest : sum.largest;
        reply.pools++;
    }
    reply.capacity = &sum;
    reply.disk_type = request->disk_type;
    rpc_call_reply(call, &reply.base);
}

static void on_capacity(service_t *service, const Storage__V1__CapacityRequest *input,
                        Storage__V1__CapacityReply_Closure closure, void *data)
{
    (void)closure;
    if (input->disk_type == STORAGE__V1__DISK_TYPE__DISK_TYPE_UNSPECIFIED)
        rpc_call_refuse(data, ERR_INVALID_ARGUMENT, "disk_type", "say which disk type: SSD or HDD");
    else
        gate_pass(gate_of(service), capacity_late, input, data);
}

/* ---- Cache ---- */

static void on_cache(service_t *service, const Storage__V1__CacheRequest *input,
                     Storage__V1__CacheInfo_Closure closure, void *data)
{
    (void)closure;
    (void)input;
    const struct node *node = services_node_of_pools(service);
    const struct cache *cache = &node->cache;
    Storage__V1__CacheInfo info = STORAGE__V1__CACHE_INFO__INIT;
    info.mounted = cache->bound;
    info.path = node->settings->cache_path;
    if (cache->bound) {
        info.pool = cache->pool->fsid;
        if (cache->pool->cache) {
            info.limit_bytes = cache->pool->cache->record.limit_bytes;
            info.used_bytes = cache->pool->cache->booking.usage_bytes;
        }
    } else {
        info.reason = (char *)(*cache->reason ? cache->reason : "its pool is not open yet");
    }
    rpc_call_reply(data, &info.base);
}

/* ---- Wipe ---- */

GATE_HANDLER(on_wipe, WipePoolRequest, WipePoolReply, wipe_pool)

void pool_service_init(service_t *service)
{
    storage__v1__pool_service__init(service, NULL);
    service->list_pools = on_list_pools;
    service->capacity = on_capacity;
    service->cache = on_cache;
    service->wipe = on_wipe;
}
