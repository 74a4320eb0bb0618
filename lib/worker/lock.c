/*
 * Lock files, see the header. A blocking flock() is woken by the kernel in the moment that the
 * holder is gone; the deadline is an interval timer whose signal interrupts it. The timer repeats,
 * so that a signal that comes just before flock() blocks is not the last one.
 */
#include "worker/lock.h"

#include "base/cleanup.h"
#include "base/clock.h"

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

int lock_take(const char *path, uint32_t wait_ms, int *out_fd, struct err *err)
{
    autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return err_errno(err, errno, path, "cannot open the lock file");

    int os_errno = flock(fd, LOCK_EX | LOCK_NB) < 0 ? errno : 0;
    if (os_errno == EWOULDBLOCK && wait_ms > 0)
        os_errno = wait_for_lock(fd, wait_ms);
    if (os_errno == EWOULDBLOCK) {
        char holder[32];
        read_holder(fd, holder);
        return err_set(err, ERR_FAILED_PRECONDITION, os_errno, path, "pid %s holds the lock",
                       holder);
    }
    if (os_errno)
        return err_errno(err, os_errno, path, "cannot lock");
    os_errno = write_holder(fd);
    if (os_errno)
        return err_errno(err, os_errno, path, "cannot write the pid into the lock file");
    *out_fd = take_fd(&fd);
    return 0;
}
