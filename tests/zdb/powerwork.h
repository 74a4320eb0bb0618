/*
 * Clients that keep a server busy until its power fails, and remember by a clock of their own when
 * each change was asked for and when it was answered. Of what a cut of the disk has, each key's
 * value must then be one that was not yet followed by another that was answered before the cut, and
 * that was asked for before its end.
 *
 * Several connections, with a few requests in flight on each: keys of two clients in `default`,
 * ids, a namespace that is rotated and compacted, and namespaces that come and go. One thread.
 */
#ifndef TESTS_ZDB_POWERWORK_H
#define TESTS_ZDB_POWERWORK_H

#include "server.h"

struct work;

struct work_sums {
    unsigned n_checked, n_in_the_air; /* keys, and those of them for which it was open */
};

struct work *work_new(uint64_t seed);
void work_free(struct work *work);

/* Connects to a server with empty directories; of what was before nothing is remembered. */
void work_begin(struct work *work, const struct server *server);
/* Goes on until so many more requests are answered. */
void work_go_on(struct work *work, unsigned n);
/* Takes the replies that have come, and returns the clock. */
uint64_t work_stamp(struct work *work);
/* Closes the connections; what is in flight stays unanswered. */
void work_end(struct work *work);

/* Holds what this server has against what it must have after a cut between the two times. */
void work_check(struct work *work, const struct server *server, uint64_t before, uint64_t after,
                struct work_sums *sums);

#endif
