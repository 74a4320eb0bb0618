/*
 * What NSSET changes in descriptors. A client sets several properties with one write, and each
 * descriptor is two syncs: so those that follow each other are written once, before any other
 * command runs and before anybody is answered. When that fails all is as it was, and each of them
 * gets the error in place of its reply.
 */
#include "command.h"
#include "server.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static const char ok[] = "+OK", unwritten[] = "-Cannot write data right now";

struct ns_settings {
    uint64_t maxsize;
    bool is_public, worm, described;
    char password[FORMAT_PASSWORD_MAX + 1];
};

bool settings_begin(struct ns *ns)
{
    if (ns->before)
        return true;
    struct ns_settings *before = malloc(sizeof *before);
    if (!before)
        return false;
    before->maxsize = ns->maxsize;
    before->is_public = ns->is_public;
    before->worm = ns->worm;
    before->described = ns->described;
    memcpy(before->password, ns->password, sizeof before->password);
    ns->before = before;
    return true;
}

static void restore(struct ns *ns)
{
    ns->maxsize = ns->before->maxsize;
    ns->is_public = ns->before->is_public;
    ns->worm = ns->before->worm;
    ns->described = ns->before->described;
    memcpy(ns->password, ns->before->password, sizeof ns->password);
}

/* The new descriptor may be there all the same. Where one was lost before, memory has nothing to
 * put in its place: then, and where that fails as well, the disk has the word. */
static void put_back(struct ns *ns)
{
    restore(ns);
    if (ns_has_descriptor(ns) || (ns->described && ns_write_descriptor(ns) == 0) || ns->damaged)
        return;
    ns_doubt(ns, "what its descriptor says cannot be put on the disk");
}

static void describe(struct server *server, struct ns *ns)
{
    int rc = ns_write_descriptor(ns);
    if (rc < 0) {
        log_warning("descriptor cannot be written", "namespace", ns->name, "why", strerror(-rc));
        put_back(ns);
    }
    free(take_ptr(ns->before));
    for (size_t i = 0; rc < 0 && i < server->n_settings; i++)
        server->settings[i].failed = server->settings[i].failed || server->settings[i].ns == ns;
}

/* Its reply was not sent; behind it are those of other settings at most. */
static void refuse(struct client *client, uint64_t reply)
{
    client->failed = true;
    if (client->dead || client->out.overflown)
        return;
    out_replace(&client->out, reply, strlen(ok) + 2, unwritten);
    server_queue_send(client->server, client);
}

void settings_write(struct server *server)
{
    for (size_t i = 0; i < server->n_settings; i++)
        if (server->settings[i].ns->before)
            describe(server, server->settings[i].ns);
    for (size_t i = server->n_settings; i-- > 0;) /* the last first: replies move */
        if (server->settings[i].failed)
            refuse(server->settings[i].client, server->settings[i].reply);
    server->n_settings = 0;
}

void settings_answer(struct client *client, struct ns *ns)
{
    struct server *server = client->server;
    server->settings[server->n_settings++] =
        (struct setting){.ns = ns, .client = client, .reply = out_position(&client->out)};
    out_line(&client->out, ok);
    /* Who is told of it besides is told when it is done. */
    if (server->n_settings == SERVER_SETTINGS || server->hooks.file || server->waiters)
        settings_write(server);
}
