/*
 * The real server under test: a process of its own in a directory of the test's, which dies with
 * the test. Waits have deadlines; what goes wrong here fails the running test, with the server's
 * last words.
 */
#ifndef TESTS_ZDB_SERVER_H
#define TESTS_ZDB_SERVER_H

#include "client.h"
#include "peer.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { SERVER_WAIT_MS = 30000, SERVER_FLAGS_MAX = 32 };

struct server {
    char dir[PATH_MAX / 4];
    char index[PATH_MAX / 2], data[PATH_MAX / 2];
    char socket[PATH_MAX / 2];
    char log[PATH_MAX / 2]; /* its stdout and stderr, over all its lives */
    uint16_t port;          /* with --port or --dualnet among the flags */
    pid_t pid;              /* 0: not running */
    int pidfd;
    const char *const *environment; /* "NAME=value" for the process, or NULL */
    unsigned long files_max;        /* its soft limit of descriptors, 0: as ours */
    unsigned long files_most;       /* its hard limit, 0: as ours */
};

/* Makes DIR/index and DIR/data ready for peer_save(); nothing runs. Flags that every start has:
 * --index, --data and --socket. */
void server_init(struct server *server, const char *dir);
/* Starts with these flags as well (NULL-terminated, or NULL) and waits until it serves. */
void server_start(struct server *server, const char *const *flags);
#define server_start_with(server, ...)                                                             \
    server_start((server), (const char *const[]){__VA_ARGS__, NULL})
/* False if it ends before it serves. */
bool server_try_start(struct server *server, const char *const *flags);
/* Starts it where it must refuse: its exit code. */
int server_start_refused(struct server *server, const char *const *flags);
/* SIGTERM; fails unless it ends as it should. */
void server_stop(struct server *server);
void server_kill(struct server *server);
/* Ends it in any way; for teardowns. */
void server_end(struct server *server);
bool server_runs(const struct server *server);

/* A connection that closes with the server's teardown is the caller's own. */
struct client *server_connect(const struct server *server);

/* A port that was free a moment ago. */
uint16_t port_free(void);
/* Prints the log. */
void server_print_log(const struct server *server);
/* Resident memory now, and its highest. */
uint64_t server_rss_bytes(const struct server *server);
uint64_t server_peak_bytes(const struct server *server);

/* What the server wrote, read by the peer and verified; it must be stopped. */
void server_read_back(const struct server *server, const char *ns, struct peer_ns *out);

#endif
