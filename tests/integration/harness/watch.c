/*
 * The watch: this same program, started again with --watch, follows a node's events and writes them
 * to a pipe, each as a length and a packed Event. A process rather than a thread: it can be killed
 * at any time, and a test's own client calls share nothing with it.
 */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { FRAME_MAX = 1 << 20, PIPE_BYTES = 1 << 20, REOPEN_MS = 50 };

struct watch {
    pid_t pid;
    int fd;
    Storage__V1__Event **events;
    size_t n, room, mark;
    uint8_t *pending;
    size_t n_pending;
};

/* --- the process ----------------------------------------------------------------------------- */

static int write_frame(const Storage__V1__Event *event)
{
    uint32_t size = (uint32_t)storage__v1__event__get_packed_size(event);
    uint8_t *frame = malloc(sizeof size + size);
    if (!frame)
        return -ERR_RESOURCE_EXHAUSTED;
    memcpy(frame, &size, sizeof size);
    (void)storage__v1__event__pack(event, frame + sizeof size);
    size_t left = sizeof size + size;
    for (const uint8_t *at = frame; left > 0;) {
        ssize_t n = write(STDOUT_FILENO, at, left);
        if (n < 0)
            _exit(0); /* nobody listens any more */
        at += n;
        left -= (size_t)n;
    }
    free(frame);
    return 0;
}

static int on_event(const Storage__V1__Event *event, void *data)
{
    (void)data;
    return write_frame(event);
}

static int on_resync(const char *worker, uint64_t epoch, uint64_t seq, void *data)
{
    (void)data;
    Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
    event.topic = (char *)(uintptr_t) "resync";
    event.worker = (char *)(uintptr_t)worker;
    event.epoch = epoch;
    event.seq = seq;
    return write_frame(&event);
}

int watch_main(const char *run_dir)
{
    static const char *const all[] = {"", NULL};
    struct storage_options options = {.run_dir = run_dir, .wait = true};
    struct storage_follower follower = {
        .topics = all, .on_event = on_event, .on_resync = on_resync};
    for (;;) {
        struct storage *storage = NULL;
        if (storage_open(&options, &storage, NULL) == 0)
            (void)storage_follow(storage, &follower, NULL);
        storage_close(storage);
        (void)poll(NULL, 0, REOPEN_MS);
    }
}

/* --- its reader ------------------------------------------------------------------------------ */

struct watch *watch_start(const struct node *node)
{
    struct watch *watch = calloc(1, sizeof *watch);
    int ends[2];
    if (!watch || pipe2(ends, O_CLOEXEC) != 0)
        harness_fatal("watch");
    (void)fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
    struct command command = {.argv = {"/proc/self/exe", "--watch", node->run_dir}};
    watch->pid = command_spawn(&command, ends[1], STDERR_FILENO);
    (void)close(ends[1]);
    watch->fd = ends[0];
    (void)fcntl(watch->fd, F_SETFL, O_NONBLOCK);
    return watch;
}

void watch_stop(struct watch *watch)
{
    if (!watch)
        return;
    (void)kill(watch->pid, SIGKILL);
    (void)child_wait(watch->pid);
    (void)close(watch->fd);
    for (size_t i = 0; i < watch->n; i++)
        storage__v1__event__free_unpacked(watch->events[i], NULL);
    free(watch->events);
    free(watch->pending);
    free(watch);
}

void watch_pause(struct watch *watch)
{
    (void)kill(watch->pid, SIGSTOP);
}

void watch_resume(struct watch *watch)
{
    (void)kill(watch->pid, SIGCONT);
}

static void watch_keep(struct watch *watch, Storage__V1__Event *event)
{
    if (strcmp(event->topic, "tick") == 0) {
        storage__v1__event__free_unpacked(event, NULL);
        return;
    }
    if (watch->n == watch->room) {
        watch->room = watch->room ? watch->room * 2 : 256;
        watch->events = realloc(watch->events, watch->room * sizeof *watch->events);
        if (!watch->events)
            harness_fatal("memory");
    }
    watch->events[watch->n++] = event;
}

/* Takes whole frames out of what is pending; how many. */
static unsigned watch_take_frames(struct watch *watch)
{
    unsigned taken = 0;
    size_t at = 0;
    for (uint32_t size; watch->n_pending - at >= sizeof size; taken++) {
        memcpy(&size, watch->pending + at, sizeof size);
        if (size > FRAME_MAX)
            harness_fatal("the watch writes nonsense");
        if (watch->n_pending - at - sizeof size < size)
            break;
        Storage__V1__Event *event =
            storage__v1__event__unpack(NULL, size, watch->pending + at + sizeof size);
        if (!event)
            harness_fatal("the watch writes what does not unpack");
        watch_keep(watch, event);
        at += sizeof size + size;
    }
    watch->n_pending -= at;
    memmove(watch->pending, watch->pending + at, watch->n_pending);
    return taken;
}

bool watch_fill(struct watch *watch, uint64_t deadline_ms)
{
    enum { CHUNK = 65536 };
    unsigned taken = 0;
    for (;;) {
        watch->pending = realloc(watch->pending, watch->n_pending + CHUNK);
        if (!watch->pending)
            harness_fatal("memory");
        ssize_t n = read(watch->fd, watch->pending + watch->n_pending, CHUNK);
        if (n > 0) {
            watch->n_pending += (size_t)n;
            taken += watch_take_frames(watch);
            continue;
        }
        if (n == 0)
            fail_msg("the watch has ended");
        if (taken > 0)
            return true;
        struct pollfd wait = {.fd = watch->fd, .events = POLLIN};
        if (poll(&wait, 1, ms_until(deadline_ms)) == 0)
            return false;
    }
}

size_t watch_count(const struct watch *watch)
{
    return watch->n;
}

const Storage__V1__Event *watch_at(const struct watch *watch, size_t index)
{
    return watch->events[index];
}

bool watch_has(const struct watch *watch, const char *worker, uint64_t epoch, uint64_t seq)
{
    for (size_t i = 0; i < watch->n; i++) {
        const Storage__V1__Event *event = watch->events[i];
        if (strcmp(event->worker, worker) == 0 && event->epoch == epoch && event->seq >= seq)
            return true;
    }
    return false;
}

void watch_mark(struct watch *watch)
{
    (void)watch_fill(watch, 0);
    watch->mark = watch->n;
}

const Storage__V1__Event *watch_wait(struct watch *watch, const char *topic, const char *object)
{
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    for (size_t i = watch->mark;; i++) {
        while (i == watch->n)
            if (!watch_fill(watch, deadline))
                fail_msg("no event %s of %s", topic, object ? object : "anything");
        const Storage__V1__Event *event = watch->events[i];
        if (strcmp(event->topic, topic) == 0 && (!object || strcmp(event->object, object) == 0))
            return event;
    }
}

/* --- conditions ------------------------------------------------------------------------------ */

void node_wait(struct node *node, node_condition holds, void *data, const char *what)
{
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    while (!holds(node, data))
        if (!watch_fill(node->watch, deadline) || ms_until(deadline) == 0)
            fail_msg("it did not come true that %s", what);
}

static bool pools_mounted(struct node *node, void *data)
{
    const size_t *wanted = data;
    size_t n = 0;
    autoreply Storage__V1__ListPoolsReply *list = NULL;
    if (call_pools(node->storage, &list, NULL) != 0)
        return false;
    for (size_t i = 0; i < list->n_pools; i++)
        n += list->pools[i]->state == STORAGE__V1__POOL_STATE__POOL_STATE_MOUNTED;
    return n == *wanted;
}

void node_wait_pools(struct node *node, size_t n_mounted)
{
    node_wait(node, pools_mounted, &n_mounted, "so many pools are mounted");
}

static bool cache_is(struct node *node, void *data)
{
    const bool *wanted = data;
    autoreply Storage__V1__CacheInfo *cache = NULL;
    return call_cache(node->storage, &cache, NULL) == 0 && cache->mounted == *wanted;
}

void node_wait_cache(struct node *node, bool mounted)
{
    node_wait(node, cache_is, &mounted, mounted ? "the cache is mounted" : "the cache is gone");
}

struct disk_state {
    const char *path;
    Storage__V1__DiskState state; /* UNSPECIFIED: not there */
};

static bool disk_is(struct node *node, void *data)
{
    const struct disk_state *wanted = data;
    autoreply Storage__V1__DiskListReply *list = NULL;
    if (call_disks(node->storage, &list, NULL) != 0)
        return false;
    Storage__V1__DiskState state = STORAGE__V1__DISK_STATE__DISK_STATE_UNSPECIFIED;
    for (size_t i = 0; i < list->n_disks; i++)
        if (strcmp(list->disks[i]->path, wanted->path) == 0)
            state = list->disks[i]->state;
    return state == wanted->state;
}

void node_wait_disk(struct node *node, const struct disk *disk, Storage__V1__DiskState state)
{
    struct disk_state wanted = {.path = disk->path, .state = state};
    node_wait(node, disk_is, &wanted, "the disk is in the expected state");
}

void node_wait_no_disk(struct node *node, const struct disk *disk)
{
    struct disk_state wanted = {.path = disk->path};
    node_wait(node, disk_is, &wanted, "the disk is gone");
}
