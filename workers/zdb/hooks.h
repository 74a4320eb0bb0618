/*
 * Hooks: a program of the operator's that is told of events. It is executed directly with the
 * event, the server's identity and the event's arguments; nobody waits for it but where upstream
 * does, and then with a deadline.
 */
#ifndef WORKERS_ZDB_HOOKS_H
#define WORKERS_ZDB_HOOKS_H

#include "out.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    HOOKS_ARGS_MAX = 8,
    HOOKS_KEPT = 64,
    HOOKS_KEPT_S = 300,        /* HOOKS lists those that ended for so long */
    HOOKS_DEADLINE_MS = 30000, /* of those that are waited for */
};

struct hook_run {
    char *args[HOOKS_ARGS_MAX + 3]; /* owned, NULL-terminated */
    pid_t pid;
    int pidfd;                  /* -1: it ended */
    uint64_t started, finished; /* unix seconds */
    int status;
};

struct hooks {
    const char *file; /* borrowed; NULL: there is none */
    const char *identity;
    int epoll;
    struct hook_run runs[HOOKS_KEPT];
};

void hooks_init(struct hooks *hooks, const char *file, const char *identity, int epoll);
void hooks_free(struct hooks *hooks);
/* `args`: NULL-terminated, at most HOOKS_ARGS_MAX. */
void hooks_tell(struct hooks *hooks, const char *event, const char *const *args);
/* Waits until it ends; its exit status, or -1 when it could not be run or took too long (it is
 * ended then). 0 where there is no hook. */
int hooks_ask(struct hooks *hooks, const char *event, const char *const *args);
/* Epoll has this as its data; false if it is none of the runs that hooks_tell() began. */
bool hooks_event(struct hooks *hooks, const void *run);
/* The reply to HOOKS. */
void hooks_list(const struct hooks *hooks, struct out *out);

#define hooks_args(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
