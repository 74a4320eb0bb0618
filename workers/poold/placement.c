/* Placement: one pass over all pools, keeping the best that fits and the best excuse. */
#include "placement.h"

#include <string.h>

static bool is_better(const struct placement_pool *pool, const struct placement_pool *best)
{
    if (!best)
        return true;
    if (pool->slow != best->slow)
        return best->slow;
    if (pool->free_bytes != best->free_bytes)
        return pool->free_bytes > best->free_bytes;
    return strcmp(pool->id, best->id) < 0;
}

static enum placement judge(const struct placement_pool *pool, uint64_t limit_bytes)
{
    if (!pool->serving)
        return PLACEMENT_NOT_SERVING;
    if (limit_bytes <= pool->free_bytes)
        return PLACEMENT_FITS;
    return limit_bytes - pool->free_bytes <= pool->releasing_bytes ? PLACEMENT_RELEASING
                                                                   : PLACEMENT_TOO_LARGE;
}

/* From the best news to the worst. What does not fit the serving pools may still fit one that does
 * not serve, but nobody knows when: that is no reason to try again. */
static unsigned rank(enum placement outcome)
{
    static const unsigned ranks[] = {
        [PLACEMENT_FITS] = 0,        [PLACEMENT_RELEASING] = 1, [PLACEMENT_TOO_LARGE] = 2,
        [PLACEMENT_NOT_SERVING] = 3, [PLACEMENT_NO_POOL] = 4,
    };
    return ranks[outcome];
}

enum placement placement_choose(const struct placement_pool *pools, size_t n,
                                Storage__V1__DiskType type, uint64_t limit_bytes, size_t *out_index)
{
    enum placement result = PLACEMENT_NO_POOL;
    const struct placement_pool *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (pools[i].type != type)
            continue;
        enum placement outcome = judge(&pools[i], limit_bytes);
        if (rank(outcome) < rank(result))
            result = outcome;
        if (outcome == PLACEMENT_FITS && is_better(&pools[i], best))
            best = &pools[i];
    }
    if (best)
        *out_index = (size_t)(best - pools);
    return result;
}
