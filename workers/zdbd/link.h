/*
 * The admin's connection to one 0-db: hiredis on the loop, over the unix socket. Of the loop.
 *
 * The socket's peer must be the process that is expected (SO_PEERCRED), or nothing is said to it:
 * the password is not given to strangers. Commands are answered in their order; those that are sent
 * within one turn of the loop leave in one write, which a 0-db carries out without another client's
 * commands in between. hiredis 0.14 has no timeouts: each command has LINK_ANSWER_MS, from the
 * answer to the one before it on; what is not answered by then ends the link as hung, and so does a
 * socket that lets nobody in for as long. While nothing else is sent, a PING goes out each
 * LINK_PING_MS, answered or not: upstream's 0-db may leave commands unread until more bytes come.
 */
#ifndef WORKERS_ZDBD_LINK_H
#define WORKERS_ZDBD_LINK_H

#include "base/error.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

enum {
    LINK_PING_MS = 1000,
    LINK_ANSWER_MS = 3500, /* a hang is seen within LINK_PING_MS more */
    LINK_PENDING_MAX = 4096,
};

struct link;

enum link_loss {
    LINK_CLOSED, /* by the other side, or it cannot be reached at all */
    LINK_HUNG,   /* no answer in time */
    LINK_LIES,   /* not the process that was expected, not the password, or no RESP */
};

struct link_callbacks {
    void (*up)(void *data); /* connected, and admin */
    /* The link is at its end; commands that were unanswered have failed before. It is to be closed.
     */
    void (*lost)(enum link_loss loss, const char *reason, void *data);
    void *data;
};

/*
 * Connects to `<run_dir>/zdb/<pool>/socket`; while there is no such socket yet, or nobody listens,
 * it waits for that (inotify on the directory) until LINK_START_MS. The password is read from the
 * file beside it. `pid` is who must answer.
 */
enum { LINK_START_MS = 30000 }; /* a large 0-db loads for long: a quarter second per million keys */

int link_open(uv_loop_t *loop, const char *run_dir, const char *pool, pid_t pid,
              const struct link_callbacks *callbacks, struct link **out_link, struct err *err);

/* `reply` is borrowed for the call, NULL when `err` is set (the link was lost, or closed). An error
 * reply of the 0-db's is a reply. Called once for each command sent, never from within link_send().
 */
typedef void (*link_done)(const redisReply *reply, const struct err *err, void *data);

/* `lengths` may be NULL for terminated strings. Fails, without `done`, if the link is not up or too
 * much is unanswered. */
int link_send(struct link *link, int n_arguments, const char *const *arguments,
              const size_t *lengths, link_done done, void *data, struct err *err);

bool link_is_up(const struct link *link);

/* Unanswered commands fail as UNAVAILABLE, on the loop's next turn. */
void link_close(struct link *link);

#endif
