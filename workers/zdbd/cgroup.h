/*
 * The control group of one 0-db, where cgroup v2 lets us have one: a child of our own group, named
 * zdb-<pool>. Which controllers it gets is decided by who made ours (cgroup.subtree_control); we
 * turn none on, for the group may not be ours alone.
 */
#ifndef WORKERS_ZDBD_CGROUP_H
#define WORKERS_ZDBD_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/* Our own group's directory, or -errno; ENOENT where there is no cgroup v2. */
int cgroup_open_own(void);

/*
 * Makes the child and enters it with the calling process. True if it has its share of I/O there.
 * The limit of memory counts what a 0-db has in the page cache as well, which the kernel takes back
 * first.
 */
bool cgroup_enter(int own, const char *pool, uint64_t memory_bytes);

#endif
