/*
 * The floor of a durable Reserve: the system calls that any implementation must make, and nothing
 * else. A btrfs of its own on a disk of its own, with simple quotas; one create is a quota group,
 * its limit, and a subvolume in it; a commit is START_SYNC and WAIT_SYNC.
 */
#ifndef BENCH_FLOOR_BTRFS_H
#define BENCH_FLOOR_BTRFS_H

#include "harness.h"
#include "report.h"

enum { FLOOR_THREADS_MAX = 64 };

struct floor_btrfs {
    char *path; /* where it is mounted */
    int fd;
    _Atomic unsigned next; /* the next subvolume's number */
};

void floor_btrfs_open(struct floor_btrfs *floor, const struct disk *disk);
/* Creates until `count` subvolumes are there, and commits. */
void floor_btrfs_fill(struct floor_btrfs *floor, unsigned count);
/* One create, not durable; any thread. */
void floor_btrfs_create(struct floor_btrfs *floor);
void floor_btrfs_commit(struct floor_btrfs *floor);
/* Milliseconds of `count` durable creates, one after another. */
void floor_btrfs_measure(struct floor_btrfs *floor, unsigned count, struct samples *samples);
/* Durable creates a second by `threads` threads that share commits as the kernel lets them. */
double floor_btrfs_rate(struct floor_btrfs *floor, unsigned threads, unsigned count);
void floor_btrfs_close(struct floor_btrfs *floor);

#endif
