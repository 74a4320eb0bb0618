/*
 * The disks of this node, kept up to date by what the watch hears. All on the loop.
 *
 * A disk is any whole block device with a medium that the allow list lets in. A uevent only says
 * where to look; each look reads anew, on the disk's own lane, and an event goes out only when
 * something that is visible has changed: so repeated uevents, and those that diskd causes itself,
 * stay without one. Another disk sequence number under the same name is another disk.
 *
 * Settled: every disk has been looked at, is in use, or is past its probe's deadline (and UNKNOWN).
 * A further look at a disk that is known does not unsettle. Each time the registry becomes settled,
 * `disk.settled` follows the events of the disks.
 */
#ifndef DISKD_REGISTRY_H
#define DISKD_REGISTRY_H

#include "disk.h"

/* Subscribes, then enumerates. `sys` and `proc` are borrowed. */
int registry_open(struct worker *worker, const char *sys, const char *proc,
                  struct registry **out_registry, struct err *err);

/* Waiters are called with NULL; lanes that hang are abandoned. No function may be called after. */
void registry_close(struct registry *registry);

/* For what outlives registry_close(): see retired lanes. */
void registry_release(struct registry *registry);

/* By id, path or kernel name; NULL: not one that we know or may use. */
struct disk *registry_find(struct registry *registry, const char *id);

/* Why not: -ERR_NOT_FOUND, or -ERR_UNAVAILABLE while a disk has appeared whose id is still read. */
int registry_miss(const struct registry *registry, const char *id, struct err *err);

/* Looks at it again, now; -ERR_RESOURCE_EXHAUSTED when too many wait already. */
int registry_probe(struct disk *disk, struct disk_waiter *waiter, struct err *err);

/*
 * Takes the disk for an operation: until registry_disengage() nobody else looks at it. `gone` is
 * called when the disk goes away meanwhile; it is then no longer engaged, and freed.
 * -ERR_ABORTED when another operation has it.
 */
int registry_engage(struct disk *disk, void (*gone)(void *data), void *data, struct err *err);
void registry_disengage(struct disk *disk);

/* The lane of an engaged disk. */
int registry_lane(struct disk *disk, struct lane **out_lane, struct err *err);

/* What an operation has read of the disk; publishes what is new. */
void registry_take_report(struct disk *disk, const struct probe_report *report);

/* Reads anew who uses the disk. */
void registry_check_use(struct disk *disk);

#endif
