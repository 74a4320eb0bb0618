/*
 * Removing namespaces, or what is in them. What is under way is marked in the directory of the
 * index, before anything goes and until all has gone; so a load can tell what has to go on. Each
 * step is on the disk before the next one, or a power cut might leave files without the mark.
 */
#include "ns.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DELETED  "zdb-deleted"  /* what the descriptor of a removed namespace is called */
#define EMPTYING "zdb-emptying" /* there while ns_empty() is under way */

static int sync_dir(int dir)
{
    return step_around(fsync(dir)) < 0 ? -errno : 0;
}

/* --- what is in a directory ------------------------------------------------------------------ */

static bool is_file_of(const char *name, char letter)
{
    return name[0] == letter && name[1] >= '0' && name[1] <= '9';
}

/* The data or index files by their letter; 0: all but the mark. */
static int remove_files(int dir, char letter)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream)
        return -errno;
    for (const struct dirent *entry; (entry = readdir(stream));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, DELETED) == 0 ||
            (letter && !is_file_of(name, letter)))
            continue;
        if (step_around(unlinkat(dir, name, 0)) < 0 && errno != ENOENT)
            return -errno;
    }
    return sync_dir(dir);
}

static int remove_dir(int root, const char *name)
{
    autoclose int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return errno == ENOENT ? 0 : -errno;
    int rc = remove_files(dir, 0);
    if (rc == 0 && step_around(unlinkat(dir, DELETED, 0)) < 0 && errno != ENOENT)
        rc = -errno;
    if (rc == 0 && step_around(unlinkat(root, name, AT_REMOVEDIR)) < 0 && errno != ENOENT)
        rc = -errno;
    return rc < 0 ? rc : sync_dir(root);
}

/* The index's directory holds the mark, so it goes last. */
static int remove_dirs(int data_root, int index_root, const char *name)
{
    int rc = remove_dir(data_root, name);
    return rc < 0 ? rc : remove_dir(index_root, name);
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

int ns_remove(int data_root, int index_root, const char *name)
{
    autoclose int dir = openat(index_root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return -errno;
    int rc = 0;
    if (step_around(renameat(dir, NS_DESCRIPTOR, dir, DELETED)) < 0)
        rc = -errno;
    if (rc == -ENOENT) { /* it had none */
        autoclose int mark =
            openat(dir, DELETED, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        rc = mark < 0 ? -errno : 0;
    }
    if (rc == 0)
        rc = sync_dir(dir);
    return rc < 0 ? rc : remove_dirs(data_root, index_root, name);
}

static bool is_being_removed(int index_root, const char *name)
{
    struct stat status;
    autoclose int dir = openat(index_root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return dir >= 0 && fstatat(dir, DELETED, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(dir, NS_DESCRIPTOR, &status, AT_SYMLINK_NOFOLLOW) < 0;
}

bool ns_finish_removal(int data_root, int index_root, const char *name)
{
    if (!is_being_removed(index_root, name) && !ns_is_vacant(data_root, index_root, name))
        return false;
    int rc = remove_dirs(data_root, index_root, name);
    if (rc < 0)
        log_error("a removed namespace cannot be cleared away", "namespace", name, "why",
                  strerror(-rc));
    return true;
}

/* --- its entries ----------------------------------------------------------------------------- */

/* What is left of an emptying that begun, to the end. The mark holds the mode. */
static int finish_emptying(struct ns *ns)
{
    ns_unload(ns);
    int rc = remove_files(ns->data_dir, 'd');
    if (rc == 0)
        rc = remove_files(ns->index_dir, 'i');
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

int ns_empty(struct ns *ns)
{
    uint8_t mode = (uint8_t)ns->mode;
    int rc = io_replace(ns->index_dir, EMPTYING, &mode, sizeof mode);
    return rc < 0 ? rc : finish_emptying(ns);
}

int ns_go_on_emptying(struct ns *ns)
{
    uint8_t mode = FORMAT_USER;
    autoclose int mark = openat(ns->index_dir, EMPTYING, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (mark < 0)
        return errno == ENOENT ? 0 : -errno;
    int rc = io_read(mark, IO_INDEX, &mode, sizeof mode, 0);
    if (rc < 0)
        return rc;
    ns->mode = mode == FORMAT_SEQ ? FORMAT_SEQ : FORMAT_USER;
    return finish_emptying(ns);
}
