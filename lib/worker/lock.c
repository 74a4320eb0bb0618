/*
 * Lock files, see the header. A blocking flock() is woken by the kernel in the moment that the
 * holder is gone; the deadline is an interval timer whose signal interrupts it. The timer repeats,
 * so that a signal that comes just before flock() blocks is not the last one.
 */
#include "worker/lock.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>

enum { WAKE_AGAIN_US = 20000 };

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

static int wait_for_lock(int fd, uint32_t wait_ms)
{
    struct sigaction wake = {.sa_handler = on_alarm}, before;
    struct itimerval alarm = {
        .it_value = {.tv_sec = wait_ms / 1000, .tv_usec = (wait_ms % 1000) * 1000},
        .it_interval = {.tv_usec = WAKE_AGAIN_US},
    };
    const struct itimerval off = {0};
    uint64_t deadline_ms = clock_monotonic_ms() + wait_ms;
    int rc;

    (void)sigaction(SIGALRM, &wake, &before); /* without SA_RESTART: flock() returns EINTR */
    (void)setitimer(ITIMER_REAL, &alarm, NULL);
    do
        rc = flock(fd, LOCK_EX) < 0 ? errno : 0;
    while (rc == EINTR && clock_monotonic_ms() < deadline_ms);
    (void)setitimer(ITIMER_REAL, &off, NULL);
    (void)sigaction(SIGALRM, &before, NULL);
    return rc == EINTR ? EWOULDBLOCK : rc;
}

/* What the holder wrote: its pid in decimal; "unknown" between its flock() and its write. */
static void read_holder(int fd, char out_holder[32])
{
    char text[32] = {0};
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    size_t digits = length > 0 ? strspn(text, "0123456789") : 0;
    (void)snprintf(out_holder, 32, "%.*s", digits ? (int)digits : 7, digits ? text : "unknown");
}

static int write_holder(int fd)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0)
        return errno;
    return pwrite(fd, text, (size_t)length, 0) == length ? 0 : errno;
}

/* Whether SIGKILL waits in a mask of /proc/<pid>/status (proc_pid_status(5)). */
static bool mask_has_sigkill(const char *status, const char *field)
{
    const char *line = strstr(status, field);
    return line && (strtoull(line + strlen(field), NULL, 16) >> (SIGKILL - 1) & 1);
}

/* Whether the process was killed, and only a thread in the kernel keeps it from being gone. */
static bool is_dead_but_stuck(const char *pid)
{
    char path[64], status[4096];
    (void)snprintf(path, sizeof path, "/proc/%s/status", pid);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, status, sizeof status - 1);
    if (length < 0)
        return false;
    status[length] = '\0';
    return strstr(status, "\nState:\tZ") || mask_has_sigkill(status, "\nSigPnd:") ||
           mask_has_sigkill(status, "\nShdPnd:");
}

/* Opens and locks the file: 0, or an errno; EWOULDBLOCK when `out_holder` keeps it. */
static int try_lock(const char *path, uint32_t wait_ms, int *out_fd, char out_holder[32])
{
    autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return errno;
    int os_errno = flock(fd, LOCK_EX | LOCK_NB) < 0 ? errno : 0;
    if (os_errno == EWOULDBLOCK && wait_ms > 0)
        os_errno = wait_for_lock(fd, wait_ms);
    if (os_errno == EWOULDBLOCK)
        read_holder(fd, out_holder);
    if (os_errno == 0)
        *out_fd = take_fd(&fd);
    return os_errno;
}

int lock_take(const char *path, uint32_t wait_ms, int *out_fd, struct err *err)
{
    char holder[32];
    autoclose int fd = -1;
    int os_errno = try_lock(path, wait_ms, &fd, holder);
    if (os_errno == EWOULDBLOCK && is_dead_but_stuck(holder)) {
        log_warning("lock of a dead process put aside", "path", path, "pid", holder);
        os_errno = unlink(path) < 0 && errno != ENOENT ? errno : 0;
        if (os_errno == 0)
            os_errno = try_lock(path, 0, &fd, holder);
    }
    if (os_errno == EWOULDBLOCK)
        return err_set(err, ERR_FAILED_PRECONDITION, os_errno, path, "pid %s holds the lock",
                       holder);
    if (os_errno)
        return err_errno(err, os_errno, path, "cannot lock");
    os_errno = write_holder(fd);
    if (os_errno)
        return err_errno(err, os_errno, path, "cannot write the pid into the lock file");
    *out_fd = take_fd(&fd);
    return 0;
}
