/*
 * The services that zdbd answers: NamespaceService, ZDBService. Of the loop.
 */
#ifndef WORKERS_ZDBD_SERVICES_H
#define WORKERS_ZDBD_SERVICES_H

#include "base/error.h"
#include "rpc/server.h"
#include "storage/v1/zdb.pb-c.h"

struct node;

struct services {
    struct node *node;
    Storage__V1__NamespaceService_Service namespaces;
    Storage__V1__ZDBService_Service zdbs;
};

int services_add(struct services *services, struct node *node, struct err *err);

void namespace_service_init(Storage__V1__NamespaceService_Service *service);
void zdb_service_init(Storage__V1__ZDBService_Service *service);
struct node *services_node_of_namespaces(Storage__V1__NamespaceService_Service *service);
struct node *services_node_of_zdbs(Storage__V1__ZDBService_Service *service);

#endif
