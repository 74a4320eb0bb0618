/*
 * The server side of every request socket: one transport for any ProtobufCService.
 *
 * nng's threads hand whole messages to the loop; everything else happens on the loop. A call is
 * decoded, its method found, its input checked by descriptor (UTF-8, NUL, enum values, unknown
 * fields are let pass), its sender's right to change things checked, then dispatched to the handler
 * that protoc-c declared. The handler answers at once or later, through its closure or
 * rpc_call_fail(), exactly once, on the loop.
 *
 * Who may: reads are open to whoever may connect (the socket's mode and group decide); changes are
 * for uid 0 and the admins.
 *
 * Deadline: the budget counts from receipt. At its end the transport answers DEADLINE_EXCEEDED; the
 * operation runs on, and its handler still answers it.
 *
 * Deduplication of changes by (uid, request id): the same method and input bytes while it is in a
 * handler joins it, and both get its answer, each within its own deadline; within
 * RPC_OUTCOME_KEEP_MS after it has answered, the remembered reply is given again, late ones too.
 * The same id with another method or input is INVALID_ARGUMENT. What says "try again" is not
 * remembered, so that the retry under the same id is a true one: a failure that is marked
 * retryable, CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE; and nothing is
 * that never reached a handler. All other refusals are remembered: whoever has removed a blocker
 * asks under a new id.
 *
 * Limits: beside those below, a connection that reads none of its replies is closed. Users take
 * turns (rpc/turns.h), and each but root and the admins has his own limits: one connection more
 * than he may have is closed, one call more is RESOURCE_EXHAUSTED, without being read. Either is
 * logged once a minute for a user.
 */
#ifndef LIB_RPC_SERVER_H
#define LIB_RPC_SERVER_H

#include "base/error.h"

#include <protobuf-c/protobuf-c.h>
#include <sys/types.h>
#include <uv.h>

enum {
    RPC_REQUEST_MAX_BYTES = 64 * 1024,
    RPC_REPLY_MAX_BYTES = 1024 * 1024,
    RPC_PARKED_MAX = 4096,                        /* calls in handlers, whole server */
    RPC_PEERS_MAX = 1024,                         /* connections */
    RPC_PEERS_KEPT = 256,                         /* of these, for root and the admins alone */
    RPC_PEER_PARKED_MAX = 1024,                   /* calls of one connection */
    RPC_PEER_UNREAD_MAX_BYTES = 16 * 1024 * 1024, /* replies that one connection leaves unread */
    RPC_USER_WAITING_MAX_BYTES =
        8 * 1024 * 1024,        /* requests of one user that wait for their turn */
    RPC_SEND_TIMEOUT_MS = 5000, /* for a reply to be taken */
    RPC_REQUEST_ID_MAX = 64,
    RPC_DEADLINE_DEFAULT_MS = 30000,
    RPC_DEADLINE_MAX_MS = 3600000,
    RPC_OUTCOME_KEEP_MS = 300000, /* how long the outcome of a change is remembered */
    RPC_OUTCOME_MAX = 65536,      /* remembered outcomes; the oldest goes first */
    RPC_OUTCOME_MAX_BYTES = 64 * 1024 * 1024,
    RPC_SERVICES_MAX = 16,
};

struct rpc_server;
struct rpc_call; /* what a handler gets as closure_data */

struct rpc_server_options {
    uv_loop_t *loop;
    const char *url; /* "ipc:///run/storaged/poold.sock"; a stale socket file is unlinked first */
    uint64_t epoch;  /* in every reply */
    const uid_t *admins; /* who may change things beside uid 0; copied */
    size_t n_admins;
    uint32_t user_connections; /* of one user beside those; 0: RPC_PEERS_MAX - RPC_PEERS_KEPT */
    uint32_t user_calls;       /* the same, waiting or in handlers; 0: RPC_PEER_PARKED_MAX */
};

int rpc_server_open(const struct rpc_server_options *options, struct rpc_server **out_server,
                    struct err *err);

/*
 * Adds a service (borrowed until rpc_server_close). `reads` names the methods that change nothing,
 * NULL-terminated, borrowed: they are open to whoever may connect, need no request id, and are not
 * remembered. All others are changes. A handler that is NULL answers UNIMPLEMENTED.
 */
int rpc_server_add(struct rpc_server *server, ProtobufCService *service, const char *const *reads,
                   struct err *err);

/* Opens the socket (mode 0660, group as the directory gives it) and begins to serve. */
int rpc_server_listen(struct rpc_server *server, struct err *err);

/* From now on changes are refused with UNAVAILABLE, retryable: the worker is stopping. Calls in
 * flight go on. */
void rpc_server_drain(struct rpc_server *server);

/* Calls that are in handlers. */
size_t rpc_server_pending(const struct rpc_server *server);

/*
 * Closes the socket; calls still in handlers lose their peer, and their late answers go nowhere,
 * but each must still be answered before `closed` is called.
 */
void rpc_server_close(struct rpc_server *server, void (*closed)(void *data), void *data);

/* For handlers: what the closure does, for code that has the call alone at hand. */
void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *output);
/* `err` is copied; err->code must not be OK. */
void rpc_call_fail(struct rpc_call *call, const struct err *err);
/* Convenience: a failure with a code and a message about an object. */
void rpc_call_refuse(struct rpc_call *call, enum err_code code, const char *object, const char *fmt,
                     ...) __attribute__((format(printf, 4, 5)));
uint64_t
rpc_call_deadline_ms(const struct rpc_call *call); /* on the monotonic clock of base/clock.h */
uid_t rpc_call_uid(const struct rpc_call *call);
gid_t rpc_call_gid(const struct rpc_call *call);
const char *rpc_call_request_id(const struct rpc_call *call); /* "" if none */

#endif
