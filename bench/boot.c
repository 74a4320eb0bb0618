/* storaged's start to the cache mounted, with N pools, against the slowest mount of one of them,
 * and against the same without zdbd. */
#include "suites.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { ROUNDS = 9 };

static double slowest_mount(struct disk *const *disks, unsigned n)
{
    autofree char *path = path_format("%s/mount", harness_dir());
    double slowest = 0;
    (void)mkdir(path, 0755);
    for (unsigned i = 0; i < n; i++) {
        uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
        if (mount(disks[i]->path, path, "btrfs", MS_NOATIME | MS_NODEV | MS_NOSUID, NULL) != 0)
            fail_msg("mount of %s: %s", disks[i]->path, strerror(errno));
        double ms = bench_ms_since(start);
        slowest = ms > slowest ? ms : slowest;
        assert_int_equal(umount2(path, 0), 0);
    }
    return slowest;
}

void bench_make_pools(struct node *node, struct disk *const *disks)
{
    size_t n = 0;
    node_wait_cache(node, true);
    for (; disks[n]; n++) {
        autoerr struct err err = {0};
        autoreply Storage__V1__Disk *disk = NULL;
        assert_ok(call_disk(node->storage, disks[n]->path, &disk, &err), &err);
        if (disk->state != STORAGE__V1__DISK_STATE__DISK_STATE_BLANK)
            continue; /* the one that became the first pool by itself */
        autoreply Storage__V1__PrepareReply *prepared = NULL;
        assert_ok(call_prepare(node->storage, disks[n]->path, &prepared, &err), &err);
    }
    node_wait_pools(node, n);
}

/* Milliseconds from its start until a boot unit may go on. Ends with all pools mounted. */
static double boot(struct node *node, unsigned n_pools)
{
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    node_spawn(node);
    struct command_result ready = node_ctl(node, "ready", "--timeout", "30s");
    double ms = bench_ms_since(start);
    assert_int_equal(ready.status, 0);
    node_connect(node);
    node_wait_pools(node, n_pools);
    return ms;
}

static void shut_down(struct node *node)
{
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
}

static void measure(unsigned n)
{
    char name[32], against[64];
    (void)snprintf(name, sizeof name, "boot_%u_disks", n);
    (void)snprintf(against, sizeof against, "boot_%u_disks_against_without_zdbd", n);
    if (!report_wants(name))
        return;
    struct disk *disks[BENCH_DISKS_MAX + 1] = {0};
    for (unsigned i = 0; i < n; i++)
        disks[i] = disk_create(4 * GiB, DISK_SSD);
    struct node *node = node_create_list(disks), *without = node_create_list(disks);
    node_set(without, "supervisor.workers", "diskd poold");
    node_start(node);
    bench_make_pools(node, disks);
    shut_down(node);
    struct samples ours = {0}, bare = {0}, two = {0};
    for (int round = 0; round < ROUNDS; round++) {
        samples_add(&bare, slowest_mount(disks, n));
        samples_add(&ours, boot(node, n));
        shut_down(node);
        samples_add(&two, boot(without, n));
        shut_down(without);
    }
    report_row(name, samples_p50(&ours), samples_p50(&bare), "ms", "<=1.5");
    report_row(against, samples_p50(&ours), samples_p50(&two), "ms", "<=1.05");
    samples_free(&ours);
    samples_free(&bare);
    samples_free(&two);
}

void suite_boot(void)
{
    static const unsigned counts[] = {1, 8, 32, 64};
    for (size_t i = 0; i < array_length(counts); i++)
        measure(counts[i]);
}
