/* Who a session is, where it is, and what it hears of others. */
#include "base/clock.h"
#include "command.h"
#include "secret.h"
#include "server.h"
#include "watchers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WAIT_DEFAULT_MS = 5000,
    WAIT_LEAST_MS = 100,
    WAIT_MOST_MS = 1800000,
    PASSWORD_MAX = 255,
};

static const char denied[] = "-Access denied";
static const char too_long[] = "-Password too long";
static const char no_nonce[] = "-No CHALLENGE requested, secure authentication not available";
static const char only_secure[] = "-Only SECURE extra method supported";

void command_invalid(struct client *client, const struct args *args)
{
    (void)args;
    command_error(client, "-This is not a valid command");
}

void command_ping(struct client *client, const struct args *args)
{
    if (command_expect(client, args, 0))
        out_add(&client->out, "+PONG\r\n", 7);
}

void command_time(struct client *client, const struct args *args)
{
    char text[24];
    uint64_t now = clock_realtime_us();
    if (!command_expect(client, args, 0))
        return;
    out_array(&client->out, 2);
    (void)snprintf(text, sizeof text, "%ju", (uintmax_t)(now / 1000000));
    out_text(&client->out, text);
    (void)snprintf(text, sizeof text, "%ju", (uintmax_t)(now % 1000000));
    out_text(&client->out, text);
}

void command_stop(struct client *client, const struct args *args)
{
    (void)args;
    client->server->counters.unauthorized++;
    command_error(client, "-Unauthorized");
}

/* --- AUTH ------------------------------------------------------------------------------------ */

static void deny(struct client *client)
{
    client->server->counters.unauthorized++;
    command_error(client, denied);
}

static void give_challenge(struct client *client)
{
    char line[SECRET_NONCE + 2];
    client->has_nonce = secret_nonce(client->nonce);
    if (!client->has_nonce) {
        command_error(client, "-Internal Error");
        return;
    }
    (void)snprintf(line, sizeof line, "+%s", client->nonce);
    out_line(&client->out, line);
}

/* What is wrong with a hash before it is compared; NULL if nothing. */
static const char *check_hash(const struct client *client, const struct arg *hash)
{
    if (hash->size != SECRET_HASH)
        return "-Invalid hash length";
    return client->has_nonce ? NULL : no_nonce;
}

static void auth_secure(struct client *client, const struct arg *hash, const char *password)
{
    if (command_word(hash, "CHALLENGE")) {
        give_challenge(client);
        return;
    }
    const char *wrong = password[0] ? check_hash(client, hash) : "-Authentication disabled";
    if (wrong) {
        command_error(client, wrong);
        return;
    }
    bool right = secret_hash_equal(hash->at, client->nonce, password);
    client->has_nonce = false; /* good for once */
    client->admin = client->admin || right;
    if (right)
        command_ok(client);
    else
        deny(client);
}

void command_auth(struct client *client, const struct args *args)
{
    const char *password = client->server->options->admin;
    if (args->n != 2 && args->n != 3) {
        command_error(client, "-Unexpected arguments");
    } else if (args->n == 3 && !command_word(&args->at[1], "SECURE")) {
        command_error(client, only_secure);
    } else if (args->n == 3) {
        auth_secure(client, &args->at[2], password);
    } else if (!password[0]) {
        command_error(client, "-Authentication disabled");
    } else if (args->at[1].size > OPTIONS_ADMIN_MAX) {
        command_error(client, too_long);
    } else if (!secret_equal(args->at[1].at, args->at[1].size, password)) {
        deny(client);
    } else {
        client->admin = true;
        command_ok(client);
    }
}

/* --- SELECT ---------------------------------------------------------------------------------- */

static void enter(struct client *client, struct ns *ns, bool writable)
{
    client->ns = ns;
    client->writable = writable;
    command_ok(client);
}

/* `default` is opened by the admin's password, with --protect. */
static const char *password_of(const struct server *server, const struct ns *ns)
{
    if (strcmp(ns->name, REALM_DEFAULT) == 0)
        return server->options->protect ? server->options->admin : "";
    return ns->password;
}

static bool is_open(const struct ns *ns)
{
    return ns->is_public || strcmp(ns->name, REALM_DEFAULT) == 0;
}

void command_select(struct client *client, const struct args *args)
{
    const struct arg *given = args->at + 2;
    if (args->n < 2) {
        command_error(client, "-Unexpected arguments");
        return;
    }
    struct ns *ns = realm_find(&client->server->realm, args->at[1].at, args->at[1].size);
    if (!ns) {
        command_error(client, "-Namespace not found");
        return;
    }
    const char *password = password_of(client->server, ns), *wrong = NULL;
    if (ns->damaged) {
        command_error(client, "-Namespace is out of service, its files are damaged");
    } else if (!ns->described) {
        command_error(client, "-Namespace is closed, its descriptor is lost");
    } else if (!password[0]) {
        enter(client, ns, true);
    } else if (args->n == 2 && is_open(ns)) {
        enter(client, ns, false);
    } else if (args->n == 2) {
        command_error(client, "-Namespace protected and private");
    } else if (args->n > 4) {
        command_error(client, "-Too many arguments");
    } else if (args->n == 3 && given[0].size > PASSWORD_MAX) {
        command_error(client, too_long);
    } else if (args->n == 4 && !command_word(&given[0], "SECURE")) {
        command_error(client, only_secure);
    } else if (args->n == 4 && (wrong = check_hash(client, &given[1])) != NULL) {
        command_error(client, wrong);
    } else if (args->n == 4 ? secret_hash_equal(given[1].at, client->nonce, password)
                            : secret_equal(given[0].at, given[0].size, password)) {
        enter(client, ns, true);
    } else {
        deny(client);
    }
}

/* --- WAIT, MIRROR, MASTER -------------------------------------------------------------------- */

static bool parse_timeout(const struct arg *arg, uint64_t *out)
{
    char text[16], *end;
    command_text(arg, text, sizeof text);
    *out = strtoull(text, &end, 10);
    return arg->size > 0 && arg->size < sizeof text && *end == '\0' && text[0] != '-' &&
           *out >= WAIT_LEAST_MS && *out <= WAIT_MOST_MS;
}

void command_wait(struct client *client, const struct args *args)
{
    uint64_t timeout = WAIT_DEFAULT_MS;
    if (args->n != 2 && args->n != 3) {
        command_error(client, "-Invalid arguments");
        return;
    }
    const struct command *command = command_find(args->at[1].at, args->at[1].size);
    if (!command) {
        command_error(client, "-Unknown command to watch");
        return;
    }
    if (args->n == 3 && !parse_timeout(&args->at[2], &timeout)) {
        command_error(client, "-Invalid timeout");
        return;
    }
    watchers_wait(client, strcmp(command->name, "*") == 0 ? NULL : command, timeout);
}

void command_mirror(struct client *client, const struct args *args)
{
    if (!command_expect(client, args, 0))
        return;
    watchers_add_mirror(client);
    out_line(&client->out, "+Starting mirroring");
}

void command_master(struct client *client, const struct args *args)
{
    if (!command_expect(client, args, 0))
        return;
    client->master = true;
    out_line(&client->out, "+Hello, master");
}
