/*
 * What every worker is: a process under the supervisor with one loop, one request socket, one event
 * socket.
 *
 * worker_main() reads the config, takes <run>/<name>.lock, ties its life to the supervisor's
 * (PDEATHSIG and the channel), confines itself, opens RPC server and publisher, calls `start`, and
 * runs the loop: a beat each second from the loop itself, SIGTERM and SIGINT ignored, on SIGABRT
 * all descriptors above 2 closed before it dies. When the channel closes, the supervisor is gone,
 * and the worker ends at once.
 *
 * Command line: `<name> --channel-fd 3 --epoch N` and the shared flags of config/settings.h. Nobody
 * types it: without a channel a worker refuses to run. One incarnation per process.
 *
 * What a worker executes should be spawned by uv_spawn(), which gives the child default signals
 * again; as root it runs with `keep_caps` (worker/confine.h).
 */
#ifndef LIB_WORKER_WORKER_H
#define LIB_WORKER_WORKER_H

#include "base/error.h"
#include "config/settings.h"
#include "event/publisher.h"
#include "rpc/server.h"

#include <uv.h>

struct worker {
    const char *name;
    uint64_t epoch;
    const struct settings *settings;
    uv_loop_t *loop;
    struct rpc_server *rpc;
    struct event_publisher *events;
    void *data; /* the worker's own state */
};

enum worker_stop {
    WORKER_STOP,     /* end; mounts and 0-db stay for the next incarnation */
    WORKER_SHUTDOWN, /* end, and give everything up: unmount, naming what is busy */
};

struct worker_ops {
    const char *name;
    const int *keep_caps; /* capabilities kept (CAP_SYS_ADMIN, …), -1 terminated */
    bool mounts;          /* it mounts and unmounts */
    bool writes_devices;  /* and nothing else, but in the run directory; not with `mounts` */
    /* Adds services and begins to work. The server listens, and READY is sent, when it has returned
     * 0. */
    int (*start)(struct worker *worker, struct err *err);
    /* New changes are already refused. Ends with worker_stopped(), within the supervisor's
     * patience. */
    void (*stop)(struct worker *worker, enum worker_stop how);
};

/* Exit codes: 0 stopped on purpose, 78 (EX_CONFIG) a config error, 1 anything else. */
int worker_main(int argc, char **argv, const struct worker_ops *ops);

/* "ok", "ok; …" or "degraded: …": shown by `storagectl worker list`. */
void worker_status(struct worker *worker, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* What the worker's threads have been in for long, NULL-terminated; replaces the former list. */
void worker_busy(struct worker *worker, const char *const *objects);
/* `left` says what was left busy ("" if nothing); the process ends with 0 soon after. */
void worker_stopped(struct worker *worker, const char *left);

#endif
