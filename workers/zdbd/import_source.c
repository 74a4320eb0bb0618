/*
 * The directories of another 0-db. Both have a `.lockfile`, which a 0-db locks with flock(2) as
 * long as it runs; we take the same locks, without making a file that is not there.
 */
#include "import_private.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { LOCK_LINE_MAX = 256 };

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- who has it ------------------------------------------------------------------------------ */

/* proc(5): "1: FLOCK  ADVISORY  WRITE 708 00:16:12 0 EOF". The device of a btrfs subvolume is not
 * the one that is told there, so the inode has to do. 0: nobody is seen. */
static int find_holder(int fd)
{
    struct stat status;
    char line[LOCK_LINE_MAX];
    int found = 0;
    FILE *locks = fstat(fd, &status) == 0 ? fopen("/proc/locks", "re") : NULL;
    while (locks && !found && fgets(line, sizeof line, locks)) {
        int pid;
        uint64_t inode;
        if (sscanf(line, "%*u: FLOCK ADVISORY WRITE %d %*x:%*x:%" SCNu64, &pid, &inode) == 2 &&
            inode == status.st_ino)
            found = pid;
    }
    if (locks)
        (void)fclose(locks);
    return found;
}

static int lock(int root, const char *path, int *out_lock, struct err *err)
{
    *out_lock = openat(root, ".lockfile", O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (*out_lock < 0 && errno == ENOENT)
        return 0;
    if (*out_lock < 0)
        return err_errno(err, errno, path, "cannot open the .lockfile of %s", path);
    if (flock(*out_lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return err_errno(err, errno, path, "cannot lock %s", path);
    int pid = find_holder(*out_lock);
    if (pid > 0)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, path,
                       "process %d has %s open: stop that 0-db first", pid, path);
    return err_set(err, ERR_FAILED_PRECONDITION, 0, path, "a 0-db has %s open: stop it first",
                   path);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int open_root(const char *path, int *out_root, struct err *err)
{
    *out_root = open(path, OPEN_DIR);
    if (*out_root >= 0)
        return 0;
    /* O_DIRECTORY with O_NOFOLLOW says ENOTDIR of a link. */
    if (errno == ENOTDIR || errno == ELOOP)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, path,
                       "%s is no directory, or a link to one", path);
    return err_errno(err, errno, path, "cannot open the directory %s", path);
}

int import_source_open(struct import_source *source, const char *data_path, const char *index_path,
                       struct err *err)
{
    struct stat data, index;
    int rc = open_root(data_path, &source->data, err);
    if (rc == 0)
        rc = open_root(index_path, &source->index, err);
    if (rc < 0)
        return rc;
    if (fstat(source->data, &data) < 0 || fstat(source->index, &index) < 0)
        return err_errno(err, errno, data_path, "cannot look at the directory");
    if (data.st_dev == index.st_dev && data.st_ino == index.st_ino)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, data_path,
                       "the data and the index of a 0-db are in a directory each");
    rc = lock(source->index, index_path, &source->locks[0], err);
    return rc < 0 ? rc : lock(source->data, data_path, &source->locks[1], err);
}

void import_source_close(struct import_source *source)
{
    cleanup_fd(&source->locks[0]);
    cleanup_fd(&source->locks[1]);
    cleanup_fd(&source->data);
    cleanup_fd(&source->index);
}

/* ---- one namespace --------------------------------------------------------------------------- */

static int open_half(int root, const char *name, const char *what, int *out_dir, struct err *err)
{
    *out_dir = openat(root, name, OPEN_DIR);
    if (*out_dir >= 0)
        return 0;
    if (errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, 0, name, "it has no directory of the %s", what);
    if (errno == ENOTDIR || errno == ELOOP)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, name,
                       "its directory of the %s is none, or a link, which is not followed", what);
    return err_errno(err, errno, name, "cannot open its directory of the %s", what);
}

int import_pair_open(struct import_pair *pair, const struct import_source *source, const char *name,
                     struct err *err)
{
    *pair = (struct import_pair){-1, -1};
    int rc = open_half(source->index, name, "index", &pair->index, err);
    return rc < 0 ? rc : open_half(source->data, name, "data", &pair->data, err);
}

void import_pair_close(struct import_pair *pair)
{
    cleanup_fd(&pair->data);
    cleanup_fd(&pair->index);
}
