/* See the header. */
#include "launcher.h"

#include "base/log.h"
#include "worker/confine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static unsigned n_launchers;

/* ---- where it is ----------------------------------------------------------------------------- */

static void make_dir(const char *path, mode_t mode)
{
    assert_true(mkdir(path, mode) == 0 || errno == EEXIST);
}

void owned_dir(const char *path)
{
    make_dir(path, 0700);
    assert_int_equal(chown(path, LAUNCHER_UID, LAUNCHER_GID), 0);
}

void owned_file(const char *path, const char *text)
{
    file_write(path, text, strlen(text));
    assert_int_equal(chown(path, LAUNCHER_UID, LAUNCHER_GID), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

void launcher_init(struct launcher *launcher)
{
    autofree char *dir = path_format("%s/l%u", harness_dir(), n_launchers++);
    autofree char *run = path_format("%s/run", dir);
    *launcher = (struct launcher){.port = port_find(), .files = 777};
    make_dir(dir, 0700);
    make_dir(run, 0755);
    (void)snprintf(launcher->home, sizeof launcher->home, "%s/home", dir);
    (void)snprintf(launcher->run, sizeof launcher->run, "%s/zdb/" LAUNCHER_POOL, run);
    (void)snprintf(launcher->binary, sizeof launcher->binary, "%s/zdb", STORAGED_BIN_DIR);
    owned_dir(launcher->home);
}

static const char *path_in(const char *dir, const char *name)
{
    static char path[2 * HARNESS_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

const char *launcher_home(const struct launcher *launcher, const char *name)
{
    return path_in(launcher->home, name);
}

const char *launcher_run(const struct launcher *launcher, const char *name)
{
    return path_in(launcher->run, name);
}

/* ---- ports ----------------------------------------------------------------------------------- */

static int port_bind(uint16_t port)
{
    static const int on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

uint16_t port_find(void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    autoclose int fd = port_bind(0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

int port_hold(uint16_t port, bool listening)
{
    int fd = port_bind(port);
    if (listening)
        assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* ---- launching ------------------------------------------------------------------------------- */

enum { ARGUMENTS_MAX = 32 };

struct flags {
    char uid[16], gid[16], port[8], last[8], files[16];
};

static void list_arguments(const struct launcher *launcher, struct flags *flags,
                           const char *arguments[ARGUMENTS_MAX])
{
    (void)snprintf(flags->uid, sizeof flags->uid, "%d", LAUNCHER_UID);
    (void)snprintf(flags->gid, sizeof flags->gid, "%d", LAUNCHER_GID);
    (void)snprintf(flags->files, sizeof flags->files, "%u", launcher->files);
    (void)snprintf(flags->port, sizeof flags->port, "%u", launcher->port);
    (void)snprintf(flags->last, sizeof flags->last, "%u",
                   launcher->port > UINT16_MAX - LAUNCHER_PORTS ? UINT16_MAX
                                                                : launcher->port + LAUNCHER_PORTS);
    const char *const all[] = {"zdblaunch",
                               "--pool",
                               LAUNCHER_POOL,
                               "--home",
                               launcher->home,
                               "--run",
                               launcher->run,
                               "--uid",
                               flags->uid,
                               "--gid",
                               flags->gid,
                               "--listen",
                               "127.0.0.1",
                               "--port",
                               flags->port,
                               "--first-port",
                               flags->port,
                               "--last-port",
                               flags->last,
                               "--files",
                               flags->files,
                               "--memory",
                               "512M",
                               "--binary",
                               launcher->binary,
                               launcher->upstream ? "--upstream" : NULL,
                               NULL};
    memcpy(arguments, all, sizeof all);
}

/* Confined as zdbd is, with the least that it can keep, and with what its 0-db may not have. */
_Noreturn static void execute(const struct launcher *launcher, int report)
{
    static const gid_t groups[] = {7, 8};
    static const int keep[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID,
                               CAP_SETUID, CAP_SETPCAP,      -1};
    const char *arguments[ARGUMENTS_MAX];
    struct flags flags = {0};
    sigset_t blocked;
    list_arguments(launcher, &flags, arguments);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGRTMIN, SIG_IGN);
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGUSR1);
    (void)sigprocmask(SIG_SETMASK, &blocked, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    log_init("launcher", LOG_ERROR); /* of capabilities that this machine does not have */
    if (setgroups(array_length(groups), groups) < 0 || confine_apply(keep, false, NULL) < 0 ||
        dup2(report, 20) < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(20, LAUNCH_REPORT_FD) < 0)
        _exit(126);
    (void)execv(STORAGED_BIN_DIR "/zdblaunch", (char *const *)(uintptr_t)arguments);
    _exit(127);
}

struct launch_report launcher_try(struct launcher *launcher)
{
    struct launch_report report = {0};
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    autoclose int in = ends[0];
    launcher->pid = fork();
    assert_true(launcher->pid >= 0);
    if (launcher->pid == 0)
        execute(launcher, ends[1]);
    (void)close(ends[1]);
    ssize_t n = read(in, &report, sizeof report);
    if (n == 0)
        return report;
    assert_int_equal(n, sizeof report);
    assert_int_equal(child_wait(launcher->pid), EXIT_FAILURE);
    launcher->pid = 0;
    return report;
}

static void print_log(const struct launcher *launcher)
{
    autofree char *log = file_try_read(launcher_run(launcher, "log"), NULL);
    print_message("the log: %s\n", log ? log : "none");
}

void launcher_start(struct launcher *launcher)
{
    struct launch_report report = launcher_try(launcher);
    if (report.failure)
        fail_msg("launch failed (%d): %s", report.failure, report.message);
    autoclose int pidfd = pidfd_open(launcher->pid, 0);
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    for (struct client *client = NULL; !client;) {
        client = client_try_unix(launcher_run(launcher, "socket"));
        client_close(client);
        if (!client && (poll(&end, 1, 1) != 0 || clock_monotonic_ms() > deadline)) {
            print_log(launcher);
            fail_msg("the 0-db does not serve");
        }
    }
}

int launcher_end(struct launcher *launcher)
{
    pid_t pid = launcher->pid;
    launcher->pid = 0;
    (void)kill(pid, SIGKILL);
    return child_wait(pid);
}

/* ---- looking at it --------------------------------------------------------------------------- */

char *launcher_password(const struct launcher *launcher)
{
    return file_read(launcher_run(launcher, "password"), NULL);
}

struct zdb_record launcher_record(const struct launcher *launcher)
{
    autoerr struct err err = {0};
    struct zdb_record record;
    autoclose int run = open(launcher->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(run >= 0);
    assert_ok(record_read(run, LAUNCHER_POOL, &record, &err), &err);
    return record;
}

static char *ask(struct client *client, const char *command, const char *argument)
{
    const struct word words[] = {word(command), word(argument ? argument : "")};
    size_t size = 0;
    const uint8_t *reply =
        client_send_words(client, words, argument ? 2 : 1) ? client_reply(client, &size) : NULL;
    return reply ? path_format("%.*s", (int)size, (const char *)reply) : NULL;
}

char *launcher_ask(const struct launcher *launcher, uint16_t port, const char *command,
                   const char *argument)
{
    struct client *client =
        port ? client_try_tcp(port) : client_try_unix(launcher_run(launcher, "socket"));
    if (!client)
        return NULL;
    if (port == 0) {
        autofree char *password = launcher_password(launcher);
        autofree char *reply = ask(client, "AUTH", password);
        assert_string_equal(reply, "+OK\r\n");
    }
    char *reply = ask(client, command, argument);
    client_close(client);
    return reply;
}
