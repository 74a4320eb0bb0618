/*
 * Nodes: one storaged each, with every path below the test's directory and an allow list of exactly
 * the test's disks. At the end of a test each is killed, its log read for what the sanitizers said,
 * and printed if the test failed.
 */
#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

enum { WORKERS_MAX = 16, LOG_TAIL_BYTES = 24000, GONE_MS = 10000, SPAWN_RETRY_MS = 20 };

static struct node *nodes;
static unsigned nodes_made;

/* --- configuration --------------------------------------------------------------------------- */

/* Appends to an allocated text, which may be NULL. */
static void append(char **text, const char *more)
{
    char *longer = path_format("%s%s", *text ? *text : "", more);
    free(*text);
    *text = longer;
}

struct node *node_create_list(struct disk *const *disks)
{
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        harness_fatal("memory");
    node->dir = path_format("%s/node%u", harness_dir(), nodes_made++);
    node->run_dir = path_format("%s/run", node->dir);
    node->mount_root = path_format("%s/mnt", node->dir);
    node->cache_path = path_format("%s/cache", node->dir);
    node->config = path_format("%s/storaged.conf", node->dir);
    node->log = path_format("%s/log", node->dir);
    if (mkdir(node->dir, 0755) != 0 || mkdir(node->cache_path, 0755) != 0)
        harness_fatal("%s", node->dir);
    for (; *disks; disks++)
        node_allow(node, *disks);
    node->next = nodes;
    nodes = node;
    return node;
}

void node_allow(struct node *node, const struct disk *disk)
{
    append(&node->allow, disk->path);
    append(&node->allow, " ");
}

void node_set(struct node *node, const char *key, const char *value)
{
    autofree char *line = path_format("%s=%s\n", key, value);
    append(&node->extra, line);
}

/* An empty allow list would mean every disk of the machine. */
static void node_write_config(const struct node *node)
{
    autofree char *text = path_format("[storaged]\n"
                                      "run_dir = %s\n"
                                      "mount_root = %s\n"
                                      "cache_path = %s\n"
                                      "group = " HARNESS_GROUP "\n"
                                      "[disks]\n"
                                      "allow = %s\n",
                                      node->run_dir, node->mount_root, node->cache_path,
                                      node->allow ? node->allow : "/dev/none");
    file_write(node->config, text, strlen(text));
}

/* --- life ------------------------------------------------------------------------------------ */

void node_spawn(struct node *node)
{
    assert_int_equal(node->pid, 0);
    node_write_config(node);
    struct command command = {.argv = {"storaged", "--config", node->config}};
    autofree char *extra = path_format("%s", node->extra ? node->extra : "");
    char *rest = extra;
    size_t n = 3;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        assert_true(n + 2 < COMMAND_ARGS_MAX);
        command.argv[n++] = "--set";
        command.argv[n++] = line;
    }
    autoclose int log = open(node->log, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0644);
    if (log < 0)
        harness_fatal("%s", node->log);
    node->pid = command_spawn(&command, log, log);
}

struct storage *node_client(const struct node *node)
{
    struct storage_options options = {
        .run_dir = node->run_dir, .timeout_ms = HARNESS_WAIT_MS, .wait = true};
    autoerr struct err err = {0};
    struct storage *storage = NULL;
    assert_ok(storage_open(&options, &storage, &err), &err);
    return storage;
}

/* The control socket is there when it is; until then only the end of the process is an event. */
static void node_wait_control(struct node *node)
{
    autoclose int pidfd = process_open(node->pid);
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    for (;;) {
        autoerr struct err err = {0};
        autoreply Storage__V1__ControlReply *reply = NULL;
        int rc = call_workers(node->storage, &reply, &err);
        if (rc == 0)
            return;
        if (process_ended(pidfd, clock_monotonic_ms() + SPAWN_RETRY_MS)) {
            pid_t pid = node->pid;
            node->pid = 0;
            fail_msg("storaged ended with %d at its start", child_wait(pid));
        }
        if (ms_until(deadline) == 0)
            assert_ok(rc, &err);
    }
}

static bool all_ready(struct node *node)
{
    autoreply Storage__V1__ControlReply *reply = NULL;
    if (call_workers(node->storage, &reply, NULL) != 0 || !reply->list)
        return false;
    for (size_t i = 0; i < reply->list->n_workers; i++)
        if (reply->list->workers[i]->state != STORAGE__V1__WORKER_STATE__WORKER_STATE_READY)
            return false;
    return true;
}

static bool node_settled(struct node *node, void *data)
{
    (void)data;
    if (!all_ready(node))
        return false;
    autoreply Storage__V1__DiskListReply *disks = NULL;
    if (call_disks(node->storage, &disks, NULL) != 0 || !disks->settled)
        return false;
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    if (call_pools(node->storage, &pools, NULL) != 0)
        return false;
    for (size_t i = 0; i < pools->n_pools; i++)
        if (pools->pools[i]->state == STORAGE__V1__POOL_STATE__POOL_STATE_OPENING)
            return false;
    return true;
}

void node_connect(struct node *node)
{
    if (!node->storage)
        node->storage = node_client(node);
    node_wait_control(node);
    if (!node->watch)
        node->watch = watch_start(node);
}

static bool watch_is_with_diskd(struct node *node)
{
    autoreply Storage__V1__DiskListReply *disks = NULL;
    return call_disks(node->storage, &disks, NULL) == 0 &&
           watch_has(node->watch, "diskd", disks->epoch, disks->seq);
}

static bool watch_is_with_poold(struct node *node)
{
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    return call_pools(node->storage, &pools, NULL) == 0 &&
           watch_has(node->watch, "poold", pools->epoch, pools->seq);
}

/* All that the workers which are there have told so far has reached the watch. */
static bool node_followed(struct node *node, void *data)
{
    (void)data;
    autoreply Storage__V1__ControlReply *reply = NULL;
    if (call_workers(node->storage, &reply, NULL) != 0 || !reply->list)
        return false;
    for (size_t i = 0; i < reply->list->n_workers; i++) {
        const Storage__V1__Worker *worker = reply->list->workers[i];
        if (worker->state != STORAGE__V1__WORKER_STATE__WORKER_STATE_READY)
            continue;
        if (strcmp(worker->name, "diskd") == 0 && !watch_is_with_diskd(node))
            return false;
        if (strcmp(worker->name, "poold") == 0 && !watch_is_with_poold(node))
            return false;
    }
    return true;
}

void node_mark(struct node *node)
{
    if (node->pid > 0)
        node_wait(node, node_followed, NULL, "the watch has heard of what happened");
    watch_mark(node->watch);
}

void node_start(struct node *node)
{
    node_spawn(node);
    node_connect(node);
    node_wait(node, node_settled, NULL, "the workers answer and the disks have settled");
    node_wait(node, node_followed, NULL, "the watch follows all workers");
}

/* The processes whose parent is `pid`, as pidfds; how many. */
static size_t children_open(pid_t pid, int *out_pidfds, size_t max)
{
    autodir DIR *proc = opendir("/proc");
    size_t n = 0;
    for (struct dirent *entry; n < max && (entry = readdir(proc));) {
        pid_t child = (pid_t)strtol(entry->d_name, NULL, 10);
        autofree char *path = path_format("/proc/%d/stat", child);
        autoclose int pidfd = child > 0 ? process_open(child) : -1;
        autofree char *stat = pidfd < 0 ? NULL : file_try_read(path, NULL);
        const char *end = stat ? strrchr(stat, ')') : NULL; /* it may be gone meanwhile */
        if (end && strlen(end) > 4 && strtol(end + 4, NULL, 10) == pid)
            out_pidfds[n++] = take_fd(&pidfd);
    }
    return n;
}

/* Takes storaged's end after `signal` (0: none); its workers must be gone with it. */
static int node_end(struct node *node, int signal)
{
    int workers[WORKERS_MAX];
    size_t n = children_open(node->pid, workers, WORKERS_MAX);
    if (signal != 0)
        (void)kill(node->pid, signal);
    pid_t pid = node->pid;
    node->pid = 0;
    int status = child_wait(pid);
    uint64_t deadline = clock_monotonic_ms() + GONE_MS;
    unsigned left = 0;
    for (size_t i = 0; i < n; i++) {
        left += !process_ended(workers[i], deadline);
        (void)close(workers[i]);
    }
    if (left > 0)
        fail_msg("%u workers outlive storaged", left);
    return status;
}

void node_stop(struct node *node)
{
    int status = node_end(node, SIGTERM);
    if (status != 0)
        fail_msg("storaged ended with %d on SIGTERM", status);
}

int node_shutdown(struct node *node, struct err *err)
{
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    Storage__V1__ShutdownRequest verb = STORAGE__V1__SHUTDOWN_REQUEST__INIT;
    request.verb_case = STORAGE__V1__CONTROL_REQUEST__VERB_SHUTDOWN;
    request.shutdown = &verb;
    autoreply Storage__V1__ControlReply *reply = NULL;
    int rc = storage_control(node->storage, &request, &reply, err);
    int status = node_end(node, 0);
    if (rc == 0 && status != 0)
        fail_msg("storaged ended with %d after a shutdown", status);
    return rc;
}

void node_kill(struct node *node)
{
    (void)node_end(node, SIGKILL);
}

/* --- workers --------------------------------------------------------------------------------- */

struct worker_info node_worker(struct node *node, const char *name)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ControlReply *reply = NULL;
    assert_ok(call_workers(node->storage, &reply, &err), &err);
    for (size_t i = 0; reply->list && i < reply->list->n_workers; i++) {
        const Storage__V1__Worker *worker = reply->list->workers[i];
        if (strcmp(worker->name, name) != 0)
            continue;
        struct worker_info info = {.pid = worker->pid,
                                   .epoch = worker->epoch,
                                   .restarts = worker->restarts,
                                   .state = worker->state};
        (void)snprintf(info.exit_reason, sizeof info.exit_reason, "%s", worker->exit_reason);
        return info;
    }
    fail_msg("no worker %s", name);
    abort(); /* fail_msg() does not return, and does not say so */
}

struct new_epoch {
    const char *name;
    uint64_t old;
    struct worker_info info;
};

static bool worker_is_new(struct node *node, void *data)
{
    struct new_epoch *wanted = data;
    wanted->info = node_worker(node, wanted->name);
    return wanted->info.state == STORAGE__V1__WORKER_STATE__WORKER_STATE_READY &&
           wanted->info.epoch != wanted->old;
}

struct worker_info node_wait_worker(struct node *node, const char *name, uint64_t old_epoch)
{
    struct new_epoch wanted = {.name = name, .old = old_epoch};
    node_wait(node, worker_is_new, &wanted, "the worker is ready again");
    return wanted.info;
}

/* --- what it says ---------------------------------------------------------------------------- */

struct command_result node_ctl_list(const struct node *node, const char *const *args)
{
    struct command command = {.argv = {"storagectl"}, .run_dir = node->run_dir};
    for (size_t i = 0; args[i]; i++) {
        assert_true(i + 1 < COMMAND_ARGS_MAX);
        command.argv[i + 1] = args[i];
    }
    return command_run(&command);
}

unsigned node_log_count(const struct node *node, const char *text)
{
    autofree char *log = file_read(node->log, NULL);
    unsigned n = 0;
    for (const char *at = log; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

/* --- the end of a test ----------------------------------------------------------------------- */

static void node_check_log(const struct node *node, bool passed)
{
    static const char *const signs[] = {"ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
                                        "runtime error:", "LeakSanitizer has encountered"};
    if (access(node->log, F_OK) != 0)
        return;
    for (size_t i = 0; i < array_length(signs); i++) {
        if (node_log_count(node, signs[i]) > 0) {
            teardown_problem("%s: a sanitizer complains", node->log);
            passed = false;
            break;
        }
    }
    if (passed)
        return;
    size_t size;
    autofree char *log = file_read(node->log, &size);
    fprintf(stderr, "--- the end of %s\n%s---\n", node->log,
            size > LOG_TAIL_BYTES ? log + size - LOG_TAIL_BYTES : log);
}

/* The 0-db of a node outlive it, and say who they are in its run directory. */
static void end_zdbs(const struct node *node)
{
    autofree char *path = path_format("%s/zdb", node->run_dir);
    autodir DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        autofree char *file = path_format("%s/%s/record", path, entry->d_name);
        autofree char *record = file_try_read(file, NULL);
        const char *pid = record ? strstr(record, "\npid=") : NULL;
        autoclose int pidfd = pid ? process_open((pid_t)strtol(pid + 5, NULL, 10)) : -1;
        if (pidfd < 0)
            continue;
        (void)kill((pid_t)strtol(pid + 5, NULL, 10), SIGKILL);
        (void)process_ended(pidfd, clock_monotonic_ms() + GONE_MS);
    }
}

static void node_free(struct node *node, bool passed)
{
    watch_stop(node->watch);
    storage_close(node->storage);
    int workers[WORKERS_MAX];
    size_t n = node->pid ? children_open(node->pid, workers, WORKERS_MAX) : 0;
    if (node->pid) {
        (void)kill(node->pid, SIGKILL);
        (void)child_wait(node->pid);
    }
    for (size_t i = 0; i < n; i++) {
        if (!process_ended(workers[i], clock_monotonic_ms() + GONE_MS))
            teardown_problem("a worker outlives its killed supervisor");
        (void)close(workers[i]);
    }
    end_zdbs(node);
    node_check_log(node, passed);
    char *texts[] = {node->dir,    node->run_dir, node->mount_root, node->cache_path,
                     node->config, node->log,     node->allow,      node->extra};
    for (size_t i = 0; i < array_length(texts); i++)
        free(texts[i]);
    free(node);
}

/* Whoever is neither init nor we has no business here any more. */
static void kill_leftovers(bool passed)
{
    autodir DIR *proc = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(proc));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        autoclose int pidfd = pid > 1 && pid != getpid() ? process_open(pid) : -1;
        if (pidfd < 0 || process_ended(pidfd, clock_monotonic_ms() + (passed ? 2000 : 0)))
            continue;
        autofree char *path = path_format("/proc/%d/comm", pid);
        autofree char *name = file_try_read(path, NULL);
        if (passed)
            teardown_problem("process %d was left: %s", pid, name ? name : "?");
        (void)kill(pid, SIGKILL);
        (void)process_ended(pidfd, clock_monotonic_ms() + GONE_MS);
    }
}

void nodes_end_all(bool passed)
{
    while (nodes) {
        struct node *node = nodes;
        nodes = node->next;
        node_free(node, passed);
    }
    if (getppid() != 1)
        harness_fatal("not in a sandbox");
    kill_leftovers(passed);
}
