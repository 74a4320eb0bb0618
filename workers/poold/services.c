/* The services: where a handler finds its node. */
#include "services.h"

#include "base/cleanup.h"
#include "node.h"

struct node *services_node_of_spaces(Storage__V1__SpaceService_Service *service)
{
    return container_of(service, struct services, spaces)->node;
}

struct node *services_node_of_pools(Storage__V1__PoolService_Service *service)
{
    return container_of(service, struct services, pools)->node;
}

int services_add(struct services *services, struct node *node, struct err *err)
{
    static const char *const space_reads[] = {"Get", "List", NULL};
    static const char *const pool_reads[] = {"ListPools", "Capacity", "Cache", NULL};
    services->node = node;
    space_service_init(&services->spaces);
    pool_service_init(&services->pools);
    int rc = rpc_server_add(node->worker->rpc, &services->spaces.base, space_reads, err);
    if (rc == 0)
        rc = rpc_server_add(node->worker->rpc, &services->pools.base, pool_reads, err);
    return rc;
}
