/*
 * Removing namespaces, or what is in them. What is under way is marked in the directory of the
 * index, before anything goes and until all has gone; so a load can tell what has to go on. Each
 * step is on the disk before the next one, or a power cut might leave files without the mark.
 *
 * Many files take long to go. So both directories of a removed namespace get another name first,
 * that of the data before that of the index: its own is free, and the rest has time (reaper.h). The
 * same holds for the files of one that is emptied.
 */
#include "ns.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DELETED  "zdb-deleted"   /* what the descriptor of a removed namespace is called */
#define EMPTYING "zdb-emptying"  /* there while ns_empty() is under way */
#define ASIDE    ".zdb-deleted-" /* begins the names of directories that were put aside */
#define GONE     "zdb-gone-"     /* begins the names of files of one that was emptied */

enum { ASIDES_MAX = 1 << 20 };

static int sync_dir(int dir)
{
    return step_around(fsync(dir)) < 0 ? -errno : 0;
}

/* --- what is in a directory ------------------------------------------------------------------ */

/* What to do with a file, by its name; 0 or a negative errno. */
typedef int file_act(int dir, const char *name, const void *data);

static int on_each_file(int dir, file_act *act, const void *data)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream)
        return -errno;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(stream));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = act(dir, entry->d_name, data);
    return rc;
}

static int remove_file(int dir, const char *name, const atomic_bool *stop)
{
    if (stop && *stop)
        return -ECANCELED;
    return step_around(unlinkat(dir, name, 0)) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_but_mark(int dir, const char *name, const void *stop)
{
    return strcmp(name, DELETED) == 0 ? 0 : remove_file(dir, name, stop);
}

static int remove_gone(int dir, const char *name, const void *stop)
{
    return strncmp(name, GONE, strlen(GONE)) != 0 ? 0 : remove_file(dir, name, stop);
}

struct renaming {
    char letter;
    uint64_t stamp; /* no two of them have the same names */
};

static int rename_gone(int dir, const char *name, const void *data)
{
    const struct renaming *renaming = data;
    char gone[64];
    if (name[0] != renaming->letter || name[1] < '0' || name[1] > '9')
        return 0;
    (void)snprintf(gone, sizeof gone, GONE "%.20s-%jx", name, (uintmax_t)renaming->stamp);
    if (step_around(renameat(dir, name, dir, gone)) == 0)
        return 0;
    return remove_file(dir, name, NULL); /* then it takes its time here */
}

static int set_files_aside(int dir, char letter)
{
    const struct renaming renaming = {letter, clock_realtime_us()};
    int rc = on_each_file(dir, rename_gone, &renaming);
    return rc < 0 ? rc : sync_dir(dir);
}

int ns_clear_gone(int data_root, int index_root, const char *name, const atomic_bool *stop)
{
    const int roots[] = {data_root, index_root};
    int rc = 0;
    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        autoclose int dir = openat(roots[i], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (dir >= 0)
            rc = on_each_file(dir, remove_gone, stop);
        else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
            rc = -errno;
    }
    return rc;
}

static int remove_dir(int root, const char *name, const atomic_bool *stop)
{
    autoclose int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return errno == ENOENT ? 0 : -errno;
    int rc = on_each_file(dir, remove_but_mark, stop);
    if (rc == 0)
        rc = sync_dir(dir);
    if (rc == 0 && step_around(unlinkat(dir, DELETED, 0)) < 0 && errno != ENOENT)
        rc = -errno;
    if (rc == 0 && step_around(unlinkat(root, name, AT_REMOVEDIR)) < 0 && errno != ENOENT)
        rc = -errno;
    return rc < 0 ? rc : sync_dir(root);
}

/* The index's directory holds the mark, so it goes last. */
int ns_clear_away(int data_root, int index_root, const char *name, const atomic_bool *stop)
{
    int rc = remove_dir(data_root, name, stop);
    return rc < 0 ? rc : remove_dir(index_root, name, stop);
}

/* True if there is no such directory, or nothing in it. */
static bool is_vacant(int root, const char *name)
{
    int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return errno == ENOENT;
    autodir DIR *stream = fdopendir(dir);
    if (!stream) {
        (void)close(dir);
        return false;
    }
    for (const struct dirent *entry; (entry = readdir(stream));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return false;
    return true;
}

bool ns_is_vacant(int data_root, int index_root, const char *name)
{
    return is_vacant(data_root, name) && is_vacant(index_root, name);
}

/* --- all of it ------------------------------------------------------------------------------- */

/* Not synced yet. */
static int set_mark(int dir)
{
    if (step_around(renameat(dir, NS_DESCRIPTOR, dir, DELETED)) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    autoclose int mark = openat(dir, DELETED, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return mark < 0 ? -errno : 0; /* it had no descriptor */
}

int ns_mark_removed(int index_root, const char *name)
{
    autoclose int dir = openat(index_root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int rc = dir < 0 ? -errno : set_mark(dir);
    return rc < 0 ? rc : sync_dir(dir);
}

/* An empty mark was made as one; any other is the descriptor, if no other was written since. */
int ns_unmark_removed(int index_dir)
{
    struct stat mark, descriptor;
    if (fstatat(index_dir, DELETED, &mark, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    bool made = mark.st_size == 0 ||
                fstatat(index_dir, NS_DESCRIPTOR, &descriptor, AT_SYMLINK_NOFOLLOW) == 0;
    int rc = step_around(made ? unlinkat(index_dir, DELETED, 0)
                              : renameat(index_dir, DELETED, index_dir, NS_DESCRIPTOR));
    return rc < 0 ? -errno : sync_dir(index_dir);
}

/*
 * A mark that may or may not be on the disk is taken back. Where that fails as well, the next start
 * may find either. So nothing is acknowledged that a removal would take, and nothing goes that a
 * start without the mark would want whole.
 */
int ns_begin_removal(struct ns *ns, int index_root)
{
    autoclose int dir =
        openat(index_root, ns->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int rc = dir < 0 ? -errno : set_mark(dir);
    if (rc < 0)
        return rc;
    rc = sync_dir(dir);
    if (rc < 0 && ns_unmark_removed(dir) < 0 && !ns->damaged)
        ns_doubt(ns, "whether it is removed or not cannot be put on the disk");
    return rc;
}

bool ns_is_being_removed(int index_root, const char *name)
{
    struct stat status;
    autoclose int dir = openat(index_root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return dir >= 0 && fstatat(dir, DELETED, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(dir, NS_DESCRIPTOR, &status, AT_SYMLINK_NOFOLLOW) < 0;
}

bool ns_is_aside(const char *name)
{
    size_t length = strlen(ASIDE);
    return strlen(name) < NS_ASIDE_SIZE && strncmp(name, ASIDE, length) == 0 && name[length] &&
           strspn(name + length, "0123456789") == strlen(name + length);
}

static bool is_there(int root, const char *name)
{
    struct stat status;
    return fstatat(root, name, &status, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static int rename_dir(int root, const char *from, const char *to)
{
    if (step_around(renameat(root, from, root, to)) < 0)
        return errno == ENOENT ? 0 : -errno;
    return sync_dir(root);
}

int ns_set_aside(int data_root, int index_root, const char *name, char out_aside[NS_ASIDE_SIZE])
{
    char aside[NS_ASIDE_SIZE];
    unsigned n = 0;
    do
        (void)snprintf(aside, sizeof aside, ASIDE "%u", n);
    while ((is_there(data_root, aside) || is_there(index_root, aside)) && n++ < ASIDES_MAX);
    memcpy(out_aside, aside, sizeof aside);
    int rc = rename_dir(data_root, name, aside);
    return rc < 0 ? rc : rename_dir(index_root, name, aside);
}

/* --- its entries ----------------------------------------------------------------------------- */

/* What is left of an emptying that begun, to the end. The mark holds the mode. */
static int finish_emptying(struct ns *ns)
{
    ns_unload(ns);
    int rc = set_files_aside(ns->data_dir, 'd');
    if (rc == 0)
        rc = set_files_aside(ns->index_dir, 'i');
    if (rc == 0 && !ns_add_pair(ns))
        rc = -ENOMEM;
    if (rc == 0)
        rc = ns_create_files(ns, 0);
    if (rc == 0 && step_around(unlinkat(ns->index_dir, EMPTYING, 0)) < 0)
        rc = -errno;
    if (rc == 0) /* or it would take what is written next */
        rc = sync_dir(ns->index_dir);
    ns_unload(ns);
    return rc;
}

/* As of a removal: the mark is taken back, or it is not known whether it is there. */
static int take_back_emptying(const struct ns *ns)
{
    if (step_around(unlinkat(ns->index_dir, EMPTYING, 0)) < 0)
        return errno == ENOENT ? 0 : -errno;
    return sync_dir(ns->index_dir);
}

int ns_empty(struct ns *ns)
{
    uint8_t mode = (uint8_t)ns->mode;
    int rc = io_replace(ns->index_dir, EMPTYING, &mode, sizeof mode);
    if (rc < 0 && take_back_emptying(ns) == 0)
        return rc;
    if (rc == 0)
        rc = finish_emptying(ns);
    if (rc < 0)
        ns_doubt(ns, "it could not be emptied");
    return rc;
}

int ns_go_on_emptying(struct ns *ns)
{
    uint8_t mode = FORMAT_USER;
    autoclose int mark = openat(ns->index_dir, EMPTYING, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (mark < 0)
        return errno == ENOENT ? 0 : -errno;
    int rc = io_read(mark, IO_INDEX, &mode, sizeof mode, 0);
    if (rc == 0) /* it may be that this was what failed */
        rc = sync_dir(ns->index_dir);
    if (rc < 0)
        return rc;
    ns->mode = mode == FORMAT_SEQ ? FORMAT_SEQ : FORMAT_USER;
    return finish_emptying(ns);
}
