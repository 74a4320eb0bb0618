/*
 * What an attack or a load costs the others: a neighbour, who reads at each worker and at the
 * control socket all the while and notes how long that took; the memory and the descriptors of
 * each process.
 */
#ifndef TESTS_INTEGRATION_GAUGE_H
#define TESTS_INTEGRATION_GAUGE_H

#include "harness.h"

/* Whom a neighbour asks, and whose memory is looked at. */
enum gauge_process { GAUGE_DISKD, GAUGE_POOLD, GAUGE_STORAGED, GAUGE_PROCESSES };
extern const char *const gauge_names[GAUGE_PROCESSES];

/* For main(): all that is started from here on gives freed memory back at once (glibc keeps
 * some per thread, the sanitizer a quarantine), so that growth shows. Runs the neighbour when the
 * arguments ask for one, and returns its exit code, or -1. */
int gauge_main(int argc, char **argv);

struct neighbour;

/* Starts it; it asks diskd for the disk, and poold for the space. */
struct neighbour *neighbour_start(const struct node *node, const char *disk, const char *space);
void neighbour_stop(struct neighbour *neighbour);
/* From here on. */
void neighbour_mark(struct neighbour *neighbour);
/* How often it has asked each since the mark. */
unsigned neighbour_rounds(struct neighbour *neighbour);
/* Whether each was answered within 10 ms, as a median, since the mark; with allowance for a machine
 * that is slow for all: a loop that is blocked is slower than its neighbours. Prints who was not.
 */
bool neighbour_is_well(struct neighbour *neighbour, const char *meanwhile);

struct gauge {
    pid_t pid[GAUGE_PROCESSES];
    uint64_t resident_bytes[GAUGE_PROCESSES];
    unsigned descriptors[GAUGE_PROCESSES];
};
struct gauge gauge_read(struct node *node);
/* How many arenas glibc has made for the process, besides its first; 0 under a sanitizer. */
unsigned gauge_count_arenas(pid_t pid);
/* Waits until no process has more descriptors than it had then, but for a few of bystanders. */
void gauge_wait_descriptors(struct node *node, const struct gauge *before);
/* Whether no process is larger by more than this and what the sanitizers' allocator wavers by;
 * fails the test when one was reborn. */
bool gauge_is_flat(const struct gauge *before, const struct gauge *after, uint64_t slack_bytes);
/* Fails the test unless it is so. */
void gauge_expect_flat(const struct gauge *before, const struct gauge *after, uint64_t slack_bytes);

#endif
