/* What the server has given up: looked at in the kernel's tables, and tried. */
#include "confine.h"
#include "script.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* --- every thread of a running one ------------------------------------------------------------ */

static unsigned count_tasks(const char *line)
{
    char path[64];
    unsigned n_with = 0, n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)zdb.pid);
    autodir DIR *tasks = opendir(path);
    assert_non_null(tasks);
    for (const struct dirent *task; (task = readdir(tasks));) {
        struct peer_bytes status = {0};
        char name[sizeof path + 300];
        if (task->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "%s/%s/status", path, task->d_name);
        assert_true(peer_file_read(name, &status));
        peer_put_u8(&status, 0);
        n_with += strstr((const char *)status.at, line) != NULL;
        n++;
        peer_bytes_free(&status);
    }
    assert_in_range(n, 3, 10); /* the loop, the one that syncs, the one that compacts */
    return n - n_with;
}

/* A connection stands as soon as the server listens; one that is answered has been confined. */
static void every_thread_is_confined(void)
{
    server_start(&zdb, NULL);
    ask(1, "SET key value", "=key");
    ask(1, "GET key", "=value");
    assert_int_equal(count_tasks("NoNewPrivs:\t1"), 0);
    assert_int_equal(count_tasks("Seccomp:\t2"), 0);
}

/* A hook is a program of the operator's, and must be able to do what he can. */
static void with_a_hook_nothing_is(void)
{
    server_start_with(&zdb, "--hook", "/bin/true");
    ask(1, "PING", "+PONG");
    assert_int_not_equal(count_tasks("Seccomp:\t2"), 0);
    assert_int_not_equal(count_tasks("NoNewPrivs:\t1"), 0);
}

/* --- what it cannot do ------------------------------------------------------------------------ */

static bool refused(int rc, int with)
{
    return rc < 0 && errno == with;
}

/* In a child: the number of the first thing that went as it must not, or 0. */
static int try_all(void)
{
    autoerr struct err err = {0};
    static char *const argv[] = {"/bin/true", NULL};
    int data = open(zdb.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int index = open(zdb.index, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data < 0 || index < 0 || confine_files(data, index, &err) < 0)
        return 1;
    if (!refused(open("/etc/passwd", O_RDONLY | O_CLOEXEC), EACCES))
        return 2; /* 2 as well where the kernel has no Landlock */
    if (!refused(openat(data, "../outside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), EACCES))
        return 3;
    if (!refused(execv(argv[0], argv), EACCES))
        return 4;
    autoclose int before = openat(data, "inside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (before < 0)
        return 5;
    if (confine_calls(&err) < 0)
        return 6;
    if (!refused(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), EPERM))
        return 7;
    if (!refused(chmod("/tmp", 0777), EPERM))
        return 9;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return 11;
    if (!refused(setrlimit(RLIMIT_NOFILE, &files), EPERM))
        return 12;
    autoclose int after = openat(index, "inside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return after < 0 ? 10 : 0;
}

static void it_reaches_nothing_but_its_directories(void)
{
    int status;
    assert_int_equal(mkdir(zdb.data, 0700), 0);
    assert_int_equal(mkdir(zdb.index, 0700), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(try_all());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2 && access("/sys/kernel/security/landlock", F_OK) != 0)
        fprintf(stderr, "SKIP: the kernel has no Landlock\n");
    else
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(every_thread_is_confined),
        zdb_case(with_a_hook_nothing_is),
        zdb_case(it_reaches_nothing_but_its_directories),
    };
    return zdb_main(argc, argv, "zdb_confine", cases, array_length(cases));
}
