/*
 * fork and exec by hand, for uv_spawn() has no way to set PDEATHSIG, and this runs on a lane. The
 * parent-death signal comes when the *thread* that forked ends; a lane's thread waits here for the
 * child, so that is when the process ends. Between fork and exec: system calls only, other threads
 * may have held any lock.
 */
#include "mkfs.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/step.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum {
    OUTPUT_MAX = 1024, /* of what it says; the rest is read and dropped */
    EXIT_NO_PROGRAM = 127,
};

struct output {
    char text[OUTPUT_MAX];
    size_t length;
};

_Noreturn static void run_child(char *const *argv, int output_fd, pid_t parent)
{
    static const char *const places[] = {"/usr/sbin/mkfs.btrfs", "/sbin/mkfs.btrfs",
                                         "/usr/bin/mkfs.btrfs", "/bin/mkfs.btrfs"};
    static const char sorry[] = "mkfs.btrfs is not installed, or may not be executed";
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
    sigset_t none;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
        _exit(EXIT_FAILURE);
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)dup2(null_fd, STDIN_FILENO);
    (void)dup2(output_fd, STDOUT_FILENO);
    (void)dup2(output_fd, STDERR_FILENO);
    (void)close_range(STDERR_FILENO + 1, ~0u, 0);
    for (size_t i = 0; i < array_length(places); i++)
        (void)execve(places[i], argv, environment);
    ssize_t n = write(STDERR_FILENO, sorry, sizeof sorry - 1);
    _exit(n < 0 ? EXIT_FAILURE : EXIT_NO_PROGRAM);
}

/* False at the end of the output. */
static bool take_output(int fd, struct output *output)
{
    char dropped[512];
    size_t room = sizeof output->text - output->length;
    ssize_t n = room > 0 ? read(fd, output->text + output->length, room)
                         : read(fd, dropped, sizeof dropped);
    if (n > 0 && room > 0)
        output->length += (size_t)n;
    return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

enum child_end { CHILD_ENDED, CHILD_LATE, CHILD_STOPPED };

/* Until the child has ended and all it said is read, or until it has to be ended. */
static enum child_end watch_child(int pidfd, int output_fd, int stop_fd, uint64_t deadline_ms,
                                  struct output *output)
{
    enum { STOP, CHILD, OUTPUT };
    struct pollfd fds[] = {
        [STOP] = {.fd = stop_fd, .events = POLLIN},
        [CHILD] = {.fd = pidfd, .events = POLLIN},
        [OUTPUT] = {.fd = output_fd, .events = POLLIN},
    };
    for (;;) {
        uint64_t now = clock_monotonic_ms();
        uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
        int n = poll(fds, array_length(fds), left > INT_MAX ? INT_MAX : (int)left);
        if (n == 0)
            return CHILD_LATE;
        if (n < 0)
            continue;
        if (fds[STOP].revents)
            return CHILD_STOPPED;
        if (fds[OUTPUT].revents && !take_output(output_fd, output))
            fds[OUTPUT].fd = -1;
        else if (fds[CHILD].revents && !fds[OUTPUT].revents)
            return CHILD_ENDED;
    }
}

static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

static int judge(int status, const char *path, struct output *output, struct err *err)
{
    char said[OUTPUT_MAX];
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    for (size_t i = 0; i < output->length; i++)
        if (output->text[i] == '\n')
            output->text[i] = ' ';
    text_clean(said, sizeof said, output->text, output->length);
    if (WIFSIGNALED(status))
        return err_set(err, ERR_INTERNAL, 0, path, "mkfs.btrfs was ended by signal %d: %s",
                       WTERMSIG(status), said);
    return err_set(err, ERR_INTERNAL, 0, path, "mkfs.btrfs failed with %d: %s", WEXITSTATUS(status),
                   said);
}

int mkfs_btrfs(const char *path, const char *fsid, const char *label, uint32_t deadline_ms,
               int stop_fd, struct err *err)
{
    const char *argv[] = {"mkfs.btrfs", "-q", "-K", "-d",  "single", "-m", "dup",
                          "-U",         fsid, "-L", label, "--",     path, NULL};
    uint64_t deadline = clock_monotonic_ms() + deadline_ms;
    struct output output = {.length = 0};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(err, errno, path, "cannot run mkfs.btrfs");
    autoclose int out = ends[0];
    autoclose int in = ends[1];
    pid_t self = getpid();
    step(); /* once before, once while it runs, once when it is over */
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(err, errno, path, "cannot run mkfs.btrfs");
    if (pid == 0)
        run_child((char *const *)(uintptr_t)argv, in, self);
    step();
    (void)close(take_fd(&in));

    autoclose int pidfd = pidfd_open(pid, 0);
    int os_errno = errno;
    enum child_end end = CHILD_ENDED;
    if (pidfd >= 0)
        end = watch_child(pidfd, out, stop_fd, deadline, &output);
    if (pidfd < 0 || end != CHILD_ENDED)
        (void)kill(pid, SIGKILL);
    int status = reap(pid);
    step();
    if (pidfd < 0)
        return err_errno(err, os_errno, path, "cannot watch mkfs.btrfs");
    if (end == CHILD_STOPPED)
        return err_set(err, ERR_CANCELLED, 0, path, "mkfs.btrfs was ended because diskd stops");
    if (end == CHILD_LATE)
        return err_set(err, ERR_DEADLINE_EXCEEDED, 0, path,
                       "mkfs.btrfs had not ended after %" PRIu32 " ms and was killed", deadline_ms);
    return judge(status, path, &output, err);
}
