/* The pairs of files of a namespace: how they are made, and how one follows the other. */
#include "ns.h"
#include "sync.h"

#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct pair *ns_add_pair(struct ns *ns)
{
    if (ns->n_pairs == NS_FILES_MAX)
        return NULL;
    if ((ns->n_pairs & (ns->n_pairs - 1)) == 0) { /* a power of two is full */
        size_t room = ns->n_pairs ? 2 * (size_t)ns->n_pairs : 1;
        struct pair **grown = realloc(ns->pairs, room * sizeof *grown);
        if (!grown)
            return NULL;
        ns->pairs = grown;
    }
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair)
        return NULL;
    pair->old_data = -1;
    file_init(&pair->data, ns->data_dir, 'd', ns->n_pairs);
    file_init(&pair->index, ns->index_dir, 'i', ns->n_pairs);
    ns->pairs[ns->n_pairs++] = pair;
    return pair;
}

void ns_data_header(uint32_t id, struct format_data_header *out)
{
    *out = (struct format_data_header){
        .magic = {'D', 'A', 'T', '0'}, .version = FORMAT_DATA_VERSION, .id = id};
}

void ns_index_header(const struct ns *ns, uint32_t id, struct format_index_header *out)
{
    *out = (struct format_index_header){.magic = {'I', 'D', 'X', '0'},
                                        .version = FORMAT_INDEX_VERSION,
                                        .id = id,
                                        .mode = (uint8_t)ns->mode};
}

static int create(struct file *file, const void *header, size_t size)
{
    int fd = step_around(file_create(file));
    if (fd < 0)
        return fd;
    int rc = io_allocate(fd, 0, size);
    if (rc < 0 && rc != -EOPNOTSUPP)
        return rc;
    rc = io_write(fd, file_kind(file), header, size, 0);
    return rc < 0 ? rc : io_sync(fd);
}

int ns_create_files(struct ns *ns, uint32_t id)
{
    struct pair *pair = ns->pairs[id];
    struct format_data_header data;
    struct format_index_header index;
    ns_data_header(id, &data);
    ns_index_header(ns, id, &index);
    int rc = create(&pair->data, &data, sizeof data);
    if (rc == 0)
        rc = create(&pair->index, &index, sizeof index);
    if (rc == 0 && (step_around(fsync(ns->data_dir)) < 0 || step_around(fsync(ns->index_dir)) < 0))
        rc = -errno;
    return rc;
}

void ns_activate(struct ns *ns, uint64_t data_size, uint64_t index_size)
{
    struct pair *pair = ns_active(ns);
    append_begin(&ns->data, &pair->data, data_size, NS_TOMBSTONES_RESERVE);
    append_begin(&ns->index, &pair->index, index_size, 0);
    ns->opened_at = (uint64_t)time(NULL);
    ns->written = false;
}

/* A pair that could not be made leaves no file behind, which the next start would take for one. */
static void drop_last_pair(struct ns *ns)
{
    struct pair *pair = ns_active(ns);
    char name[FILE_NAME_SIZE];
    file_close(&pair->data);
    file_close(&pair->index);
    (void)unlinkat(ns->index_dir, file_name(&pair->index, name), 0);
    (void)unlinkat(ns->data_dir, file_name(&pair->data, name), 0);
    free(pair);
    ns->n_pairs--;
}

/* What was allocated behind its end goes back. */
static void close_active(struct ns *ns, struct pair *pair)
{
    pair->data_size = append_offset(&ns->data);
    pair->index_size = append_offset(&ns->index);
    (void)io_truncate(file_fd(&pair->data), pair->data_size);
    (void)io_truncate(file_fd(&pair->index), pair->index_size);
}

/*
 * What must not be younger than the next pair. Where writes are promised to be durable, a power cut
 * must not take the end of this pair and leave the beginning of the next one: nobody could tell
 * what is missing. Nor where it has ids: the next pair's are counted from its first, and those that
 * are lost would be given again. Their marks are found again in the data of the last two pairs, so
 * none may be older.
 */
static int settle(struct ns *ns)
{
    bool waits = ns->config->durable || ns->mode == FORMAT_SEQ;
    if (!(waits && (ns->unsynced || ns->syncing)) && !ns->config->secure)
        return ns_flush(ns);
    int rc = sync_settle(ns->config->syncer, ns);
    if (rc == 0 && ns->mode == FORMAT_SEQ && !marks_empty(&ns->marks))
        rc = -EIO; /* they could not be made */
    return rc;
}

int ns_rotate(struct ns *ns)
{
    struct pair *old = ns_active(ns);
    uint64_t next_id = ns->mode == FORMAT_SEQ ? ns_next_id(ns) : 0;
    int rc = settle(ns);
    if (rc < 0)
        return rc;
    /* What the old pair does not need may be what the next one lacks. */
    close_active(ns, old);
    ns->data.allocated = ns->data.written;
    ns->index.allocated = ns->index.written;
    struct pair *pair = ns_add_pair(ns);
    if (!pair)
        return -ENOMEM;
    pair->first_id = next_id;
    rc = ns_create_files(ns, ns->n_pairs - 1);
    int fd = rc < 0 ? rc : file_fd(&pair->data);
    rc = fd < 0 ? fd : 0;
    if (rc == 0)
        rc = io_allocate(fd, FORMAT_DATA_HEADER, NS_TOMBSTONES_RESERVE);
    if (rc < 0 && rc != -EOPNOTSUPP) {
        drop_last_pair(ns);
        (void)append_allocate(&ns->data, 0, true); /* its reserve again, if it can be had */
        return rc;
    }
    ns_activate(ns, FORMAT_DATA_HEADER, FORMAT_INDEX_HEADER);
    ns->sealed = false;
    if (rc == 0)
        ns->data.allocated = FORMAT_DATA_HEADER + NS_TOMBSTONES_RESERVE;
    pair->dirty = true;
    ns->unsynced = true;
    if (ns->config->rotated)
        ns->config->rotated(ns, ns->config->rotated_data);
    return 0;
}

int ns_flush(struct ns *ns)
{
    if (ns->data.used == 0 && ns->index.used == 0)
        return 0;
    int rc = append_flush(&ns->data);
    if (rc < 0) {
        ns_count_error(ns, IO_DATA, rc);
        return rc;
    }
    rc = append_flush(&ns->index);
    if (rc < 0)
        ns_count_error(ns, IO_INDEX, rc);
    return rc;
}

void ns_count_error(struct ns *ns, enum io_kind kind, int rc)
{
    struct ns_errors *errors = kind == IO_DATA ? &ns->data_errors : &ns->index_errors;
    if (io_is_full(rc))
        return;
    if (rc == -ENODATA || rc == -EBADMSG)
        errors->faults++;
    else
        errors->io_errors++;
    errors->last = (uint64_t)time(NULL);
}
