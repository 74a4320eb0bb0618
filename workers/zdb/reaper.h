/*
 * Removing what removed or emptied namespaces have on the disk, one after the other, by a thread of
 * its own: the blocks of many files take long to give back. What is left when the process ends is
 * marked (remove.c), and gone on with at the next start. Main thread, but for that thread.
 */
#ifndef WORKERS_ZDB_REAPER_H
#define WORKERS_ZDB_REAPER_H

#include <stdint.h>

struct reaper;

/* The directories are borrowed. NULL without memory or thread. */
struct reaper *reaper_new(int data_root, int index_root);
/* Leaves the rest for the next start. Accepts NULL. */
void reaper_free(struct reaper *reaper);
/* Both directories of this name go. 0 or -ENOMEM. */
int reaper_add(struct reaper *reaper, const char *name);
/* The directories stay, and what emptying has left in them goes. */
int reaper_add_gone(struct reaper *reaper, const char *name);
/* Those that are not gone yet, nor have failed. */
uint64_t reaper_left(struct reaper *reaper);

#endif
