/*
 * What the requests and replies of all clients take of memory, and who has to wait when it is used
 * up. The sum is that of --memory; docs/zdb.md tells the rules. Main thread only.
 */
#ifndef WORKERS_ZDB_BUDGET_H
#define WORKERS_ZDB_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct server;

/* What a client cannot have for now. It is not served until it can. */
enum budget_need {
    BUDGET_NOTHING,
    BUDGET_READ,       /* room for as much as is read at once */
    BUDGET_REST,       /* room for the rest of a short request that has begun to be answered */
    BUDGET_SHARE,      /* room for a request of any length */
    BUDGET_REPLY,      /* room for one more reply */
    BUDGET_LONG_REPLY, /* and for one that is long */
    BUDGET_NEEDS,
};

struct budget {
    size_t short_limit, share_limit, reply_limit;
    size_t shorts, shares, replies; /* bytes in use */
    uint32_t n_waiting[BUDGET_NEEDS];
    uint64_t n_waits;            /* so often somebody had to wait */
    const struct client *served; /* it has its turn */
    bool by_age;                 /* in this turn the oldest connection goes first */
    uint64_t lacking_since_ms;   /* 0: nobody waited lately */
    uint64_t lacked_ms;          /* when somebody could not have something */
};

/* Bytes for all, at least LIMITS_MEMORY_LEAST. */
void budget_init(struct budget *budget, uint64_t memory_bytes);
/* Takes note of what the client's buffers have become. */
void budget_count(struct client *client);

/* Whether there is room for that, and whether it is this client's turn to have it. */
bool budget_has(const struct client *client, enum budget_need need);
bool budget_lets(const struct client *client, enum budget_need need);
/* True if it can have that; otherwise it waits. */
bool budget_ask(struct client *client, enum budget_need need);
/* It needs nothing any more, or asks again; then it has not lost its place. */
void budget_withdraw(struct client *client);
/* May a mirror, which nobody waits for, be owed so much more? */
bool budget_lets_mirror(const struct server *server, size_t size);

/* While somebody waits, and a while after, at the end of each turn: those who can have what they
 * need go on, and who holds what others need and does not move is let go. */
void budget_relieve(struct server *server);

#endif
