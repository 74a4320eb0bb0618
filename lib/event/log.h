/* Private to the publisher: EventLog/Since, from the ring. */
#ifndef LIB_EVENT_LOG_H
#define LIB_EVENT_LOG_H

#include "event/ring.h"
#include "rpc/server.h"
#include "storage/v1/event.pb-c.h"

struct event_log {
    Storage__V1__EventLog_Service service; /* first: what the handler gets */
    const struct event_ring *ring;
    uint64_t epoch;
};

void event_log_init(struct event_log *log, const struct event_ring *ring, uint64_t epoch);

#endif
