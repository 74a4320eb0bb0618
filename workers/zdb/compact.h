/*
 * Compaction: the room of payloads that nobody can get any more comes back, while clients are
 * served. One closed pair at a time, by a thread of its own and at a bounded speed: see compact.c
 * for how, and why nothing is lost wherever it ends. Main thread, but for that thread.
 */
#ifndef WORKERS_ZDB_COMPACT_H
#define WORKERS_ZDB_COMPACT_H

#include "ns.h"

#include <stdio.h>

struct compactor;

/* Closed pairs of which so many percent are dead are compacted by themselves; 0: none.
 * `out_event`: readable when compact_poll() has something to do. NULL without memory or thread. */
struct compactor *compact_new(uint32_t percent, int *out_event);
/* Accepts NULL. */
void compact_free(struct compactor *compactor);

/* All closed pairs of the namespace that have anything dead, one after the other. */
void compact_ask(struct compactor *compactor, struct ns *ns);
/* Goes on: what is ready is put in place, and the next pair is begun. `now_ms`: monotonic. */
void compact_poll(struct compactor *compactor, struct ns *list, uint64_t now_ms);
/* The namespace is left alone from now on; waits for the step under way. */
void compact_cancel(struct compactor *compactor, struct ns *ns);
/* Lines for INFO. */
void compact_print(const struct compactor *compactor, FILE *text);

#endif
