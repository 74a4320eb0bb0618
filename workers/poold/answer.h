/*
 * Answers to the calls that wait for a space. Of the loop.
 */
#ifndef WORKERS_POOLD_ANSWER_H
#define WORKERS_POOLD_ANSWER_H

#include "space.h"

struct node;

/* Makes the call wait for the space's operation; fails it if too many wait for its pool. The result
 * tells whether it waits. */
bool answer_later(struct space *space, struct rpc_call *call);

/* The next who waits, and waits no more: to be answered. NULL when nobody does. */
struct rpc_call *answer_next(struct space *space);

/* All who wait get the space; the first of them made it, if `made`. */
void answer_with_space(struct space *space, bool made);
/* All who wait for its release: it existed. */
void answer_released(struct space *space);
void answer_with_error(struct space *space, const struct err *err);

/* To one call: the space as it is. */
void answer_space(struct rpc_call *call, const struct space *space, bool created);

/* Fails a call that asks for something which a pool may hold that was not open yet and can be again
 * as it is, or that stands on a disk which was not read yet; false if there is no such pool. One
 * that has failed is not waited for. */
bool answer_not_known_yet(struct node *node, struct rpc_call *call, const char *object);

#endif
