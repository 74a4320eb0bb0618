/*
 * Namespaces and instances as messages. What a message borrows lives until the loop's next turn. Of
 * the loop.
 */
#ifndef WORKERS_ZDBD_DESCRIBE_H
#define WORKERS_ZDBD_DESCRIBE_H

#include "namespace.h"
#include "pool.h"
#include "storage/v1/zdb.pb-c.h"

/* Why it is not LIVE goes to `out_reason`. */
Storage__V1__ZDBNamespaceState describe_state(const struct namespace *space,
                                              char out_reason[ERR_MESSAGE_MAX]);

struct described_namespace {
    Storage__V1__ZDBNamespace message;
    char reason[ERR_MESSAGE_MAX];
};

void describe_namespace(const struct namespace *space, struct described_namespace *out);
void describe_instance(const struct pool *pool, Storage__V1__ZDBInstance *out);

/* Publishes and logs. `reason` may be NULL. */
void tell_namespace(struct namespace *space, const char *topic, const char *reason);
void tell_instance(const struct pool *pool, const char *topic, const char *reason);
/* "namespace.live" or "namespace.failed", if that is news. */
void tell_state(struct namespace *space);

#endif
