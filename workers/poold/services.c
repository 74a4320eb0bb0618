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

struct node *services_node_of_bookings(Storage__V1__BookingService_Service *service)
{
    return container_of(service, struct services, bookings)->node;
}

int services_add(struct services *services, struct node *node, struct err *err)
{
    static const char *const space_reads[] = {"Get", "List", NULL};
    static const char *const pool_reads[] = {"ListPools", "Capacity", "Cache", NULL};
    static const char *const booking_reads[] = {"GetBooking", "ListBookings", NULL};
    services->node = node;
    space_service_init(&services->spaces);
    pool_service_init(&services->pools);
    booking_service_init(&services->bookings);
    int rc = rpc_server_add(node->worker->rpc, &services->spaces.base, space_reads, err);
    if (rc == 0)
        rc = rpc_server_add(node->worker->rpc, &services->pools.base, pool_reads, err);
    if (rc == 0)
        rc = rpc_server_add(node->worker->rpc, &services->bookings.base, booking_reads, err);
    return rc;
}
