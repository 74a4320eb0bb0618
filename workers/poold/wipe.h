/*
 * Wiping a pool: its 0-db ends, it is given up as at a shutdown, then diskd wipes its disks. Of the
 * loop.
 *
 * A 0-db may run where nothing is booked. It is zdbd's, which hears that the pool is LEAVING, ends
 * it, and says so; a zdbd that is down or stuck is waited for as long as for a worker that stops.
 *
 * Without `force` a pool is given up only if its disk shows nothing that could be somebody's.
 *
 * A pool that cannot be given up, because somebody uses it, is opened again as it is. Until a wipe
 * is over, no pool is made and the cache goes nowhere else: its old place has to be free first.
 */
#ifndef WORKERS_POOLD_WIPE_H
#define WORKERS_POOLD_WIPE_H

#include "storage/v1/pool.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

struct node;
struct rpc_call;

/* PoolService/Wipe; passed by the gate. */
void wipe_pool(struct node *node, const void *input, struct rpc_call *call);
/* BookingService/LeaveHome; passed by the gate. */
void wipe_home_left(struct node *node, const void *input, struct rpc_call *call);

/* It is given up just now, or its disks are wiped; NULL: any. */
bool wipe_is_under_way(const struct node *node, const char *fsid);

/* We stop: pools that are LEAVING stay. */
void wipe_refuse_leaving(struct node *node);
/* How many pools are being given up still. Each of them ends with stop_pool_ended(). */
size_t wipe_count_ending(const struct node *node);
/* Their threads hang, and are waited for no longer. */
void wipe_abandon(struct node *node);

#endif
