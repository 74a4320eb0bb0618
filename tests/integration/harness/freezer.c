/* Frozen filesystems: a child does it, so that it thaws whatever becomes of the test. */
#include "private.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { AT_MOST_MS = 30000 };

struct freezer filesystem_freeze(const char *path)
{
    int ready[2], tell[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(tell[1]);
        autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || ioctl(fd, FIFREEZE, 0) < 0)
            _exit(1);
        (void)!write(ready[1], "", 1);
        struct pollfd told = {.fd = tell[0], .events = POLLIN};
        (void)poll(&told, 1, AT_MOST_MS);
        _exit(ioctl(fd, FITHAW, 0) < 0 ? 1 : 0);
    }
    (void)close(ready[1]);
    (void)close(tell[0]);
    char byte;
    ssize_t n = read(ready[0], &byte, 1);
    (void)close(ready[0]);
    assert_int_equal(n, 1);
    return (struct freezer){.pid = pid, .tell = tell[1]};
}

void filesystem_thaw(const struct freezer *freezer)
{
    (void)close(freezer->tell);
    assert_int_equal(child_wait(freezer->pid), 0);
}
