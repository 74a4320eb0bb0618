/* The seam of the link for tests, whose 0-db hangs for less long. */
#ifndef WORKERS_ZDBD_LINK_PRIVATE_H
#define WORKERS_ZDBD_LINK_PRIVATE_H

#include <stdint.h>

struct link_times {
    uint32_t ping_ms, answer_ms, start_ms;
};

/* Of every link from now on, in place of LINK_PING_MS, LINK_ANSWER_MS and LINK_START_MS. */
void link_set_times(const struct link_times *times);

#endif
