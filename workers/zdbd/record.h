/*
 * What a 0-db process says of itself before it becomes one: the file `record` in its run directory,
 * <run_dir>/zdb/<fsid>/, written by the launcher. It is how a zdbd finds the processes that an
 * earlier one started, and knows that they are those.
 *
 *   <run_dir>/zdb/            0711 root
 *   <run_dir>/zdb/<fsid>/     0700, of the pool's uid: the 0-db's working directory
 *     record                  0600 root, lines `key=value`, replaced by rename
 *     password                0400 of the uid: the admin's, 64 hex digits
 *     socket                  the 0-db's own, for the admin
 *     log, log.old            what it prints
 *
 * A pid alone proves nothing: with the start time (proc(5), /proc/<pid>/stat, field 22) and the
 * boot id it names one process for good. What proves that no second 0-db is on a directory is the
 * lock that each holds on it from before its record until its end (launch.h).
 */
#ifndef WORKERS_ZDBD_RECORD_H
#define WORKERS_ZDBD_RECORD_H

#include "base/error.h"
#include "base/uuid.h"

#include <stdint.h>
#include <sys/types.h>

enum { RECORD_MISSING_MAX = 128, RECORD_FILE_MAX = 1024 };

struct zdb_record {
    char pool[UUID_TEXT_SIZE];
    char boot_id[UUID_TEXT_SIZE];
    pid_t pid;
    uint64_t start_ticks; /* since boot, in units of sysconf(_SC_CLK_TCK) */
    uint64_t started_us;  /* realtime */
    uid_t uid;
    uint16_t port;
    /* The binary when it was executed: another one on the disk now differs in one of these. */
    uint64_t binary_dev, binary_ino;
    int64_t binary_mtime_ns;
    char missing[RECORD_MISSING_MAX]; /* confinement that there was not, "landlock io.weight" */
};

/* Fills in pid, start time, boot id and `started_us` of the calling process. */
int record_describe_self(struct zdb_record *record, struct err *err);

/* Replaces the file in `run_fd`, the run directory. */
int record_write(int run_fd, const struct zdb_record *record, struct err *err);

/* -ERR_NOT_FOUND where there is none; -ERR_DATA_LOSS for one that is not whole, or names a pool
 * other than `pool`. */
int record_read(int run_fd, const char *pool, struct zdb_record *out_record, struct err *err);

/*
 * The process that the record names, if it still runs: a pidfd that closes on exec, the caller's.
 * -ERR_NOT_FOUND if it has ended, or the pid is another's by now.
 */
int record_find_process(const struct zdb_record *record, int *out_pidfd, struct err *err);

#endif
