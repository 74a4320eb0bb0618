/* What is looked at before the entries are: which files there are, their headers, and the mode. */
#include "load_private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/step.h"
#include "sync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* --- shared by both modes -------------------------------------------------------------------- */

int load_io(struct load *load, const struct file *file, int rc, const char *what)
{
    char name[FILE_NAME_SIZE];
    if (rc >= 0)
        return 0;
    return err_errno(load->err, -rc, load->ns->name, "cannot %s %s", what, file_name(file, name));
}

int load_sizes(struct load *load, uint32_t id, uint64_t *out_data, uint64_t *out_index)
{
    struct pair *pair = load->ns->pairs[id];
    *out_data = *out_index = 0;
    int fd = file_fd(&pair->index);
    int rc = fd < 0 ? fd : io_size(fd, out_index);
    if (rc < 0)
        return load_io(load, &pair->index, rc, "open");
    if (pair->missing)
        return 0;
    fd = file_fd(&pair->data);
    rc = fd < 0 ? fd : io_size(fd, out_data);
    return load_io(load, &pair->data, rc, "open");
}

static void tell_cut(const struct load *load, const struct file *file, uint64_t from, uint64_t size,
                     const char *why)
{
    char name[FILE_NAME_SIZE];
    log_warning("a file is repaired", "namespace", load->ns->name, "file", file_name(file, name),
                "why", why, "kept_bytes", log_u64(from), "cut_bytes", log_u64(size - from));
}

static int cut_data(struct load *load, uint32_t id, uint64_t offset, uint64_t *size)
{
    struct file *file = &load->ns->pairs[id]->data;
    if (id + 1 < load->ns->n_pairs) {
        log_warning("the end of a data file cannot be read", "namespace", load->ns->name, "file_id",
                    log_u64(id), "offset", log_u64(offset));
        return 0;
    }
    tell_cut(load, file, offset, *size, "its end is no whole entry");
    int fd = file_fd(file);
    int rc = fd < 0 ? fd : io_truncate(fd, offset);
    *size = offset;
    return load_io(load, file, rc, "cut");
}

enum walk_result load_skip_broken(struct load *load, uint32_t id, struct walk *walk, uint64_t *size)
{
    struct ns *ns = load->ns;
    uint64_t broken = walk->offset;
    enum walk_result result = walk_resume(walk);
    if (result == WALK_END)
        return cut_data(load, id, broken, size) < 0 ? WALK_FAILED : result;
    if (result == WALK_FAILED) {
        (void)load_io(load, &ns->pairs[id]->data, walk->rc, "read");
        return result;
    }
    log_warning("a damaged part of the data is left out", "namespace", ns->name, "file_id",
                log_u64(id), "offset", log_u64(broken), "bytes", log_u64(walk->offset - broken));
    load_seal(load, id);
    return result;
}

void load_seal(struct load *load, uint32_t id)
{
    load->ns->sealed = load->ns->sealed || id + 1 == load->ns->n_pairs;
}

int load_cut_index(struct load *load, uint32_t id, uint64_t offset, const char *why)
{
    struct file *file = &load->ns->pairs[id]->index;
    uint64_t size = offset;
    int fd = file_fd(file);
    int rc = fd < 0 ? fd : io_size(fd, &size);
    if (rc == 0 && size > offset) {
        tell_cut(load, file, offset, size, why);
        rc = io_truncate(fd, offset);
    }
    return load_io(load, file, rc, "cut");
}

int load_add_begin(struct load *load, uint32_t id, uint64_t size)
{
    append_begin(&load->index, &load->ns->pairs[id]->index, size, 0);
    load->replayed = true;
    load->ns->pairs[id]->dirty = true;
    return 0;
}

int load_add(struct load *load, const struct format_index_entry *head, const uint8_t *key)
{
    struct iovec parts[] = {{(void *)(uintptr_t)head, sizeof *head},
                            {(void *)(uintptr_t)key, head->key_size}};
    int rc = append_allocate(&load->index, sizeof *head + head->key_size, false);
    if (rc == 0)
        rc = append_put(&load->index, parts, 2);
    return load_io(load, load->index.file, rc, "add to");
}

int load_add_end(struct load *load)
{
    int rc = append_flush(&load->index);
    rc = load_io(load, load->index.file, rc, "add to");
    append_end(&load->index);
    return rc;
}

int load_rewrite(struct load *load, uint32_t id, uint32_t offset,
                 const struct format_index_entry *head)
{
    struct file *file = &load->ns->pairs[id]->index;
    int rc = load->index.file == file ? append_flush(&load->index) : 0;
    int fd = rc < 0 ? rc : file_fd(file);
    rc = fd < 0 ? fd : io_write(fd, IO_INDEX, head, sizeof *head, offset);
    load->ns->pairs[id]->dirty = true;
    return load_io(load, file, rc, "write");
}

int load_mark_dead(struct load *load, uint32_t id, uint32_t offset)
{
    static const uint8_t dead = FORMAT_DEAD;
    struct file *file = &load->ns->pairs[id]->index;
    uint64_t at = offset + offsetof(struct format_index_entry, flags);
    if (load->index.file == file && at >= load->index.written) {
        load->index.buffer[at - load->index.written] |= FORMAT_DEAD;
        return 0;
    }
    int fd = file_fd(file);
    int rc = fd < 0 ? fd : io_write(fd, IO_INDEX, &dead, 1, at);
    load->ns->pairs[id]->dirty = true;
    return load_io(load, file, rc, "write");
}

/* --- which files there are ------------------------------------------------------------------- */

static bool exists(int dir, char letter, uint32_t id)
{
    struct file file;
    struct stat status;
    char name[FILE_NAME_SIZE];
    file_init(&file, dir, letter, id);
    return fstatat(dir, file_name(&file, name), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A file that stands behind a gap: what was in between is lost, and must not be taken for new. */
static bool find_stray(int dir, char letter, uint32_t n_pairs, char out_name[FILE_NAME_SIZE])
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    for (const struct dirent *entry; stream && (entry = readdir(stream));) {
        uint32_t id;
        char end;
        if (entry->d_name[0] != letter || sscanf(entry->d_name + 1, "%u%c", &id, &end) != 1 ||
            id < n_pairs)
            continue;
        (void)snprintf(out_name, FILE_NAME_SIZE, "%.15s", entry->d_name);
        return true;
    }
    return false;
}

/* What a compaction that was cut off has made takes room, and is of no use. */
static void remove_unfinished(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    for (const struct dirent *entry; stream && (entry = readdir(stream));) {
        size_t size = strlen(entry->d_name), suffix = strlen(COMPACT_SUFFIX);
        if (size > suffix && strcmp(entry->d_name + size - suffix, COMPACT_SUFFIX) == 0)
            (void)step_around(unlinkat(dir, entry->d_name, 0));
    }
}

static int find_pairs(struct load *load)
{
    struct ns *ns = load->ns;
    char stray[FILE_NAME_SIZE];
    remove_unfinished(ns->data_dir);
    remove_unfinished(ns->index_dir);
    while (exists(ns->data_dir, 'd', ns->n_pairs) || exists(ns->index_dir, 'i', ns->n_pairs))
        if (!ns_add_pair(ns))
            return err_errno(load->err, ENOMEM, ns->name, "cannot load the namespace");
    if (find_stray(ns->data_dir, 'd', ns->n_pairs, stray) ||
        find_stray(ns->index_dir, 'i', ns->n_pairs, stray))
        return err_set(load->err, ERR_DATA_LOSS, 0, ns->name,
                       "files of the namespace are missing: there is %s, but neither d%u nor i%u",
                       stray, ns->n_pairs, ns->n_pairs);
    return 0;
}

/* --- headers --------------------------------------------------------------------------------- */

/* Writes what should stand at the front of a file, if it does not. */
static int mend_header(struct load *load, struct file *file, const void *header, size_t size)
{
    uint8_t now[sizeof(struct format_index_header)];
    char name[FILE_NAME_SIZE];
    int fd = file_create(file);
    int rc = fd < 0 ? fd : io_read(fd, file_kind(file), now, size, 0);
    if (rc == 0 && memcmp(now, header, size) == 0)
        return 0;
    if (rc == 0 || rc == -ENODATA) {
        log_warning("a header is written anew", "namespace", load->ns->name, "file",
                    file_name(file, name));
        rc = io_write(fd, file_kind(file), header, size, 0);
    }
    return load_io(load, file, rc, "open");
}

/* A data file that is not there, or too short for its header: fine where nothing was in it. */
static int check_data_file(struct load *load, uint32_t id)
{
    struct ns *ns = load->ns;
    struct pair *pair = ns->pairs[id];
    uint64_t data_size = 0, index_size = 0;
    int fd = file_fd(&pair->data);
    if (fd >= 0)
        (void)io_size(fd, &data_size);
    if (data_size >= FORMAT_DATA_HEADER)
        return 0;
    fd = file_fd(&pair->index);
    if (fd >= 0)
        (void)io_size(fd, &index_size);
    if (index_size <= FORMAT_INDEX_HEADER)
        return 0;
    if (id + 1 == ns->n_pairs)
        return err_set(load->err, ERR_DATA_LOSS, 0, ns->name,
                       "the data file d%u is missing or empty, and its index is not: put it back, "
                       "or remove i%u as well",
                       id, id);
    log_error("a data file is missing; its keys cannot be read", "namespace", ns->name, "file_id",
              log_u64(id));
    pair->missing = true;
    return 0;
}

static int check_headers(struct load *load)
{
    struct ns *ns = load->ns;
    int found = load_mode(load, &ns->mode);
    if (found < 0)
        return found;
    if (!ns->config->mixed && ns->mode != ns->config->mode)
        return err_set(load->err, ERR_FAILED_PRECONDITION, 0, ns->name,
                       "the namespace is of %s mode, and the server is told to use the other one",
                       ns->mode == FORMAT_SEQ ? "sequential" : "user");
    for (uint32_t i = 0; i < ns->n_pairs; i++) {
        struct format_data_header data;
        struct format_index_header index;
        ns_data_header(i, &data);
        ns_index_header(ns, i, &index);
        int rc = check_data_file(load, i);
        if (rc == 0 && !ns->pairs[i]->missing)
            rc = mend_header(load, &ns->pairs[i]->data, &data, sizeof data);
        if (rc == 0)
            rc = mend_header(load, &ns->pairs[i]->index, &index, sizeof index);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- loading --------------------------------------------------------------------------------- */

static int on_each_file(struct load *load, int (*act)(int fd), const char *what)
{
    struct ns *ns = load->ns;
    int rc = 0;
    for (uint32_t i = 0; i < ns->n_pairs; i++) {
        struct file *files[] = {&ns->pairs[i]->data, &ns->pairs[i]->index};
        for (unsigned f = 0; f < 2 && rc == 0; f++) {
            int fd = file_fd(files[f]);
            rc = fd < 0 ? 0 : load_io(load, files[f], act(fd), what);
        }
    }
    return rc;
}

/*
 * After a sync that failed pages may be clean that are not on the disk: what is read next comes
 * from there. And what a server before left in the kernel's memory goes to the disk: the load marks
 * what it replaces, and those marks must not be there without it.
 */
static int settle_files(struct load *load)
{
    int rc = load->ns->doubtful ? on_each_file(load, io_forget, "read") : 0;
    return rc < 0 ? rc : on_each_file(load, io_sync, "sync");
}

static int create(struct load *load)
{
    struct ns *ns = load->ns;
    ns->mode = ns->config->mode;
    int rc = ns_add_pair(ns) ? ns_create_files(ns, 0) : -ENOMEM;
    if (rc < 0)
        return err_errno(load->err, -rc, ns->name, "cannot create the namespace's files");
    return 0;
}

static int load_once(struct load *load)
{
    struct ns *ns = load->ns;
    int rc = ns_go_on_emptying(ns);
    if (rc < 0)
        return err_errno(load->err, -rc, ns->name, "cannot go on with emptying it");
    rc = find_pairs(load);
    if (rc == 0)
        rc = settle_files(load);
    bool made = ns->n_pairs == 0;
    if (rc == 0)
        rc = made ? create(load) : check_headers(load);
    if (rc == 0)
        rc = ns->mode == FORMAT_SEQ ? load_sequential(load) : load_user(load);
    append_end(&load->index);
    if (rc != 0)
        return rc;
    struct pair *active = ns_active(ns);
    ns_activate(ns, active->data_size, active->index_size);
    /* It may stand in the kernel's memory alone, and whoever reads it takes it for written. */
    ns->sync_from = 0;
    rc = made ? 0 : sync_now(ns); /* what was made is synced */
    if (rc == 0 && !made &&
        (step_around(fsync(ns->data_dir)) < 0 || step_around(fsync(ns->index_dir)) < 0))
        rc = -errno;
    if (rc < 0)
        return err_errno(load->err, -rc, ns->name, "cannot sync what was loaded");
    ns->doubtful = false;
    return 0;
}

int load_namespace(struct ns *ns, struct err *err)
{
    static const struct load turns[] = {{0}, {.careful = true}, {.anew = true}};
    for (size_t turn = 0; turn < array_length(turns); turn++) {
        struct load load = turns[turn];
        load.ns = ns;
        load.err = err;
        int rc = load_once(&load);
        if (rc != LOAD_AGAIN)
            return rc;
        log_warning("the index does not fit the data; the namespace is loaded again", "namespace",
                    ns->name, "how",
                    turn == 0 ? "holding each entry against its data"
                              : "making the index again from the data");
        ns_unload(ns);
    }
    return err_set(err, ERR_DATA_LOSS, 0, ns->name,
                   "neither index nor data of the namespace can be understood");
}
