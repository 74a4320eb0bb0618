/* Both are lists of the server's, linked through the clients. */
#include "watchers.h"

#include "server.h"

#include <stdio.h>

/* --- WAIT ------------------------------------------------------------------------------------ */

static void waiter_remove(struct client *client)
{
    struct server *server = client->server;
    if (client->watch_until_ms == 0)
        return;
    client->watch_until_ms = 0;
    *(client->waiters.previous ? &client->waiters.previous->waiters.next : &server->waiters) =
        client->waiters.next;
    if (client->waiters.next)
        client->waiters.next->waiters.previous = client->waiters.previous;
    client->waiters = (struct client_link){0};
}

void watchers_wait(struct client *client, const struct command *command, uint64_t timeout_ms)
{
    struct server *server = client->server;
    waiter_remove(client);
    client->watched = command;
    client->watch_until_ms = server->now_ms + timeout_ms;
    client->waiters.next = server->waiters;
    if (server->waiters)
        server->waiters->waiters.previous = client;
    server->waiters = client;
}

static void answer_waiter(struct client *client, const char *line)
{
    waiter_remove(client);
    out_line(&client->out, line);
    client_touch(client);
}

void watchers_tell(const struct client *client, const struct command *command)
{
    char line[32];
    (void)snprintf(line, sizeof line, "+%s", command->name);
    for (struct client *waiter = client->server->waiters, *next; waiter; waiter = next) {
        next = waiter->waiters.next;
        if (waiter != client && waiter->ns == client->ns &&
            (!waiter->watched || waiter->watched == command))
            answer_waiter(waiter, line);
    }
}

void watchers_end_waits(struct server *server)
{
    for (struct client *waiter = server->waiters, *next; waiter; waiter = next) {
        next = waiter->waiters.next;
        if (waiter->watch_until_ms <= server->now_ms)
            answer_waiter(waiter, "-Timeout");
    }
}

uint64_t watchers_due_ms(const struct server *server)
{
    uint64_t due = UINT64_MAX;
    for (const struct client *waiter = server->waiters; waiter; waiter = waiter->waiters.next)
        if (waiter->watch_until_ms < due)
            due = waiter->watch_until_ms;
    return due;
}

/* --- MIRROR ---------------------------------------------------------------------------------- */

void watchers_add_mirror(struct client *client)
{
    struct server *server = client->server;
    if (client->mirror)
        return;
    client->mirror = true;
    client->mirrors.next = server->mirrors;
    if (server->mirrors)
        server->mirrors->mirrors.previous = client;
    server->mirrors = client;
}

static void mirror_remove(struct client *client)
{
    if (!client->mirror)
        return;
    client->mirror = false;
    *(client->mirrors.previous ? &client->mirrors.previous->mirrors.next
                               : &client->server->mirrors) = client->mirrors.next;
    if (client->mirrors.next)
        client->mirrors.next->mirrors.previous = client->mirrors.previous;
}

void watchers_mirror(const struct client *client, const struct args *args)
{
    struct server *server = client->server;
    size_t size = 0;
    for (uint32_t i = 0; i < args->n; i++)
        size += args->at[i].size;
    for (struct client *mirror = server->mirrors; mirror; mirror = mirror->mirrors.next) {
        if (mirror == client || mirror->dead)
            continue;
        if (!budget_lets_mirror(server, size)) {
            server->counters.let_go++;
            client_drop(mirror);
            continue;
        }
        out_array(&mirror->out, args->n + 3);
        out_integer(&mirror->out, server->time);
        out_text(&mirror->out, client->ns->name);
        out_integer(&mirror->out, client->id);
        for (uint32_t i = 0; i < args->n; i++)
            out_bulk(&mirror->out, args->at[i].at, args->at[i].size);
        client_touch(mirror);
    }
}

void watchers_forget(struct client *client)
{
    waiter_remove(client);
    mirror_remove(client);
}
