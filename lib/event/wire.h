/* An event on the wire: its topic, a NUL, and the packed Event. */
#ifndef LIB_EVENT_WIRE_H
#define LIB_EVENT_WIRE_H

#include "storage/v1/event.pb-c.h"

#include <nng/nng.h>

#define EVENT_TICK_TOPIC "tick"

/* One event must fit a reply of EventLog/Since. */
enum { EVENT_MAX_BYTES = 512 * 1024, EVENT_TOPIC_MAX = 64 };

/* NULL when out of memory, or when the event is beyond its limits. */
nng_msg *event_wire_pack(const Storage__V1__Event *event);
/* NULL when it is no event, or out of memory. Free with storage__v1__event__free_unpacked(). */
Storage__V1__Event *event_wire_unpack(nng_msg *msg);

#endif
