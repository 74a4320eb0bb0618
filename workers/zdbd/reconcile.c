/*
 * Reconciling. The answer of NSLIST is one reply, so it is looked at at once; what follows from it
 * are orders, of which each takes one namespace. Only so many run at a time: each has a command or
 * two on its way.
 */
#include "reconcile.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "describe.h"
#include "node.h"
#include "order.h"

#include <string.h>

static bool is_ours(const char *name)
{
    return strcmp(name, "default") == 0 || strcmp(name, INSTANCE_CANARY_NAMESPACE) == 0;
}

static struct namespace *find_by_zdb_name(const struct pool *pool, const char *name)
{
    const struct namespaces *all = &pool->node->namespaces;
    struct namespace *space = namespaces_find(all, name);
    if (space && space->pool == pool && !*space->noted.zdb_name)
        return space;
    for (size_t i = 0; i < all->n; i++)
        if (all->by_id[i]->pool == pool && strcmp(all->by_id[i]->noted.zdb_name, name) == 0)
            return all->by_id[i];
    return NULL;
}

static bool lists_names(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return false;
    for (size_t i = 0; i < reply->elements; i++)
        if (reply->element[i]->type != REDIS_REPLY_STRING)
            return false;
    return true;
}

static void on_listed(const redisReply *reply, const struct err *err, void *data)
{
    struct pool *pool = data;
    const struct namespaces *all = &pool->node->namespaces;
    pool->reconciling = false;
    if (err || !lists_names(reply)) {
        log_line(LOG_WARNING, "a 0-db does not list its namespaces", "pool", pool->id, "reason",
                 err ? err->message : "its answer is no list", (char *)NULL);
        return;
    }
    for (size_t i = 0; i < all->n; i++)
        if (all->by_id[i]->pool == pool && !all->by_id[i]->order)
            all->by_id[i]->presence = NAMESPACE_MISSING;
    for (size_t i = 0; i < reply->elements; i++) {
        const char *name = reply->element[i]->str;
        struct namespace *space = find_by_zdb_name(pool, name);
        if (space) {
            space->presence = space->order ? space->presence : NAMESPACE_UNSEEN;
            space->misaligned = true;
        } else if (!space && !is_ours(name)) {
            log_warning("a 0-db has a namespace that is not booked; it is left alone", "pool",
                        pool->id, "name", name);
        }
    }
    pool->agreed = true;
    for (size_t i = 0; i < all->n; i++)
        if (all->by_id[i]->pool == pool)
            tell_state(all->by_id[i]);
    node_tidy(pool->node);
}

void reconcile_review(struct pool *pool)
{
    static const char *const arguments[] = {"NSLIST"};
    autoerr struct err err = {0};
    if (pool->agreed || pool->reconciling || !pool->node->books.known ||
        !instance_is_up(pool->instance))
        return;
    pool->reconciling =
        instance_send(pool->instance, 1, arguments, NULL, on_listed, pool, &err) == 0;
}
