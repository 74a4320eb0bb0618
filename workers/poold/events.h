/*
 * What poold tells: each change is one log line and one event. `reason` may be NULL. Of the loop.
 */
#ifndef WORKERS_POOLD_EVENTS_H
#define WORKERS_POOLD_EVENTS_H

#include "pool.h"
#include "space.h"

/* pool.created, pool.mounted, pool.failed, pool.incomplete, pool.duplicate, pool.fenced,
 * pool.readonly, pool.leaving; cache.mounted and cache.unmounted carry their pool as well. */
void events_tell_pool(const struct pool *pool, const char *topic, const char *reason);
/* space.reserved, space.released, space.reaped, space.held, space.nested, space.failed */
void events_tell_space(const struct space *space, const char *topic, const char *reason);
/* Of a booking. */
void events_tell_booking(const struct space *booking, const char *topic);
/* About something that is none of them: a disk that could not be prepared. */
void events_tell(struct node *node, const char *topic, const char *object, const char *reason);

#endif
