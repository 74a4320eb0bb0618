/* A connection: what it sent, what it is to be sent, and who it is. */
#ifndef WORKERS_ZDB_CLIENT_H
#define WORKERS_ZDB_CLIENT_H

#include "budget.h"
#include "ns.h"
#include "out.h"
#include "resp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;
struct command;

enum { CLIENT_NONCE = 16 };

/* Replies that wait for a sync: from this position on, of everything that was ever said. */
struct hold {
    bool on;
    uint64_t from;
};

/* A client may be in several lists of the server's. */
struct client_link {
    struct client *next, *previous;
};

struct client {
    struct server *server;
    struct client_link all, waiters, mirrors; /* waiters: WAIT */
    int fd;
    uint32_t id;
    bool blocked;     /* epoll is asked to tell when it takes more */
    bool ending;      /* it has said all, behind what is still to be read */
    bool yields;      /* it has requests that run in the next turn */
    bool readable;    /* there may be more to read: epoll tells of news alone */
    bool read_queued; /* in the server's list of those that are read in the next turn */

    struct resp resp;
    uint8_t *in; /* a request that is not whole yet */
    size_t in_size, in_room;
    size_t in_share; /* LIMITS_IN_SHARE, once the request is long */
    struct out out;
    struct hold next, in_flight; /* for the next batch, and for the one under way */
    struct hold wrote;           /* in this turn: held back only when writing fails */
    uint32_t next_arg;           /* of an MGET that goes on when replies were taken; 0: of none */
    bool again;                  /* the command said nothing yet, for there was no room */

    size_t short_counted, share_counted, reply_counted; /* in the server's budget */
    enum budget_need need;                              /* not served until it can have that */
    uint64_t waits_since;             /* the number of its wait; 0: it was served */
    uint64_t received;                /* bytes, ever */
    uint64_t window_ms, window_moved; /* budget.c: since then, and what had moved until then */

    struct ns *ns; /* NULL: removed under it */
    bool writable, admin, master, mirror;
    bool has_nonce;
    char nonce[CLIENT_NONCE + 1];
    bool failed;     /* the command that runs answered with an error */
    bool closing;    /* after what is to be sent */
    bool dead;       /* to be freed at the end of the turn */
    bool queued;     /* in the server's list of those that have something to send */
    bool listed;     /* in the server's list of writers */
    bool read_ended; /* it has said all */
    struct client *next_queued, *next_writer, *next_reader;

    const struct command *watched; /* WAIT: NULL for any */
    uint64_t watch_until_ms;       /* 0: it does not wait */
};

/* Takes the socket; greets nobody. NULL without memory, and the socket is closed. */
struct client *client_new(struct server *server, int fd, bool admin);
void client_free(struct client *client);

/* Reads once, and runs what is whole; if there is more, it is read again in the next turn. */
void client_receive(struct client *client);
/* Runs what is whole of what was received before, and reads on; for when it was held up. */
void client_go_on(struct client *client);
/* True if it is owed something that need not wait for a sync. */
bool client_may_send(const struct client *client);
/* Sends what may be sent. */
void client_send(struct client *client);
/* To be let go, without what it was still owed. */
void client_drop(struct client *client);
/* The same, and its buffers are freed at once; not while its requests run. */
void client_discard(struct client *client);
/* Something was added for it, outside of its own commands. */
void client_touch(struct client *client);

#endif
