/*
 * A lane: the loop's side and the thread's side of one queue.
 *
 * The thread sleeps on a condition until jobs wait, takes all of them as one batch, runs it, puts
 * it behind what is done, and wakes the loop by uv_async_send(). That coalesces, so the loop takes
 * all that is done. One mutex guards what both sides touch, and is held for pointer moves alone.
 *
 * The struct has two holders, the loop (until its handle is closed) and the thread (until it
 * returns); the last one frees it. That is what lets a hung lane be abandoned: its thread may
 * return much later, finds nobody to tell, and cleans up.
 */
#include "lane/lane.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_DEFAULT = 256, STACK_BYTES = 1024 * 1024, THREAD_NAME_SIZE = 16 };

struct queue {
    struct lane_job *first, *last;
};

struct lane {
    uv_async_t wake;
    pthread_t thread;
    atomic_int holders;
    _Atomic uint64_t busy_since_ms; /* 0: idle */

    pthread_mutex_t mutex; /* guards from here … */
    pthread_cond_t changed;
    struct queue waiting, done;
    bool closing;   /* no job comes any more */
    bool ended;     /* the thread runs nothing any more */
    bool abandoned; /* the loop does not listen any more */
                    /* … to here */

    unsigned in_flight; /* from here on the loop's alone, or never changed */
    unsigned capacity;
    lane_batch batch;
    void *batch_data;
    void (*closed)(void *data);
    void *closed_data;
    char name[];
};

static void queue_append(struct queue *queue, struct lane_job *first, struct lane_job *last)
{
    if (queue->last)
        queue->last->next = first;
    else
        queue->first = first;
    queue->last = last;
}

static struct lane_job *queue_take_all(struct queue *queue)
{
    struct lane_job *first = queue->first;
    *queue = (struct queue){0};
    return first;
}

static void release(struct lane *lane)
{
    if (atomic_fetch_sub(&lane->holders, 1) != 1)
        return;
    (void)pthread_cond_destroy(&lane->changed);
    (void)pthread_mutex_destroy(&lane->mutex);
    free(lane);
}

/* --- the thread ------------------------------------------------------------------------------ */

static void run_in_turn(struct lane_job *first, void *data)
{
    (void)data;
    for (struct lane_job *job = first, *next; job; job = next) {
        next = job->next;
        job->work(job);
    }
}

/* Sleeps until jobs wait. NULL: none will come any more. */
static struct lane_job *take_batch(struct lane *lane)
{
    (void)pthread_mutex_lock(&lane->mutex);
    while (!lane->waiting.first && !lane->closing)
        (void)pthread_cond_wait(&lane->changed, &lane->mutex);
    struct lane_job *first = queue_take_all(&lane->waiting);
    (void)pthread_mutex_unlock(&lane->mutex);
    return first;
}

/* Hands a batch, or with NULL the thread's end, to the loop, if it still listens. */
static void give_back(struct lane *lane, struct lane_job *first)
{
    struct lane_job *last = first;
    while (last && last->next)
        last = last->next;
    (void)pthread_mutex_lock(&lane->mutex);
    if (first)
        queue_append(&lane->done, first, last);
    else
        lane->ended = true;
    if (!lane->abandoned)
        (void)uv_async_send(&lane->wake);
    (void)pthread_mutex_unlock(&lane->mutex);
}

static void *thread_main(void *data)
{
    struct lane *lane = data;
    struct lane_job *first;
    while ((first = take_batch(lane))) {
        atomic_store(&lane->busy_since_ms, clock_monotonic_ms());
        lane->batch(first, lane->batch_data);
        atomic_store(&lane->busy_since_ms, 0);
        give_back(lane, first);
    }
    give_back(lane, NULL);
    release(lane);
    return NULL;
}

/* Signals are the loop's business: the thread starts with all of them blocked. */
static int start_thread(struct lane *lane)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    (void)sigfillset(&all);
    int rc = pthread_attr_init(&attributes);
    if (rc != 0)
        return rc;
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&lane->thread, &attributes, thread_main, lane);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    if (rc == 0) {
        char short_name[THREAD_NAME_SIZE] = {0};
        memcpy(short_name, lane->name, strnlen(lane->name, sizeof short_name - 1));
        (void)pthread_setname_np(lane->thread, short_name);
    }
    return rc;
}

/* --- the loop -------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct lane *lane = handle->data;
    void (*closed)(void *data) = lane->closed;
    void *data = lane->closed_data;
    release(lane);
    if (closed)
        closed(data);
}

static bool is_abandoned(const struct lane *lane)
{
    return uv_is_closing((const uv_handle_t *)&lane->wake);
}

static void on_wake(uv_async_t *wake)
{
    struct lane *lane = wake->data;
    (void)pthread_mutex_lock(&lane->mutex);
    struct lane_job *first = queue_take_all(&lane->done);
    bool ended = lane->ended;
    (void)pthread_mutex_unlock(&lane->mutex);

    /* A job's `done` may abandon the lane; the rest is lost then, as all that is in it. */
    for (struct lane_job *job = first, *next; job && !is_abandoned(lane); job = next) {
        next = job->next;
        lane->in_flight--;
        job->done(job);
    }
    if (ended && !is_abandoned(lane)) {
        (void)pthread_join(lane->thread, NULL);
        uv_close((uv_handle_t *)wake, on_closed);
    }
}

int lane_open(uv_loop_t *loop, const struct lane_options *options, struct lane **out_lane,
              struct err *err)
{
    size_t name_size = strlen(options->name) + 1;
    struct lane *lane = calloc(1, sizeof *lane + name_size);
    if (!lane)
        return err_errno(err, ENOMEM, options->name, "cannot open a lane");
    memcpy(lane->name, options->name, name_size);
    lane->capacity = options->capacity ? options->capacity : CAPACITY_DEFAULT;
    lane->batch = options->batch ? options->batch : run_in_turn;
    lane->batch_data = options->data;
    (void)pthread_mutex_init(&lane->mutex, NULL);
    (void)pthread_cond_init(&lane->changed, NULL);
    lane->wake.data = lane;
    atomic_init(&lane->holders, 1);

    int rc = uv_async_init(loop, &lane->wake, on_wake);
    if (rc < 0) {
        release(lane);
        return err_errno(err, -rc, options->name, "cannot open a lane");
    }
    (void)atomic_fetch_add(&lane->holders, 1);
    rc = start_thread(lane);
    if (rc != 0) {
        (void)atomic_fetch_sub(&lane->holders, 1);
        uv_close((uv_handle_t *)&lane->wake, on_closed);
        return err_errno(err, rc, options->name, "cannot start a lane's thread");
    }
    *out_lane = lane;
    return 0;
}

int lane_submit(struct lane *lane, struct lane_job *job)
{
    if (lane->in_flight >= lane->capacity)
        return -ERR_RESOURCE_EXHAUSTED;
    lane->in_flight++;
    job->next = NULL;
    (void)pthread_mutex_lock(&lane->mutex);
    queue_append(&lane->waiting, job, job);
    (void)pthread_cond_signal(&lane->changed);
    (void)pthread_mutex_unlock(&lane->mutex);
    return 0;
}

uint64_t lane_busy_ms(const struct lane *lane)
{
    uint64_t since = atomic_load(&lane->busy_since_ms);
    if (since == 0)
        return 0;
    uint64_t now = clock_monotonic_ms();
    return now > since ? now - since : 1;
}

const char *lane_name(const struct lane *lane)
{
    return lane->name;
}

void lane_close(struct lane *lane, void (*closed)(void *data), void *data)
{
    lane->closed = closed;
    lane->closed_data = data;
    (void)pthread_mutex_lock(&lane->mutex);
    lane->closing = true;
    (void)pthread_cond_signal(&lane->changed);
    (void)pthread_mutex_unlock(&lane->mutex);
}

void lane_abandon(struct lane *lane)
{
    lane->closed = NULL;
    (void)pthread_mutex_lock(&lane->mutex);
    lane->closing = true;
    lane->abandoned = true;
    (void)queue_take_all(&lane->waiting);
    (void)pthread_cond_signal(&lane->changed);
    (void)pthread_mutex_unlock(&lane->mutex);
    (void)pthread_detach(lane->thread);
    uv_close((uv_handle_t *)&lane->wake, on_closed);
}
