/* storagectl cache: where it is, and how full. */
#include "command.h"

static int run(struct session *session, struct err *err)
{
    Storage__V1__CacheRequest request = STORAGE__V1__CACHE_REQUEST__INIT;
    autoreply Storage__V1__CacheInfo *cache = NULL;
    int rc = session_call(session, "storage.v1.PoolService/Cache", &request, &cache, err);
    return rc < 0 ? rc : session_print_object(session, &cache->base, err);
}

static const struct verb verbs[] = {
    {.help = "where the cache is mounted, and how full it is", .run = run},
    {0},
};

const struct command command_cache = {
    .noun = "cache", .help = "The cache: a limited folder on one pool.", .verbs = verbs};
