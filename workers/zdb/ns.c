/* Opening, closing and removing namespaces, and their descriptor. */
#include "ns.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DESCRIPTOR "zdb-namespace"
#define DELETED    "zdb-deleted"  /* what the descriptor of a removed namespace is called */
#define EMPTYING   "zdb-emptying" /* there while ns_empty() is under way */

/* --- the descriptor -------------------------------------------------------------------------- */

int ns_read_descriptor(struct ns *ns)
{
    uint8_t bytes[sizeof(struct format_descriptor) + 2 * 256];
    struct format_descriptor head;
    size_t size;
    autoclose int fd = openat(ns->index_dir, DESCRIPTOR, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int rc = io_read_some(fd, IO_INDEX, bytes, sizeof bytes, 0, &size);
    if (rc < 0)
        return rc;
    if (size < sizeof head)
        return -EBADMSG;
    memcpy(&head, bytes, sizeof head);
    const uint8_t *password = bytes + sizeof head + head.name_size;
    if (head.version != FORMAT_NAMESPACE_VERSION ||
        size < sizeof head + head.name_size + head.password_size ||
        head.name_size != strlen(ns->name) ||
        memcmp(bytes + sizeof head, ns->name, head.name_size) != 0)
        return -EBADMSG;
    ns->maxsize = head.maxsize;
    ns->is_public = head.flags & FORMAT_PUBLIC;
    ns->worm = head.flags & FORMAT_WORM;
    memcpy(ns->password, password, head.password_size);
    ns->password[head.password_size] = '\0';
    return 0;
}

int ns_write_descriptor(const struct ns *ns)
{
    uint8_t bytes[sizeof(struct format_descriptor) + 2 * 256];
    size_t name_size = strlen(ns->name), password_size = strlen(ns->password);
    struct format_descriptor head = {
        .version = FORMAT_NAMESPACE_VERSION,
        .name_size = (uint8_t)name_size,
        .password_size = (uint8_t)password_size,
        .maxsize = ns->maxsize,
        .flags = (uint8_t)(FORMAT_ALWAYS | (ns->is_public ? FORMAT_PUBLIC : 0) |
                           (ns->worm ? FORMAT_WORM : 0)),
    };
    memcpy(bytes, &head, sizeof head);
    memcpy(bytes + sizeof head, ns->name, name_size);
    memcpy(bytes + sizeof head + name_size, ns->password, password_size);
    return io_replace(ns->index_dir, DESCRIPTOR, bytes, sizeof head + name_size + password_size);
}

/* --- open and close -------------------------------------------------------------------------- */

static int open_dir(int root, const char *name)
{
    if (step_around(mkdirat(root, name, 0700)) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

struct ns *ns_open(int data_root, int index_root, const char *name, const struct ns_config *config,
                   struct err *err)
{
    struct ns *ns = calloc(1, sizeof *ns);
    if (!ns) {
        (void)err_errno(err, ENOMEM, name, "cannot open the namespace");
        return NULL;
    }
    (void)snprintf(ns->name, sizeof ns->name, "%s", name);
    ns->config = config;
    ns->compact_next = COMPACT_NOT_ASKED;
    ns->is_public = true;
    ns->index_dir = -1;
    ns->data_dir = open_dir(data_root, name);
    if (ns->data_dir >= 0)
        ns->index_dir = open_dir(index_root, name);
    int rc = ns->data_dir < 0 ? ns->data_dir : ns->index_dir;
    if (rc < 0) {
        (void)err_errno(err, -rc, name, "cannot open the namespace's directories");
        ns_close(ns);
        return NULL;
    }
    return ns;
}

void ns_unload(struct ns *ns)
{
    append_end(&ns->data);
    append_end(&ns->index);
    for (uint32_t i = 0; i < ns->n_pairs; i++) {
        cleanup_fd(&ns->pairs[i]->old_data);
        file_close(&ns->pairs[i]->data);
        file_close(&ns->pairs[i]->index);
        free(ns->pairs[i]);
    }
    free(ns->pairs);
    keys_free(ns->keys);
    marks_free(&ns->marks);
    ns->pairs = NULL;
    ns->keys = NULL;
    ns->n_pairs = ns->sync_from = 0;
    ns->entries = ns->live_bytes = 0;
    ns->last_data = ns->last_index = 0;
    ns->unsynced = ns->unsettled = ns->damaged = ns->written = false;
}

void ns_close(struct ns *ns)
{
    if (!ns)
        return;
    ns_unload(ns);
    cleanup_fd(&ns->data_dir);
    cleanup_fd(&ns->index_dir);
    free(ns);
}

void ns_fail(struct ns *ns, const char *why)
{
    log_error("namespace is out of service", "namespace", ns->name, "why", why);
    ns->damaged = true;
    (void)snprintf(ns->damage, sizeof ns->damage, "%s", why);
}

/* --- removal --------------------------------------------------------------------------------- */

/* Those whose name begins with one of the letters, or all. */
static int remove_files(int dir, const char *letters)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream)
        return -errno;
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (letters && !(strchr(letters, entry->d_name[0]) && entry->d_name[1] >= '0' &&
                          entry->d_name[1] <= '9')))
            continue;
        if (step_around(unlinkat(dir, entry->d_name, 0)) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

static int remove_dir(int root, const char *name)
{
    autoclose int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return errno == ENOENT ? 0 : -errno;
    int rc = remove_files(dir, NULL);
    if (rc == 0 && step_around(unlinkat(root, name, AT_REMOVEDIR)) < 0 && errno != ENOENT)
        rc = -errno;
    return rc;
}

/* The index's directory holds the mark, so it goes last. */
static int remove_dirs(int data_root, int index_root, const char *name)
{
    int rc = remove_dir(data_root, name);
    return rc < 0 ? rc : remove_dir(index_root, name);
}

int ns_remove(int data_root, int index_root, const char *name)
{
    autoclose int dir = openat(index_root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return -errno;
    int rc = 0;
    if (step_around(renameat(dir, DESCRIPTOR, dir, DELETED)) < 0)
        rc = -errno;
    if (rc == -ENOENT) { /* nothing that could come back */
        autoclose int mark = openat(dir, DELETED, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        rc = mark < 0 ? -errno : 0;
    }
    if (rc == 0 && step_around(fsync(dir)) < 0)
        rc = -errno;
    return rc < 0 ? rc : remove_dirs(data_root, index_root, name);
}

bool ns_finish_removal(int data_root, int index_root, const char *name)
{
    autoclose int dir = openat(index_root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (dir < 0 || fstatat(dir, DELETED, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        fstatat(dir, DESCRIPTOR, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return false;
    int rc = remove_dirs(data_root, index_root, name);
    if (rc < 0)
        log_error("a removed namespace cannot be cleared away", "namespace", name, "why",
                  strerror(-rc));
    return true;
}

/* What is left of an emptying that begun, to the end. The mark holds the mode. */
static int finish_emptying(struct ns *ns)
{
    ns_unload(ns);
    int rc = remove_files(ns->data_dir, "d");
    if (rc == 0)
        rc = remove_files(ns->index_dir, "i");
    if (rc == 0 && step_around(fsync(ns->data_dir)) < 0)
        rc = -errno;
    if (rc == 0 && !ns_add_pair(ns))
        rc = -ENOMEM;
    if (rc == 0)
        rc = ns_create_files(ns, 0);
    if (rc == 0 && step_around(unlinkat(ns->index_dir, EMPTYING, 0)) < 0)
        rc = -errno;
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
