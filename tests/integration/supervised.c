/* A storaged under test, see the header. Failing functions fail the running cmocka test. */
#include "supervised.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { ARGS_MAX = 64, PATH_SIZE = 256, PACKET_MAX = 64 * 1024 };

static const char *const part_names[] = {"ready", "exits",  "mute",  "stubborn",
                                         "busy",  "clings", "frozen"};

static void node_path(const struct supervised *node, const char *name, char out[PATH_SIZE])
{
    (void)snprintf(out, PATH_SIZE, "%s/%s", node->dir, name);
}

void supervised_create(struct supervised *node)
{
    char path[PATH_SIZE];
    *node = (struct supervised){.stderr_fd = -1, .log = calloc(1, SUPERVISED_LOG_MAX)};
    assert_non_null(node->log);
    (void)snprintf(node->dir, sizeof node->dir, "/tmp/storaged-test-XXXXXX");
    assert_non_null(mkdtemp(node->dir));
    (void)snprintf(node->run_dir, sizeof node->run_dir, "%s/run", node->dir);
    assert_int_equal(chmod(node->dir, 0755), 0);
    node_path(node, "libexec", path);
    assert_int_equal(mkdir(path, 0755), 0);
    for (size_t i = 0; i < array_length(part_names); i++) {
        (void)snprintf(path, sizeof path, "%s/libexec/%s", node->dir, part_names[i]);
        assert_int_equal(symlink(TESTWORKER_PATH, path), 0);
    }
    supervised_write_config(node, "");
}

void supervised_write_config(const struct supervised *node, const char *text)
{
    char path[PATH_SIZE], fresh[PATH_SIZE];
    node_path(node, "storaged.conf", path);
    node_path(node, "storaged.conf.new", fresh);
    FILE *file = fopen(fresh, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(fresh, path), 0);
}

void supervised_start(struct supervised *node, const char *workers, const char *const *flags)
{
    autofree char *config = NULL, *run_dir = NULL, *libexec = NULL, *names = NULL;
    const char *argv[ARGS_MAX] = {STORAGED_PATH, "--config"};
    size_t n = 2;
    int ends[2];
    assert_true(asprintf(&config, "%s/storaged.conf", node->dir) > 0);
    assert_true(asprintf(&run_dir, "storaged.run_dir=%s", node->run_dir) > 0);
    assert_true(asprintf(&libexec, "storaged.libexec_dir=%s/libexec", node->dir) > 0);
    assert_true(asprintf(&names, "supervisor.workers=%s", workers) > 0);
    const char *const settings[] = {run_dir,
                                    libexec,
                                    names,
                                    "storaged.group=nogroup",
                                    "supervisor.beat_ms=100",
                                    "supervisor.abort_grace_ms=500",
                                    "supervisor.kill_grace_ms=300",
                                    "supervisor.healthy_ms=1",
                                    "supervisor.backoff_min_ms=40",
                                    "supervisor.backoff_max_ms=160"};
    argv[n++] = config;
    for (size_t i = 0; i < array_length(settings); i++) {
        argv[n++] = "--set";
        argv[n++] = settings[i];
    }
    for (; flags && *flags && n < ARGS_MAX - 1; flags++)
        argv[n++] = *flags;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    cleanup_fd(&node->stderr_fd);
    node->stderr_fd = ends[0];
    node->pid = fork();
    assert_true(node->pid >= 0);
    if (node->pid == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)execv(STORAGED_PATH, (char **)(uintptr_t)argv);
        _exit(127);
    }
    (void)close(ends[1]);
}

void supervised_destroy(struct supervised *node)
{
    char command[PATH_SIZE];
    if (node->pid > 0) {
        (void)kill(node->pid, SIGCONT);
        (void)kill(node->pid, SIGKILL);
        (void)waitpid(node->pid, NULL, 0);
    }
    cleanup_fd(&node->stderr_fd);
    free(node->log);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", node->dir);
    assert_int_equal(system(command), 0);
}

/* ---- the log ---- */

static bool read_log(struct supervised *node, int wait_ms)
{
    struct pollfd pollfd = {.fd = node->stderr_fd, .events = POLLIN};
    if (poll(&pollfd, 1, wait_ms) <= 0)
        return false;
    ssize_t length =
        read(node->stderr_fd, node->log + node->n_log, SUPERVISED_LOG_MAX - 1 - node->n_log);
    if (length <= 0)
        return false;
    node->n_log += (size_t)length;
    node->log[node->n_log] = '\0';
    return true;
}

/* The next whole line past `read`, copied out; NULL when there is none yet. */
static const char *next_line(struct supervised *node)
{
    static char line[4096];
    const char *from = node->log + node->read;
    const char *end = strchr(from, '\n');
    if (!end)
        return NULL;
    (void)snprintf(line, sizeof line, "%.*s", (int)(end - from), from);
    node->read += (size_t)(end - from) + 1;
    return line;
}

const char *supervised_wait_log(struct supervised *node, const char *text, const char *also)
{
    uint64_t deadline_ms = clock_monotonic_ms() + SUPERVISED_WAIT_MS;
    for (;;) {
        const char *line;
        while ((line = next_line(node)))
            if (strstr(line, text) && (!also || strstr(line, also)))
                return line;
        uint64_t now_ms = clock_monotonic_ms();
        if (now_ms >= deadline_ms || !read_log(node, (int)(deadline_ms - now_ms)))
            fail_msg("never said: %s %s; it said:\n%s", text, also ? also : "", node->log);
    }
}

bool supervised_has_logged(struct supervised *node, const char *text)
{
    while (read_log(node, 0))
        continue;
    return strstr(node->log, text) != NULL;
}

long supervised_number(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    if (!at)
        fail_msg("no %s in: %s", key, line);
    return strtol(at + strlen(key), NULL, 10);
}

pid_t supervised_wait_ready(struct supervised *node, const char *worker)
{
    char key[64];
    (void)snprintf(key, sizeof key, "worker=%s ", worker);
    return (pid_t)supervised_number(supervised_wait_log(node, "msg=\"worker ready\"", key),
                                    " pid=");
}

void supervised_wait_all_ready(struct supervised *node, int n)
{
    while (n-- > 0)
        (void)supervised_wait_log(node, "msg=\"worker ready\"", NULL);
}

/* ---- processes ---- */

int supervised_pidfd(pid_t pid)
{
    int fd = pidfd_open(pid, 0);
    assert_true(fd >= 0);
    return fd;
}

bool supervised_outlives(int pidfd, int ms)
{
    struct pollfd pollfd = {.fd = pidfd, .events = POLLIN};
    return poll(&pollfd, 1, ms) == 0;
}

void supervised_wait_gone(int pidfd)
{
    assert_false(supervised_outlives(pidfd, SUPERVISED_WAIT_MS));
}

int supervised_wait_exit(struct supervised *node)
{
    int status;
    autoclose int pidfd = supervised_pidfd(node->pid);
    if (supervised_outlives(pidfd, SUPERVISED_WAIT_MS))
        fail_msg("storaged did not end; it said:\n%s", node->log);
    assert_int_equal(waitpid(node->pid, &status, 0), node->pid);
    node->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void supervised_stop(struct supervised *node)
{
    assert_int_equal(kill(node->pid, SIGTERM), 0);
    assert_int_equal(supervised_wait_exit(node), 0);
}

/* ---- the control socket ---- */

int supervised_connect(const struct supervised *node)
{
    const struct timeval patience = {.tv_sec = SUPERVISED_WAIT_MS / 1000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path, sizeof address.sun_path, "%.80s/control.sock", node->run_dir);
    assert_true(length > 0);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail_msg("cannot connect: %s", strerror(errno));
    return fd;
}

Storage__V1__ControlReply *supervised_receive(int fd)
{
    static uint8_t packet[PACKET_MAX];
    ssize_t length = recv(fd, packet, sizeof packet, 0);
    return length > 0 ? storage__v1__control_reply__unpack(NULL, (size_t)length, packet) : NULL;
}

Storage__V1__ControlReply *supervised_ask_at(int fd, const Storage__V1__ControlRequest *request)
{
    uint8_t packet[1024];
    size_t length = storage__v1__control_request__pack(request, packet);
    assert_int_equal(send(fd, packet, length, MSG_NOSIGNAL), length);
    return supervised_receive(fd);
}

static Storage__V1__ControlReply *
ask(const struct supervised *node, Storage__V1__ControlRequest__VerbCase verb, const char *worker)
{
    autoclose int fd = supervised_connect(node);
    Storage__V1__WorkerRequest named = STORAGE__V1__WORKER_REQUEST__INIT;
    Storage__V1__WorkerListRequest list = STORAGE__V1__WORKER_LIST_REQUEST__INIT;
    Storage__V1__ShutdownRequest shutdown_request = STORAGE__V1__SHUTDOWN_REQUEST__INIT;
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    named.name = (char *)(uintptr_t)worker;
    request.version = 1;
    request.verb_case = verb;
    if (verb == STORAGE__V1__CONTROL_REQUEST__VERB_LIST)
        request.list = &list;
    else if (verb == STORAGE__V1__CONTROL_REQUEST__VERB_SHUTDOWN)
        request.shutdown = &shutdown_request;
    else
        request.restart = &named; /* reset stands in the same place of the union */
    return supervised_ask_at(fd, &request);
}

Storage__V1__ControlReply *supervised_list(const struct supervised *node)
{
    Storage__V1__ControlReply *reply = ask(node, STORAGE__V1__CONTROL_REQUEST__VERB_LIST, NULL);
    assert_non_null(reply);
    assert_int_equal(reply->status->code, STORAGE__V1__CODE__OK);
    return reply;
}

Storage__V1__Code supervised_verb(const struct supervised *node,
                                  Storage__V1__ControlRequest__VerbCase verb, const char *worker)
{
    Storage__V1__ControlReply *reply = ask(node, verb, worker);
    assert_non_null(reply);
    Storage__V1__Code code = reply->status->code;
    supervised_free(reply);
    return code;
}

void supervised_free(Storage__V1__ControlReply *reply)
{
    storage__v1__control_reply__free_unpacked(reply, NULL);
}

const Storage__V1__Worker *supervised_find(const Storage__V1__ControlReply *reply,
                                           const char *worker)
{
    for (size_t i = 0; i < reply->list->n_workers; i++)
        if (strcmp(reply->list->workers[i]->name, worker) == 0)
            return reply->list->workers[i];
    fail_msg("%s is not in the list", worker);
    return NULL;
}
