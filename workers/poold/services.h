/*
 * The services that poold answers: SpaceService, PoolService, BookingService. Of the loop.
 */
#ifndef WORKERS_POOLD_SERVICES_H
#define WORKERS_POOLD_SERVICES_H

#include "base/error.h"
#include "rpc/server.h"
#include "storage/v1/booking.pb-c.h"
#include "storage/v1/pool.pb-c.h"

struct node;

struct services {
    struct node *node;
    Storage__V1__SpaceService_Service spaces;
    Storage__V1__PoolService_Service pools;
    Storage__V1__BookingService_Service bookings;
};

/* Adds all to the node's server. */
int services_add(struct services *services, struct node *node, struct err *err);

void space_service_init(Storage__V1__SpaceService_Service *service);
void pool_service_init(Storage__V1__PoolService_Service *service);
void booking_service_init(Storage__V1__BookingService_Service *service);
struct node *services_node_of_spaces(Storage__V1__SpaceService_Service *service);
struct node *services_node_of_pools(Storage__V1__PoolService_Service *service);
struct node *services_node_of_bookings(Storage__V1__BookingService_Service *service);

/* gate_pass_fn: reserve.c, release.c, book.c, booking_change.c. */
void book_begin(struct node *node, const void *input, struct rpc_call *call);
void settle_begin(struct node *node, const void *input, struct rpc_call *call);
void resize_begin(struct node *node, const void *input, struct rpc_call *call);
void unbook_begin(struct node *node, const void *input, struct rpc_call *call);
void reserve_begin(struct node *node, const void *input, struct rpc_call *call);
void release_begin(struct node *node, const void *input, struct rpc_call *call);

#endif
