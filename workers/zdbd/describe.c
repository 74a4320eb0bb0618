/* Messages: strings are borrowed from what they describe. */
#include "describe.h"

#include "base/log.h"
#include "node.h"

#include <stdio.h>
#include <string.h>

#define SPACE_STATE(name) STORAGE__V1__ZDBNAMESPACE_STATE__ZDB_NAMESPACE_STATE_##name

Storage__V1__ZDBNamespaceState describe_state(const struct namespace *space,
                                              char out_reason[ERR_MESSAGE_MAX])
{
    struct err err = {0};
    Storage__V1__ZDBNamespaceState state = SPACE_STATE(LIVE);
    out_reason[0] = '\0';
    if (space->phase == NAMESPACE_DYING || space->phase == NAMESPACE_UNDONE) {
        state = SPACE_STATE(RELEASING);
        (void)snprintf(out_reason, ERR_MESSAGE_MAX, "what is left of it goes");
    } else if (space->strange) {
        state = SPACE_STATE(FAILED);
        (void)snprintf(out_reason, ERR_MESSAGE_MAX, "this zdbd cannot read what is noted of it");
    } else if (pool_check_up(space->pool, &err) < 0) {
        state = SPACE_STATE(FAILED);
        (void)snprintf(out_reason, ERR_MESSAGE_MAX, "%s", err.message);
    } else if (space->presence == NAMESPACE_MISSING) {
        state = SPACE_STATE(FAILED);
        (void)snprintf(out_reason, ERR_MESSAGE_MAX, "the 0-db of its pool does not have it");
    } else if (space->presence == NAMESPACE_BROKEN) {
        state = SPACE_STATE(FAILED);
        (void)snprintf(out_reason, ERR_MESSAGE_MAX, "its 0-db keeps it out of service: %s",
                       space->trouble ? space->trouble : "");
    } else if (space->presence == NAMESPACE_UNSEEN) {
        state = SPACE_STATE(FAILED);
        (void)snprintf(out_reason, ERR_MESSAGE_MAX, "its 0-db was not asked for it yet");
    }
    err_clear(&err);
    return state;
}

static struct addresses *addresses_of(const struct pool *pool)
{
    struct addresses *addresses = &pool->node->addresses;
    addresses_refresh(addresses, pool->node->settings->zdb_listen);
    return addresses;
}

void describe_namespace(const struct namespace *space, struct described_namespace *out)
{
    Storage__V1__ZDBNamespace *to = &out->message;
    const struct pool *pool = space->pool;
    storage__v1__zdbnamespace__init(to);
    to->state = describe_state(space, out->reason);
    to->reason = out->reason;
    to->id = (char *)space->id;
    to->name = (char *)space->noted.name;
    to->zdb_name = (char *)space->noted.zdb_name;
    to->disk_type = pool->disk_type;
    to->size_bytes = space->size_bytes;
    to->mode = space->noted.mode;
    to->pool = (char *)pool->id;
    to->public_ = space->noted.public;
    to->locked = space->noted.locked;
    to->frozen = space->noted.frozen;
    to->created_us = space->created_us;
    to->generation = space->generation;
    to->port = instance_port(pool->instance);
    if (to->port) {
        struct addresses *addresses = addresses_of(pool);
        to->addresses = addresses->list;
        to->n_addresses = addresses->n;
    }
}

void describe_instance(const struct pool *pool, Storage__V1__ZDBInstance *out)
{
    storage__v1__zdbinstance__init(out);
    instance_describe(pool->instance, out);
    out->namespaces = (uint32_t)pool->n_namespaces;
    if (out->port) {
        struct addresses *addresses = addresses_of(pool);
        out->addresses = addresses->list;
        out->n_addresses = addresses->n;
    }
}

/* ---- events ---- */

/* What somebody should look at stands out in the log. */
static enum log_level level_of(const char *topic)
{
    static const char *const warnings[] = {"namespace.failed", "zdb.down", "zdb.ended",
                                           "zdb.hung",         "zdb.full", "zdb.unhealthy"};
    for (size_t i = 0; i < sizeof warnings / sizeof *warnings; i++)
        if (strcmp(topic, warnings[i]) == 0)
            return LOG_WARNING;
    return LOG_INFO;
}

void tell_namespace(struct namespace *space, const char *topic, const char *reason)
{
    struct described_namespace described;
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    const struct node *node = space->pool->node;
    describe_namespace(space, &described);
    event.topic = (char *)topic;
    event.object = space->id;
    event.reason = (char *)(reason ? reason : "");
    event.body_case = STORAGE__V1__EVENT__BODY_ZDB_NAMESPACE;
    event.zdb_namespace = &described.message;
    log_line(level_of(topic), topic, "namespace", space->id, "name",
             space->noted.name[0] ? space->noted.name : NULL, "pool", space->pool->id, "size_bytes",
             log_u64(space->size_bytes), "reason", reason, (char *)NULL);
    event_publish(node->worker->events, &event);
}

void tell_instance(const struct pool *pool, const char *topic, const char *reason)
{
    Storage__V1__ZDBInstance described;
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    describe_instance(pool, &described);
    event.topic = (char *)topic;
    event.object = (char *)pool->id;
    event.reason = (char *)(reason ? reason : "");
    event.body_case = STORAGE__V1__EVENT__BODY_ZDB;
    event.zdb = &described;
    /* An end that was asked for is none to look at. */
    enum log_level level = instance_is_stopping(pool->instance) ? LOG_INFO : level_of(topic);
    log_line(level, topic, "pool", pool->id, "pid", log_u64(described.pid), "port",
             log_u64(described.port), "reason", reason, (char *)NULL);
    event_publish(pool->node->worker->events, &event);
}

void tell_state(struct namespace *space)
{
    char reason[ERR_MESSAGE_MAX];
    if (space->phase == NAMESPACE_MAKING || space->phase == NAMESPACE_UNDONE || space->order)
        return;
    Storage__V1__ZDBNamespaceState state = describe_state(space, reason);
    bool unseen = space->presence == NAMESPACE_UNSEEN;
    /* What just comes up is not told of as failed first. */
    if (state == space->told || (state == SPACE_STATE(FAILED) && unseen && !space->strange &&
                                 pool_check_up(space->pool, NULL) == 0))
        return;
    bool first = space->told == SPACE_STATE(UNSPECIFIED);
    space->told = state;
    if (state == SPACE_STATE(FAILED))
        tell_namespace(space, "namespace.failed", reason);
    else if (state == SPACE_STATE(LIVE) && !first)
        tell_namespace(space, "namespace.live", NULL);
}
