/*
 * Commands: one table, in upstream's order, for a name may be cut short to any prefix and then
 * means the first that begins so. One file per family.
 */
#ifndef WORKERS_ZDB_COMMAND_H
#define WORKERS_ZDB_COMMAND_H

#include "client.h"
#include "resp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arg {
    const uint8_t *at; /* of the request, borrowed */
    uint32_t size;
};

/* args[0] is the command's name. */
struct args {
    uint32_t n;
    const struct arg *at;
};

enum command_flag {
    COMMAND_ADMIN = 1,
    COMMAND_READ = 2,      /* not while its namespace is frozen */
    COMMAND_NAMESPACE = 4, /* needs one that is in service */
    COMMAND_ONE_KEY = 8,   /* exactly one argument that is not empty */
    COMMAND_QUIET = 16,    /* a mirror is not told: it holds a secret, or is a session's own */
    COMMAND_SETTING = 32,  /* runs while other settings wait to be written: settings.c */
};

struct command {
    const char *name;
    void (*run)(struct client *client, const struct args *args);
    unsigned flags;
};

/* Runs the request that client->resp describes in these bytes. If client->next_arg is not 0 then,
 * it goes on when the client took some of its replies; if client->again is set, it begins anew when
 * there is room. */
void command_run(struct client *client, const uint8_t *bytes);
/* The first whose name begins so; NULL when none does. */
const struct command *command_find(const uint8_t *name, size_t size);

/* Replies. An error is counted, and a waiter does not hear of the command. */
void command_error(struct client *client, const char *line);
void command_ok(struct client *client);
/* Whether a value of this length may be added to the replies. If not, the command is run again when
 * there is room: it has to return at once. */
bool command_has_room(struct client *client, uint32_t length);
/* True if there are so many arguments, behind the name; else it has answered. */
bool command_expect(struct client *client, const struct args *args, uint32_t n);
/* True if the argument is this word, of any case, or a prefix of it. */
bool command_word(const struct arg *arg, const char *word);
/* As text, cut at the first NUL; at most `room` - 1 bytes. */
void command_text(const struct arg *arg, char *out, size_t room);

/* commands_data.c */
void command_set(struct client *client, const struct args *args);
void command_get(struct client *client, const struct args *args);
void command_mget(struct client *client, const struct args *args);
void command_del(struct client *client, const struct args *args);
void command_exists(struct client *client, const struct args *args);
void command_check(struct client *client, const struct args *args);
void command_length(struct client *client, const struct args *args);
void command_keytime(struct client *client, const struct args *args);
void command_dbsize(struct client *client, const struct args *args);
/* commands_scan.c */
void command_scan(struct client *client, const struct args *args);
void command_rscan(struct client *client, const struct args *args);
void command_kscan(struct client *client, const struct args *args);
void command_history(struct client *client, const struct args *args);
void command_keycur(struct client *client, const struct args *args);
void command_data(struct client *client, const struct args *args);
/* commands_namespace.c */
void command_nsnew(struct client *client, const struct args *args);
void command_nsdel(struct client *client, const struct args *args);
void command_nslist(struct client *client, const struct args *args);
void command_nsset(struct client *client, const struct args *args);
void command_nsjump(struct client *client, const struct args *args);
void command_reload(struct client *client, const struct args *args);
void command_flush(struct client *client, const struct args *args);
void command_compact(struct client *client, const struct args *args);
/* commands_info.c */
void command_nsinfo(struct client *client, const struct args *args);
void command_info(struct client *client, const struct args *args);
void command_index(struct client *client, const struct args *args);
void command_hooks(struct client *client, const struct args *args);
/* commands_session.c */
void command_invalid(struct client *client, const struct args *args);
void command_wait(struct client *client, const struct args *args);
void command_mirror(struct client *client, const struct args *args);
void command_master(struct client *client, const struct args *args);
void command_ping(struct client *client, const struct args *args);
void command_time(struct client *client, const struct args *args);
void command_auth(struct client *client, const struct args *args);
void command_select(struct client *client, const struct args *args);
void command_stop(struct client *client, const struct args *args);

#endif
