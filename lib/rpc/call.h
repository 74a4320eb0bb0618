/*
 * Private to the server: the server's state, a call in a handler, and the way from one to the
 * other.
 *
 * A request becomes a call when all checks have passed (dispatch.c); the call is in the handler
 * until its closure or rpc_call_fail() (call.c). The slots that wait for its answer are none (all
 * deadlines have passed), one, or several (joined under one request id).
 */
#ifndef LIB_RPC_CALL_H
#define LIB_RPC_CALL_H

#include "rpc/outcome.h"
#include "rpc/server.h"
#include "rpc/slots.h"

struct rpc_service_entry {
    ProtobufCService *service;
    const char *const *reads;
};

struct rpc_server {
    uv_loop_t *loop;
    char *url;
    uint64_t epoch;
    uid_t *admins;
    size_t n_admins;
    struct rpc_service_entry services[RPC_SERVICES_MAX];
    size_t n_services;
    nng_socket socket;
    nng_listener listener;
    struct peers peers;
    struct rpc_slots slots;
    struct rpc_call *calls; /* in handlers */
    size_t n_calls;
    struct outcome_table *outcomes;
    bool draining;
    bool closing, slots_closed;
    void (*closed)(void *data);
    void *closed_data;
};

struct rpc_call {
    struct rpc_server *server;
    struct rpc_call *prev, *next;
    const ProtobufCMethodDescriptor *method;
    ProtobufCMessage *input;
    struct outcome *outcome; /* pending; NULL for reads */
    struct rpc_slot *waiters;
    uid_t uid;
    gid_t gid;
    uint64_t deadline_ms; /* of who asked first */
    char request_id[RPC_REQUEST_ID_MAX + 1];
};

/* A request off the wire: answers it, or makes a call of it. Takes `msg`. */
void dispatch_request(struct rpc_server *server, struct rpc_slot *slot, nng_msg *msg, bool crowded);

/* The slot's user has as many calls here as he may: says so, with the limit. */
void dispatch_refuse(struct rpc_server *server, struct rpc_slot *slot);

/* Puts the slot among those that the call's answer goes to, until the slot's own deadline. */
void call_await(struct rpc_call *call, struct rpc_slot *slot, uint64_t deadline_ms);
void call_expire(struct rpc_slot *slot);
/* The answers of all calls in handlers go nowhere from here on. */
void call_forsake_all(struct rpc_server *server);

/* The ProtobufCClosure of every call. */
void call_closure(const ProtobufCMessage *output, void *closure_data);

/* Called when the last of slots and calls has gone. */
void server_finish_close(struct rpc_server *server);

#endif
