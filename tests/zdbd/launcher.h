/*
 * The launcher as zdbd runs it: executed with a report pipe, by a process that has signals ignored,
 * descriptors open, groups and a death signal, none of which the 0-db may inherit. The home and the
 * run directory lie where their owner cannot walk. For tests in the harness's sandbox, which ends
 * whatever process a test leaves.
 */
#ifndef TESTS_ZDBD_LAUNCHER_H
#define TESTS_ZDBD_LAUNCHER_H

#include "client.h"
#include "harness.h"
#include "launch.h"
#include "record.h"

enum { LAUNCHER_UID = 861234, LAUNCHER_GID = 861235, LAUNCHER_PORTS = 100 };

#define LAUNCHER_POOL "0b6a9a0c-4f2e-4d0c-9d53-0d1f7b2c9e11"

struct launcher {
    char home[HARNESS_PATH_MAX];
    char run[HARNESS_PATH_MAX]; /* <run_dir>/zdb/<pool> */
    char binary[HARNESS_PATH_MAX];
    uint16_t port;  /* proposed; the range begins there */
    uint32_t files; /* 777 */
    bool upstream;
    pid_t pid; /* of what was launched last; 0: none, or it was waited for */
};

/* A home of its own, empty, and a port that is free. */
void launcher_init(struct launcher *launcher);
/* A path in the home, the run directory; until the next call. */
const char *launcher_home(const struct launcher *launcher, const char *name);
const char *launcher_run(const struct launcher *launcher, const char *name);

/* Launches. Failure 0: it was executed, or was killed. */
struct launch_report launcher_try(struct launcher *launcher);
/* Launches, and waits until the 0-db answers. */
void launcher_start(struct launcher *launcher);
/* SIGKILL; how it ended, as child_wait() says. */
int launcher_end(struct launcher *launcher);

/* The reply to a command, of an admin unless `port`: over TCP and without a password then. NULL if
 * nobody answers. The caller frees. */
char *launcher_ask(const struct launcher *launcher, uint16_t port, const char *command,
                   const char *argument);
/* What the run directory holds. */
char *launcher_password(const struct launcher *launcher);
struct zdb_record launcher_record(const struct launcher *launcher);

/* A file of the uid's, or a directory. */
void owned_file(const char *path, const char *text);
void owned_dir(const char *path);

/* A TCP port that was free a moment ago; one that is held by the descriptor, listening or not. */
uint16_t port_find(void);
int port_hold(uint16_t port, bool listening);

#endif
