/* Frozen filesystems: a child does it, so that it thaws whatever becomes of the test. */
#include "private.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_MOST_MS = 30000, FREEZERS_MAX = 8 };

static struct freezer running[FREEZERS_MAX]; /* free: pid 0 */

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
    size_t place = 0;
    while (place < FREEZERS_MAX && running[place].pid != 0)
        place++;
    if (place == FREEZERS_MAX)
        harness_fatal("too many frozen filesystems");
    running[place] = (struct freezer){.pid = pid, .tell = tell[1]};
    return running[place];
}

void filesystem_thaw(const struct freezer *freezer)
{
    for (size_t i = 0; i < FREEZERS_MAX; i++)
        if (running[i].pid == freezer->pid)
            running[i].pid = 0;
    (void)close(freezer->tell);
    assert_int_equal(child_wait(freezer->pid), 0);
}

/* A child that is killed thaws nothing, and a frozen filesystem keeps its disk for ever. */
void freezers_end_all(void)
{
    for (size_t i = 0; i < FREEZERS_MAX; i++) {
        if (running[i].pid == 0)
            continue;
        (void)close(running[i].tell);
        (void)waitpid(running[i].pid, NULL, 0);
        running[i].pid = 0;
    }
}
