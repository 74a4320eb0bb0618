/*
 * A kernel uevent to a subscriber, against `udevadm monitor --kernel`, which does nothing but print
 * it. Both start at the moment a loop device is attached; ours also reads the disk before it tells.
 */
#include "suites.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

enum { ROUNDS = 40 };

/* Reads the monitor until a line names the device; milliseconds since `start_ns`. */
static double monitor_wait(int fd, const struct disk *disk, uint64_t start_ns)
{
    autofree char *name = path_format("/%s ", disk->path + strlen("/dev/"));
    char text[65536];
    size_t used = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (used + 1 >= sizeof text || poll(&wait, 1, HARNESS_WAIT_MS) <= 0)
            fail_msg("udevadm monitor says nothing of %s", disk->path);
        ssize_t n = read(fd, text + used, sizeof text - 1 - used);
        if (n <= 0)
            fail_msg("udevadm monitor ended");
        double ms = bench_ms_since(start_ns);
        used += (size_t)n;
        text[used] = '\0';
        if (strstr(text, name))
            return ms;
    }
}

static void drain(int fd)
{
    char text[65536];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, 0) > 0 && read(fd, text, sizeof text) > 0)
        ;
}

static void unplug(struct node *node, struct disk *disk)
{
    node_mark(node);
    disk_unplug(disk);
    (void)watch_wait(node->watch, "disk.removed", NULL);
}

void suite_events(void)
{
    struct disk *disk = disk_reserve(GiB, DISK_SSD);
    struct node *node = node_create(disk);
    node_set(node, "pools.create", "no");
    node_start(node);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct command command = {
        .argv = {"udevadm", "monitor", "--kernel", "--subsystem-match=block"}};
    pid_t monitor = command_spawn(&command, ends[1], STDERR_FILENO);
    struct samples ours = {0}, bare = {0};
    for (int i = 0; i < ROUNDS; i++) {
        node_mark(node);
        uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
        disk_plug(disk);
        (void)watch_wait(node->watch, "disk.added", NULL);
        double ours_ms = bench_ms_since(start);
        unplug(node, disk);
        drain(ends[0]);
        node_mark(node);
        start = clock_read_ns(CLOCK_MONOTONIC);
        disk_plug(disk);
        double bare_ms = monitor_wait(ends[0], disk, start);
        (void)watch_wait(node->watch, "disk.added", NULL);
        unplug(node, disk);
        if (i > 0) { /* the monitor was not there yet, perhaps */
            samples_add(&ours, ours_ms);
            samples_add(&bare, bare_ms);
        }
    }
    report_row("event_uevent_to_subscriber", samples_p50(&ours), samples_p50(&bare), "ms", "<=2");
    (void)kill(monitor, SIGKILL);
    (void)child_wait(monitor);
    (void)close(ends[0]);
    (void)close(ends[1]);
    samples_free(&ours);
    samples_free(&bare);
}
