/*
 * A worker's life in order: config, channel, signals, confinement, parent, lock, and only then a
 * loop, sockets, and the worker's own work. Owns the loop and both sockets.
 *
 * Whatever fails before READY ends the process: the supervisor knows what to do about it, and the
 * kernel tidies up. Threads: main() alone until the sockets are opened, which start nng's.
 */
#include "worker/worker.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "worker/confine.h"
#include "worker/landlock.h"
#include "worker/life.h"
#include "worker/lock.h"
#include "worker/tether.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
    LOCK_WAIT_MS = 3000,  /* a predecessor that was killed may need moments to let go */
    CLOSE_WAIT_MS = 1000, /* for calls still in handlers; a hung disk may never answer them */
    URL_MAX = 256,
    ARENAS = 2,
};

struct incarnation {
    struct worker worker;
    const struct worker_ops *ops;
    struct settings *settings;
    int channel_fd;
    int lock_fd;
    struct tether tether;
    uv_timer_t patience;
    bool stopping, stopped;
};

/* Reachable by name, so that a leak check sees what a worker still holds when it ends. */
static struct incarnation self;

static int parse_number(const char *name, const char *text, uint64_t most, uint64_t *out_value,
                        struct err *err)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > most)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, name, "\"%s\" is not a number it takes", text);
    *out_value = value;
    return 0;
}

static int parse_flags(int argc, char **argv, struct err *err)
{
    static const struct option flags[] = {
        {"channel-fd", required_argument, NULL, 'c'},
        {"epoch", required_argument, NULL, 'e'},
        {0},
    };
    int flag, rc = 0;
    opterr = 0;
    while (rc == 0 && (flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        uint64_t fd;
        if (flag == 'c' && (rc = parse_number("--channel-fd", optarg, INT32_MAX, &fd, err)) == 0)
            self.channel_fd = (int)fd;
        else if (flag == 'e')
            rc = parse_number("--epoch", optarg, UINT64_MAX, &self.worker.epoch, err);
        else if (flag == '?')
            rc = err_set(err, ERR_INVALID_ARGUMENT, 0, argv[optind - 1], "unknown or incomplete");
    }
    if (rc == 0 && optind < argc)
        rc = err_set(err, ERR_INVALID_ARGUMENT, 0, argv[optind], "not a flag of a worker");
    return rc;
}

static int take_life_lock(struct err *err)
{
    autofree char *path = settings_run_path(self.settings, self.ops->name, ".lock");
    if (!path)
        return err_errno(err, ENOMEM, self.ops->name, "cannot take the lock");
    return lock_take(path, LOCK_WAIT_MS, &self.lock_fd, err);
}

/* ---- the end ---- */

static void on_impatience(uv_timer_t *timer)
{
    const struct rpc_server *rpc = self.worker.rpc;
    (void)timer;
    log_warning("left with work unfinished", "calls", log_u64(rpc ? rpc_server_pending(rpc) : 0));
    _exit(EXIT_SUCCESS);
}

static void on_server_closed(void *data)
{
    ((struct worker *)data)->rpc = NULL;
}

void worker_stopped(struct worker *worker, const char *left)
{
    if (self.stopped)
        return;
    self.stopped = true;
    log_info("stopping", "left", *left ? left : NULL);
    tether_say_stopping(&self.tether, left);
    tether_close(&self.tether);
    /* The timer does not keep the loop alive: it fires only if something else still does. */
    (void)uv_timer_start(&self.patience, on_impatience, CLOSE_WAIT_MS, 0);
    uv_unref((uv_handle_t *)&self.patience);
    rpc_server_close(worker->rpc, on_server_closed, worker);
    event_publisher_close(worker->events, NULL, NULL);
}

static void on_drain(void *data)
{
    struct worker *worker = data;
    log_info("no more changes are taken");
    rpc_server_drain(worker->rpc);
}

static void on_stop(enum worker_stop how, void *data)
{
    struct worker *worker = data;
    if (self.stopping)
        return;
    self.stopping = true;
    rpc_server_drain(worker->rpc);
    self.ops->stop(worker, how);
}

/* Nothing is undone: mounts stay for the next incarnation, and another may be starting already. */
static void on_lost(void *data)
{
    (void)data;
    log_warning("the supervisor is gone");
    _exit(EXIT_FAILURE);
}

/* ---- the beginning ---- */

static int open_sockets(struct worker *worker, struct err *err)
{
    char rpc_url[URL_MAX], events_url[URL_MAX];
    autofree char *rpc_path = settings_run_path(self.settings, worker->name, ".sock");
    autofree char *events_path = settings_run_path(self.settings, worker->name, ".events");
    if (!rpc_path || !events_path)
        return err_errno(err, ENOMEM, worker->name, "cannot open the sockets");
    (void)snprintf(rpc_url, sizeof rpc_url, "ipc://%s", rpc_path);
    (void)snprintf(events_url, sizeof events_url, "ipc://%s", events_path);

    const struct rpc_server_options rpc = {
        .loop = worker->loop,
        .url = rpc_url,
        .epoch = worker->epoch,
        .admins = self.settings->admin_uids,
        .n_admins = self.settings->n_admin_uids,
        .user_connections = self.settings->user_connections,
        .user_calls = self.settings->user_calls,
    };
    const struct event_publisher_options events = {
        .loop = worker->loop,
        .url = events_url,
        .worker = worker->name,
        .epoch = worker->epoch,
    };
    int rc = rpc_server_open(&rpc, &worker->rpc, err);
    if (rc == 0)
        rc = event_publisher_open(&events, &worker->events, err);
    if (rc == 0)
        rc = rpc_server_add(worker->rpc, event_publisher_service(worker->events),
                            event_publisher_reads, err);
    return rc;
}

static int run(struct worker *worker, struct err *err)
{
    const struct tether_callbacks callbacks = {
        .drain = on_drain, .stop = on_stop, .lost = on_lost, .data = worker};
    int rc = uv_timer_init(worker->loop, &self.patience);
    if (rc < 0)
        return err_errno(err, -rc, worker->name, "cannot make a timer");
    rc = tether_open(&self.tether, worker->loop, self.channel_fd, self.settings->beat_ms,
                     &callbacks, err);
    if (rc == 0)
        rc = open_sockets(worker, err);
    if (rc == 0)
        rc = self.ops->start(worker, err);
    if (rc == 0)
        rc = rpc_server_listen(worker->rpc, err);
    if (rc < 0)
        return rc;
    tether_say_ready(&self.tether);
    (void)uv_run(worker->loop, UV_RUN_DEFAULT);
    return 0;
}

static void tidy(struct worker *worker)
{
    uv_close((uv_handle_t *)&self.patience, NULL);
    (void)uv_run(worker->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(worker->loop) < 0)
        log_warning("the loop still holds something");
    settings_free(self.settings);
}

static int prepare(int argc, char **argv, struct err *err)
{
    int rc = parse_flags(argc, argv, err);
    if (rc == 0)
        rc = life_check_channel(self.channel_fd, err);
    if (rc < 0)
        return rc;
    life_set_signals();
    rc = confine_apply(self.ops->keep_caps, self.ops->mounts, err);
    if (rc == 0 && self.ops->writes_devices)
        rc = landlock_confine_writes(self.settings->run_dir, err);
    if (rc == 0)
        rc = life_tie_to_parent(self.channel_fd, err);
    if (rc == 0)
        rc = take_life_lock(err);
    return rc;
}

int worker_main(int argc, char **argv, const struct worker_ops *ops)
{
    static uv_loop_t loop;
    autoerr struct err err = {0};

    /* Else one for each of nng's threads, each with its own holes: what a flood has taken, most of
     * them never give back. */
    (void)mallopt(M_ARENA_MAX, ARENAS);
    log_init(ops->name, LOG_INFO);
    self = (struct incarnation){.ops = ops, .channel_fd = -1, .lock_fd = -1};
    if (settings_load(&argc, argv, &self.settings, &err) < 0) {
        log_err(LOG_ERROR, "the config is wrong", &err);
        return EX_CONFIG;
    }
    log_init(ops->name, self.settings->log_level);
    self.worker.name = ops->name;
    self.worker.settings = self.settings;
    self.worker.loop = &loop;
    int rc = prepare(argc, argv, &err);
    if (rc == 0 && (rc = uv_loop_init(&loop)) < 0)
        rc = err_errno(&err, -rc, ops->name, "cannot make a loop");
    if (rc == 0)
        rc = run(&self.worker, &err);
    if (rc < 0) {
        log_err(LOG_ERROR, "cannot start", &err);
        _exit(EXIT_FAILURE);
    }
    tidy(&self.worker);
    return EXIT_SUCCESS;
}

/* ---- what a worker says of itself ---- */

void worker_status(struct worker *worker, const char *fmt, ...)
{
    char text[CHANNEL_TEXT_MAX];
    va_list ap;
    (void)worker;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!self.stopped)
        tether_say_status(&self.tether, text);
}

void worker_busy(struct worker *worker, const char *const *objects)
{
    (void)worker;
    if (!self.stopped)
        tether_say_busy(&self.tether, objects);
}
