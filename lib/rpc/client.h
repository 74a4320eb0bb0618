/*
 * The client side of a request socket, asynchronous on a loop.
 *
 * nng's own replay of requests is off: a call in flight when the server dies ends at once as
 * UNAVAILABLE (or is sent again under the same request id while its deadline lasts, if the caller
 * said `wait`). A call that reaches its deadline without an answer closes the pipe, because a
 * server whose thread hangs in the kernel never resets it, and dials anew. A call that does not
 * wait ends at once as UNAVAILABLE when nobody listens, and as PERMISSION_DENIED when he does, but
 * not to us; a server that listens is given RPC_CONNECT_GRACE_MS to say who it is.
 */
#ifndef LIB_RPC_CLIENT_H
#define LIB_RPC_CLIENT_H

#include "base/error.h"

#include <protobuf-c/protobuf-c.h>
#include <uv.h>

enum {
    RPC_CONNECT_GRACE_MS = 1000, /* a call without `wait`, while the connection is being made */
    RPC_DEADLINE_GRACE_MS = 250, /* for the server's own DEADLINE_EXCEEDED to arrive */
    RPC_RESENDS_MAX = 5,         /* of one call to servers that die of it */
};

struct rpc_client;

struct rpc_client_options {
    uv_loop_t *loop;
    const char *url;
};

/* Does not wait for the server: it may come later. */
int rpc_client_open(const struct rpc_client_options *options, struct rpc_client **out_client,
                    struct err *err);

struct rpc_call_options {
    const char *request_id; /* NULL: a random one */
    uint32_t deadline_ms;   /* 0: RPC_DEADLINE_DEFAULT_MS */
    bool wait; /* a server that is down, dies, or says UNAVAILABLE and when to try again, is waited
                  for until the deadline */
};

struct rpc_result {
    const struct err *err;          /* code OK when it went well */
    uint64_t epoch;                 /* of the server that answered; 0 if none did */
    const ProtobufCMessage *output; /* borrowed for the callback; NULL unless OK */
};

/* Called exactly once per call, on the loop, never from within rpc_client_call(). */
typedef void (*rpc_client_done)(const struct rpc_result *result, void *data);

/*
 * Calls `method` ("Reserve") of the service that `service` describes. `input` is packed at once and
 * not kept. `options` may be NULL. Fails only for programmer's errors (no such method, wrong input
 * type, an input beyond RPC_REQUEST_MAX_BYTES, a deadline or request id out of bounds) and lack of
 * memory; then `done` is not called.
 */
int rpc_client_call(struct rpc_client *client, const ProtobufCServiceDescriptor *service,
                    const char *method, const ProtobufCMessage *input,
                    const struct rpc_call_options *options, rpc_client_done done, void *data,
                    struct err *err);

/* True while the socket is connected. */
bool rpc_client_connected(const struct rpc_client *client);

/* Calls in flight end as CANCELLED before `closed`. */
void rpc_client_close(struct rpc_client *client, void (*closed)(void *data), void *data);

#endif
