/*
 * The loop. What its parts promise each other: commands only gather; the end of the turn writes,
 * begins syncs (commit.c) and sends; clients are freed there alone, so that nobody holds one that
 * is gone.
 */
#include "server.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "compact.h"
#include "gates.h"
#include "watchers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, IDLE_MS = 60000, HOUSEKEEPING_MS = 1000 };

/* --- lists ----------------------------------------------------------------------------------- */

void server_evict(struct server *server, struct ns *ns)
{
    for (struct client *client = server->clients; client; client = client->all.next)
        if (client->ns == ns)
            client->ns = NULL;
    for (size_t i = 0; i < server->n_written; i++)
        if (server->written[i] == ns)
            server->written[i] = server->written[--server->n_written];
}

void server_queue_send(struct server *server, struct client *client)
{
    if (client->queued)
        return;
    client->queued = true;
    client->next_queued = server->to_send;
    server->to_send = client;
}

void server_queue_read(struct server *server, struct client *client)
{
    if (client->read_queued)
        return;
    client->read_queued = true;
    client->next_reader = NULL;
    *(server->to_read ? server->to_read_end : &server->to_read) = client;
    server->to_read_end = &client->next_reader;
}

/* --- the end of a turn ----------------------------------------------------------------------- */

static void bury(struct client *client)
{
    watchers_forget(client);
    client_free(client);
}

static void send_queued(struct server *server)
{
    while (server->to_send) {
        struct client *list = server->to_send, *next;
        server->to_send = NULL;
        for (struct client *client = list; client; client = next) {
            next = client->next_queued;
            client->queued = false;
            client_send(client);
        }
        if (server_is_to_write(server))
            return; /* some went on and wrote: that is written first */
    }
}

static void free_dead(struct server *server)
{
    if (!server->any_dead)
        return;
    server->any_dead = false;
    for (struct client *client = server->clients, *next; client; client = next) {
        next = client->all.next;
        if (client->dead && !client->queued && !client->listed && !client->read_queued)
            bury(client);
        else if (client->dead)
            server->any_dead = true;
    }
}

static void end_turn(struct server *server)
{
    do {
        commit_write(server);
        if (sync_under_way(server->syncer)) /* to ask costs a call */
            commit_hear(server);
        commit_refuse_unsynced(server);
        commit_sync(server);
        send_queued(server);
        if (server->budget.lacking_since_ms > 0)
            budget_relieve(server);
    } while (server_is_to_write(server));
    commit_end_turn(server);
    free_dead(server);
}

/* --- housekeeping ---------------------------------------------------------------------------- */

static void rotate_old(struct server *server)
{
    uint32_t after_s = server->options->rotate_s;
    if (after_s == 0)
        return;
    for (struct ns *ns = server->realm.first; ns; ns = ns->next)
        if (!ns->damaged && ns->written && ns->opened_at + after_s <= server->time)
            (void)ns_rotate(ns);
}

static int next_timeout(const struct server *server)
{
    uint64_t due = server->now_ms + IDLE_MS;
    if (server->options->rotate_s > 0 || server->budget.lacking_since_ms > 0)
        due = server->now_ms + HOUSEKEEPING_MS;
    if (server->sync_due_ms > 0 && server->sync_due_ms < due && !sync_under_way(server->syncer))
        due = server->sync_due_ms;
    uint64_t wait_ends = watchers_due_ms(server);
    if (wait_ends < due)
        due = wait_ends;
    if (server->accept_again_ms > 0 && server->accept_again_ms < due)
        due = server->accept_again_ms;
    if (server->to_send || server->to_read || server->any_dead)
        return 0;
    return due > server->now_ms ? (int)(due - server->now_ms) : 0;
}

static void look_at_clock(struct server *server)
{
    server->now_ms = clock_monotonic_ms();
    server->time = (uint32_t)time(NULL);
}

/* --- events ---------------------------------------------------------------------------------- */

static void hear_signal(struct server *server)
{
    struct signalfd_siginfo signal;
    if (read(server->signals, &signal, sizeof signal) == sizeof signal)
        server->stop_signal = (int)signal.ssi_signo;
}

static void hear_client(struct client *client, uint32_t events)
{
    if (client->dead)
        return;
    if (events & EPOLLERR || (events & EPOLLHUP && client->read_ended)) {
        client_drop(client);
        return;
    }
    if (events & EPOLLOUT && out_size(&client->out) > 0)
        server_queue_send(client->server, client);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) {
        client->readable = true;
        client->ending = client->ending || events & (EPOLLRDHUP | EPOLLHUP);
        client_receive(client);
    }
}

/* Those that had more than was read at once. */
static void read_queued(struct server *server)
{
    struct client *list = server->to_read, *next;
    server->to_read = NULL;
    for (struct client *client = list; client; client = next) {
        next = client->next_reader;
        client->read_queued = false;
        client_receive(client);
    }
}

static void hear(struct server *server, const struct epoll_event *event)
{
    void *who = event->data.ptr;
    if (who == &server->signals)
        hear_signal(server);
    else if (who == &server->sync_event)
        commit_hear(server);
    else if (who == &server->compact_event)
        compact_poll(server->compactor, server->realm.first, server->now_ms);
    else if (who == &server->listeners[0] || who == &server->listeners[1])
        listen_accept(server, who == &server->listeners[1]);
    else if (!hooks_event(&server->hooks, who))
        hear_client(who, event->events);
}

static int watch(struct server *server, int *fd)
{
    struct epoll_event ready = {.events = EPOLLIN, .data.ptr = fd};
    return *fd < 0 ? 0 : epoll_ctl(server->epoll, EPOLL_CTL_ADD, *fd, &ready);
}

int server_run(struct server *server, struct err *err)
{
    static struct epoll_event events[EVENTS];
    if (watch(server, &server->listeners[0]) < 0 || watch(server, &server->listeners[1]) < 0)
        return err_errno(err, errno, server->identity, "cannot watch the socket");
    look_at_clock(server);
    while (!server->stop_signal) {
        int n = epoll_wait(server->epoll, events, EVENTS, next_timeout(server));
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "epoll", "cannot wait for events");
        look_at_clock(server);
        read_queued(server);
        for (int i = 0; i < n; i++)
            hear(server, &events[i]);
        watchers_end_waits(server);
        listen_again(server);
        rotate_old(server);
        compact_poll(server->compactor, server->realm.first, server->now_ms);
        end_turn(server);
    }
    return 0;
}

/* --- begin and end --------------------------------------------------------------------------- */

static int open_events(struct server *server, struct err *err)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    server->shared = malloc(SERVER_SHARED);
    server->syncer = syncer_new(&server->sync_event);
    server->compactor = compact_new(server->options->compact_percent, &server->compact_event);
    server->reaper = reaper_new(server->realm.data_root, server->realm.index_root);
    server->realm.reaper = server->reaper;
    if (server->epoll < 0 || server->signals < 0 || !server->shared || !server->syncer ||
        !server->compactor || !server->reaper || watch(server, &server->signals) < 0 ||
        watch(server, &server->sync_event) < 0 || watch(server, &server->compact_event) < 0)
        return err_errno(err, errno ? errno : ENOMEM, "zdb", "cannot start");
    return 0;
}

static void configure(struct server *server)
{
    const struct options *options = server->options;
    server->realm.default_maxsize = options->maxsize;
    server->realm.config = (struct ns_config){
        .syncer = server->syncer,
        .datasize = options->datasize,
        .mixed = options->mixed,
        .mode = options->sequential ? FORMAT_SEQ : FORMAT_USER,
        .durable = options->sync,
        .secure = options->secure,
        .rotated = options->hook ? server_rotated : NULL,
        .rotated_data = server,
    };
}

int server_init(struct server *server, const struct options *options, struct err *err)
{
    *server = (struct server){.options = options,
                              .epoll = -1,
                              .signals = -1,
                              .listeners = {-1, -1},
                              .spare = -1,
                              .started = (uint64_t)time(NULL)};
    server->realm = (struct realm){.data_root = -1, .index_root = -1, .locks = {-1, -1}};
    struct rlimit descriptors;
    server->n_descriptors =
        getrlimit(RLIMIT_NOFILE, &descriptors) < 0 ? LIMITS_CLIENTS : descriptors.rlim_cur;
    budget_init(&server->budget, options->memory);
    look_at_clock(server);
    (void)!getrandom(&server->instance, sizeof server->instance, 0);
    int rc = realm_open(&server->realm, options->data, options->index, err);
    if (rc == 0 && options->gates)
        rc = gates_open(options->gates, &server->gates, err);
    return rc == 0 ? listen_bind(server, err) : rc;
}

static void close_gates(struct server *server)
{
    if (server->gates)
        (void)fclose(take_ptr(server->gates));
}

int server_load(struct server *server, struct err *err)
{
    int rc = open_events(server, err);
    if (rc < 0)
        return rc;
    configure(server);
    hooks_init(&server->hooks, server->options->hook, server->identity, server->epoll);
    (void)hooks_ask(&server->hooks, "namespaces-init",
                    hooks_args(server->realm.index_path, server->realm.data_path));
    rc = realm_load(&server->realm, err);
    if (rc == 0 && server->gates)
        rc = gates_shut(server->gates, &server->realm, err);
    close_gates(server);
    look_at_clock(server);
    return rc;
}

void server_close(struct server *server)
{
    for (struct client *client = server->clients, *next; client; client = next) {
        next = client->all.next;
        bury(client);
    }
    compact_free(server->compactor);
    reaper_free(server->reaper);
    syncer_free(server->syncer);
    for (struct ns *ns = server->realm.first; ns; ns = ns->next)
        if (!ns->damaged && ns->n_pairs > 0)
            (void)sync_now(ns);
    listen_close(server);
    realm_close(&server->realm);
    hooks_free(&server->hooks);
    cleanup_fd(&server->signals);
    cleanup_fd(&server->epoll);
    cleanup_fd(&server->spare);
    close_gates(server);
    free(server->shared);
    free(server->written);
}
