/* The run directory: made and given to its owner, and what it holds before its 0-db runs. */
#include "launch_private.h"

#include "base/cleanup.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOG      "log"
#define LOG_OLD  "log.old"
#define PASSWORD "password"
#define SOCKET   "socket"

enum { PARENT_MODE = 0711, RUN_MODE = 0700, PIECE = 65536 };

/* A directory of another's is root's for as long as its mode is changed: so CAP_FOWNER is not
 * needed. */
static int settle(int fd, uid_t uid, gid_t gid, mode_t mode)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    bool changed = (status.st_mode & 07777) != mode;
    bool moved = status.st_uid != uid || status.st_gid != gid;
    if (changed && status.st_uid != 0 && step_around(fchown(fd, 0, 0)) < 0)
        return -errno;
    if (changed && step_around(fchmod(fd, mode)) < 0)
        return -errno;
    if ((moved || changed) && step_around(fchown(fd, uid, gid)) < 0)
        return -errno;
    return 0;
}

/* Makes it, or takes what is there: the descriptor or -errno. */
static int make_dir(int at, const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    if (step_around(mkdirat(at, path, 0700)) < 0 && errno != EEXIST)
        return -errno;
    autoclose int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = settle(fd, uid, gid, mode);
    return rc < 0 ? rc : take_fd(&fd);
}

int launch_make_run_dir(struct launch *launch, struct err *err)
{
    char parent_path[PATH_MAX], path[PATH_MAX];
    (void)snprintf(parent_path, sizeof parent_path, "%s", launch->run);
    (void)snprintf(path, sizeof path, "%s", launch->run);
    autoclose int parent = make_dir(AT_FDCWD, dirname(parent_path), 0, 0, PARENT_MODE);
    if (parent < 0)
        return err_errno(err, -parent, launch->run, "cannot make the folder of the run directory");
    int fd = make_dir(parent, basename(path), launch->record.uid, launch->gid, RUN_MODE);
    if (fd < 0)
        return err_errno(err, -fd, launch->run, "cannot make the run directory");
    launch->run_fd = fd;
    if (fchdir(fd) < 0)
        return err_errno(err, errno, launch->run, "cannot enter the run directory");
    return 0;
}

/* ---- the log --------------------------------------------------------------------------------- */

static int open_log(int run_fd, int flags, struct stat *out_status)
{
    autoclose int fd =
        openat(run_fd, LOG,
               O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0600);
    if (fd < 0 || fstat(fd, out_status) < 0)
        return -errno;
    return take_fd(&fd);
}

int launch_open_log(struct launch *launch, struct err *err)
{
    struct stat status;
    autoclose int fd = open_log(launch->run_fd, 0, &status);
    /* A pipe, a link, somebody else's: it goes. */
    bool usable = fd >= 0 && S_ISREG(status.st_mode) && status.st_nlink == 1;
    if (!usable || status.st_size > LAUNCH_LOG_MAX_BYTES) {
        cleanup_fd(&fd);
        if (usable)
            (void)step_around(renameat(launch->run_fd, LOG, launch->run_fd, LOG_OLD));
        else
            (void)step_around(unlinkat(launch->run_fd, LOG, 0));
        fd = open_log(launch->run_fd, O_EXCL, &status);
    }
    if (fd < 0)
        return err_errno(err, -fd, launch->run, "cannot open the 0-db's log");
    if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        return err_errno(err, errno, launch->run, "cannot print to the 0-db's log");
    return 0;
}

/* ---- what the 0-db reads --------------------------------------------------------------------- */

static int write_new(const struct launch *launch, const char *name, const void *data, size_t size)
{
    autoclose int fd = step_around(
        openat(launch->run_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
    if (fd < 0)
        return -errno;
    ssize_t n = step_around(write(fd, data, size));
    return n == (ssize_t)size ? 0 : n < 0 ? -errno : -ENOSPC;
}

/* 0, or -errno. */
static int replace_file(const struct launch *launch, const char *name, const void *data,
                        size_t size)
{
    char fresh[NAME_MAX];
    (void)snprintf(fresh, sizeof fresh, "%s.new", name);
    (void)step_around(unlinkat(launch->run_fd, fresh, 0));
    int rc = write_new(launch, fresh, data, size);
    if (rc == 0 && step_around(renameat(launch->run_fd, fresh, launch->run_fd, name)) < 0)
        rc = -errno;
    return rc;
}

/* All of it, in memory: it has no more than a line for each namespace. */
static int read_gates(const struct launch *launch, char **out_text, size_t *out_size)
{
    size_t size = 0, room = 0;
    autofree char *text = NULL;
    for (ssize_t n = 1; n > 0; size += (size_t)n) {
        if (room - size < PIECE) {
            char *grown = realloc(text, room = 2 * room + PIECE);
            if (!grown)
                return -ENOMEM;
            text = grown;
        }
        n = read(launch->gates_fd, text + size, room - size);
        if (n < 0)
            return -errno;
    }
    *out_text = take_ptr(text);
    *out_size = size;
    return 0;
}

int launch_write_gates(struct launch *launch, struct err *err)
{
    autofree char *text = NULL;
    size_t size = 0;
    int rc = read_gates(launch, &text, &size);
    if (rc == 0)
        rc = replace_file(launch, LAUNCH_GATES, text, size);
    return rc < 0 ? err_errno(err, -rc, launch->run, "cannot write what is locked or frozen") : 0;
}

/* The socket of the one before leads nowhere: who waits for the next sees that one come. */
int launch_write_password(struct launch *launch, struct err *err)
{
    int rc = replace_file(launch, PASSWORD, launch->password, strlen(launch->password));
    if (rc < 0)
        return err_errno(err, -rc, launch->run, "cannot write the admin's password");
    (void)step_around(unlinkat(launch->run_fd, SOCKET, 0));
    return 0;
}
