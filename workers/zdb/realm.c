/* The list of namespaces is short and looked through when a client selects one. */
#include "realm.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "load.h"
#include "sync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* --- the directories ------------------------------------------------------------------------- */

static int open_root(const char *path, int *out_root, struct err *err)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return err_errno(err, errno, path, "cannot make the directory");
    *out_root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out_root < 0)
        return err_errno(err, errno, path, "cannot open the directory");
    autoclose int parent = made ? openat(*out_root, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (parent < 0 || fsync(parent) == 0)
        return 0;
    int rc = err_errno(err, errno, path, "cannot sync the directory's own");
    (void)rmdir(path); /* the next start makes it, and syncs it */
    return rc;
}

static int lock_root(int root, const char *path, int *out_lock, struct err *err)
{
    *out_lock = openat(root, ".lockfile", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*out_lock < 0)
        return err_errno(err, errno, path, "cannot open the directory's .lockfile");
    if (flock(*out_lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, path, "another 0-db has this directory");
    return err_errno(err, errno, path, "cannot lock the directory");
}

int realm_open(struct realm *realm, const char *data_path, const char *index_path, struct err *err)
{
    struct stat data, index;
    *realm = (struct realm){.data_root = -1, .index_root = -1, .locks = {-1, -1}};
    realm->data_path = strdup(data_path);
    realm->index_path = strdup(index_path);
    if (!realm->data_path || !realm->index_path)
        return err_errno(err, ENOMEM, data_path, "cannot start");
    int rc = open_root(data_path, &realm->data_root, err);
    if (rc == 0)
        rc = open_root(index_path, &realm->index_root, err);
    if (rc == 0 && fstat(realm->data_root, &data) == 0 && fstat(realm->index_root, &index) == 0 &&
        data.st_dev == index.st_dev && data.st_ino == index.st_ino)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, data_path,
                       "data and index need a directory each");
    if (rc == 0)
        rc = lock_root(realm->index_root, index_path, &realm->locks[0], err);
    if (rc == 0)
        rc = lock_root(realm->data_root, data_path, &realm->locks[1], err);
    return rc;
}

void realm_close(struct realm *realm)
{
    for (struct ns *ns = realm->first, *next; ns; ns = next) {
        next = ns->next;
        ns_close(ns);
    }
    realm->first = NULL;
    for (int i = 0; i < 2; i++)
        cleanup_fd(&realm->locks[i]);
    cleanup_fd(&realm->data_root);
    cleanup_fd(&realm->index_root);
    free(realm->data_path);
    free(realm->index_path);
    realm->data_path = realm->index_path = NULL;
}

/* --- one namespace --------------------------------------------------------------------------- */

struct ns *realm_find(const struct realm *realm, const void *name, size_t size)
{
    for (struct ns *ns = realm->first; ns; ns = ns->next)
        if (strlen(ns->name) == size && memcmp(ns->name, name, size) == 0)
            return ns;
    return NULL;
}

static void append(struct realm *realm, struct ns *ns)
{
    struct ns **end = &realm->first;
    while (*end)
        end = &(*end)->next;
    *end = ns;
}

/* Who may use a namespace stands in its descriptor alone. One that was used and has lost it is
 * closed, and stays so over restarts, until its password is set. */
static int check_descriptor(struct ns *ns, struct err *err)
{
    int rc = ns_read_descriptor(ns);
    if (rc < 0 && rc != -ENOENT && rc != -EBADMSG)
        return err_errno(err, -rc, ns->name, "cannot read its descriptor");
    bool known = ns->described || strcmp(ns->name, REALM_DEFAULT) == 0 ||
                 (rc == -ENOENT && !ns_was_written(ns));
    if (rc < 0 && !known) {
        log_warning("nobody may select a namespace until its password is set", "namespace",
                    ns->name, "why",
                    rc == -ENOENT ? "its descriptor is lost" : "its descriptor is damaged");
        ns->is_public = false;
        return 0;
    }
    if (rc < 0)
        rc = ns_write_descriptor(ns);
    ns->described = rc == 0;
    return rc < 0 ? err_errno(err, -rc, ns->name, "cannot write its descriptor") : 0;
}

/* Out of service instead of an error, but for a mode that the whole server contradicts. */
static int load(struct realm *realm, struct ns *ns, bool make, struct err *err)
{
    int rc = ns_open_dirs(ns, realm->data_root, realm->index_root, make);
    if (rc == 0) /* or what is served now would be removed at the next start */
        rc = ns_unmark_removed(ns->index_dir);
    rc = rc < 0 ? err_errno(err, -rc, ns->name, "cannot open the namespace's directories")
                : load_namespace(ns, err);
    if (rc == 0)
        rc = check_descriptor(ns, err);
    if (strcmp(ns->name, REALM_DEFAULT) == 0)
        ns->maxsize = realm->default_maxsize;
    if (rc == 0 || rc == -ERR_FAILED_PRECONDITION)
        return rc;
    log_err(LOG_ERROR, "namespace cannot be loaded", err);
    ns->described = ns_read_descriptor(ns) == 0;
    ns_unload(ns);
    ns_fail(ns, err->message);
    return rc;
}

/* What is marked gets out of the way at once, and off the disk beside the loop; or here, where
 * there is no room for another name, or no memory. */
static int clear_marked(struct realm *realm, const char *name)
{
    char aside[NS_ASIDE_SIZE];
    int data = realm->data_root, index = realm->index_root, rc = 0;
    if (ns_is_aside(name))
        (void)snprintf(aside, sizeof aside, "%s", name);
    else if (ns_set_aside(data, index, name, aside) < 0)
        rc = ns_clear_away(data, index, name, NULL);
    if (reaper_add(realm->reaper, aside) < 0 && rc == 0)
        rc = ns_clear_away(data, index, aside, NULL);
    if (rc < 0)
        log_error("a removed namespace cannot be cleared away", "namespace", name, "why",
                  strerror(-rc));
    return rc;
}

/* Says whether there was nothing but what a removal has left, or directories with nothing in them,
 * which go as well. */
static bool clear_left(struct realm *realm, const char *name)
{
    if (ns_is_being_removed(realm->index_root, name))
        (void)clear_marked(realm, name);
    else if (ns_is_vacant(realm->data_root, realm->index_root, name))
        (void)ns_clear_away(realm->data_root, realm->index_root, name, NULL);
    else
        return false;
    return true;
}

/* What is there already may be somebody's, or is left of a namespace that was removed. */
struct ns *realm_create(struct realm *realm, const char *name, struct err *err)
{
    (void)clear_left(realm, name);
    if (!ns_is_vacant(realm->data_root, realm->index_root, name)) {
        (void)err_set(err, ERR_ALREADY_EXISTS, 0, name, "there are files of this name");
        return NULL;
    }
    struct ns *ns = ns_new(name, &realm->config);
    if (!ns) {
        (void)err_errno(err, ENOMEM, name, "cannot make the namespace");
        return NULL;
    }
    if (load(realm, ns, true, err) < 0) {
        ns_close(ns);
        (void)ns_mark_removed(realm->index_root, name);
        if (!clear_left(realm, name)) /* there was no room for the mark */
            (void)ns_clear_away(realm->data_root, realm->index_root, name, NULL);
        return NULL;
    }
    append(realm, ns);
    return ns;
}

/* One that cannot be loaded is left where it is, and is none of ours. */
struct ns *realm_take(struct realm *realm, const char *name, struct err *err)
{
    struct stat status;
    struct ns *ns = NULL;
    if (clear_left(realm, name) ||
        fstatat(realm->index_root, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISDIR(status.st_mode)) {
        (void)err_set(err, ERR_NOT_FOUND, 0, name, "there is no directory of this name");
        return NULL;
    }
    ns = ns_new(name, &realm->config);
    if (!ns) {
        (void)err_errno(err, ENOMEM, name, "cannot load the namespace");
        return NULL;
    }
    if (load(realm, ns, false, err) < 0) {
        ns_close(ns);
        return NULL;
    }
    append(realm, ns);
    return ns;
}

int realm_remove(struct realm *realm, struct ns *ns)
{
    char name[FORMAT_NAME_MAX + 1];
    (void)snprintf(name, sizeof name, "%s", ns->name);
    struct ns **link = &realm->first;
    while (*link != ns)
        link = &(*link)->next;
    *link = ns->next;
    ns_close(ns);
    return clear_marked(realm, name);
}

int realm_reload(struct realm *realm, struct ns *ns, struct err *err)
{
    if (!ns->damaged)
        (void)sync_settle(ns->config->syncer, ns);
    else if (ns->syncing)
        sync_wait(ns->config->syncer);
    ns_unload(ns);
    int rc = load(realm, ns, false, err);
    if (rc == -ERR_FAILED_PRECONDITION) { /* the others go on */
        ns_unload(ns);
        ns_fail(ns, err->message);
    }
    (void)reaper_add_gone(realm->reaper, ns->name);
    return rc;
}

/* --- all of them ----------------------------------------------------------------------------- */

/* A quarter of the descriptors is left for files that are closed again, and for clients. */
static bool has_descriptors(const struct realm *realm)
{
    struct rlimit all;
    autoclose int next = fcntl(realm->locks[0], F_DUPFD_CLOEXEC, 0);
    return next >= 0 &&
           (getrlimit(RLIMIT_NOFILE, &all) < 0 || (rlim_t)next < all.rlim_cur - all.rlim_cur / 4);
}

static int load_one(struct realm *realm, const char *name, struct err *err)
{
    bool is_default = strcmp(name, REALM_DEFAULT) == 0;
    if (!is_default && clear_left(realm, name))
        return 0;
    struct ns *ns = ns_new(name, &realm->config);
    if (!ns)
        return err_errno(err, ENOMEM, name, "cannot load the namespace");
    append(realm, ns);
    if (!has_descriptors(realm)) {
        ns_fail(ns, "too few descriptors are left for it");
        return 0;
    }
    autoerr struct err why = {0};
    int rc = load(realm, ns, true, &why);
    (void)reaper_add_gone(realm->reaper, name); /* of a life before */
    if (rc != -ERR_FAILED_PRECONDITION)
        return 0;
    err_move(err, &why);
    return rc;
}

static int refuse_old_format(struct realm *realm, const char *name, struct err *err)
{
    struct stat status;
    char path[FORMAT_NAME_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/zdb-index-00000", name);
    if (fstatat(realm->index_root, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, 0, name,
                   "the namespace is in the format of 0-db 1; only its own tools can convert it");
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static bool is_namespace(struct realm *realm, const char *name)
{
    struct stat status;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strlen(name) <= FORMAT_NAME_MAX &&
           fstatat(realm->index_root, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
}

/* The names of all directories but that of `default`, sorted; freed by the caller. */
static int list_names(struct realm *realm, char ***out_names, size_t *out_n, struct err *err)
{
    int copy = openat(realm->index_root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    size_t room = 0;
    *out_names = NULL;
    *out_n = 0;
    if (!stream)
        return err_errno(err, errno, realm->index_path, "cannot list the namespaces");
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (!is_namespace(realm, entry->d_name) || strcmp(entry->d_name, REALM_DEFAULT) == 0)
            continue;
        if (*out_n == room) {
            room = room ? 2 * room : 16;
            char **grown = realloc(*out_names, room * sizeof *grown);
            if (!grown)
                return err_errno(err, ENOMEM, realm->index_path, "cannot list the namespaces");
            *out_names = grown;
        }
        (*out_names)[*out_n] = strdup(entry->d_name);
        if (!(*out_names)[(*out_n)++])
            return err_errno(err, ENOMEM, realm->index_path, "cannot list the namespaces");
    }
    if (*out_n > 0)
        qsort(*out_names, *out_n, sizeof **out_names, compare_names);
    return 0;
}

/* Data that a removal put aside, and came no further. */
static void clear_lonely(struct realm *realm)
{
    struct stat status;
    int copy = openat(realm->data_root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    for (const struct dirent *entry; stream && (entry = readdir(stream));)
        if (ns_is_aside(entry->d_name) &&
            fstatat(realm->index_root, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 &&
            errno == ENOENT)
            (void)clear_marked(realm, entry->d_name);
}

int realm_load(struct realm *realm, struct err *err)
{
    char **names;
    size_t n;
    int rc = refuse_old_format(realm, REALM_DEFAULT, err);
    if (rc == 0)
        rc = load_one(realm, REALM_DEFAULT, err);
    if (rc < 0)
        return rc;
    rc = list_names(realm, &names, &n, err);
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            rc = refuse_old_format(realm, names[i], err);
        if (rc == 0)
            rc = load_one(realm, names[i], err);
        free(names[i]);
    }
    free(names);
    if (rc == 0)
        clear_lonely(realm);
    return rc;
}
