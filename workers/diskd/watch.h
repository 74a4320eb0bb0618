/*
 * Hears what happens to block devices, on the loop.
 *
 *   kernel uevents      always: they tell of everything, with udevd or without
 *   udev's own events   while udevd runs at the start: a device is looked at again when udev's
 *                       rules, which may set its queue up, have run
 *   mountinfo, swaps    whose poll(2) tells that somebody began or ceased to use a disk
 *   sysfs attributes    by inotify, for what the kernel does not announce: the size of a zram, the
 *                       queue's rotational flag
 *
 * Callbacks say only where to look; what is there is read anew, so that a repeated or late event
 * does no harm.
 */
#ifndef DISKD_WATCH_H
#define DISKD_WATCH_H

#include "base/error.h"

#include <uv.h>

struct watch;

struct watch_callbacks {
    void (*changed)(const char *name, void *data); /* a whole disk, by its kernel name */
    void (*removed)(const char *name, uint64_t diskseq, void *data); /* 0: not told */
    void (*lost)(void *data);  /* events were lost: look at everything */
    void (*usage)(void *data); /* mounts or swaps are other ones */
    void *data;
};

int watch_open(uv_loop_t *loop, const char *sys, const char *proc,
               const struct watch_callbacks *callbacks, struct watch **out_watch, struct err *err);

/* From now on also hears of writes to the attributes of this disk; again and again does no harm. */
void watch_attributes(struct watch *watch, const char *name);
void watch_forget(struct watch *watch, const char *name);

/* No callback any more; freed when the loop has turned. Accepts NULL. */
void watch_close(struct watch *watch);

#endif
