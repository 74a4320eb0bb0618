/* Opening and closing namespaces, and their descriptor. */
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

enum { DESCRIPTOR_MAX = sizeof(struct format_descriptor) + 2 * 256 };

/* --- the descriptor -------------------------------------------------------------------------- */

int ns_read_descriptor(struct ns *ns)
{
    uint8_t bytes[DESCRIPTOR_MAX];
    struct format_descriptor head;
    size_t size;
    autoclose int fd = openat(ns->index_dir, NS_DESCRIPTOR, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
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

static size_t encode(const struct ns *ns, uint8_t out[DESCRIPTOR_MAX])
{
    size_t name_size = strlen(ns->name), password_size = strlen(ns->password);
    struct format_descriptor head = {
        .version = FORMAT_NAMESPACE_VERSION,
        .name_size = (uint8_t)name_size,
        .password_size = (uint8_t)password_size,
        .maxsize = ns->maxsize,
        .flags = (uint8_t)(FORMAT_ALWAYS | (ns->is_public ? FORMAT_PUBLIC : 0) |
                           (ns->worm ? FORMAT_WORM : 0)),
    };
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, ns->name, name_size);
    memcpy(out + sizeof head + name_size, ns->password, password_size);
    return sizeof head + name_size + password_size;
}

int ns_write_descriptor(const struct ns *ns)
{
    uint8_t bytes[DESCRIPTOR_MAX];
    size_t size = encode(ns, bytes);
    return io_replace(ns->index_dir, NS_DESCRIPTOR, bytes, size);
}

bool ns_has_descriptor(const struct ns *ns)
{
    uint8_t wanted[DESCRIPTOR_MAX], bytes[DESCRIPTOR_MAX];
    size_t size = encode(ns, wanted);
    autoclose int fd = openat(ns->index_dir, NS_DESCRIPTOR, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && io_read(fd, IO_INDEX, bytes, size, 0) == 0 &&
           memcmp(bytes, wanted, size) == 0;
}

/* --- open and close -------------------------------------------------------------------------- */

/* Made, if it may be; then it is there for good, even if it was made before. */
static int open_dir(int root, const char *name, bool make)
{
    if (make && ((step_around(mkdirat(root, name, 0700)) < 0 && errno != EEXIST) ||
                 step_around(fsync(root)) < 0))
        return -errno;
    int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

struct ns *ns_new(const char *name, const struct ns_config *config)
{
    struct ns *ns = calloc(1, sizeof *ns);
    if (!ns)
        return NULL;
    (void)snprintf(ns->name, sizeof ns->name, "%s", name);
    ns->config = config;
    ns->compact_next = COMPACT_NOT_ASKED;
    ns->is_public = true;
    ns->index_dir = ns->data_dir = -1;
    return ns;
}

static void close_dirs(struct ns *ns)
{
    cleanup_fd(&ns->data_dir);
    cleanup_fd(&ns->index_dir);
    ns->data_dir = ns->index_dir = -1;
}

int ns_open_dirs(struct ns *ns, int data_root, int index_root, bool make)
{
    close_dirs(ns);
    int data = open_dir(data_root, ns->name, true);
    int index = data < 0 ? data : open_dir(index_root, ns->name, make);
    if (index < 0) {
        cleanup_fd(&data);
        return index;
    }
    ns->data_dir = data;
    ns->index_dir = index;
    return 0;
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
    ns->sealed = ns->unsynced = ns->damaged = ns->written = false;
}

void ns_close(struct ns *ns)
{
    if (!ns)
        return;
    ns_unload(ns);
    close_dirs(ns);
    free(ns->before);
    free(ns);
}

void ns_fail(struct ns *ns, const char *why)
{
    log_error("namespace is out of service", "namespace", ns->name, "why", why);
    ns->damaged = true;
    (void)snprintf(ns->damage, sizeof ns->damage, "%s", why);
}

void ns_doubt(struct ns *ns, const char *why)
{
    ns_fail(ns, why);
    ns->sync_failed = ns->doubtful = true;
}
