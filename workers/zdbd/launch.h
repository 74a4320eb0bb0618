/*
 * The launcher: a program of its own (`zdblaunch`) that becomes a pool's 0-db. zdbd executes it,
 * and nobody else. It does whatever may block on the pool's disk, so that a disk that hangs holds
 * this one process only:
 *
 *   1. makes a session of its own, so that no signal to the service reaches it, and forgets what it
 *      inherited: descriptors, ignored signals, groups
 *   2. opens the home and takes the lock on it (flock(2) on the directory): who has it is the one
 *      0-db of this pool. It stays descriptor 0, so the kernel gives it back when the 0-db ends,
 *      however that happens, and no second one ever runs beside it
 *   3. reads, or makes once and for all, `<home>/instance`: the TCP port and the admin's password,
 *      32 random bytes as 64 hex digits; written to a new file, synced, renamed, synced
 *   4. makes `<home>/data` and `<home>/index`, and in the run directory `password`, `gates` and
 * `log`
 *   5. gives up what it can: limits of files and memory (RLIMIT_DATA, and memory.max where our
 *      control group hands it on), a share of the I/O where there is cgroup v2, no_new_privs,
 *      Landlock (writes only below home and run directory)
 *   6. writes its record (record.h), gives up root and all capabilities, and executes the 0-db
 *
 * The 0-db is given its directories as /proc/self/fd/0/data and /index, so it needs no way to them,
 * its working directory is the run directory, its environment PATH alone, and argv[0] is "zdb".
 *
 * Descriptor LAUNCH_REPORT_FD is a pipe that closes on exec: nothing comes and it closes when the
 * 0-db was executed; else one struct launch_report says why not, and the process ends with 1.
 */
#ifndef WORKERS_ZDBD_LAUNCH_H
#define WORKERS_ZDBD_LAUNCH_H

#include "base/error.h"

#include <stdint.h>

enum {
    LAUNCH_REPORT_FD = 3,
    LAUNCH_LOG_MAX_BYTES = 1024 * 1024, /* a longer one becomes `log.old` first */
};

enum launch_failure {
    LAUNCH_LOCKED = 1, /* another 0-db, or a launcher, is on this home: find it by its record */
    LAUNCH_PORT_TAKEN, /* the port that is kept on the pool is somebody else's now */
    LAUNCH_PORT_BUSY,  /* none is kept, and the one that was proposed is taken: propose another */
    LAUNCH_HOME,       /* the home cannot be opened, read or written */
    LAUNCH_EXEC,       /* the binary */
    LAUNCH_OTHER,
};

struct launch_report {
    enum launch_failure failure;
    char message[ERR_MESSAGE_MAX];
};

/*
 * On its standard input it is told which namespaces are locked or frozen: lines "lock NAME" and
 * "freeze NAME" up to the end, which become the file `gates`. Upstream's 0-db cannot be told so.
 *
 * Flags, all of them needed but the last two:
 *   --pool FSID --home DIR --run DIR --uid N --gid N --listen ADDRESS --port N (proposed)
 *   --first-port N --last-port N (the range: a kept port beyond it is kept all the same,
 *   with a line in the log) --files N (RLIMIT_NOFILE) --memory BYTES --binary PATH
 *   --upstream: the binary is upstream's: it gets --admin PASSWORD, for it reads none from a file
 *   --sync
 */

#endif
