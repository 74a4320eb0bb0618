/*
 * A file whose reads wait for as long as the test says: FUSE, served by a thread of the test
 * (Documentation/filesystems/fuse.rst, <linux/fuse.h>). A loop over it is a disk that hangs.
 */
#ifndef TESTS_INTEGRATION_SLOWFILE_H
#define TESTS_INTEGRATION_SLOWFILE_H

#include "harness.h"

struct slowfile;

/* Serves the file `backing` as <folder>/file, for reading; its reads are held from the start if
 * `held`. Skips the test where there is no FUSE. */
struct slowfile *slowfile_start(const char *folder, const char *backing, bool held);
const char *slowfile_path(const struct slowfile *file);
/* Answers the reads that wait, and from now on each at once; or holds them again. */
void slowfile_hold(struct slowfile *file, bool held);
/* Waits until a read is being held. */
void slowfile_wait_held(struct slowfile *file);
void slowfile_stop(struct slowfile *file);

#endif
