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

bool budget_ask(struct client *client, enum budget_need need)
{
    struct budget *budget = &client->server->budget;
    if (budget_has(client, need))
        return true;
    client->need = need;
    budget->lacked_ms = client->server->now_ms;
    if (budget->lacking_since_ms == 0)
        budget->lacking_since_ms = budget->lacked_ms;
    return false;
}

bool budget_lets_mirror(const struct server *server, size_t size)
{
    return server->budget.replies + size <= server->budget.reply_limit;
}

/* --- when it is used up ---------------------------------------------------------------------- */

/* Holds what others need, and did not move enough for a while. It is not to blame for replies that
 * wait for a sync; and while it waits itself it gets longer. */
static bool is_stuck(struct client *client)
{
    const struct server *server = client->server;
    uint64_t moved = client->received + client->out.sent;
    bool holds = client->short_counted + client->share_counted > 0 ||
                 (client->reply_counted > 0 && client_may_send(client));
    if (!holds || client->window_ms < server->budget.lacking_since_ms ||
        moved - client->window_moved >= LIMITS_MOVE_LEAST) {
        client->window_ms = server->now_ms;
        client->window_moved = moved;
        return false;
    }
    uint64_t allowed = client->need == BUDGET_NOTHING ? LIMITS_STALL_MS : 3 * LIMITS_STALL_MS;
    return server->now_ms - client->window_ms >= allowed;
}

/* The oldest first: those who come again and again have to wait for those who stayed. */
static bool serve_waiting(struct server *server)
{
    bool any = false;
    for (struct client *client = server->oldest; client; client = client->all.previous) {
        if (client->need == BUDGET_NOTHING || client->dead)
            continue;
        if (budget_has(client, client->need)) {
            client->need = BUDGET_NOTHING;
            client->window_ms = 0; /* from now on it can move */
            client_go_on(client);
        }
        any = any || client->need != BUDGET_NOTHING;
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
