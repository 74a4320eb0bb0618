/*
 * mkfs.btrfs, the one program that diskd executes. Blocks until it has ended: for a disk's lane.
 *
 * It dies with diskd, so that the next incarnation never meets one at work. It may write, so the
 * caller has made sure of what it writes to; without -f it refuses a disk with a signature by
 * itself, and opens it exclusively.
 */
#ifndef DISKD_MKFS_H
#define DISKD_MKFS_H

#include "base/error.h"

/*
 * One device, data single, metadata DUP, nothing discarded. It is killed at the deadline
 * (-ERR_DEADLINE_EXCEEDED), and when `stop_fd` becomes readable (-ERR_CANCELLED). Otherwise the
 * error carries what it said.
 */
int mkfs_btrfs(const char *path, const char *fsid, const char *label, uint32_t deadline_ms,
               int stop_fd, struct err *err);

#endif
