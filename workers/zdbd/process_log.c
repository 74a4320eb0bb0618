/* The bound of a log that its writer goes on with: it appends, so the file can be cut under it. */
#include "process.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Its owner can put anything in its place, but nothing that is his own and was not his to cut. */
static bool is_long_log(int fd, uid_t uid, off_t *out_size)
{
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return false;
    *out_size = status.st_size;
    return S_ISREG(status.st_mode) && status.st_uid == uid && status.st_size > LAUNCH_LOG_MAX_BYTES;
}

/* Copies the last bytes; 0 or -errno. */
static int keep_end(int run, int log, off_t size)
{
    char bytes[16384];
    (void)unlinkat(run, "log.old", 0);
    autoclose int old =
        openat(run, "log.old", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (old < 0)
        return -errno;
    for (off_t at = size - LAUNCH_LOG_MAX_BYTES; at < size;) {
        off_t left = size - at;
        ssize_t n = pread(log, bytes, left < (off_t)sizeof bytes ? (size_t)left : sizeof bytes, at);
        if (n <= 0 || write(old, bytes, (size_t)n) != n)
            return n < 0 ? -errno : -EIO;
        at += n;
    }
    return 0;
}

int process_trim_log(const struct settings *settings, const char *pool, uid_t uid, struct err *err)
{
    char path[PATH_MAX];
    off_t size;
    (void)snprintf(path, sizeof path, "%s/zdb/%s", settings->run_dir, pool);
    autoclose int run = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    autoclose int log =
        run < 0 ? -1 : openat(run, "log", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (!is_long_log(log, uid, &size))
        return 0;
    int rc = keep_end(run, log, size);
    if (ftruncate(log, 0) < 0)
        rc = -errno;
    return rc < 0 ? err_errno(err, -rc, path, "cannot keep the log of the 0-db short") : 0;
}
