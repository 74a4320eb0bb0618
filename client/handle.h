/* Private to libstorage: the handle, and what its files do for each other. */
#ifndef CLIENT_HANDLE_H
#define CLIENT_HANDLE_H

#include "rpc/client.h"
#include "rpc/server.h"
#include "storage.h"

#include <uv.h>

enum {
    ROUTE_WORKERS_MAX = 8,
    ROUTE_WORKER_NAME_MAX = 32,
    CONTROL_PACKET_MAX_BYTES = 64 * 1024,
    CONTROL_STATE_MS = 500, /* for the supervisor to say how a worker is */
};

struct worker_client {
    char worker[ROUTE_WORKER_NAME_MAX];
    struct rpc_client *rpc;
};

struct storage {
    char *run_dir;
    uint32_t timeout_ms;
    bool wait;
    char request_id[RPC_REQUEST_ID_MAX + 1]; /* of the next call; empty: a random one */
    uint64_t epoch;
    uv_loop_t loop;
    struct worker_client clients[ROUTE_WORKERS_MAX]; /* opened at the first use of each */
    size_t n_clients;
};

/* --- route.c --- */

struct route {
    const ProtobufCServiceDescriptor *service;
    const ProtobufCMethodDescriptor *method;
    char worker[ROUTE_WORKER_NAME_MAX];
};

int route_find(const char *method, struct route *out_route, struct err *err);
/* All workers that serve something, NULL-terminated. */
extern const char *const route_workers[];

/* --- control.c --- */

/* One request and its reply, within `timeout_ms`. */
int control_ask(const char *run_dir, Storage__V1__ControlRequest *request, uint32_t timeout_ms,
                Storage__V1__ControlReply **out_reply, struct err *err);

/* --- state.c --- */

/*
 * A call to `worker` failed without the worker's own answer: `err` says how. Makes it tell how the
 * worker is. With UNAVAILABLE where the worker is not there to answer; when it is, the code stays.
 */
void state_explain(const char *run_dir, const char *worker, struct err *err);

/* The same from a worker that the supervisor listed; the part that needs no socket. */
void state_describe(const Storage__V1__Worker *worker, struct err *err);

#endif
