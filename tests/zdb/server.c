/* Starting, watching and ending the process; its socket's birth is heard of by inotify. */
#include "server.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

void server_init(struct server *server, const char *dir)
{
    *server = (struct server){.pidfd = -1};
    (void)snprintf(server->dir, sizeof server->dir, "%s", dir);
    (void)snprintf(server->index, sizeof server->index, "%s/index", dir);
    (void)snprintf(server->data, sizeof server->data, "%s/data", dir);
    (void)snprintf(server->socket, sizeof server->socket, "%s/zdb.sock", dir);
    (void)snprintf(server->log, sizeof server->log, "%s/zdb.log", dir);
}

void server_print_log(const struct server *server)
{
    struct peer_bytes log = {0};
    if (peer_file_read(server->log, &log) && log.size > 0)
        fprintf(stderr, "--- log of the server ---\n%.*s---\n", (int)log.size, (char *)log.at);
    peer_bytes_free(&log);
}

/* --- the process ----------------------------------------------------------------------------- */

_Noreturn static void execute(const struct server *server, const char *const *flags, pid_t parent)
{
    const char *argv[SERVER_FLAGS_MAX + 8] = {ZDB_PROGRAM,  "--index",  server->index, "--data",
                                              server->data, "--socket", server->socket};
    size_t n = 7;
    for (size_t i = 0; flags && flags[i] && i < SERVER_FLAGS_MAX; i++)
        argv[n++] = flags[i];
    for (size_t i = 0; server->environment && server->environment[i]; i++)
        (void)putenv((char *)(uintptr_t)server->environment[i]);
    int log = open(server->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct rlimit files;
    if (server->files_max + server->files_most > 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_max = server->files_most > 0 ? server->files_most : files.rlim_max;
        files.rlim_cur = server->files_max > 0 ? server->files_max : files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 ||
        getppid() != parent)
        _exit(126);
    (void)execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void spawn(struct server *server, const char *const *flags)
{
    assert_int_equal(server->pid, 0);
    pid_t parent = getpid();
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0)
        execute(server, flags, parent);
    server->pidfd = (int)syscall(SYS_pidfd_open, server->pid, 0);
    assert_true(server->pidfd >= 0);
}

static int reap(struct server *server)
{
    int status = 0;
    while (waitpid(server->pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    (void)close(server->pidfd);
    server->pid = 0;
    server->pidfd = -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool has_ended(const struct server *server, int timeout_ms)
{
    struct pollfd ended = {.fd = server->pidfd, .events = POLLIN};
    return poll(&ended, 1, timeout_ms) == 1;
}

bool server_runs(const struct server *server)
{
    return server->pid > 0 && !has_ended(server, 0);
}

/* It binds, then it listens: between the two a connection is refused, for a moment. False if it has
 * ended, and is reaped. */
static bool wait_serving(struct server *server, int births, int *out_code)
{
    uint64_t deadline = clock_monotonic_ms() + SERVER_WAIT_MS;
    for (bool seen = false;;) {
        struct client *client = client_try_unix(server->socket);
        if (client) {
            client_close(client);
            return true;
        }
        seen = seen || access(server->socket, F_OK) == 0;
        struct pollfd fds[2] = {{.fd = server->pidfd, .events = POLLIN},
                                {.fd = births, .events = POLLIN}};
        (void)poll(fds, 2, seen ? 1 : 1000);
        char events[4096];
        (void)!read(births, events, sizeof events);
        if (fds[0].revents) {
            *out_code = reap(server);
            return false;
        }
        if (clock_monotonic_ms() > deadline) {
            server_print_log(server);
            fail_msg("the server does not serve");
        }
    }
}

static bool start(struct server *server, const char *const *flags, int *out_code)
{
    autoclose int births = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    assert_true(births >= 0 &&
                inotify_add_watch(births, server->dir, IN_CREATE | IN_MOVED_TO) >= 0);
    spawn(server, flags);
    return wait_serving(server, births, out_code);
}

bool server_try_start(struct server *server, const char *const *flags)
{
    int code;
    return start(server, flags, &code);
}

void server_start(struct server *server, const char *const *flags)
{
    int code = 0;
    if (start(server, flags, &code))
        return;
    server_print_log(server);
    fail_msg("the server does not serve (exit code %d)", code);
}

int server_start_refused(struct server *server, const char *const *flags)
{
    spawn(server, flags);
    if (!has_ended(server, SERVER_WAIT_MS))
        fail_msg("the server runs where it must refuse to");
    return reap(server);
}

/* --- its end --------------------------------------------------------------------------------- */

void server_stop(struct server *server)
{
    assert_true(server->pid > 0);
    (void)kill(server->pid, SIGTERM);
    if (!has_ended(server, SERVER_WAIT_MS))
        fail_msg("the server does not end on SIGTERM");
    int code = reap(server);
    if (code == 128 + SIGTERM)
        return;
    server_print_log(server);
    fail_msg("exit code %d after SIGTERM", code);
}

void server_kill(struct server *server)
{
    assert_true(server->pid > 0);
    (void)kill(server->pid, SIGKILL);
    assert_int_equal(reap(server), 128 + SIGKILL);
}

void server_end(struct server *server)
{
    if (server->pid <= 0)
        return;
    (void)kill(server->pid, SIGKILL);
    (void)reap(server);
}

/* --- looking at it --------------------------------------------------------------------------- */

struct client *server_connect(const struct server *server)
{
    return client_open_unix(server->socket);
}

uint16_t port_free(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

static uint64_t status_bytes(const struct server *server, const char *field)
{
    char path[64];
    struct peer_bytes status = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)server->pid);
    assert_true(peer_file_read(path, &status));
    peer_put_u8(&status, 0);
    const char *line = strstr((const char *)status.at, field);
    assert_non_null(line);
    uint64_t bytes = 1024 * strtoull(line + strlen(field), NULL, 10);
    peer_bytes_free(&status);
    return bytes;
}

uint64_t server_rss_bytes(const struct server *server)
{
    return status_bytes(server, "VmRSS:");
}

uint64_t server_peak_bytes(const struct server *server)
{
    return status_bytes(server, "VmHWM:");
}

void server_read_back(const struct server *server, const char *name, struct peer_ns *out)
{
    char why[PEER_WHY_MAX] = "";
    assert_int_equal(server->pid, 0);
    if (!peer_load(out, name, server->index, server->data)) {
        peer_ns_free(out);
        fail_msg("the files of %s: %s", name, strerror(errno));
    }
    bool verified = peer_verify(out, why);
    if (!verified) {
        peer_ns_free(out);
        fail_msg("%s: %s", name, why);
    }
}
