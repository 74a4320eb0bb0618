/* A worker's life and death: whose child it is, what it ignores, how it dies. */
#ifndef LIB_WORKER_LIFE_H
#define LIB_WORKER_LIFE_H

#include "base/error.h"

/* Is `fd` the channel that a supervisor gave us? Marks it close-on-exec. */
int life_check_channel(int fd, struct err *err);

/*
 * SIGTERM, SIGINT, SIGHUP and SIGPIPE are ignored: zinit signals whole groups, and a worker ends on
 * its channel alone. On SIGABRT every descriptor above 2 is closed before the process dies, so that
 * its clients are reset and its locks are free, even while one of its threads hangs in the kernel.
 */
void life_set_signals(void);

/*
 * The worker dies with its supervisor: PDEATHSIG, and a check that the supervisor, which the
 * channel names (SO_PEERCRED), is still the parent. After confine_apply(): a change of credentials
 * may clear PDEATHSIG.
 */
int life_tie_to_parent(int channel_fd, struct err *err);

#endif
