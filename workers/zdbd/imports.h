/*
 * ZDBService/Import: a directory of another 0-db is looked at, and its namespaces are taken over
 * one after the other, each by an order (order_import.c). One import at a time. Of the loop.
 */
#ifndef WORKERS_ZDBD_IMPORTS_H
#define WORKERS_ZDBD_IMPORTS_H

#include "rpc/server.h"

struct node;

/* Passed by the gate; answers its call. */
void imports_begin(struct node *node, const void *input, struct rpc_call *call);

/* We stop, and have closed what orders wait for: the scan that runs is closed, and its call fails.
 */
void imports_close(struct node *node);

#endif
