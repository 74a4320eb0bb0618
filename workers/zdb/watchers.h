/* Clients that hear of what others do: WAIT, until one command, and MIRROR, of all. */
#ifndef WORKERS_ZDB_WATCHERS_H
#define WORKERS_ZDB_WATCHERS_H

#include "command.h"

#include <stdint.h>

struct server;

/* The client waits for this command in its namespace; NULL: for any. */
void watchers_wait(struct client *client, const struct command *command, uint64_t timeout_ms);
/* Those who wait for what the client did hear of it. */
void watchers_tell(const struct client *client, const struct command *command);
/* Those whose time is over are told so. */
void watchers_end_waits(struct server *server);
/* When the first of them is over; UINT64_MAX when nobody waits. */
uint64_t watchers_due_ms(const struct server *server);

/* From now on it is sent every command that others run. */
void watchers_add_mirror(struct client *client);
/* Mirrors are sent this one. */
void watchers_mirror(const struct client *client, const struct args *args);

/* It is to be freed. */
void watchers_forget(struct client *client);

#endif
