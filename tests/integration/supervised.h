/*
 * A storaged under test with scripted workers: a run directory of its own, its log read from a
 * pipe, its control socket spoken to in plain packets. Every wait is for an event, with a deadline
 * that fails the test.
 */
#ifndef TESTS_INTEGRATION_SUPERVISED_H
#define TESTS_INTEGRATION_SUPERVISED_H

#include "storage/v1/worker.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    SUPERVISED_WAIT_MS = 20000, /* every deadline: a busy machine under ASan passes */
    SUPERVISED_LOG_MAX = 1 << 20,
};

struct supervised {
    char dir[64]; /* run/, libexec/, storaged.conf */
    char run_dir[96];
    pid_t pid; /* 0 when none runs */
    int stderr_fd;
    char *log;          /* all it said so far */
    size_t n_log, read; /* read: what supervised_wait_log() has gone past */
};

/* Makes the directory, with every part of testworker in its libexec. */
void supervised_create(struct supervised *node);
/* Starts storaged with the named workers ("ready busy") and further flags, NULL-terminated. */
void supervised_start(struct supervised *node, const char *workers, const char *const *flags);
/* Ends what runs and removes the directory. */
void supervised_destroy(struct supervised *node);

/* The config file that storaged is started with; replaced in one step. */
void supervised_write_config(const struct supervised *node, const char *text);

/* The next line that holds both texts (`also` may be NULL); valid until the next call. */
const char *supervised_wait_log(struct supervised *node, const char *text, const char *also);
/* Whether a line up to now holds the text, seen or not. */
bool supervised_has_logged(struct supervised *node, const char *text);
/* A number behind `key` ("pid=") in such a line. */
long supervised_number(const char *line, const char *key);
/* Waits for "worker ready" of the named one; its pid. */
pid_t supervised_wait_ready(struct supervised *node, const char *worker);

/* Waits until that many workers, of a storaged that was just started, are READY, in any order. */
void supervised_wait_all_ready(struct supervised *node, int n);

/* The exit code of storaged, or 128 + signal. */
int supervised_wait_exit(struct supervised *node);
/* SIGTERM, and all must be well: exit 0 is also the word of ASan and LeakSanitizer. */
void supervised_stop(struct supervised *node);
/* Waits until a process is gone. */
void supervised_wait_gone(int pidfd);
/* True when the process still lives after `ms`. */
bool supervised_outlives(int pidfd, int ms);
int supervised_pidfd(pid_t pid);

/* The control socket. */
int supervised_connect(const struct supervised *node);
Storage__V1__ControlReply *supervised_receive(int fd); /* NULL: closed */
Storage__V1__ControlReply *supervised_ask_at(int fd, const Storage__V1__ControlRequest *request);
Storage__V1__ControlReply *supervised_list(const struct supervised *node);
Storage__V1__Code supervised_verb(const struct supervised *node,
                                  Storage__V1__ControlRequest__VerbCase verb, const char *worker);
void supervised_free(Storage__V1__ControlReply *reply);
const Storage__V1__Worker *supervised_find(const Storage__V1__ControlReply *reply,
                                           const char *worker);

#endif
