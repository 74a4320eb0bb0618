/*
 * What was changed goes to the disk, and who changed it hears of it afterwards. Commands gather; at
 * the end of the turn all is written, and with --sync the replies wait for the batch of syncing
 * that has it.
 *
 * When writing or syncing fails nobody can say which of the changes are there. The kernel may even
 * hold for clean what is not on the disk. So whoever waits gets an error in place of his replies,
 * and is let go; and the namespace is loaded again from what the disk really has.
 */
#include "server.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "compact.h"

#include <stdlib.h>
#include <string.h>

enum { TRY_AGAIN_MS = 1000 };

bool server_note_write(struct server *server, struct client *client, struct ns *ns)
{
    struct hold from_here = {true, out_position(&client->out)};
    if (server->options->sync && !client->next.on)
        client->next = from_here;
    if (!client->wrote.on)
        client->wrote = from_here;
    if (!client->listed) {
        client->listed = true;
        client->next_writer = server->writers;
        server->writers = client;
    }
    for (size_t i = 0; i < server->n_written; i++)
        if (server->written[i] == ns)
            return true;
    if (server->n_written == server->written_room) {
        size_t room = server->written_room ? 2 * server->written_room : 16;
        struct ns **grown = realloc(server->written, room * sizeof(struct ns *));
        if (!grown)
            return false;
        server->written = grown;
        server->written_room = room;
    }
    server->written[server->n_written++] = ns;
    return true;
}

/* --- when it fails --------------------------------------------------------------------------- */

static const char unwritten[] = "-Cannot write right now, it may be lost";
static const char unsynced[] = "-Cannot sync right now, it may be lost";

/* An error in place of the replies from there on; what else it asked is not done. */
static void refuse_from(struct client *client, uint64_t from, const char *why)
{
    client->next.on = client->in_flight.on = client->wrote.on = false;
    if (client->dead)
        return;
    if (from < client->out.sent || client->out.overflown) {
        client_drop(client);
        return;
    }
    out_cut(&client->out, from);
    out_line(&client->out, why);
    client->closing = true;
    server_queue_send(client->server, client);
}

static void refuse_written(struct server *server, const char *why)
{
    for (struct client *client = server->writers; client; client = client->next_writer)
        if (client->wrote.on)
            refuse_from(client, client->wrote.from, why);
}

static void refuse_held(struct server *server)
{
    for (struct client *client = server->writers; client; client = client->next_writer) {
        const struct hold *first = client->in_flight.on ? &client->in_flight : &client->next;
        if (first->on)
            refuse_from(client, first->from, unsynced);
    }
}

/* What is on the disk is what the namespace has. */
static void recover(struct server *server, struct ns *ns)
{
    autoerr struct err err = {0};
    log_warning("the namespace is loaded again, for what is on the disk", "namespace", ns->name);
    compact_cancel(server->compactor, ns);
    ns->damaged = true; /* what is gathered is not to be synced */
    (void)realm_reload(&server->realm, ns, &err);
}

static bool any_sync_failed(const struct server *server)
{
    for (const struct ns *ns = server->realm.first; ns; ns = ns->next)
        if (ns->sync_failed)
            return true;
    return false;
}

void commit_refuse_unsynced(struct server *server)
{
    if (!any_sync_failed(server))
        return;
    refuse_held(server);
    for (struct ns *ns = server->realm.first; ns; ns = ns->next)
        if (ns->sync_failed) {
            recover(server, ns);
            ns->sync_failed = false; /* it may have failed again: then it stays out of service */
        }
}

/* --- writing --------------------------------------------------------------------------------- */

/* What is to be tried again may be due already, but later. */
static void sync_by(struct server *server, uint64_t due_ms)
{
    if (server->sync_due_ms == 0 || server->sync_due_ms > due_ms)
        server->sync_due_ms = due_ms;
}

void commit_write(struct server *server)
{
    if (server->n_settings > 0)
        settings_write(server);
    for (size_t i = 0; i < server->n_written; i++) {
        struct ns *ns = server->written[i];
        int rc = ns->damaged ? 0 : ns_flush(ns);
        if (rc == 0 && !ns->damaged)
            continue;
        if (rc < 0)
            log_error("namespace cannot be written", "namespace", ns->name, "why", strerror(-rc));
        refuse_written(server, ns->sync_failed ? unsynced : unwritten);
        if (rc < 0)
            recover(server, ns);
    }
    if (server->n_written > 0)
        sync_by(server, server->options->sync
                            ? server->now_ms
                            : server->now_ms + 1000 * (uint64_t)server->options->synctime_s);
    for (struct client *client = server->writers; client; client = client->next_writer)
        client->wrote.on = false;
    server->n_written = 0;
}

/* --- syncing --------------------------------------------------------------------------------- */

/* Unless a sync failed: then commit_refuse_unsynced() has the word. */
static void release(struct server *server)
{
    if (any_sync_failed(server))
        return;
    for (struct client *client = server->writers; client; client = client->next_writer)
        if (client->in_flight.on) {
            client->in_flight.on = false;
            server_queue_send(server, client);
        }
}

static bool anything_unsynced(const struct server *server)
{
    for (const struct ns *ns = server->realm.first; ns; ns = ns->next)
        if (ns->unsynced && !ns->damaged)
            return true;
    return false;
}

void commit_hear(struct server *server)
{
    for (enum sync_news news; (news = sync_poll(server->syncer)) != SYNC_NOTHING;) {
        if (news == SYNC_SYNCED)
            release(server);
        else if (server->sync_due_ms == 0 && anything_unsynced(server))
            server->sync_due_ms = server->now_ms + TRY_AGAIN_MS;
    }
}

/* Replies that wait for the next batch wait for this one. */
static void board(struct server *server, bool begun)
{
    for (struct client *client = server->writers; client; client = client->next_writer) {
        if (!client->next.on)
            continue;
        client->next.on = false;
        if (begun)
            client->in_flight = (struct hold){true, client->next.from};
        server_queue_send(server, client);
    }
}

void commit_sync(struct server *server)
{
    if (server->sync_due_ms == 0 || server->sync_due_ms > server->now_ms ||
        sync_under_way(server->syncer))
        return;
    server->sync_due_ms = 0;
    bool begun = sync_begin(server->syncer, server->realm.first);
    commit_refuse_unsynced(server); /* it may fail at once */
    board(server, begun);
}

void commit_end_turn(struct server *server)
{
    for (struct client **link = &server->writers; *link;) {
        struct client *client = *link;
        if (!client->dead && (client->next.on || client->in_flight.on)) {
            link = &client->next_writer;
            continue;
        }
        *link = client->next_writer;
        client->listed = false;
    }
}
