/*
 * The two ways to stop. SIGTERM: the workers end, mounts and 0-db stay, and the next start takes
 * them over. Shutdown: they also unmount, and say what is left busy.
 *
 * First all are told to take no more changes; then they end one after the other, in the reverse of
 * the config's order, so that each may still read from those that were started before it. The last
 * one resting ends the loop.
 */
#ifndef SUPERVISOR_STOP_H
#define SUPERVISOR_STOP_H

#include "supervisor.h"

/* Begins; a second one changes nothing: the first way stands. */
void stop_begin(struct supervisor *supervisor, bool shutdown);

/* A ward rests: the `stopped` callback of every ward, with the supervisor as its data. */
void stop_next(struct ward *ward, void *data);

/* After a shutdown: OK, or FAILED_PRECONDITION with everything that was left busy as blockers, and
 * every worker that was not there to be told, or died of it: what it had mounted is still there. */
int stop_result(const struct supervisor *supervisor, struct err *err);

#endif
