/*
 * Preloaded into mkfs.btrfs: stops it for good before its n-th change to the disk, n being in
 * MKFSHALT_AT, the first being 1. Writes "h" to MKFSHALT_TELL when it stops, and "d" when it has
 * ended without. Not linked with anything of ours.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static void tell(const char *what)
{
    int fd = open(getenv("MKFSHALT_TELL"), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, what, 1) != 1)
        abort();
    (void)close(fd);
}

static void count_down(void)
{
    static long left;
    if (left == 0)
        left = strtol(getenv("MKFSHALT_AT"), NULL, 10);
    if (--left > 0)
        return;
    tell("h");
    for (;;)
        (void)pause();
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    count_down();
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    count_down();
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

int fsync(int fd)
{
    count_down();
    return (int)syscall(SYS_fsync, fd);
}

__attribute__((destructor)) static void end(void)
{
    tell("d");
}
