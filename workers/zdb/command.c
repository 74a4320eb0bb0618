/* The table, and what holds for every command: who may, what is counted, who else is told. */
#include "command.h"

#include "base/cleanup.h"
#include "server.h"
#include "watchers.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct command commands[] = {
    {"*", command_invalid, COMMAND_QUIET},
    {"WAIT", command_wait, COMMAND_QUIET},
    {"MIRROR", command_mirror, COMMAND_ADMIN | COMMAND_QUIET},
    {"MASTER", command_master, COMMAND_ADMIN | COMMAND_QUIET},
    {"PING", command_ping, 0},
    {"TIME", command_time, 0},
    {"AUTH", command_auth, COMMAND_QUIET},
    {"HOOKS", command_hooks, COMMAND_ADMIN},
    {"INDEX", command_index, COMMAND_ADMIN | COMMAND_NAMESPACE},
    {"DATA", command_data, COMMAND_ADMIN | COMMAND_NAMESPACE},
    {"SET", command_set, COMMAND_NAMESPACE},
    {"SETX", command_set, COMMAND_NAMESPACE},
    {"GET", command_get, COMMAND_NAMESPACE | COMMAND_READ | COMMAND_ONE_KEY},
    {"MGET", command_mget, COMMAND_NAMESPACE | COMMAND_READ},
    {"DEL", command_del, COMMAND_NAMESPACE},
    {"EXISTS", command_exists, COMMAND_NAMESPACE | COMMAND_READ | COMMAND_ONE_KEY},
    {"CHECK", command_check, COMMAND_NAMESPACE | COMMAND_READ | COMMAND_ONE_KEY},
    {"SCAN", command_scan, COMMAND_NAMESPACE | COMMAND_READ},
    {"SCANX", command_scan, COMMAND_NAMESPACE | COMMAND_READ},
    {"RSCAN", command_rscan, COMMAND_NAMESPACE | COMMAND_READ},
    {"KSCAN", command_kscan, COMMAND_NAMESPACE},
    {"HISTORY", command_history, COMMAND_NAMESPACE | COMMAND_READ},
    {"KEYCUR", command_keycur, COMMAND_NAMESPACE | COMMAND_READ | COMMAND_ONE_KEY},
    {"LENGTH", command_length, COMMAND_NAMESPACE | COMMAND_READ | COMMAND_ONE_KEY},
    {"KEYTIME", command_keytime, COMMAND_NAMESPACE | COMMAND_READ | COMMAND_ONE_KEY},
    {"INFO", command_info, 0},
    {"STOP", command_stop, 0},
    {"DBSIZE", command_dbsize, COMMAND_NAMESPACE},
    {"NSNEW", command_nsnew, COMMAND_ADMIN},
    {"NSDEL", command_nsdel, COMMAND_ADMIN},
    {"NSLIST", command_nslist, 0},
    {"NSSET", command_nsset, COMMAND_ADMIN | COMMAND_SETTING},
    {"NSINFO", command_nsinfo, 0},
    {"NSJUMP", command_nsjump, COMMAND_ADMIN | COMMAND_NAMESPACE},
    {"SELECT", command_select, COMMAND_QUIET},
    {"RELOAD", command_reload, COMMAND_ADMIN},
    {"FLUSH", command_flush, COMMAND_NAMESPACE},
    {"COMPACT", command_compact, COMMAND_ADMIN | COMMAND_NAMESPACE}, /* ours */
};

static const char frozen[] = "-Namespace is temporarily frozen (read-write disabled)";
static const char removed[] = "-Your active namespace is not available anymore (probably removed).";
static const char damaged[] = "-Namespace is out of service, its files are damaged";

static bool begins_with(const char *name, const uint8_t *prefix, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (name[i] == '\0' || toupper(prefix[i]) != name[i])
            return false;
    return true;
}

const struct command *command_find(const uint8_t *name, size_t size)
{
    for (size_t i = 0; i < array_length(commands); i++)
        if (begins_with(commands[i].name, name, size))
            return &commands[i];
    return NULL;
}

/* --- replies --------------------------------------------------------------------------------- */

void command_error(struct client *client, const char *line)
{
    client->failed = true;
    out_line(&client->out, line);
}

void command_ok(struct client *client)
{
    out_add(&client->out, "+OK\r\n", 5);
}

bool command_expect(struct client *client, const struct args *args, uint32_t n)
{
    if (args->n == n + 1)
        return true;
    command_error(client, "-Unexpected arguments");
    return false;
}

bool command_has_room(struct client *client, uint32_t length)
{
    if (length <= LIMITS_OUT_SHORT)
        return true;
    budget_count(client);
    if (budget_ask(client, BUDGET_LONG_REPLY))
        return true;
    client->again = client->next_arg == 0;
    return false;
}

bool command_word(const struct arg *arg, const char *word)
{
    return arg->size > 0 && arg->size <= strlen(word) &&
           strncasecmp((const char *)arg->at, word, arg->size) == 0;
}

void command_text(const struct arg *arg, char *out, size_t room)
{
    size_t size = arg->size < room - 1 ? arg->size : room - 1;
    memcpy(out, arg->at, size);
    out[size] = '\0';
}

/* --- running --------------------------------------------------------------------------------- */

/* What must hold before it runs; NULL if it does. */
static const char *find_obstacle(const struct client *client, const struct command *command,
                                 const struct args *args)
{
    if (command->flags & COMMAND_ADMIN && !client->admin)
        return "-Permission denied";
    if (command->flags & COMMAND_NAMESPACE && client->ns->damaged)
        return damaged;
    if (command->flags & COMMAND_ONE_KEY) {
        if (args->n != 2)
            return "-Unexpected arguments";
        if (args->at[1].size == 0)
            return "-Invalid argument";
    }
    if (command->flags & COMMAND_READ && client->ns->gate == NS_FROZEN)
        return frozen;
    if (command->flags & COMMAND_ONE_KEY && args->at[1].size > FORMAT_KEY_MAX)
        return "-Invalid key";
    return NULL;
}

/* `is_first`: it was not begun before. */
static void run(struct client *client, const struct command *command, struct args *args,
                bool is_first)
{
    struct server *server = client->server;
    bool goes_on = client->next_arg > 0;
    if (client->master) { /* the last argument names an owner */
        if (args->n < 2) {
            command_error(client, "-Missing arguments");
            return;
        }
        args->n--;
    }
    const char *obstacle = goes_on ? NULL : find_obstacle(client, command, args);
    if (obstacle) {
        server->counters.unauthorized += command->flags & COMMAND_ADMIN && !client->admin;
        command_error(client, obstacle);
        return;
    }
    if (server->mirrors && is_first && !(command->flags & COMMAND_QUIET))
        watchers_mirror(client, args);
    command->run(client, args);
    if (server->waiters && !client->failed && client->ns && client->next_arg == 0 && !client->again)
        watchers_tell(client, command);
}

void command_run(struct client *client, const uint8_t *bytes)
{
    static struct arg all[RESP_ARGS_MAX]; /* of the command that runs: there is one at a time */
    const struct resp_arg *parsed = resp_args(&client->resp);
    struct args args = {client->resp.n_args, all};
    for (uint32_t i = 0; i < args.n; i++)
        all[i] = (struct arg){bytes + parsed[i].offset, parsed[i].length};
    const struct command *command = command_find(all[0].at, all[0].size);
    bool goes_on = client->next_arg > 0, is_first = !goes_on && !client->again;
    client->again = false;
    if (client->server->n_settings > 0 && !(command && command->flags & COMMAND_SETTING))
        settings_write(client->server);
    if (is_first) {
        client->failed = false;
        client->server->counters.commands++;
    }
    if (!client->ns && !goes_on) {
        command_error(client, removed);
        client->closing = true;
    } else if (!command) {
        command_error(client, "-Command not supported");
    } else {
        run(client, command, &args, is_first);
    }
    if (client->next_arg == 0 && !client->again)
        client->server->counters.failed += client->failed;
}
