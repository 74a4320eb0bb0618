/*
 * kill -9 of a worker to its next answer. The floor is diskd's with one disk to find: exec, READY
 * and an answer, with as little behind it as a worker of ours has; poold opens a pool beside that.
 *
 * A worker that ends right after its READY waits before it starts again; here its end is no
 * failure.
 */
#include "suites.h"

#include <signal.h>

enum { ROUNDS = 30 };

/* Milliseconds from the kill until a read is answered; the client waits by itself. */
static double kill_once(struct node *node, const char *worker, int (*ask)(struct node *node))
{
    struct worker_info before = node_worker(node, worker);
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    (void)kill(before.pid, SIGKILL);
    process_wait_gone(before.pid);
    assert_int_equal(ask(node), 0);
    double ms = bench_ms_since(start);
    (void)node_wait_worker(node, worker, before.epoch);
    return ms;
}

static int ask_poold(struct node *node)
{
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    return call_pools(node->storage, &pools, NULL);
}

static int ask_diskd(struct node *node)
{
    autoreply Storage__V1__DiskListReply *disks = NULL;
    return call_disks(node->storage, &disks, NULL);
}

void suite_restart(void)
{
    struct node *node = bench_node(disk_create(8 * GiB, DISK_SSD));
    node_set(node, "supervisor.healthy_ms", "1");
    node_start(node);
    node_wait_cache(node, true);
    struct samples diskd = {0}, poold = {0};
    for (int i = 0; i < ROUNDS; i++) {
        samples_add(&diskd, kill_once(node, "diskd", ask_diskd));
        samples_add(&poold, kill_once(node, "poold", ask_poold));
    }
    double diskd_p99 = samples_quantile(&diskd, 0.99), poold_p99 = samples_quantile(&poold, 0.99);
    report_row("restart_poold_p99", poold_p99, diskd_p99, "ms", "");
    report_row("restart_poold_more_against_20_ms",
               poold_p99 > diskd_p99 ? poold_p99 - diskd_p99 : 0, 20, "ms", "<=1");
    samples_free(&diskd);
    samples_free(&poold);
}
