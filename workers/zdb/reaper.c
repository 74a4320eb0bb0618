/* A list of names: the main thread adds at its end, the thread takes from its front. */
#include "reaper.h"

#include "base/log.h"
#include "ns.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct removal {
    struct removal *next;
    bool gone; /* what emptying has left, and no more */
    char name[FORMAT_NAME_MAX + 1];
};

struct reaper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int data_root, index_root;
    struct removal *first, **end; /* under the lock */
    uint64_t n_left;              /* under the lock */
    atomic_bool stop;             /* changed under the lock */
};

static void clear_away(const struct reaper *reaper, const struct removal *removal)
{
    int rc = (removal->gone ? ns_clear_gone : ns_clear_away)(reaper->data_root, reaper->index_root,
                                                             removal->name, &reaper->stop);
    if (rc < 0 && rc != -ECANCELED)
        log_error("what was removed cannot be cleared away; the next start tries again",
                  "directory", removal->name, "why", strerror(-rc));
}

static void *run(void *data)
{
    struct reaper *reaper = data;
    (void)pthread_mutex_lock(&reaper->lock);
    for (;;) {
        while (!reaper->first && !reaper->stop)
            (void)pthread_cond_wait(&reaper->changed, &reaper->lock);
        if (reaper->stop)
            break;
        struct removal *removal = reaper->first;
        reaper->first = removal->next;
        if (!reaper->first)
            reaper->end = &reaper->first;
        (void)pthread_mutex_unlock(&reaper->lock);
        clear_away(reaper, removal);
        free(removal);
        (void)pthread_mutex_lock(&reaper->lock);
        reaper->n_left--;
    }
    (void)pthread_mutex_unlock(&reaper->lock);
    return NULL;
}

struct reaper *reaper_new(int data_root, int index_root)
{
    struct reaper *reaper = calloc(1, sizeof *reaper);
    if (!reaper)
        return NULL;
    reaper->data_root = data_root;
    reaper->index_root = index_root;
    reaper->end = &reaper->first;
    (void)pthread_mutex_init(&reaper->lock, NULL);
    (void)pthread_cond_init(&reaper->changed, NULL);
    if (pthread_create(&reaper->thread, NULL, run, reaper) != 0) {
        free(reaper);
        return NULL;
    }
    return reaper;
}

void reaper_free(struct reaper *reaper)
{
    if (!reaper)
        return;
    (void)pthread_mutex_lock(&reaper->lock);
    reaper->stop = true;
    (void)pthread_cond_broadcast(&reaper->changed);
    (void)pthread_mutex_unlock(&reaper->lock);
    (void)pthread_join(reaper->thread, NULL);
    for (struct removal *removal = reaper->first, *next; removal; removal = next) {
        next = removal->next;
        free(removal);
    }
    (void)pthread_cond_destroy(&reaper->changed);
    (void)pthread_mutex_destroy(&reaper->lock);
    free(reaper);
}

static int add(struct reaper *reaper, const char *name, bool gone)
{
    struct removal *removal = calloc(1, sizeof *removal);
    if (!removal)
        return -ENOMEM;
    removal->gone = gone;
    (void)snprintf(removal->name, sizeof removal->name, "%s", name);
    (void)pthread_mutex_lock(&reaper->lock);
    *reaper->end = removal;
    reaper->end = &removal->next;
    reaper->n_left++;
    (void)pthread_cond_broadcast(&reaper->changed);
    (void)pthread_mutex_unlock(&reaper->lock);
    return 0;
}

int reaper_add(struct reaper *reaper, const char *name)
{
    return add(reaper, name, false);
}

int reaper_add_gone(struct reaper *reaper, const char *name)
{
    return add(reaper, name, true);
}

uint64_t reaper_left(struct reaper *reaper)
{
    (void)pthread_mutex_lock(&reaper->lock);
    uint64_t n = reaper->n_left;
    (void)pthread_mutex_unlock(&reaper->lock);
    return n;
}
