/*
 * A pool as zdbd sees it: is it mounted, where is the home of its 0-db, and the instance that runs
 * there. Of the loop.
 */
#ifndef WORKERS_ZDBD_POOL_H
#define WORKERS_ZDBD_POOL_H

#include "base/uuid.h"
#include "instance.h"
#include "storage/v1/booking.pb-c.h"
#include "storage/v1/pool.pb-c.h"

#include <limits.h>

struct node;
struct order;

struct pool {
    struct node *node;
    char id[UUID_TEXT_SIZE];
    Storage__V1__PoolState state; /* UNSPECIFIED: poold has not told of it yet */
    char reason[ERR_MESSAGE_MAX];
    bool opened_once; /* what is booked on it is known */
    Storage__V1__DiskType disk_type;
    char home[PATH_MAX]; /* empty: not known yet, since nothing is booked there */
    uid_t uid;
    gid_t gid;
    bool asked_for_home;
    bool leaving_home;   /* poold is being told that no 0-db runs there */
    size_t n_namespaces; /* bookings of ours, whatever their phase */
    struct instance *instance;
    struct order *waiting; /* for it to be UP */
    bool reconciling;      /* NSLIST is on its way */
    bool agreed;           /* what the 0-db has was compared with the bookings since it came up */
};

/* NULL if there is none. */
struct pool *pool_find(const struct node *node, const char *id);
/* Makes it if there is none; NULL, with a line in the log, if that cannot be. */
struct pool *pool_obtain(struct node *node, const char *id);
void pool_free(struct pool *pool);

void pool_learn(struct pool *pool, const Storage__V1__PoolInfo *info);
void pool_learn_home(struct pool *pool, const Storage__V1__BookingHome *home);
bool pool_is_mounted(const struct pool *pool);
/* By its disk type. */
bool pool_serves_zdb(const struct pool *pool);
/* What nobody knows may be on a pool that was not open yet and can be opened as it is:
 * -ERR_UNAVAILABLE then, which names each. */
int pools_check_known(const struct node *node, const char *object, struct err *err);

/* Is its 0-db needed, and can it run? Starts or stops it. */
void pool_review_need(struct pool *pool);
/* That, and what follows from its state: reconciling, and telling of namespaces whose state has
 * changed. */
void pool_review(struct pool *pool);

/* Why a namespace on it cannot be reached, if that is so; returns -ERR_UNAVAILABLE then, else 0. */
int pool_check_up(const struct pool *pool, struct err *err);

#endif
