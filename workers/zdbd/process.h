/*
 * A 0-db process, launched or adopted: seen at once when it ends, and signalled as itself alone,
 * never as whoever has its pid by then. Of the loop.
 *
 * What it was started by makes no difference later, but for its exit status, which only the parent
 * is told. The process lives on when this struct is closed.
 */
#ifndef WORKERS_ZDBD_PROCESS_H
#define WORKERS_ZDBD_PROCESS_H

#include "config/settings.h"
#include "launch.h"
#include "record.h"

#include <stdbool.h>
#include <uv.h>

struct process;

struct process_callbacks {
    /* It is the 0-db now, and `record` is its. */
    void (*launched)(const struct zdb_record *record, void *data);
    /* It never became one. The struct has no process any more. */
    void (*failed)(const struct launch_report *report, void *data);
    /* It has ended: "signal 9 (Killed)", "exit 1", "ended" where nobody was told. */
    void (*ended)(const char *reason, void *data);
    void *data;
};

struct process_home {
    const char *pool;
    const char *path; /* Booking.home.path */
    uid_t uid;
    gid_t gid;
    uint16_t port; /* proposed, for a home that has none */
};

/* All strings are copied. `gates_fd` is read by the launcher, see launch.h; -1: nothing is shut.
 * Nothing is called back before the loop's next turn. */
int process_launch(uv_loop_t *loop, const struct settings *settings,
                   const struct process_home *home, int gates_fd,
                   const struct process_callbacks *callbacks, struct process **out_process,
                   struct err *err);

/* Takes `pidfd`, which record_find_process() gave. */
int process_adopt(uv_loop_t *loop, const struct zdb_record *record, int pidfd,
                  const struct process_callbacks *callbacks, struct process **out_process,
                  struct err *err);

pid_t process_pid(const struct process *process);

/* Does nothing when it has ended. */
void process_signal(struct process *process, int signal);

/* Watches it no longer; nothing is called back any more. A launch that is under way goes on. */
void process_close(struct process *process);

/*
 * Cuts the log of a 0-db that is longer than LAUNCH_LOG_MAX_BYTES: its end becomes `log.old`. Lines
 * that are printed meanwhile are lost. Reads and writes at most as much, in memory; a log that is
 * not there, or not the uid's own file, is left.
 */
int process_trim_log(const struct settings *settings, const char *pool, uid_t uid, struct err *err);

/* The program and flags with which a launcher is executed, which can be tested without one:
 * NULL-terminated, to be freed one by one and then itself. NULL without memory. A `[zdb] binary` is
 * taken for upstream's, whose flags ours has too. */
char **process_arguments(const struct settings *settings, const struct process_home *home);

/* The path of the 0-db server that a launch would execute now, allocated; NULL without memory. */
char *process_binary(const struct settings *settings);

#endif
