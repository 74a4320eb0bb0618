/* Starting and ending them. */
#include "zdb_server.h"

#include "harness.h"
#include "suites.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Debian's redis-tools has the program itself under this name; it looks at its own. */
#define REDIS_PROGRAM "/usr/bin/redis-check-rdb"

enum { RETRY_NS = 200000, FLAGS_MAX = 8 };

static char *mounted;

const char *kv_mount(void)
{
    struct disk *disk = disk_create(24 * GiB, DISK_SSD);
    command_ok("mkfs.btrfs", "-q", "-K", disk->path);
    mounted = path_format("%s/servers-%u", harness_dir(), disk->number);
    assert_int_equal(mkdir(mounted, 0755), 0);
    if (mount(disk->path, mounted, "btrfs", MS_NOATIME | MS_NODEV | MS_NOSUID, NULL) != 0)
        fail_msg("mount of %s: %s", disk->path, strerror(errno));
    return mounted;
}

void kv_unmount(void)
{
    assert_int_equal(umount2(mounted, 0), 0);
    free(mounted);
    mounted = NULL;
}

static void init(struct kv_server *out, const char *parent, const char *name)
{
    *out = (struct kv_server){.name = name,
                              .dir = path_format("%s/%s", parent, name),
                              .socket = path_format("%s/%s/socket", parent, name)};
    assert_int_equal(mkdir(out->dir, 0755), 0);
}

void kv_zdb(struct kv_server *out, const char *parent, const char *name, const char *const *flags)
{
    init(out, parent, name);
    out->flags = flags;
}

void kv_redis(struct kv_server *out, const char *parent)
{
    init(out, parent, "redis");
    out->says_ok = true;
    autofree char *program = path_format("%s/redis-server", out->dir);
    if (access(REDIS_PROGRAM, X_OK) != 0)
        fail_msg("%s is not there: scripts/deps", REDIS_PROGRAM);
    assert_int_equal(symlink(REDIS_PROGRAM, program), 0);
}

static void spawn(struct kv_server *server)
{
    autofree char *data = path_format("%s/data", server->dir);
    autofree char *index = path_format("%s/index", server->dir);
    autofree char *redis = path_format("%s/redis-server", server->dir);
    struct command command = {0};
    if (server->says_ok) {
        command = (struct command){.argv = {redis, "--port", "0", "--unixsocket", server->socket,
                                            "--dir", server->dir, "--appendonly", "yes",
                                            "--appendfsync", "everysec", "--save", "",
                                            "--auto-aof-rewrite-percentage", "0"}};
    } else {
        command = (struct command){.argv = {"zdb", "--data", data, "--index", index, "--socket",
                                            server->socket, "--compact", "0"}};
        for (unsigned i = 0; server->flags && server->flags[i]; i++) {
            assert_true(i < FLAGS_MAX);
            command.argv[9 + i] = server->flags[i];
        }
    }
    autofree char *log = path_format("%s/log", server->dir);
    autoclose int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    server->pid = command_spawn(&command, fd, fd);
}

int kv_connect(const struct kv_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", server->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

void kv_ask(const struct kv_server *server, const char *command, char *reply, uint32_t room)
{
    char request[128];
    autoclose int fd = kv_connect(server);
    int size = snprintf(request, sizeof request, "*1\r\n$%zu\r\n%s\r\n", strlen(command), command);
    reply[0] = '\0';
    if (fd < 0 || send(fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        return;
    ssize_t n = recv(fd, reply, room - 1, 0);
    reply[n > 0 ? n : 0] = '\0';
}

double kv_start(struct kv_server *server)
{
    static const struct timespec retry = {.tv_nsec = RETRY_NS};
    char reply[64] = "";
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    (void)unlink(server->socket);
    spawn(server);
    for (;;) { /* redis refuses with an error while it loads */
        kv_ask(server, "PING", reply, sizeof reply);
        if (strcmp(reply, "+PONG\r\n") == 0)
            return bench_ms_since(start);
        if (kill(server->pid, 0) != 0 || bench_ms_since(start) > HARNESS_WAIT_MS)
            fail_msg("%s does not start", server->name);
        (void)nanosleep(&retry, NULL);
    }
}

void kv_stop(struct kv_server *server, bool remove_files)
{
    (void)kill(server->pid, SIGTERM);
    (void)child_wait(server->pid);
    server->pid = 0;
    if (!remove_files)
        return;
    command_ok("rm", "-rf", server->dir);
    free(server->dir);
    free(server->socket);
}

uint64_t kv_processor_ns(const struct kv_server *server)
{
    autofree char *path = path_format("/proc/%d/schedstat", server->pid);
    autofree char *status = file_read(path, NULL);
    return strtoull(status, NULL, 10);
}

uint64_t kv_resident_bytes(const struct kv_server *server)
{
    autofree char *path = path_format("/proc/%d/status", server->pid);
    autofree char *status = file_read(path, NULL);
    const char *line = strstr(status, "VmRSS:");
    assert_non_null(line);
    return 1024 * strtoull(line + strlen("VmRSS:"), NULL, 10);
}
