/* Namespaces as directories: the descriptor, i0 and d0 and on, as one reads and writes them. */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DESCRIPTOR_PUBLIC = 1, DESCRIPTOR_WORM = 2, DESCRIPTOR_ALWAYS = 4 };

void peer_descriptor(const struct peer_ns *ns, struct peer_bytes *out)
{
    uint8_t flags = DESCRIPTOR_ALWAYS;
    if (ns->is_public)
        flags |= DESCRIPTOR_PUBLIC;
    if (ns->worm)
        flags |= DESCRIPTOR_WORM;
    peer_put_u32(out, 1);
    peer_put_u8(out, (uint8_t)strlen(ns->name));
    peer_put_u8(out, (uint8_t)strlen(ns->password));
    peer_put_u64(out, ns->maxsize);
    peer_put_u8(out, flags);
    peer_put(out, ns->name, strlen(ns->name));
    peer_put(out, ns->password, strlen(ns->password));
}

bool peer_descriptor_read(const struct peer_bytes *bytes, struct peer_ns *ns)
{
    const uint8_t *at = bytes->at;
    if (bytes->size < PEER_DESCRIPTOR || peer_u32(at) != 1 || at[4] > PEER_NAME_MAX ||
        bytes->size < (size_t)PEER_DESCRIPTOR + at[4] + at[5] || !(at[14] & DESCRIPTOR_ALWAYS))
        return false;
    memcpy(ns->name, at + PEER_DESCRIPTOR, at[4]);
    ns->name[at[4]] = '\0';
    memcpy(ns->password, at + PEER_DESCRIPTOR + at[4], at[5]);
    ns->password[at[5]] = '\0';
    ns->maxsize = peer_u64(at + 6);
    ns->is_public = at[14] & DESCRIPTOR_PUBLIC;
    ns->worm = at[14] & DESCRIPTOR_WORM;
    return true;
}

bool peer_file_write(const char *path, const struct peer_bytes *bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    size_t done = 0;
    while (done < bytes->size) {
        ssize_t n = write(fd, bytes->at + done, bytes->size - done);
        if (n < 0)
            break;
        done += (size_t)n;
    }
    return close(fd) == 0 && done == bytes->size;
}

bool peer_file_read(const char *path, struct peer_bytes *out)
{
    uint8_t chunk[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n;
    peer_cut(out, 0);
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        peer_put(out, chunk, (size_t)n);
    (void)close(fd);
    return n == 0;
}

static bool make_dir(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool save_file(const struct peer_bytes *bytes, const char *dir, const char *ns, char letter,
                      uint32_t id)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s/%c%u", dir, ns, letter, id);
    return peer_file_write(path, bytes);
}

bool peer_save(const struct peer_ns *ns, const char *index_dir, const char *data_dir)
{
    char path[PATH_MAX];
    const char *dirs[] = {index_dir, data_dir};
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dirs[i], ns->name);
        if (!make_dir(dirs[i]) || !make_dir(path))
            return false;
    }
    struct peer_bytes descriptor = {0};
    peer_descriptor(ns, &descriptor);
    (void)snprintf(path, sizeof path, "%s/%s/zdb-namespace", index_dir, ns->name);
    bool saved = peer_file_write(path, &descriptor);
    peer_bytes_free(&descriptor);
    for (uint32_t i = 0; i < ns->n_files && saved; i++)
        saved = save_file(&ns->index[i], index_dir, ns->name, 'i', i) &&
                save_file(&ns->data[i], data_dir, ns->name, 'd', i);
    return saved;
}

static bool load_files(struct peer_ns *ns, const char *name, const char *index_dir,
                       const char *data_dir)
{
    char path[PATH_MAX];
    for (uint32_t i = 0; i < PEER_FILES_MAX; i++) {
        (void)snprintf(path, sizeof path, "%s/%s/i%u", index_dir, name, i);
        if (!peer_file_read(path, &ns->index[i]))
            return errno == ENOENT && i > 0;
        (void)snprintf(path, sizeof path, "%s/%s/d%u", data_dir, name, i);
        if (!peer_file_read(path, &ns->data[i]))
            return false;
        ns->n_files = i + 1;
    }
    return true;
}

bool peer_load(struct peer_ns *ns, const char *name, const char *index_dir, const char *data_dir)
{
    char path[PATH_MAX];
    *ns = (struct peer_ns){.style = PEER_EMBEDDED};
    if (!load_files(ns, name, index_dir, data_dir))
        return false;
    struct peer_bytes descriptor = {0};
    (void)snprintf(path, sizeof path, "%s/%s/zdb-namespace", index_dir, name);
    if (!peer_file_read(path, &descriptor))
        return false;
    bool right = peer_descriptor_read(&descriptor, ns) && strcmp(ns->name, name) == 0 &&
                 ns->index[0].size >= PEER_INDEX_HEADER && ns->index[0].at[28] <= PEER_SEQ;
    peer_bytes_free(&descriptor);
    if (!right) {
        errno = EBADMSG;
        return false;
    }
    ns->mode = ns->index[0].at[28];
    return true;
}
