/*
 * Syncing: what was written is made durable by a thread of its own, for all namespaces that have
 * changed, one batch after the other. Whoever waits for a batch waits together: that is the group
 * commit. Then the thread makes the marks that waited for it (marks.h).
 *
 * Main thread but for the thread itself. While a batch is under way its namespaces must not be
 * unloaded: sync_finish() first.
 */
#ifndef WORKERS_ZDB_SYNC_H
#define WORKERS_ZDB_SYNC_H

#include "ns.h"

#include <stdbool.h>

struct syncer;

/* `out_event`: readable when sync_poll() has something to tell. NULL without memory or thread. */
struct syncer *syncer_new(int *out_event);
/* Waits for the batch under way. Accepts NULL. */
void syncer_free(struct syncer *syncer);

/* Begins a batch of all of the list that are unsynced, all flushed before. False if one is under
 * way, or nothing is to be done. */
bool sync_begin(struct syncer *syncer, struct ns *list);
/* Until sync_poll() has told all of it, and the next one cannot begin before: who waits for that
 * one would take what is told for its end. */
bool sync_under_way(const struct syncer *syncer);
/* Batches that are over, marks and all. */
uint64_t sync_count(const struct syncer *syncer);

/* What was reached since the last call: once per batch SYNCED, once SETTLED, with nothing after. */
enum sync_news { SYNC_NOTHING, SYNC_SYNCED, SYNC_SETTLED };
/* A namespace whose sync failed is out of service when SYNCED is told. */
enum sync_news sync_poll(struct syncer *syncer);
/* Waits for the end of the batch under way, if there is one; sync_poll() still tells of it. */
void sync_wait(struct syncer *syncer);
/* sync_now(), after the batch that has the namespace. `syncer` may be NULL if none ever has. */
int sync_settle(struct syncer *syncer, struct ns *ns);

/* Flushes, syncs and marks one namespace here and now; no batch may have it. 0 or a negative errno,
 * and then it is out of service. */
int sync_now(struct ns *ns);

#endif
