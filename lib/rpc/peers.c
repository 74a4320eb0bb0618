/*
 * A hash table of peers by the number of their pipe, and a list of users: there are as many as have
 * connected lately. The mutex guards both, and what is marked as the table's; it is held for a few
 * instructions, and for a log line at most once in PEERS_TELL_MS for each user.
 */
#include "rpc/peers.h"

#include "base/clock.h"
#include "base/log.h"
#include "rpc/server.h"

#include <stdlib.h>

void peers_init(struct peers *peers, const struct peers_options *options)
{
    *peers = (struct peers){.options = *options};
    (void)pthread_mutex_init(&peers->mutex, NULL);
}

static struct peer **find(struct peers *peers, uint32_t pipe_id)
{
    struct peer **link = &peers->buckets[pipe_id % PEERS_BUCKETS];
    while (*link && (*link)->pipe_id != pipe_id)
        link = &(*link)->next;
    return link;
}

static bool is_trusted(const struct peers *peers, uid_t uid)
{
    for (size_t i = 0; i < peers->options.n_admins; i++)
        if (peers->options.admins[i] == uid)
            return true;
    return uid == 0;
}

/* When he was told something lately, that is remembered for a while longer than he stays. */
static bool is_forgotten(const struct peer_user *user, uint64_t now_ms)
{
    return user->n_known == 0 && (user->told_ms == 0 || now_ms - user->told_ms >= PEERS_TELL_MS);
}

static void sweep_users(struct peers *peers)
{
    uint64_t now_ms = clock_monotonic_ms();
    for (struct peer_user **link = &peers->users, *user; (user = *link);) {
        if (!is_forgotten(user, now_ms)) {
            link = &user->next;
            continue;
        }
        *link = user->next;
        free(user);
    }
}

static struct peer_user *user_of(struct peers *peers, uid_t uid)
{
    struct peer_user *user = peers->users;
    while (user && user->uid != uid)
        user = user->next;
    if (user)
        return user;
    sweep_users(peers);
    user = calloc(1, sizeof *user);
    if (!user)
        return NULL;
    user->uid = uid;
    user->trusted = is_trusted(peers, uid);
    user->next = peers->users;
    peers->users = user;
    return user;
}

/* With the mutex held. */
static bool is_time_to_tell(struct peer_user *user)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (user->told_ms != 0 && now_ms - user->told_ms < PEERS_TELL_MS)
        return false;
    user->told_ms = now_ms;
    return true;
}

static bool has_room(struct peers *peers, struct peer_user *user)
{
    unsigned own_max = user->trusted ? RPC_PEERS_MAX : peers->options.user_max;
    unsigned others_max = RPC_PEERS_MAX - RPC_PEERS_KEPT;
    if (user->n_connected < own_max && peers->n_connected < RPC_PEERS_MAX &&
        (user->trusted || peers->n_untrusted < others_max))
        return true;
    if (is_time_to_tell(user))
        log_warning("a connection was refused", "url", peers->options.url, "uid",
                    log_u64(user->uid), "his", log_u64(user->n_connected), "his_most",
                    log_u64(own_max), "all", log_u64(peers->n_connected));
    return false;
}

static bool admit(struct peers *peers, uint32_t pipe_id, uid_t uid, gid_t gid)
{
    struct peer_user *user = user_of(peers, uid);
    struct peer *peer = user && has_room(peers, user) ? calloc(1, sizeof *peer) : NULL;
    struct peer **bucket = &peers->buckets[pipe_id % PEERS_BUCKETS];
    if (!peer)
        return false;
    *peer = (struct peer){.pipe_id = pipe_id,
                          .gid = gid,
                          .user = user,
                          .connected = true,
                          .next = *bucket,
                          .line = {.user = &user->turns}};
    *bucket = peer;
    user->n_known++;
    user->n_connected++;
    peers->n_connected++;
    peers->n_untrusted += !user->trusted;
    return true;
}

bool peers_admit(struct peers *peers, uint32_t pipe_id, uid_t uid, gid_t gid)
{
    (void)pthread_mutex_lock(&peers->mutex);
    bool admitted = admit(peers, pipe_id, uid, gid);
    (void)pthread_mutex_unlock(&peers->mutex);
    return admitted;
}

/* Unless it is still connected, or in slots. */
static void peer_free(struct peers *peers, struct peer *peer)
{
    if (peer->connected || peer->n_slots > 0)
        return;
    *find(peers, peer->pipe_id) = peer->next;
    peer->user->n_known--;
    free(peer);
}

void peers_dismiss(struct peers *peers, uint32_t pipe_id)
{
    (void)pthread_mutex_lock(&peers->mutex);
    struct peer *peer = *find(peers, pipe_id);
    if (peer && peer->connected) { /* else it was never admitted */
        peer->connected = false;
        peer->user->n_connected--;
        peers->n_connected--;
        peers->n_untrusted -= !peer->user->trusted;
        peer_free(peers, peer);
    }
    (void)pthread_mutex_unlock(&peers->mutex);
}

struct peer *peers_take(struct peers *peers, uint32_t pipe_id)
{
    (void)pthread_mutex_lock(&peers->mutex);
    struct peer *peer = *find(peers, pipe_id);
    if (peer) {
        peer->n_slots++;
        peer->user->n_slots++;
    }
    (void)pthread_mutex_unlock(&peers->mutex);
    return peer;
}

void peers_put(struct peers *peers, struct peer *peer)
{
    (void)pthread_mutex_lock(&peers->mutex);
    peer->n_slots--;
    peer->user->n_slots--;
    peer_free(peers, peer);
    (void)pthread_mutex_unlock(&peers->mutex);
}

bool peers_tell(struct peers *peers, struct peer_user *user)
{
    (void)pthread_mutex_lock(&peers->mutex);
    bool now = is_time_to_tell(user);
    (void)pthread_mutex_unlock(&peers->mutex);
    return now;
}

void peers_free(struct peers *peers)
{
    for (size_t i = 0; i < PEERS_BUCKETS; i++)
        for (struct peer *next, *peer = peers->buckets[i]; peer; peer = next) {
            next = peer->next;
            free(peer);
        }
    for (struct peer_user *next, *user = peers->users; user; user = next) {
        next = user->next;
        free(user);
    }
    (void)pthread_mutex_destroy(&peers->mutex);
}
