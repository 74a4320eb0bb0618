/*
 * The server: one thread, one epoll, one turn after the other. In a turn every client that is ready
 * is read once and its commands run; then all that was gathered is written, once per file; then
 * everybody gets his replies, in one send each. With --sync replies to writes wait for the batch of
 * syncing that has them; reads do not.
 */
#ifndef WORKERS_ZDB_SERVER_H
#define WORKERS_ZDB_SERVER_H

#include "budget.h"
#include "client.h"
#include "hooks.h"
#include "limits.h"
#include "options.h"
#include "realm.h"
#include "sync.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { SERVER_SHARED = 256 << 10, SERVER_LISTENERS = 2, SERVER_SETTINGS = 64 };

/* A property of a namespace that was changed, and is not in its descriptor yet. */
struct setting {
    struct ns *ns;
    struct client *client;
    uint64_t reply; /* where it is in what the client is told */
    bool failed;
};

/* What INFO tells. */
struct server_counters {
    uint64_t clients, let_go, commands, failed, unauthorized;
    uint64_t received_bytes, sent_bytes;
};

struct server {
    const struct options *options;
    struct realm realm;
    struct syncer *syncer;
    struct hooks hooks;
    struct compactor *compactor;
    struct reaper *reaper;
    FILE *gates; /* that begin shut; NULL: none, or it is loaded */
    int epoll, signals, sync_event, compact_event;
    int listeners[SERVER_LISTENERS];
    bool listener_is_unix[SERVER_LISTENERS];
    uint64_t n_descriptors;   /* that it may have open */
    int spare;                /* given up for a moment to tell somebody that there is no other */
    uint64_t accept_again_ms; /* not even that helped: nobody is let in until then; 0: they are */
    char *identity;           /* unix://path or tcp://address:port */

    struct client *clients, *waiters, *mirrors; /* by their links, the newest first */
    struct client *oldest;                      /* the last of `clients` */
    struct client *to_send;                     /* by next_queued */
    struct client *to_read, **to_read_end;      /* by next_reader, in order */
    struct client *writers; /* those that wrote in this turn, or wait for a sync; by next_writer */
    uint32_t n_clients, last_id;
    struct budget budget;
    bool any_dead; /* some client is to be freed */

    uint8_t *shared;     /* SERVER_SHARED bytes, into which clients are read */
    struct ns **written; /* in this turn */
    size_t n_written, written_room;
    struct setting settings[SERVER_SETTINGS];
    size_t n_settings;
    uint64_t now_ms;      /* monotonic, of this turn */
    uint32_t time;        /* unix seconds, of this turn */
    uint64_t sync_due_ms; /* 0: nothing waits for a sync */
    uint64_t started;     /* unix seconds */
    uint32_t instance;
    int stop_signal; /* 0: go on */
    struct server_counters counters;
};

/* Opens the directories and the sockets, where nobody is heard yet; server_close() in any case. */
int server_init(struct server *server, const struct options *options, struct err *err);
/* Starts the threads and loads all. Signals that end it are blocked from here on. */
int server_load(struct server *server, struct err *err);
/* Serves until one of them comes: it is in server->stop_signal. */
int server_run(struct server *server, struct err *err);
/* Writes, syncs and closes all. */
void server_close(struct server *server);

/* Nobody is in it any more; those that were are told so when they ask. */
void server_evict(struct server *server, struct ns *ns);
/* It has something to send at the end of the turn, or is to be looked at. */
void server_queue_send(struct server *server, struct client *client);
/* It is read in the next turn. */
void server_queue_read(struct server *server, struct client *client);

/* A pair of a namespace was closed: the hook is asked and told. For ns_config. */
void server_rotated(struct ns *ns, void *server);
/* Pairs of strings for the hook: where the namespace's active files are. */
void server_tell_closing(struct server *server, const struct ns *ns);

/* commit.c: a command changed the namespace: it is written at the end of the turn, and the client's
 * reply waits for that. False without memory; then it must not be told that all is well. */
bool server_note_write(struct server *server, struct client *client, struct ns *ns);
/* The end of a turn, in this order: writes what was gathered, hears of syncs that are over, tells
 * who waited for one that failed, begins the next one if it is due, and forgets who is told. */
void commit_write(struct server *server);
void commit_hear(struct server *server);
void commit_refuse_unsynced(struct server *server);
void commit_sync(struct server *server);
void commit_end_turn(struct server *server);

/* settings.c: before a property is changed that its descriptor has. False without memory. */
bool settings_begin(struct ns *ns);
/* Says OK, which is true once it is written. */
void settings_answer(struct client *client, struct ns *ns);
/* Writes the descriptors that have changed. */
void settings_write(struct server *server);
/* Nothing that clients are told may go out before it is written. */
static inline bool server_is_to_write(const struct server *server)
{
    return server->n_written > 0 || server->n_settings > 0;
}

/* listen.c: sockets, and server->identity. */
int listen_bind(struct server *server, struct err *err);
/* From here on clients are heard. */
int listen_begin(struct server *server, struct err *err);
/* Takes who waits at this one, or tells him that there are too many. */
void listen_accept(struct server *server, unsigned listener);
/* Once a turn: hears them again when it could not take them before. */
void listen_again(struct server *server);
/* How many clients may be here at once: as many as leave the files their descriptors. */
uint64_t listen_places(const struct server *server);
/* There are descriptors for one namespace more, now and at the next start, and for a few clients.
 */
bool listen_has_room(const struct server *server);
void listen_close(struct server *server);

#endif
