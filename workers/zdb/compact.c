/*
 * One pair at a time. The thread makes the new files (compact_copy.h); the main thread puts them in
 * place: what was marked meanwhile is marked in the new index, then both are renamed over the old
 * ones, data first. Wherever that ends, a load finds data that is whole, and makes an index that
 * does not fit again from it. The keys are moved over a few at a time, and those that are not yet
 * are read from the old file, which is open until the last is.
 */
#include "compact.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/step.h"
#include "compact_copy.h"
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum {
    LOOK_EVERY_MS = 1000,
    KEPT_PART = 10,        /* of the data has to die until it is tried again by itself */
    DEAD_LEAST = 64 << 10, /* bytes; less is not worth it, unless somebody asks */
    MOVE_AT_ONCE = 512,    /* keys in one turn */
    NAME_SIZE = FILE_NAME_SIZE + sizeof COMPACT_SUFFIX,
};

enum stage {
    IDLE,
    COPYING, /* the thread has it */
    COPIED,
    MOVING,
};

struct compactor {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int event;
    enum stage stage; /* under the lock */
    bool stop;        /* under the lock */
    struct ns *ns;    /* main thread */
    struct compact_copy copy;
    struct late_marks late;
    struct reader reader; /* MOVING */
    uint32_t percent;
    uint64_t look_at_ms;
    bool asked;
    uint64_t done, failed, freed_bytes;
};

static enum stage stage_of(struct compactor *compactor)
{
    (void)pthread_mutex_lock(&compactor->lock);
    enum stage stage = compactor->stage;
    (void)pthread_mutex_unlock(&compactor->lock);
    return stage;
}

static void set_stage(struct compactor *compactor, enum stage stage)
{
    (void)pthread_mutex_lock(&compactor->lock);
    compactor->stage = stage;
    (void)pthread_cond_broadcast(&compactor->changed);
    (void)pthread_mutex_unlock(&compactor->lock);
}

static void ring(struct compactor *compactor)
{
    static const uint64_t one = 1;
    (void)!write(compactor->event, &one, sizeof one);
}

static void *run(void *data)
{
    struct compactor *compactor = data;
    for (;;) {
        (void)pthread_mutex_lock(&compactor->lock);
        while (compactor->stage != COPYING && !compactor->stop)
            (void)pthread_cond_wait(&compactor->changed, &compactor->lock);
        bool stop = compactor->stage != COPYING;
        (void)pthread_mutex_unlock(&compactor->lock);
        if (stop)
            return NULL;
        (compactor->copy.mode == FORMAT_SEQ ? compact_punch_sequential
                                            : compact_copy_user)(&compactor->copy);
        set_stage(compactor, COPIED);
        ring(compactor);
    }
}

struct compactor *compact_new(uint32_t percent, int *out_event)
{
    struct compactor *compactor = calloc(1, sizeof *compactor);
    if (!compactor)
        return NULL;
    compactor->percent = percent;
    (void)pthread_mutex_init(&compactor->lock, NULL);
    (void)pthread_cond_init(&compactor->changed, NULL);
    compactor->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (compactor->event < 0 || pthread_create(&compactor->thread, NULL, run, compactor) != 0) {
        cleanup_fd(&compactor->event);
        free(compactor);
        return NULL;
    }
    *out_event = compactor->event;
    return compactor;
}

void compact_free(struct compactor *compactor)
{
    if (!compactor)
        return;
    compact_cancel(compactor, compactor->ns);
    (void)pthread_mutex_lock(&compactor->lock);
    compactor->stop = true;
    (void)pthread_cond_broadcast(&compactor->changed);
    (void)pthread_mutex_unlock(&compactor->lock);
    (void)pthread_join(compactor->thread, NULL);
    (void)pthread_cond_destroy(&compactor->changed);
    (void)pthread_mutex_destroy(&compactor->lock);
    (void)close(compactor->event);
    free(compactor);
}

/* --- begin ----------------------------------------------------------------------------------- */

static uint64_t *copy_first_ids(const struct ns *ns)
{
    uint64_t *ids = calloc(ns->n_pairs, sizeof *ids);
    for (uint32_t i = 0; ids && i < ns->n_pairs; i++)
        ids[i] = ns->pairs[i]->first_id;
    return ids;
}

static void forget(struct compactor *compactor)
{
    struct compact_copy *copy = &compactor->copy;
    cleanup_fd(&copy->data_dir);
    cleanup_fd(&copy->index_dir);
    free(copy->first_ids);
    marks_free(&compactor->late.marks);
    if (compactor->ns)
        compactor->ns->late = NULL;
    compactor->ns = NULL;
    set_stage(compactor, IDLE);
}

static void begin(struct compactor *compactor, struct ns *ns, uint32_t id)
{
    struct compact_copy *copy = &compactor->copy;
    memset(copy, 0, sizeof *copy);
    copy->data_dir = fcntl(ns->data_dir, F_DUPFD_CLOEXEC, 3);
    copy->index_dir = fcntl(ns->index_dir, F_DUPFD_CLOEXEC, 3);
    copy->id = id;
    copy->mode = ns->mode;
    copy->n_pairs = ns->n_pairs;
    copy->first_ids = copy_first_ids(ns);
    compactor->late = (struct late_marks){.file = id};
    compactor->ns = ns;
    ns->late = &compactor->late;

    if (copy->data_dir < 0 || copy->index_dir < 0 || !copy->first_ids)
        forget(compactor);
    else
        set_stage(compactor, COPYING);
}

static bool is_worth_it(const struct compactor *compactor, const struct ns *ns,
                        const struct pair *pair)
{
    if (pair->missing || pair->dead_bytes == 0)
        return false;
    if (pair->data.id >= ns->compact_next)
        return true;
    return compactor->percent > 0 && pair->dead_bytes >= DEAD_LEAST &&
           pair->dead_bytes > pair->dead_kept &&
           pair->dead_bytes >= pair->data_size / 100 * compactor->percent;
}

static bool is_ready(const struct ns *ns)
{
    return !ns->damaged && ns->settled >= ns->compact_after;
}

static void look(struct compactor *compactor, struct ns *list)
{
    compactor->asked = false;
    for (struct ns *ns = list; ns; ns = ns->next)
        for (uint32_t i = 0; is_ready(ns) && i + 1 < ns->n_pairs; i++)
            if (is_worth_it(compactor, ns, ns->pairs[i])) {
                if (i >= ns->compact_next)
                    ns->compact_next = i + 1;
                begin(compactor, ns, i);
                return;
            }
    for (struct ns *ns = list; ns; ns = ns->next)
        if (is_ready(ns))
            ns->compact_next = COMPACT_NOT_ASKED;
}

void compact_ask(struct compactor *compactor, struct ns *ns)
{
    ns->compact_next = 0;
    ns->compact_after = ns->settled + (ns->syncing ? 2 : ns->unsynced ? 1 : 0);
    compactor->asked = true;
}

/* --- putting in place ------------------------------------------------------------------------ */

static void name_files(const struct compactor *compactor, char letter, char now[NAME_SIZE],
                       char made[NAME_SIZE])
{
    (void)snprintf(now, NAME_SIZE, "%c%u", letter, compactor->copy.id);
    (void)snprintf(made, NAME_SIZE, "%c%u%s", letter, compactor->copy.id, COMPACT_SUFFIX);
}

static void remove_made(const struct compactor *compactor)
{
    char now[NAME_SIZE], made[NAME_SIZE];
    name_files(compactor, 'd', now, made);
    (void)unlinkat(compactor->copy.data_dir, made, 0);
    name_files(compactor, 'i', now, made);
    (void)unlinkat(compactor->copy.index_dir, made, 0);
}

static int mark_late(struct compactor *compactor)
{
    char now[NAME_SIZE], made[NAME_SIZE];
    struct marks *marks = &compactor->late.marks;
    name_files(compactor, 'i', now, made);
    autoclose int fd = openat(compactor->copy.index_dir, made, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    int rc = fd < 0 ? -errno : marks_apply_dead(marks, fd);
    return rc == 0 && marks->n_dead > 0 ? io_sync(fd) : rc;
}

static int rename_made(const struct compactor *compactor, char letter, int dir)
{
    char now[NAME_SIZE], made[NAME_SIZE];
    name_files(compactor, letter, now, made);
    return step_around(renameat(dir, made, dir, now)) < 0 ? -errno : 0;
}

/* The first entry behind the pair names the last one in it. */
static int mend_chain(struct compactor *compactor)
{
    struct ns *ns = compactor->ns;
    uint32_t last = compactor->copy.last_offset;
    for (uint32_t i = compactor->copy.id + 1; i < ns->n_pairs; i++) {
        if (ns_data_size(ns, i) == FORMAT_DATA_HEADER)
            continue;
        int fd = ns->pairs[i]->missing ? -1 : file_fd(&ns->pairs[i]->data);
        return fd < 0 ? 0
                      : io_write(fd, IO_DATA, &last, sizeof last,
                                 FORMAT_DATA_HEADER + offsetof(struct format_data_entry, previous));
    }
    ns->last_data = last;
    return 0;
}

/* The old data stays open until the last key is moved. */
static int replace_data(struct compactor *compactor)
{
    struct compact_copy *copy = &compactor->copy;
    struct pair *pair = compactor->ns->pairs[copy->id];
    int fd = file_fd(&pair->data);
    int old = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (old < 0)
        return fd < 0 ? fd : -errno;
    int rc = rename_made(compactor, 'd', copy->data_dir);
    if (rc < 0) {
        (void)close(old);
        return rc;
    }
    pair->old_data = old;
    pair->moved_to = FORMAT_INDEX_HEADER;
    file_close(&pair->data);
    file_close(&pair->index);
    pair->data_size = copy->new_size;
    pair->dirty = true;
    return 0;
}

static int replace_index(struct compactor *compactor)
{
    struct compact_copy *copy = &compactor->copy;
    struct pair *pair = compactor->ns->pairs[copy->id];
    if (step_around(fsync(copy->data_dir)) < 0)
        return -errno;
    int rc = rename_made(compactor, 'i', copy->index_dir);
    if (rc == 0 && step_around(fsync(copy->index_dir)) < 0)
        rc = -errno;
    if (rc == 0)
        rc = ns_flush(compactor->ns);
    if (rc == 0)
        rc = copy->has_last ? mend_chain(compactor) : 0;
    int fd = rc < 0 ? rc : file_fd(&pair->index);
    if (fd < 0)
        return fd;
    file_pin(&pair->index);
    compactor->reader.fd = fd;
    return 0;
}

/* A failure leaves all as it was, or the new data in place: then old_data says so. */
static int put_in_place(struct compactor *compactor)
{
    struct pair *pair = compactor->ns->pairs[compactor->copy.id];
    int rc = mark_late(compactor);
    if (rc == 0) /* memory first: behind the renames nothing may lack it */
        rc = reader_begin(&compactor->reader, -1, pair->index_size, FORMAT_INDEX_HEADER);
    if (rc < 0)
        return rc;
    rc = replace_data(compactor);
    if (rc == 0)
        rc = replace_index(compactor);
    if (rc < 0)
        reader_end(&compactor->reader);
    return rc;
}

/* Some more has to die before it is tried again by itself. */
static void keep(struct compactor *compactor)
{
    struct pair *pair = compactor->ns->pairs[compactor->copy.id];
    pair->dead_kept = pair->dead_bytes + pair->data_size / KEPT_PART;
}

static void finish(struct compactor *compactor)
{
    struct compact_copy *copy = &compactor->copy;
    uint64_t freed = copy->data_size > copy->new_size ? copy->data_size - copy->new_size : 0;
    struct pair *pair = compactor->ns->pairs[copy->id];
    compactor->done++;
    compactor->freed_bytes += freed;
    pair->dead_bytes -= pair->dead_bytes < freed ? pair->dead_bytes : freed;
    keep(compactor);
    log_info("compacted", "namespace", compactor->ns->name, "file_id", log_u64(copy->id),
             "freed_bytes", log_u64(freed), "size_bytes", log_u64(copy->new_size));
    forget(compactor);
}

static void give_up(struct compactor *compactor, int rc)
{
    compactor->failed++;
    if (rc != -ECANCELED)
        log_warning("a data file cannot be compacted", "namespace", compactor->ns->name, "file_id",
                    log_u64(compactor->copy.id), "why", strerror(-rc));
    remove_made(compactor);
    keep(compactor); /* it may fail again */
    forget(compactor);
}

/* Between the two renames the disk has what memory has not: it is loaded from there. */
static void fail_namespace(struct compactor *compactor, int rc)
{
    char why[128];
    (void)snprintf(why, sizeof why, "a compaction could not be ended: %s", strerror(-rc));
    ns_doubt(compactor->ns, why);
    compactor->failed++;
    forget(compactor);
}

static void end_copy(struct compactor *compactor)
{
    struct ns *ns = compactor->ns;
    int rc = compactor->copy.rc;
    if (rc == 0 && compactor->late.lost)
        rc = -ENOMEM;
    if (rc < 0) {
        give_up(compactor, rc);
        return;
    }
    if (compactor->copy.mode == FORMAT_SEQ) {
        finish(compactor);
        return;
    }
    if (ns->syncing)
        return; /* its thread may mark the old index: later */
    rc = put_in_place(compactor);
    if (rc == 0)
        set_stage(compactor, MOVING);
    else if (ns->pairs[compactor->copy.id]->old_data < 0)
        give_up(compactor, rc);
    else
        fail_namespace(compactor, rc);
}

/* --- moving the keys ------------------------------------------------------------------------- */

static void end_moving(struct compactor *compactor)
{
    struct pair *pair = compactor->ns->pairs[compactor->copy.id];
    file_unpin(&pair->index);
    reader_end(&compactor->reader);
    cleanup_fd(&pair->old_data);
    pair->old_data = -1;
}

static void move_keys(struct compactor *compactor)
{
    struct ns *ns = compactor->ns;
    struct pair *pair = ns->pairs[compactor->copy.id];
    struct reader_entry entry;
    for (unsigned n = 0; n < MOVE_AT_ONCE; n++) {
        if (!reader_next(&compactor->reader, &entry)) {
            int rc = compactor->reader.offset == compactor->reader.size ? 0 : -EIO;
            end_moving(compactor);
            if (rc == 0)
                finish(compactor);
            else
                fail_namespace(compactor, rc);
            return;
        }
        struct key_record *record = keys_find(ns->keys, entry.key, entry.head.key_size);
        if (record && record->file == compactor->copy.id && record->index_offset == entry.offset)
            record->data_offset = entry.head.data_offset;
        pair->moved_to = compactor->reader.offset;
    }
    ring(compactor); /* the rest in the next turn */
}

/* --- the interface --------------------------------------------------------------------------- */

void compact_poll(struct compactor *compactor, struct ns *list, uint64_t now_ms)
{
    uint64_t drained;
    enum stage stage = stage_of(compactor);
    if (stage == COPYING || (stage == IDLE && !compactor->asked && now_ms < compactor->look_at_ms))
        return;
    (void)!read(compactor->event, &drained, sizeof drained);
    if (stage == COPIED)
        end_copy(compactor);
    else if (stage == MOVING)
        move_keys(compactor);
    if (stage_of(compactor) == IDLE) {
        compactor->look_at_ms = now_ms + LOOK_EVERY_MS;
        look(compactor, list);
    }
}

void compact_cancel(struct compactor *compactor, struct ns *ns)
{
    if (!ns || compactor->ns != ns)
        return;
    compactor->copy.cancel = true;
    (void)pthread_mutex_lock(&compactor->lock);
    while (compactor->stage == COPYING)
        (void)pthread_cond_wait(&compactor->changed, &compactor->lock);
    (void)pthread_mutex_unlock(&compactor->lock);
    if (stage_of(compactor) == MOVING) {
        end_moving(compactor); /* its keys in memory are of no use any more */
        forget(compactor);
    } else {
        give_up(compactor, -ECANCELED);
    }
}

void compact_print(const struct compactor *compactor, FILE *text)
{
    const struct compact_copy *copy = &compactor->copy;
    fprintf(text, "\n# compaction\ncompaction_running: %s\n", compactor->ns ? "yes" : "no");
    if (compactor->ns)
        fprintf(text,
                "compaction_namespace: %s\ncompaction_file: %u\ncompaction_done_bytes: %ju\n"
                "compaction_total_bytes: %ju\n",
                compactor->ns->name, copy->id, (uintmax_t)copy->done_bytes,
                (uintmax_t)compactor->ns->pairs[copy->id]->data_size);
    fprintf(text, "compactions_done: %ju\ncompactions_failed: %ju\ncompaction_freed_bytes: %ju\n",
            (uintmax_t)compactor->done, (uintmax_t)compactor->failed,
            (uintmax_t)compactor->freed_bytes);
}
