/* Events: the body is the object as it is now. */
#include "events.h"

#include "base/log.h"
#include "describe.h"
#include "node.h"

#include <string.h>

/* What somebody should look at stands out in the log. */
static enum log_level level_of(const char *topic)
{
    static const char *const warnings[] = {
        "pool.failed", "pool.incomplete", "pool.duplicate", "pool.fenced",     "pool.readonly",
        "space.held",  "space.nested",    "space.failed",   "cache.unmounted",
    };
    for (size_t i = 0; i < sizeof warnings / sizeof *warnings; i++)
        if (strcmp(topic, warnings[i]) == 0)
            return LOG_WARNING;
    return LOG_INFO;
}

static void publish(const struct node *node, Storage__V1__Event *event, const char *topic,
                    const char *object, const char *reason)
{
    event->topic = (char *)topic;
    event->object = (char *)object;
    event->reason = (char *)(reason ? reason : "");
    event_publish(node->worker->events, event);
}

void events_tell_pool(const struct pool *pool, const char *topic, const char *reason)
{
    struct described_pool described;
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    describe_pool(pool, &described);
    event.body_case = STORAGE__V1__EVENT__BODY_POOL;
    event.pool = &described.info;
    log_line(level_of(topic), topic, "pool", pool->fsid, "name", pool->name, "path",
             *described.info.path ? described.info.path : NULL, "reason", reason, (char *)NULL);
    publish(pool->node, &event, topic, pool->fsid, reason);
}

void events_tell_space(const struct space *space, const char *topic, const char *reason)
{
    struct described_space described;
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    describe_space(space, &described);
    event.body_case = STORAGE__V1__EVENT__BODY_SPACE;
    event.space = &described.space;
    log_line(level_of(topic), topic, "space", space->record.id, "name",
             space->record.name[0] ? space->record.name : NULL, "pool", space->pool->fsid,
             "size_bytes", log_u64(space->record.size_bytes), "reason", reason, (char *)NULL);
    publish(space->pool->node, &event, topic, space->record.id, reason);
}

void events_tell_booking(const struct space *booking, const char *topic)
{
    struct described_booking described;
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    describe_booking(booking, &described);
    event.body_case = STORAGE__V1__EVENT__BODY_BOOKING;
    event.booking = &described.booking;
    log_line(level_of(topic), topic, "booking", booking->record.id, "pool", booking->pool->fsid,
             "size_bytes", log_u64(booking->record.size_bytes), (char *)NULL);
    publish(booking->pool->node, &event, topic, booking->record.id, NULL);
}

void events_tell(struct node *node, const char *topic, const char *object, const char *reason)
{
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    log_line(level_of(topic), topic, "object", object, "reason", reason, (char *)NULL);
    publish(node, &event, topic, object, reason);
}
