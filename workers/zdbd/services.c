/* The services: where a handler finds its node. */
#include "services.h"

#include "base/cleanup.h"
#include "node.h"

struct node *services_node_of_namespaces(Storage__V1__NamespaceService_Service *service)
{
    return container_of(service, struct services, namespaces)->node;
}

struct node *services_node_of_zdbs(Storage__V1__ZDBService_Service *service)
{
    return container_of(service, struct services, zdbs)->node;
}

int services_add(struct services *services, struct node *node, struct err *err)
{
    static const char *const namespace_reads[] = {"Get", "List", "Usage", NULL};
    static const char *const zdb_reads[] = {"Get", "List", NULL};
    services->node = node;
    namespace_service_init(&services->namespaces);
    zdb_service_init(&services->zdbs);
    int rc = rpc_server_add(node->worker->rpc, &services->namespaces.base, namespace_reads, err);
    if (rc == 0)
        rc = rpc_server_add(node->worker->rpc, &services->zdbs.base, zdb_reads, err);
    return rc;
}
