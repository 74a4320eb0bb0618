/* Lanes: order, batches, capacity, and what happens around a thread that hangs. */
#include "base/cleanup.h"
#include "lane/lane.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { JOBS = 16 };

struct job {
    struct lane_job lane; /* first */
    int number;
    int gate; /* blocks on reading this descriptor; -1: does not */
};

static uv_loop_t loop;
static int finished[JOBS]; /* numbers, in the order of `done` */
static int n_finished;
static int batch_sizes[JOBS];
static int n_batches;

static void work(struct lane_job *lane)
{
    struct job *job = container_of(lane, struct job, lane);
    char byte;
    if (job->gate >= 0)
        (void)!read(job->gate, &byte, 1);
}

static void done(struct lane_job *lane)
{
    struct job *job = container_of(lane, struct job, lane);
    finished[n_finished++] = job->number;
}

static void count_batch(struct lane_job *first, void *data)
{
    (void)data;
    int size = 0;
    for (struct lane_job *job = first; job; job = job->next) {
        job->work(job);
        size++;
    }
    batch_sizes[n_batches++] = size;
}

static struct job make_job(int number, int gate)
{
    return (struct job){.lane = {.work = work, .done = done}, .number = number, .gate = gate};
}

static struct lane *open_lane(const struct lane_options *options)
{
    autoerr struct err err = {0};
    struct lane *lane = NULL;
    assert_int_equal(lane_open(&loop, options, &lane, &err), 0);
    return lane;
}

static void on_closed(void *data)
{
    *(bool *)data = true;
}

static int setup(void **state)
{
    (void)state;
    n_finished = n_batches = 0;
    return uv_loop_init(&loop);
}

static int teardown(void **state)
{
    (void)state;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void jobs_finish_in_order_and_close_drains(void **state)
{
    (void)state;
    struct lane *lane = open_lane(&(struct lane_options){.name = "a-lane-with-a-long-name"});
    struct job jobs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = make_job(i, -1);
        assert_int_equal(lane_submit(lane, &jobs[i].lane), 0);
    }
    bool closed = false;
    lane_close(lane, on_closed, &closed);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(n_finished, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(finished[i], i);
}

static void what_waits_becomes_one_batch(void **state)
{
    (void)state;
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    struct lane *lane = open_lane(&(struct lane_options){.name = "batch", .batch = count_batch});
    struct job first = make_job(0, gate[0]);
    assert_int_equal(lane_submit(lane, &first.lane), 0);
    while (lane_busy_ms(lane) == 0) /* until the thread is in it */
        ;
    struct job rest[4];
    for (int i = 0; i < 4; i++) {
        rest[i] = make_job(i + 1, -1);
        assert_int_equal(lane_submit(lane, &rest[i].lane), 0);
    }
    assert_int_equal(write(gate[1], "x", 1), 1);
    lane_close(lane, NULL, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_batches, 2);
    assert_int_equal(batch_sizes[0], 1);
    assert_int_equal(batch_sizes[1], 4);
    (void)close(gate[0]);
    (void)close(gate[1]);
}

static void a_hung_lane_stalls_no_other(void **state)
{
    (void)state;
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    struct lane *hung = open_lane(&(struct lane_options){.name = "hung"});
    struct lane *free_lane = open_lane(&(struct lane_options){.name = "free"});
    struct job stuck = make_job(1, gate[0]), quick = make_job(2, -1);
    assert_int_equal(lane_submit(hung, &stuck.lane), 0);
    assert_int_equal(lane_submit(free_lane, &quick.lane), 0);
    while (n_finished == 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(finished[0], 2);
    assert_int_equal(write(gate[1], "x", 1), 1);
    lane_close(hung, NULL, NULL);
    lane_close(free_lane, NULL, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_finished, 2);
    (void)close(gate[0]);
    (void)close(gate[1]);
}

static void a_full_lane_refuses(void **state)
{
    (void)state;
    struct lane *lane = open_lane(&(struct lane_options){.name = "small", .capacity = 2});
    struct job jobs[3];
    for (int i = 0; i < 3; i++)
        jobs[i] = make_job(i, -1);
    assert_int_equal(lane_submit(lane, &jobs[0].lane), 0);
    assert_int_equal(lane_submit(lane, &jobs[1].lane), 0);
    assert_int_equal(lane_submit(lane, &jobs[2].lane), -ERR_RESOURCE_EXHAUSTED);
    while (n_finished < 2)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(lane_submit(lane, &jobs[2].lane), 0);
    lane_close(lane, NULL, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_finished, 3);
}

static int thread_gone[2]; /* a byte when the thread has left its main function */
static pthread_key_t leaving;

static void announce_end(void *value)
{
    (void)value;
    (void)!write(thread_gone[1], "x", 1);
}

static void work_and_announce(struct lane_job *lane)
{
    (void)pthread_setspecific(leaving, &leaving);
    work(lane);
}

static void an_abandoned_lane_lets_the_loop_end(void **state)
{
    (void)state;
    int gate[2];
    char byte;
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(pipe(thread_gone), 0);
    assert_int_equal(pthread_key_create(&leaving, announce_end), 0);
    struct lane *lane = open_lane(&(struct lane_options){.name = "gone"});
    struct job stuck = make_job(1, gate[0]), waits = make_job(2, -1);
    stuck.lane.work = work_and_announce;
    assert_int_equal(lane_submit(lane, &stuck.lane), 0);
    while (lane_busy_ms(lane) == 0)
        ;
    assert_int_equal(lane_submit(lane, &waits.lane), 0);
    lane_abandon(lane);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_finished, 0);
    /* The thread comes back to a lane that nobody holds but itself. */
    assert_int_equal(write(gate[1], "x", 1), 1);
    assert_int_equal(read(thread_gone[0], &byte, 1), 1);
    for (int i = 0; i < 2; i++) {
        (void)close(gate[i]);
        (void)close(thread_gone[i]);
    }
}

static void look_at_signals(struct lane_job *lane)
{
    struct job *job = container_of(lane, struct job, lane);
    sigset_t blocked;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    job->number = sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGCHLD) == 1;
}

static void signals_stay_with_the_loop(void **state)
{
    (void)state;
    struct lane *lane = open_lane(&(struct lane_options){.name = "quiet"});
    struct job job = make_job(0, -1);
    job.lane.work = look_at_signals;
    assert_int_equal(lane_submit(lane, &job.lane), 0);
    lane_close(lane, NULL, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(finished[0], true);
    sigset_t blocked;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_int_equal(sigismember(&blocked, SIGTERM), 0);
}

#define lane_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        lane_test(jobs_finish_in_order_and_close_drains), lane_test(what_waits_becomes_one_batch),
        lane_test(a_hung_lane_stalls_no_other),           lane_test(a_full_lane_refuses),
        lane_test(an_abandoned_lane_lets_the_loop_end),   lane_test(signals_stay_with_the_loop),
    };
    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
