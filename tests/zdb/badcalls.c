/* Not linked with anything of ours, and without sanitizers: it stands between them and the kernel.
 */
#include "badcalls.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FILES_MAX = 4096 };

static struct badcalls *page;

static struct {
    pthread_mutex_t lock;
    size_t n;
    struct synced {
        ino_t inode;
        off_t size; /* of what was synced */
        bool lost;  /* what is behind that is not on the disk */
    } files[FILES_MAX];
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

__attribute__((constructor)) static void begin(void)
{
    int fd = open(getenv("BADCALLS"), O_RDWR | O_CLOEXEC);
    void *shared = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || shared == MAP_FAILED)
        abort();
    (void)close(fd);
    page = shared;
}

static bool fails(enum badcall call)
{
    if (!page || (page->call != (int)call && page->also != (int)call) || page->skip-- > 0 ||
        page->fail-- <= 0)
        return false;
    page->failed++;
    errno = page->error;
    return true;
}

/* --- what a disk has of a file --------------------------------------------------------------- */

static struct synced *find(ino_t inode)
{
    for (size_t i = 0; i < disk.n; i++)
        if (disk.files[i].inode == inode)
            return &disk.files[i];
    if (disk.n == FILES_MAX)
        abort();
    disk.files[disk.n] = (struct synced){.inode = inode};
    return &disk.files[disk.n++];
}

static void take_ticket(void)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    if (!page || page->tickets < 0 || gettid() == getpid())
        return;
    page->waited += page->tickets == 0;
    while (page->tickets == 0)
        (void)nanosleep(&moment, NULL);
    if (page->tickets > 0)
        page->tickets--;
}

static int sync_file(int fd, long number)
{
    struct stat status;
    if (page)
        page->synced++;
    take_ticket();
    bool failed = fails(BADCALL_SYNC);
    int error = errno, rc = failed ? -1 : (int)syscall(number, fd);
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        (void)pthread_mutex_lock(&disk.lock);
        struct synced *file = find(status.st_ino);
        if (failed)
            file->lost = true;
        else
            file->size = status.st_size;
        (void)pthread_mutex_unlock(&disk.lock);
    }
    if (failed)
        errno = error;
    return rc;
}

int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}

int posix_fadvise(int fd, off_t offset, off_t size, int advice)
{
    struct stat status;
    if (advice != POSIX_FADV_DONTNEED || fstat(fd, &status) != 0)
        return 0;
    if (page)
        page->forgotten++;
    (void)pthread_mutex_lock(&disk.lock);
    struct synced *file = find(status.st_ino);
    if (file->lost && file->size < status.st_size)
        (void)!syscall(SYS_ftruncate, fd, file->size);
    file->lost = false;
    (void)pthread_mutex_unlock(&disk.lock);
    return (int)syscall(SYS_fadvise64, fd, offset, size, advice);
}

/* --- the others ------------------------------------------------------------------------------ */

int openat(int dir, const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return fails(BADCALL_OPEN) ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset)
{
    return fails(BADCALL_WRITE) ? -1 : syscall(SYS_pwritev, fd, parts, n, offset, 0);
}

int ftruncate(int fd, off_t size)
{
    return fails(BADCALL_TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return fails(BADCALL_RENAME) ? -1 : (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    return fails(BADCALL_ALLOCATE) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

int unlinkat(int dir, const char *path, int flags)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    while (page && page->unlinks_held && gettid() != getpid())
        (void)nanosleep(&moment, NULL);
    return fails(BADCALL_UNLINK) ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    return fails(BADCALL_MKDIR) ? -1 : (int)syscall(SYS_mkdirat, dir, path, mode);
}
