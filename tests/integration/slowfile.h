/*
 * A file whose reads wait for as long as the test says, and whose writes and reads fail when it
 * says so: FUSE, served by a thread of the test (Documentation/filesystems/fuse.rst,
 * <linux/fuse.h>). A loop over it is a disk that hangs, or dies.
 */
#ifndef TESTS_INTEGRATION_SLOWFILE_H
#define TESTS_INTEGRATION_SLOWFILE_H

#include "harness.h"

struct slowfile;

/* Plugs in a disk that is reserved, over such a file, which keeps its content in the disk's own.
 * Skips the test where there is no FUSE. */
struct slowfile *slowfile_plug(struct disk *disk);
/* Unplugs it; plugged in again, it is an ordinary disk with what was written. */
void slowfile_unplug(struct slowfile *file);
/* Answers the reads that wait, and from now on each at once; or holds them again. */
void slowfile_hold(struct slowfile *file, bool held);
/* Before it is held: only reads that begin in this range wait. */
void slowfile_set_range(struct slowfile *file, uint64_t from, uint64_t to);
/* Waits until a read is being held. */
void slowfile_wait_held(struct slowfile *file);
/* What is named ends with EIO, once `more_writes` more writes and flushes have gone well. */
enum { SLOWFILE_WRITES = 1, SLOWFILE_FLUSHES = 2, SLOWFILE_READS = 4 };
void slowfile_fail(struct slowfile *file, unsigned what, unsigned more_writes);

#endif
