/*
 * The first start of the workers, in the order of the config: as many at once as there are
 * processors, and the next ones when those are READY or have failed, or after `beat_ms`. What
 * starts first is what a boot waits for; the last ones would only take the processor from it.
 */
#ifndef SUPERVISOR_STARTUP_H
#define SUPERVISOR_STARTUP_H

#include "supervisor.h"

/* All wards are open. */
void startup_begin(struct supervisor *supervisor);

/* A worker has begun, see ward_open(); `data` is the supervisor. */
void startup_next(struct ward *ward, void *data);

void startup_close(struct supervisor *supervisor);

#endif
