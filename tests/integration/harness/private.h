/* What the harness's own files share. */
#ifndef TESTS_INTEGRATION_HARNESS_PRIVATE_H
#define TESTS_INTEGRATION_HARNESS_PRIVATE_H

#include "harness.h"

enum { LEDGER_MAX = 512 };

/* The devices made in the sandbox: shared with the process outside, which looks after what they
 * became of. */
struct ledger {
    unsigned n_loops, n_zrams;
    unsigned loops[LEDGER_MAX];
    unsigned zrams[LEDGER_MAX];
};
extern struct ledger *sandbox_ledger;

/* Kernel uevents, as a socket that becomes readable. */
int uevent_open(void);
/* Waits for any uevent, or until the deadline; drains what came. */
void uevent_wait(int fd, uint64_t deadline_ms);

/* Removes the loop device, which detaches by itself: false when it still is there at the deadline.
 */
bool loop_remove(unsigned number, uint64_t deadline_ms);
bool loop_exists(unsigned number);
bool zram_remove(unsigned number, uint64_t deadline_ms);
bool zram_exists(unsigned number);

/* The teardown of one test; each accepts that there is nothing. */
void freezers_end_all(void);
void nodes_end_all(bool passed);
void disks_remove_all(void);
void command_results_free(void);
/* A problem that the teardown found: fails the test, after all is cleaned up. */
void teardown_problem(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The program as a watch: what harness_main() runs for "--watch RUN_DIR". */
int watch_main(const char *run_dir);
/* Forgets what was read so far. */
void watch_mark(struct watch *watch);

/* Milliseconds left until a deadline, for poll(). */
int ms_until(uint64_t deadline_ms);

/* A pidfd of the process, or -1 when it is gone. */
int process_open(pid_t pid);
/* True when the process of the pidfd ended before the deadline. */
bool process_ended(int pidfd, uint64_t deadline_ms);

_Noreturn void harness_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
