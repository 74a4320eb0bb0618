/* Looks: reading a disk on its lane, one at a time, with a deadline and rests between. */
#ifndef DISKD_LOOKS_H
#define DISKD_LOOKS_H

#include "disk.h"

/* Looks at the disk as soon as it may be: after the look that is out, the rest, the operation. */
void look_soon(struct disk *disk);

/* Without the rest. */
void look_now(struct disk *disk);

int look_open_lane(struct disk *disk, struct err *err);

/* Forgets the look that is out, if any: its result will go nowhere. The lane ends when it can; a
 * hanging one is not waited for when diskd stops. */
void look_end(struct disk *disk);

/* Gives up the retired lanes that have been busy for longer. */
void look_abandon_hung(struct registry *registry, uint64_t busy_ms);

/* Calls all waiters; `disk` is what they get. */
void look_answer_all(struct disk *owner, struct disk *disk);

/* Watches for lanes that hang, as long as there is any work on one. */
void look_watch_hangs(struct registry *registry);
void look_on_hang_timer(uv_timer_t *timer);

#endif
