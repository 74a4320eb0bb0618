/*
 * The home that a copy goes to. It belongs to its 0-db's uid and may hold anything; <home>/import
 * is root's alone, so nobody else reaches a copy before it is in place.
 *
 * <home>/import/<id> is the mark of a copy: made before anything of it, removed after all of it.
 */
#include "import_private.h"

#include "base/cleanup.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- the home -------------------------------------------------------------------------------- */

static int open_part(int parent, const char *name, int *out_dir)
{
    *out_dir = openat(parent, name, OPEN_DIR);
    return *out_dir < 0 ? -errno : 0;
}

/* Waits for the process before us. */
static int open_import(struct import_home *home, const char *path, bool make, struct err *err)
{
    struct stat status;
    if (make && step_around(mkdirat(home->dir, "import", 0700)) < 0 && errno != EEXIST)
        return err_errno(err, errno, path, "cannot make its \"import\"");
    int rc = open_part(home->dir, "import", &home->import);
    if (rc < 0)
        return err_errno(err, -rc, path, "cannot open its \"import\"");
    if (fstat(home->import, &status) < 0 || status.st_uid != 0)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, path, "its \"import\" is not root's");
    if (flock(home->import, LOCK_EX) < 0)
        return err_errno(err, errno, path, "cannot lock its \"import\"");
    return 0;
}

int import_home_open(struct import_home *home, const char *path, bool make, struct err *err)
{
    *home = IMPORT_HOME_INIT;
    home->dir = open(path, OPEN_DIR);
    if (home->dir < 0) /* no NOT_FOUND: that means that there was no import */
        return err_set(err, ERR_UNAVAILABLE, errno, path, "cannot open the home of the 0-db: %s",
                       strerror(errno));
    int rc = open_import(home, path, make, err);
    if (rc < 0)
        return rc;
    rc = open_part(home->dir, "data", &home->data);
    if (rc == 0)
        rc = open_part(home->dir, "index", &home->index);
    return rc < 0 ? err_set(err, ERR_UNAVAILABLE, -rc, path,
                            "cannot open the directories of the 0-db: %s", strerror(-rc))
                  : 0;
}

void import_home_close(struct import_home *home)
{
    cleanup_fd(&home->index);
    cleanup_fd(&home->data);
    cleanup_fd(&home->import);
    cleanup_fd(&home->dir);
}

/* ---- removing -------------------------------------------------------------------------------- */

static int remove_files(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream)
        return -errno;
    for (const struct dirent *entry; (entry = readdir(stream));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            step_around(unlinkat(dir, entry->d_name, 0)) < 0 && errno != ENOENT)
            return -errno;
    return 0;
}

int import_remove_dir(int parent, const char *name)
{
    autoclose int dir = openat(parent, name, OPEN_DIR);
    if (dir < 0)
        return errno == ENOENT ? 0 : -errno;
    int rc = remove_files(dir);
    if (rc == 0 && step_around(unlinkat(parent, name, AT_REMOVEDIR)) < 0 && errno != ENOENT)
        rc = -errno;
    return rc == 0 && step_around(fsync(parent)) < 0 ? -errno : rc;
}

int import_remove_mark(const struct import_home *home, const char *id)
{
    autoclose int mark = openat(home->import, id, OPEN_DIR);
    if (mark < 0)
        return errno == ENOENT ? 0 : -errno;
    int rc = import_remove_dir(mark, "index");
    if (rc == 0)
        rc = import_remove_dir(mark, "data");
    if (rc == 0 && step_around(unlinkat(home->import, id, AT_REMOVEDIR)) < 0)
        rc = -errno;
    return rc == 0 && step_around(fsync(home->import)) < 0 ? -errno : rc;
}

/* ---- after a copy ---------------------------------------------------------------------------- */

/* 1: there is a mark; 0: there is none; else the error. */
static int open_marked(struct import_home *home, const char *path, const char *id, struct err *err)
{
    struct stat status;
    autoerr struct err why = {0};
    int rc = import_home_open(home, path, false, &why);
    if (rc == -ERR_NOT_FOUND)
        return 0;
    if (rc < 0) {
        err_move(err, &why);
        return rc;
    }
    if (fstatat(home->import, id, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return errno == ENOENT ? 0 : err_errno(err, errno, path, "cannot look for an import");
}

int import_home_look(const char *path, const char *id, bool *out_marked, struct err *err)
{
    struct import_home home;
    int rc = open_marked(&home, path, id, err);
    import_home_close(&home);
    if (rc < 0)
        return rc;
    *out_marked = rc > 0;
    return 0;
}

/* The index first: without it the 0-db sees no namespace. */
static int remove_all(const struct import_home *home, const char *id, const char *name)
{
    int rc = import_remove_dir(home->index, name);
    if (rc == 0)
        rc = import_remove_dir(home->data, name);
    return rc < 0 ? rc : import_remove_mark(home, id);
}

int import_home_clear(const char *path, const char *id, const char *name, struct err *err)
{
    struct import_home home;
    int rc = open_marked(&home, path, id, err);
    if (rc > 0 && (rc = remove_all(&home, id, name)) < 0)
        rc = err_errno(err, -rc, path, "cannot remove what is left of an import");
    import_home_close(&home);
    return rc;
}

int import_home_settle(const char *path, const char *id, struct err *err)
{
    struct import_home home;
    int rc = open_marked(&home, path, id, err);
    if (rc > 0 && (rc = import_remove_mark(&home, id)) < 0)
        rc = err_errno(err, -rc, path, "cannot remove the mark of an import");
    import_home_close(&home);
    return rc;
}
