/*
 * The mounts that a process sees: those of its namespace, as far as they lie below its root. What
 * many see alike is read once. A thread may have left the namespace of its process.
 */
#include "holders_private.h"

#include "base/cleanup.h"
#include "mounts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINKS_WITH_ONE_THREAD = 3 };

struct mounts_search {
    struct holders_walk *walk;
    const struct holders_process *process;
    bool own;
};

static int match_mount(const struct mounts_entry *entry, void *data)
{
    const struct mounts_search *search = data;
    struct holders_walk *walk = search->walk;
    if (walk->mount_id) {
        if (search->own && entry->id != walk->mount_id &&
            mounts_is_below(entry->target, walk->mount_path))
            holders_add(&walk->targets->found, "mounted at %s", entry->target);
        return 0;
    }
    if (entry->device != walk->fs_device)
        return 0;
    for (size_t i = 0; i < walk->n_targets; i++) {
        struct holders_target *target = &walk->targets[i];
        for (const char *const *path = target->paths; *path; path++) {
            if (!mounts_is_below(entry->root, *path))
                continue;
            if (search->own)
                holders_add(&target->found, "mounted at %s", entry->target);
            else
                holders_add(&target->found, "mount namespace of pid %s (%s): %s",
                            search->process->pid, search->process->comm, entry->target);
        }
    }
    return 0;
}

/* Whether this is the first process seen with this view of the mounts. */
static int remember_view(struct holders_walk *walk, const struct holders_view *view)
{
    for (size_t i = 0; i < walk->n_views; i++)
        if (walk->views[i].namespace_inode == view->namespace_inode &&
            walk->views[i].root_device == view->root_device &&
            walk->views[i].root_inode == view->root_inode)
            return 0;
    struct holders_view *grown = reallocarray(walk->views, walk->n_views + 1, sizeof *grown);
    if (!grown)
        return err_errno(walk->err, ENOMEM, NULL, "cannot look for holders");
    walk->views = grown;
    walk->views[walk->n_views++] = *view;
    return 1;
}

/* Without a namespace to tell, it is a view of its own: mountinfo needs no more rights than /proc.
 */
static int tell_view(const struct holders_walk *walk, const struct holders_process *process,
                     struct holders_view *out_view)
{
    struct statx space = {0}, root = {0};
    int rc = holders_look(process->dir, "ns/mnt", &space);
    if (rc == 0)
        rc = holders_look(process->dir, "root", &root);
    if (rc < 0 && rc != -EACCES && rc != -EPERM)
        return rc;
    if (rc < 0) {
        (void)holders_pass_over(walk, process, -rc, "ns/mnt");
        space.stx_ino = 0;
        root.stx_ino = strtoull(process->pid, NULL, 10);
    }
    *out_view = (struct holders_view){space.stx_ino, holders_device_of(&root), root.stx_ino};
    return 0;
}

/* `mountinfo` is that of the process, or of a thread of it, whose directory `process->dir` is. */
static int check_view(struct holders_walk *walk, const struct holders_process *process,
                      const char *mountinfo)
{
    struct holders_view view;
    int rc = tell_view(walk, process, &view);
    if (rc < 0) /* it ends */
        return holders_check_want(walk, -rc, process->pid);
    rc = remember_view(walk, &view);
    if (rc <= 0)
        return rc;
    struct mounts_search search = {walk, process, view.namespace_inode == walk->own_namespace};
    rc = mounts_each(mountinfo, match_mount, &search, walk->err);
    if (rc == -ERR_NOT_FOUND) {
        walk->n_views--; /* it ended: the next one of this view is asked instead */
        err_clear(walk->err);
        return 0;
    }
    return rc;
}

static int check_thread(struct holders_walk *walk, const struct holders_process *process, int tasks,
                        const char *tid)
{
    char path[96];
    struct holders_process thread = *process;
    autoclose int dir = openat(tasks, tid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) /* it ended */
        return holders_check_want(walk, errno, process->pid);
    thread.dir = dir;
    (void)snprintf(path, sizeof path, "/proc/%s/task/%s/mountinfo", process->pid, tid);
    return check_view(walk, &thread, path);
}

/* All but the first, which stands for the process. */
static int check_threads(struct holders_walk *walk, const struct holders_process *process)
{
    int rc = 0, fd = openat(process->dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return holders_pass_over(walk, process, errno, "task");
    autodir DIR *tasks = fdopendir(fd);
    if (!tasks) {
        (void)close(fd);
        return err_errno(walk->err, errno, process->pid, "cannot read its threads");
    }
    for (struct dirent *entry; rc == 0 && (errno = 0, entry = readdir(tasks));)
        if (isdigit((unsigned char)*entry->d_name) && strcmp(entry->d_name, process->pid) != 0)
            rc = check_thread(walk, process, fd, entry->d_name);
    return rc < 0 ? rc : holders_check_want(walk, errno, process->pid);
}

int holders_check_mounts(struct holders_walk *walk, const struct holders_process *process)
{
    char path[64];
    struct statx tasks;
    (void)snprintf(path, sizeof path, "/proc/%s/mountinfo", process->pid);
    int rc = check_view(walk, process, path);
    if (rc < 0)
        return rc;
    /* Each thread is a link of the directory (fs/proc/base.c, proc_task_getattr()). */
    bool alone =
        holders_look(process->dir, "task", &tasks) == 0 && tasks.stx_nlink <= LINKS_WITH_ONE_THREAD;
    return alone ? 0 : check_threads(walk, process);
}
