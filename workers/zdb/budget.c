/*
 * Replies and requests have a half each, so that those who are owed too much do not keep others
 * from asking. Of the half of requests a quarter is for short ones. A request that turns out long
 * has to have a share of the rest, which any request fits in: so whoever has one comes to its end,
 * and no two wait for each other. Of the half of replies an eighth is for short ones.
 *
 * A reply whose length is not known before is not begun while too much is owed, so the sum is
 * exceeded by one of them at most, for which LIMITS_MEMORY_REST has room.
 */
#include "budget.h"

#include "limits.h"
#include "server.h"

void budget_init(struct budget *budget, uint64_t memory_bytes)
{
    size_t half = ((size_t)memory_bytes - LIMITS_MEMORY_REST) / 2;
    *budget = (struct budget){
        .short_limit = half / 4, .share_limit = half - half / 4, .reply_limit = half};
}

void budget_count(struct client *client)
{
    struct budget *budget = &client->server->budget;
    size_t in = client->in_room + client->resp.room * sizeof(struct resp_arg);
    size_t share = client->in_share, rest = in > share ? in - share : 0;
    budget->shares += share - client->share_counted;
    budget->shorts += rest - client->short_counted;
    budget->replies += client->out.room - client->reply_counted;
    client->share_counted = share;
    client->short_counted = rest;
    client->reply_counted = client->out.room;
}

bool budget_has(const struct client *client, enum budget_need need)
{
    const struct budget *budget = &client->server->budget;
    switch (need) {
    case BUDGET_READ:
        return budget->shorts + SERVER_SHARED <= budget->short_limit / 2;
    case BUDGET_REST:
        return budget->shorts + LIMITS_IN_SMALL <= budget->short_limit;
    case BUDGET_SHARE:
        return budget->shares + LIMITS_IN_SHARE <= budget->share_limit;
    case BUDGET_REPLY:
        return budget->replies <= budget->reply_limit;
    case BUDGET_LONG_REPLY:
        return budget->replies + LIMITS_OUT_REPLY <= budget->reply_limit - budget->reply_limit / 8;
    default:
        return true;
    }
}

static void set_need(struct client *client, enum budget_need need)
{
    struct budget *budget = &client->server->budget;
    budget->n_waiting[client->need]--;
    budget->n_waiting[need]++;
    client->need = need;
}

/* Nobody gets in before those who wait, or they could wait for ever. */
bool budget_lets(const struct client *client, enum budget_need need)
{
    const struct budget *budget = &client->server->budget;
    return budget_has(client, need) && (budget->served == client || budget->n_waiting[need] == 0);
}

bool budget_ask(struct client *client, enum budget_need need)
{
    struct budget *budget = &client->server->budget;
    if (budget_lets(client, need))
        return true;
    set_need(client, need);
    if (client->waits_since == 0)
        client->waits_since = ++budget->n_waits;
    budget->lacked_ms = client->server->now_ms;
    if (budget->lacking_since_ms == 0)
        budget->lacking_since_ms = budget->lacked_ms;
    return false;
}

void budget_withdraw(struct client *client)
{
    set_need(client, BUDGET_NOTHING);
}

bool budget_lets_mirror(const struct server *server, size_t size)
{
    return server->budget.replies + size <= server->budget.reply_limit;
}

/* --- when it is used up ---------------------------------------------------------------------- */

/* Holds what others need, and did not move enough for a while: it does not send the rest of what it
 * has begun, or does not take what it may be sent. Who waits for us is not to blame. */
static bool is_stuck(struct client *client)
{
    const struct server *server = client->server;
    uint64_t moved = client->received + client->out.sent;
    bool may_take = client_may_send(client);
    bool may_send = client->short_counted + client->share_counted > 0 &&
                    client->need == BUDGET_NOTHING && !client->yields &&
                    out_size(&client->out) == 0;
    if (!(may_take || may_send) || client->window_ms < server->budget.lacking_since_ms ||
        moved - client->window_moved >= LIMITS_MOVE_LEAST) {
        client->window_ms = server->now_ms;
        client->window_moved = moved;
        return false;
    }
    return server->now_ms - client->window_ms >= LIMITS_STALL_MS;
}

static bool waits(const struct client *client)
{
    return client->need != BUDGET_NOTHING && !client->dead;
}

static void serve(struct client *client)
{
    struct budget *budget = &client->server->budget;
    if (!waits(client) || !budget_has(client, client->need))
        return;
    set_need(client, BUDGET_NOTHING);
    client->waits_since = 0;
    client->window_ms = 0; /* from now on it can move */
    budget->served = client;
    client_go_on(client);
    if (client->readable)
        client_receive(client);
    budget->served = NULL;
}

static struct client *longest_waiting(const struct server *server)
{
    struct client *longest = NULL;
    for (struct client *client = server->clients; client; client = client->all.next)
        if (waits(client) && budget_has(client, client->need) &&
            (!longest || client->waits_since < longest->waits_since))
            longest = client;
    return longest;
}

/* By turns who has waited longest goes first, so that nobody waits for ever, and the oldest
 * connection, so that those who are let go and come again do not keep the others out. */
static bool serve_waiting(struct server *server)
{
    bool any = false;
    server->budget.by_age = !server->budget.by_age;
    struct client *first = server->budget.by_age ? NULL : longest_waiting(server);
    if (first)
        serve(first);
    for (struct client *client = server->oldest; client; client = client->all.previous) {
        serve(client);
        any = any || waits(client);
    }
    return any;
}

/* That nobody waits for a moment does not end it: who is stuck would have time without end. */
void budget_relieve(struct server *server)
{
    struct budget *budget = &server->budget;
    bool anybody_waits = serve_waiting(server);
    for (struct client *client = server->clients; client; client = client->all.next)
        if (!client->dead && is_stuck(client) && anybody_waits) {
            server->counters.let_go++;
            client_discard(client);
        }
    if (!anybody_waits && server->now_ms - budget->lacked_ms >= LIMITS_STALL_MS)
        budget->lacking_since_ms = 0;
}
