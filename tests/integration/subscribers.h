/*
 * A thousand subscribers of poold, in a few processes: each holds every event against the number
 * that must follow, until it has seen the reservation of SUBSCRIBERS_LAST, or a second resync.
 */
#ifndef TESTS_INTEGRATION_SUBSCRIBERS_H
#define TESTS_INTEGRATION_SUBSCRIBERS_H

#include "harness.h"

enum { SUBSCRIBERS_PROCESSES = 4, SUBSCRIBERS_EACH = 250 };
#define SUBSCRIBERS_LAST "the-last-one"

/* For main(): runs such a process when the arguments ask for one, and returns its exit code, or -1.
 */
int subscribers_main(int argc, char **argv);

struct subscribers {
    pid_t pids[SUBSCRIBERS_PROCESSES];
};
/* Starts them, and waits until each knows where the stream stands. */
struct subscribers subscribers_start(const struct node *node);
/* Waits until all have seen all; fails the test when one has missed something. */
void subscribers_wait(struct subscribers *subscribers);

#endif
