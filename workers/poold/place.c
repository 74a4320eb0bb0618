/*
 * Placing, with its refusals: what would fit, who takes no changes, and what would help.
 */
#include "place.h"

#include "describe.h"
#include "node.h"
#include "placement.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RETRY_MS = 1000 };

static bool is_meant(const struct pool *pool, const struct place_wish *wish)
{
    return *wish->pool ? strcmp(pool->fsid, wish->pool) == 0 : pool->type == wish->type;
}

static uint64_t largest_possible(const struct node *node, const struct place_wish *wish)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < node->n_pools; i++) {
        const struct pool *pool = node->pools[i];
        if (!is_meant(pool, wish) || !pool_is_serving(pool))
            continue;
        uint64_t here = wish->largest(node, wish->room(pool));
        largest = here > largest ? here : largest;
    }
    return largest;
}

static int refuse_no_pool(const struct node *node, Storage__V1__DiskType type, struct err *err)
{
    int rc;
    if (node->boot.preparing) {
        rc = err_set(err, ERR_UNAVAILABLE, 0, NULL, "%s", node->boot.reason);
        err_retryable(err, RETRY_MS);
        return rc;
    }
    rc = err_set(err, ERR_FAILED_PRECONDITION, 0, NULL, "there is no pool of type %s",
                 describe_type(type));
    err_hint(err, "ask for another type, or make one: storagectl disk prepare");
    return rc;
}

static int refuse_not_serving(const struct node *node, Storage__V1__DiskType type, struct err *err)
{
    int rc = err_set(err, ERR_UNAVAILABLE, 0, NULL, "no pool of type %s takes changes now",
                     describe_type(type));
    for (size_t i = 0; i < node->n_pools; i++) {
        const struct pool *pool = node->pools[i];
        if (pool->type == type)
            err_blocker(err, "pool %s is %s%s%s", pool->fsid, pool_state_name(pool->state),
                        *pool->reason ? ": " : "", pool->reason);
    }
    err_retryable(err, RETRY_MS);
    return rc;
}

int place_refuse_size(const struct node *node, const struct place_wish *wish, bool releasing,
                      struct err *err)
{
    char where[UUID_TEXT_SIZE + 16];
    (void)snprintf(where, sizeof where, "%s%s%s", *wish->pool ? "the pool " : "an ",
                   *wish->pool ? wish->pool : describe_type(wish->type),
                   *wish->pool ? "" : " pool");
    int rc =
        err_set(err, ERR_RESOURCE_EXHAUSTED, 0, "size_bytes",
                "%" PRIu64 " bytes do not fit on %s; the largest possible now is %" PRIu64 " bytes",
                wish->size_bytes, where, largest_possible(node, wish));
    if (releasing) {
        err_hint(err, "it fits when what is being released has come back");
        err_retryable(err, RETRY_MS);
    }
    return rc;
}

/* Only the pool that is named will do. */
static int check_named(const struct node *node, const struct place_wish *wish, struct err *err)
{
    const struct pool *pool = node_find_pool(node, wish->pool);
    if (!pool)
        return err_set(err, ERR_NOT_FOUND, 0, wish->pool, "there is no pool %s", wish->pool);
    return pool_is_serving(pool) ? 0 : pool_refuse(pool, err);
}

int place_choose(const struct node *node, const struct place_wish *wish, struct pool **out_pool,
                 struct err *err)
{
    struct placement_pool pools[POOLS_MAX];
    struct pool *meant[POOLS_MAX];
    size_t n = 0, index = 0;
    int rc = *wish->pool ? check_named(node, wish, err) : 0;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < node->n_pools; i++) {
        const struct pool *pool = meant[n] = node->pools[i];
        if (!is_meant(pool, wish))
            continue;
        pools[n++] = (struct placement_pool){
            .id = pool->fsid,
            .type = wish->type,
            .serving = pool_is_serving(pool),
            .slow = pool_is_slow(pool),
            .free_bytes = wish->room(pool),
            .releasing_bytes = ledger_releasing(&pool->ledger),
        };
    }
    switch (placement_choose(pools, n, wish->type, wish->limit_bytes, &index)) {
    case PLACEMENT_FITS:
        *out_pool = meant[index];
        return 0;
    case PLACEMENT_NO_POOL:
        return refuse_no_pool(node, wish->type, err);
    case PLACEMENT_NOT_SERVING:
        return refuse_not_serving(node, wish->type, err);
    case PLACEMENT_RELEASING:
        return place_refuse_size(node, wish, true, err);
    case PLACEMENT_TOO_LARGE:
        break;
    }
    return place_refuse_size(node, wish, false, err);
}
