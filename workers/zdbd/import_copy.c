/*
 * Copies one namespace into a home. Everything is on the disk before it is put in place, the data
 * before the index: a 0-db that starts in between sees no namespace. What fails is taken back as
 * far as that goes; what a kill leaves is found by its mark.
 */
#include "import_private.h"

#include "base/cleanup.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int taken(const char *name, struct err *err)
{
    return err_set(err, ERR_ALREADY_EXISTS, 0, name,
                   "the 0-db of the pool has files of that name already");
}

static int check_free(const struct import_home *home, const char *name, struct err *err)
{
    const int dirs[] = {home->index, home->data};
    struct stat status;
    for (size_t i = 0; i < array_length(dirs); i++) {
        if (fstatat(dirs[i], name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            return taken(name, err);
        if (errno != ENOENT)
            return err_errno(err, errno, name, "cannot look for it in the home");
    }
    return 0;
}

/* ---- copying --------------------------------------------------------------------------------- */

static int copy_files(int from, int to, const struct import_order *order, struct err *err)
{
    int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream)
        return err_errno(err, errno, order->name, "cannot list its files");
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int rc = import_copy_file(from, to, entry->d_name, order->uid, order->gid, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int copy_dir(int from, int mark, const char *part, const struct import_order *order,
                    struct err *err)
{
    if (step_around(mkdirat(mark, part, 0700)) < 0)
        return err_errno(err, errno, order->name, "cannot make its directory of the %s", part);
    autoclose int to = openat(mark, part, OPEN_DIR);
    if (to < 0)
        return err_errno(err, errno, order->name, "cannot open its directory of the %s", part);
    int rc = copy_files(from, to, order, err);
    if (rc < 0)
        return rc;
    if (fchown(to, order->uid, order->gid) < 0 || step_around(fsync(to)) < 0)
        return err_errno(err, errno, order->name, "cannot sync its directory of the %s", part);
    return 0;
}

/* ---- putting in place ------------------------------------------------------------------------ */

struct placed {
    bool data, index;
};

static int place(int mark, const char *part, int to, const struct import_order *order,
                 bool *out_placed, struct err *err)
{
    if (step_around(renameat2(mark, part, to, order->name, RENAME_NOREPLACE)) < 0)
        return errno == EEXIST ? taken(order->name, err)
                               : err_errno(err, errno, order->name, "cannot put it in place");
    *out_placed = true;
    if (step_around(fsync(to)) < 0)
        return err_errno(err, errno, order->name, "cannot put it in place");
    return 0;
}

static int fill(const struct import_home *home, int mark, const struct import_order *order,
                struct placed *placed, struct err *err)
{
    struct import_source source = IMPORT_SOURCE_INIT;
    struct import_pair pair = {-1, -1};
    int rc = import_source_open(&source, order->data_path, order->index_path, err);
    if (rc == 0)
        rc = import_pair_open(&pair, &source, order->name, err);
    if (rc == 0)
        rc = copy_dir(pair.data, mark, "data", order, err);
    if (rc == 0)
        rc = copy_dir(pair.index, mark, "index", order, err);
    import_pair_close(&pair);
    import_source_close(&source);
    if (rc == 0 && step_around(fsync(mark)) < 0)
        rc = err_errno(err, errno, order->name, "cannot sync its copy");
    if (rc == 0)
        rc = place(mark, "data", home->data, order, &placed->data, err);
    return rc < 0 ? rc : place(mark, "index", home->index, order, &placed->index, err);
}

/* What is not removed now goes when zdbd finds the mark. */
static void take_back(const struct import_home *home, const struct import_order *order,
                      const struct placed *placed)
{
    int rc = placed->index ? import_remove_dir(home->index, order->name) : 0;
    if (rc == 0 && placed->data)
        rc = import_remove_dir(home->data, order->name);
    if (rc == 0)
        (void)import_remove_mark(home, order->id);
}

/* A mark that is there already is one of our own: of a copy that was settled, or killed. */
static int make_mark(const struct import_home *home, const char *id, int *out_mark, struct err *err)
{
    int rc = import_remove_mark(home, id);
    if (rc == 0 && (step_around(mkdirat(home->import, id, 0700)) < 0 ||
                    step_around(fsync(home->import)) < 0 || step_around(fsync(home->dir)) < 0))
        rc = -errno;
    if (rc == 0 && (*out_mark = openat(home->import, id, OPEN_DIR)) < 0)
        rc = -errno;
    return rc < 0 ? err_errno(err, -rc, id, "cannot begin a copy") : 0;
}

int import_copy(const struct import_order *order, struct err *err)
{
    struct import_home home;
    struct placed placed = {false, false};
    autoclose int mark = -1;
    int rc = import_home_open(&home, order->home, true, err);
    if (rc == 0)
        rc = check_free(&home, order->name, err);
    if (rc == 0)
        rc = make_mark(&home, order->id, &mark, err);
    if (rc == 0) {
        rc = fill(&home, mark, order, &placed, err);
        if (rc < 0)
            take_back(&home, order, &placed);
    }
    import_home_close(&home);
    return rc;
}
