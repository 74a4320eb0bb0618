/* See the header. One thread. */
#include "want.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static long calls_left; /* 0: none fails */

void want_begin(long at)
{
    calls_left = at;
}

bool want_end(void)
{
    bool came = calls_left == 0;
    calls_left = 0;
    return came;
}

static bool is_wanting(int os_errno)
{
    if (calls_left == 0 || --calls_left > 0)
        return false;
    errno = os_errno;
    return true;
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __real_statx(int dir, const char *path, int flags, unsigned mask, struct statx *status);
int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *status);
ssize_t __real_fgetxattr(int fd, const char *name, void *value, size_t size);
ssize_t __wrap_fgetxattr(int fd, const char *name, void *value, size_t size);

int __wrap_openat(int dir, const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return is_wanting(EMFILE) ? -1 : __real_openat(dir, path, flags, mode);
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return is_wanting(EMFILE) ? -1 : __real_open(path, flags, mode);
}

DIR *__wrap_opendir(const char *path)
{
    return is_wanting(EMFILE) ? NULL : __real_opendir(path);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    return is_wanting(ENFILE) ? NULL : __real_fopen(path, mode);
}

int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *status)
{
    return is_wanting(ENOMEM) ? -1 : __real_statx(dir, path, flags, mask, status);
}

ssize_t __wrap_fgetxattr(int fd, const char *name, void *value, size_t size)
{
    return is_wanting(ENOMEM) ? -1 : __real_fgetxattr(fd, name, value, size);
}
