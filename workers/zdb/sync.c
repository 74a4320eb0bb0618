/*
 * One batch at a time. The main thread fills it and hands it over; the thread only reads the
 * descriptors, which are pinned, and the marks, which are set aside; both are the main thread's
 * again when it has taken note of the end.
 */
#include "sync.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ITEM_FILES = 8 };

struct item {
    struct ns *ns;
    struct file *files[ITEM_FILES]; /* pinned */
    unsigned n_files;
    int rc, settle_rc;
};

enum phase { IDLE, RUNNING, SYNCED, SETTLED };

struct syncer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int event;
    enum phase phase; /* under the lock */
    enum phase told;  /* main thread: how far it has taken note */
    bool synced_news, settled_news;
    uint64_t n_done;
    bool stop;          /* under the lock */
    struct item *items; /* the thread's from RUNNING to SETTLED */
    size_t n_items, room;
};

/* --- one namespace --------------------------------------------------------------------------- */

/* The pairs from sync_from on. More than an item holds are synced at once: rotations that follow so
 * fast are rare. */
static int collect(struct ns *ns, struct item *item)
{
    *item = (struct item){.ns = ns};
    for (uint32_t i = ns->sync_from; i < ns->n_pairs; i++) {
        struct file *files[] = {&ns->pairs[i]->data, &ns->pairs[i]->index};
        for (unsigned f = 0; f < 2; f++) {
            int fd = file_fd(files[f]);
            if (fd < 0)
                return fd;
            if (item->n_files == ITEM_FILES) {
                int rc = io_sync(fd);
                if (rc < 0)
                    return rc;
                continue;
            }
            file_pin(files[f]);
            item->files[item->n_files++] = files[f];
        }
    }
    ns->settling = ns->marks;
    ns->marks = (struct marks){0};
    ns->sync_from = ns->n_pairs - 1;
    ns->unsynced = false;
    return 0;
}

static void sync_item(struct item *item)
{
    for (unsigned i = 0; i < item->n_files && item->rc == 0; i++)
        item->rc = io_sync(item->files[i]->fd);
}

static void settle_item(struct item *item)
{
    if (item->rc == 0)
        item->settle_rc =
            marks_apply(&item->ns->settling, item->ns->index_dir, item->ns->mode == FORMAT_SEQ);
}

static void fail_item(const struct item *item)
{
    char why[ERR_MESSAGE_MAX];
    (void)snprintf(why, sizeof why, "its files cannot be synced: %s", strerror(-item->rc));
    ns_count_error(item->ns, IO_DATA, item->rc);
    ns_doubt(item->ns, why);
}

/* The copy that a compaction makes may lack the marks that were made since it began. */
static void note_late(struct ns *ns)
{
    struct late_marks *late = ns->late;
    for (size_t i = 0; late && i < ns->settling.n_dead && !late->lost; i++) {
        const struct dead_mark *mark = &ns->settling.dead[i];
        if (mark->file != late->file)
            continue;
        late->lost = !marks_reserve(&late->marks);
        if (!late->lost)
            marks_add_dead(&late->marks, mark->file, mark->offset);
    }
}

/* Main thread again. */
static void end_item(struct item *item)
{
    struct ns *ns = item->ns;
    for (unsigned i = 0; i < item->n_files; i++)
        file_unpin(item->files[i]);
    ns->syncing = false;
    if (item->rc == 0) /* some are made even where not all could be */
        note_late(ns);
    if (item->rc == 0 && item->settle_rc == 0) {
        ns->settled++;
        marks_free(&ns->settling);
        return;
    }
    if (item->settle_rc < 0) {
        ns_count_error(ns, IO_INDEX, item->settle_rc);
        log_warning("the index cannot be marked; tried again later", "namespace", ns->name, "why",
                    strerror(-item->settle_rc));
    }
    if (marks_take_back(&ns->marks, &ns->settling))
        ns->unsynced = true;
}

int sync_now(struct ns *ns)
{
    struct item item = {0};
    int rc = ns_flush(ns);
    if (rc < 0)
        return rc;
    rc = collect(ns, &item);
    item.rc = rc;
    if (rc == 0)
        sync_item(&item);
    if (item.rc < 0)
        fail_item(&item);
    settle_item(&item);
    rc = item.rc;
    end_item(&item);
    return rc;
}

/* --- the thread ------------------------------------------------------------------------------ */

static void reach(struct syncer *syncer, enum phase phase)
{
    static const uint64_t one = 1;
    syncer->phase = phase;
    (void)pthread_cond_broadcast(&syncer->changed);
    (void)!write(syncer->event, &one, sizeof one);
}

static void *run(void *data)
{
    struct syncer *syncer = data;
    (void)pthread_mutex_lock(&syncer->lock);
    for (;;) {
        while (syncer->phase != RUNNING && !syncer->stop)
            (void)pthread_cond_wait(&syncer->changed, &syncer->lock);
        if (syncer->phase != RUNNING)
            break;
        (void)pthread_mutex_unlock(&syncer->lock);
        for (size_t i = 0; i < syncer->n_items; i++)
            sync_item(&syncer->items[i]);
        (void)pthread_mutex_lock(&syncer->lock);
        reach(syncer, SYNCED);
        (void)pthread_mutex_unlock(&syncer->lock);
        for (size_t i = 0; i < syncer->n_items; i++)
            settle_item(&syncer->items[i]);
        (void)pthread_mutex_lock(&syncer->lock);
        reach(syncer, SETTLED);
    }
    (void)pthread_mutex_unlock(&syncer->lock);
    return NULL;
}

struct syncer *syncer_new(int *out_event)
{
    struct syncer *syncer = calloc(1, sizeof *syncer);
    if (!syncer)
        return NULL;
    (void)pthread_mutex_init(&syncer->lock, NULL);
    (void)pthread_cond_init(&syncer->changed, NULL);
    syncer->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (syncer->event < 0 || pthread_create(&syncer->thread, NULL, run, syncer) != 0) {
        if (syncer->event >= 0)
            (void)close(syncer->event);
        free(syncer);
        return NULL;
    }
    *out_event = syncer->event;
    return syncer;
}

void syncer_free(struct syncer *syncer)
{
    if (!syncer)
        return;
    sync_wait(syncer);
    while (sync_poll(syncer) != SYNC_NOTHING)
        ;
    (void)pthread_mutex_lock(&syncer->lock);
    syncer->stop = true;
    (void)pthread_cond_broadcast(&syncer->changed);
    (void)pthread_mutex_unlock(&syncer->lock);
    (void)pthread_join(syncer->thread, NULL);
    (void)pthread_cond_destroy(&syncer->changed);
    (void)pthread_mutex_destroy(&syncer->lock);
    (void)close(syncer->event);
    free(syncer->items);
    free(syncer);
}

/* --- batches --------------------------------------------------------------------------------- */

static struct item *add_item(struct syncer *syncer)
{
    if (syncer->n_items == syncer->room) {
        size_t room = syncer->room ? 2 * syncer->room : 16;
        struct item *grown = realloc(syncer->items, room * sizeof *grown);
        if (!grown)
            return NULL;
        syncer->items = grown;
        syncer->room = room;
    }
    return &syncer->items[syncer->n_items++];
}

bool sync_begin(struct syncer *syncer, struct ns *list)
{
    if (sync_under_way(syncer))
        return false;
    syncer->n_items = 0;
    for (struct ns *ns = list; ns; ns = ns->next) {
        if (!ns->unsynced || ns->damaged)
            continue;
        struct item *item = add_item(syncer);
        if (!item) { /* then it takes its time here */
            (void)sync_now(ns);
            continue;
        }
        item->rc = collect(ns, item);
        ns->syncing = true;
    }
    if (syncer->n_items == 0)
        return false;
    (void)pthread_mutex_lock(&syncer->lock);
    syncer->phase = RUNNING;
    syncer->told = RUNNING;
    (void)pthread_cond_broadcast(&syncer->changed);
    (void)pthread_mutex_unlock(&syncer->lock);
    return true;
}

bool sync_under_way(const struct syncer *syncer)
{
    return syncer->told != IDLE || syncer->synced_news || syncer->settled_news;
}

uint64_t sync_count(const struct syncer *syncer)
{
    return syncer->n_done;
}

/* Takes note of what the thread has reached. */
static void advance(struct syncer *syncer)
{
    (void)pthread_mutex_lock(&syncer->lock);
    enum phase phase = syncer->phase;
    (void)pthread_mutex_unlock(&syncer->lock);
    if (syncer->told == RUNNING && phase >= SYNCED) {
        syncer->told = SYNCED;
        syncer->synced_news = true;
        for (size_t i = 0; i < syncer->n_items; i++)
            if (syncer->items[i].rc < 0)
                fail_item(&syncer->items[i]);
    }
    if (syncer->told == SYNCED && phase == SETTLED) {
        syncer->told = IDLE;
        syncer->settled_news = true;
        syncer->n_done++;
        for (size_t i = 0; i < syncer->n_items; i++)
            end_item(&syncer->items[i]);
    }
}

enum sync_news sync_poll(struct syncer *syncer)
{
    uint64_t drained;
    (void)!read(syncer->event, &drained, sizeof drained);
    advance(syncer);
    enum sync_news news = syncer->synced_news    ? SYNC_SYNCED
                          : syncer->settled_news ? SYNC_SETTLED
                                                 : SYNC_NOTHING;
    *(syncer->synced_news ? &syncer->synced_news : &syncer->settled_news) = false;
    return news;
}

void sync_wait(struct syncer *syncer)
{
    if (syncer->told == IDLE)
        return;
    (void)pthread_mutex_lock(&syncer->lock);
    while (syncer->phase == RUNNING || syncer->phase == SYNCED)
        (void)pthread_cond_wait(&syncer->changed, &syncer->lock);
    (void)pthread_mutex_unlock(&syncer->lock);
    advance(syncer);
}

int sync_settle(struct syncer *syncer, struct ns *ns)
{
    if (ns->syncing)
        sync_wait(syncer);
    return ns->damaged ? -EIO : sync_now(ns);
}
