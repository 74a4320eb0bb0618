/* Verdicts: what each disk is by all that is known, and telling whoever listens. */
#ifndef DISKD_VERDICTS_H
#define DISKD_VERDICTS_H

#include "disk.h"

/* Somebody other than a pool of ours uses it: it is not opened. */
bool verdict_is_taken(const struct disk *disk);

/* A pool of ours uses it, by the kernel's word the same one as was read: no look would tell more.
 */
bool verdict_is_confirmed(const struct disk *disk);

/* Judges anew, and publishes disk.changed if that is news; then `settled` and the status. */
void verdict_judge(struct disk *disk);

/* Gives it its id and publishes disk.added; once. */
void verdict_announce(struct disk *disk);

/* Publishes disk.removed, of a disk that is out of the registry's list already. */
void verdict_retract(struct disk *disk, const char *reason);

/* Replaces the report (taken; may be NULL), and judges the disks that carry the same btrfs device
 * as the old or the new one. */
void verdict_set_report(struct disk *disk, struct probe_report *report);

/* Whether the registry is settled, and the worker's status, after a change. */
void verdict_sum_up(struct registry *registry);

#endif
