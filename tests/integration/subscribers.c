/* See the header. Each process is this same program, started again with --subscribers. */
#include "subscribers.h"

#include "event/subscriber.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

struct one {
    struct event_subscriber *subscriber;
    uint64_t epoch, seq;
    unsigned n_resyncs;
    bool done;
};

static struct {
    struct one all[SUBSCRIBERS_EACH];
    unsigned n_ready, n_done, n_resynced;
    uv_timer_t deadline;
} crowd;

static void finish(struct one *one)
{
    crowd.n_done += !one->done;
    one->done = true;
}

static void on_event(const Storage__V1__Event *event, void *data)
{
    struct one *one = data;
    if (event->epoch != one->epoch || event->seq != one->seq + 1) {
        (void)fprintf(stderr, "a subscriber at %llu hears of %llu\n", (unsigned long long)one->seq,
                      (unsigned long long)event->seq);
        _exit(EXIT_FAILURE);
    }
    one->seq = event->seq;
    if (event->body_case == STORAGE__V1__EVENT__BODY_SPACE &&
        strcmp(event->topic, "space.reserved") == 0 &&
        strcmp(event->space->name, SUBSCRIBERS_LAST) == 0)
        finish(one);
}

static void on_resync(uint64_t epoch, uint64_t seq, void *data)
{
    struct one *one = data;
    one->epoch = epoch;
    one->seq = seq;
    if (one->n_resyncs++ > 0) {
        crowd.n_resynced++;
        finish(one);
    } else if (++crowd.n_ready == SUBSCRIBERS_EACH) {
        (void)!write(STDOUT_FILENO, "", 1);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    (void)fprintf(stderr, "of %d subscribers %u are ready and %u have seen all\n", SUBSCRIBERS_EACH,
                  crowd.n_ready, crowd.n_done);
    _exit(EXIT_FAILURE);
}

int subscribers_main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "--subscribers") != 0)
        return -1;
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0 || uv_timer_init(&loop, &crowd.deadline) != 0)
        return EXIT_FAILURE;
    (void)uv_timer_start(&crowd.deadline, on_deadline, HARNESS_WAIT_MS, 0);
    for (size_t i = 0; i < SUBSCRIBERS_EACH; i++) {
        const struct event_subscriber_options options = {.loop = &loop,
                                                         .run_dir = argv[2],
                                                         .worker = "poold",
                                                         .on_event = on_event,
                                                         .on_resync = on_resync,
                                                         .data = &crowd.all[i]};
        if (event_subscriber_open(&options, &crowd.all[i].subscriber, NULL) != 0)
            return EXIT_FAILURE;
    }
    while (crowd.n_done < SUBSCRIBERS_EACH)
        (void)uv_run(&loop, UV_RUN_ONCE);
    if (crowd.n_resynced > 0)
        (void)fprintf(stderr, "%u of %d subscribers had to list again\n", crowd.n_resynced,
                      SUBSCRIBERS_EACH);
    _exit(EXIT_SUCCESS); /* the connections are cut, as when a subscriber dies */
}

struct subscribers subscribers_start(const struct node *node)
{
    struct subscribers subscribers;
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    struct command command = {.argv = {"/proc/self/exe", "--subscribers", node->run_dir}};
    for (size_t i = 0; i < SUBSCRIBERS_PROCESSES; i++)
        subscribers.pids[i] = command_spawn(&command, ready[1], STDERR_FILENO);
    (void)close(ready[1]);
    autoclose int from = ready[0];
    for (size_t i = 0; i < SUBSCRIBERS_PROCESSES; i++) {
        char byte;
        struct pollfd wait = {.fd = from, .events = POLLIN};
        if (poll(&wait, 1, HARNESS_WAIT_MS) != 1 || read(from, &byte, 1) != 1)
            fail_msg("the subscribers do not come into step");
    }
    return subscribers;
}

void subscribers_wait(struct subscribers *subscribers)
{
    for (size_t i = 0; i < SUBSCRIBERS_PROCESSES; i++)
        if (child_wait(subscribers->pids[i]) != 0)
            fail_msg("a subscriber has missed something");
}
