/*
 * Who is connected to a server: each connection, and the user behind it. So many connections one
 * user may have, so that he cannot take the places of others: one more is closed before it is used.
 * Root and the admins may have all; the last places are kept for them.
 *
 * What stands first in a peer and in a user is set once, what follows belongs to the loop. The
 * table is safe from any thread: nng's admit and dismiss, the loop takes and puts.
 */
#ifndef LIB_RPC_PEERS_H
#define LIB_RPC_PEERS_H

#include "rpc/turns.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

enum {
    PEERS_BUCKETS = 256,
    PEERS_TELL_MS = 60000, /* a user who is refused is logged once in that time */
};

struct peer_user {
    uid_t uid;
    bool trusted; /* root or an admin */

    unsigned n_known, n_connected; /* the table's: peers that are not freed, that are connected */
    struct peer_user *next;
    uint64_t told_ms;

    struct turn_user turns; /* the loop's, from here on */
    size_t n_slots;         /* of all his peers */
    size_t n_calls;         /* requests that wait or are being worked on */
    size_t waiting_bytes;
};

struct peer {
    uint32_t pipe_id;
    gid_t gid;
    struct peer_user *user;

    bool connected; /* the table's */
    struct peer *next;

    struct turn_line line; /* the loop's, from here on */
    size_t n_slots;
    size_t n_held;       /* of these, which are being worked on */
    size_t unread_bytes; /* replies that nng has not yet taken */
};

struct peers_options {
    const char *url; /* borrowed, as all here */
    const uid_t *admins;
    size_t n_admins;
    unsigned user_max; /* connections of one user who is not trusted */
};

struct peers {
    struct peers_options options;
    pthread_mutex_t mutex;
    struct peer *buckets[PEERS_BUCKETS];
    struct peer_user *users;
    unsigned n_connected, n_untrusted;
};

void peers_init(struct peers *peers, const struct peers_options *options);
/* When nobody uses the table any more. */
void peers_free(struct peers *peers);

/* Whether this connection may be; every one that may is dismissed once. */
bool peers_admit(struct peers *peers, uint32_t pipe_id, uid_t uid, gid_t gid);
void peers_dismiss(struct peers *peers, uint32_t pipe_id);

/* On the loop: the peer, which stays until peers_put() even when its connection goes; NULL when
 * that has gone already. Counts in n_slots of it and its user. */
struct peer *peers_take(struct peers *peers, uint32_t pipe_id);
void peers_put(struct peers *peers, struct peer *peer);

/* Whether it is time to log that the user was refused something. */
bool peers_tell(struct peers *peers, struct peer_user *user);

#endif
