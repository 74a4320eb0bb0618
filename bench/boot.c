/* storaged's start to the cache mounted, with N pools, against the slowest mount of one of them. */
#include "suites.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { DISKS_MAX = 64, ROUNDS = 5 };

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

static void measure(unsigned n)
{
    char name[32];
    (void)snprintf(name, sizeof name, "boot_%u_disks", n);
    if (!report_wants(name))
        return;
    struct disk *disks[DISKS_MAX + 1] = {0};
    for (unsigned i = 0; i < n; i++)
        disks[i] = disk_create(4 * GiB, DISK_SSD);
    struct node *node = node_create_list(disks);
    node_start(node);
    node_wait_cache(node, true);
    for (unsigned i = 0; i < n; i++) {
        autoerr struct err err = {0};
        autoreply Storage__V1__Disk *disk = NULL;
        assert_ok(call_disk(node->storage, disks[i]->path, &disk, &err), &err);
        if (disk->state != STORAGE__V1__DISK_STATE__DISK_STATE_BLANK)
            continue; /* the one that became the first pool by itself */
        autoreply Storage__V1__PrepareReply *prepared = NULL;
        assert_ok(call_prepare(node->storage, disks[i]->path, &prepared, &err), &err);
    }
    node_wait_pools(node, n);
    struct samples ours = {0}, bare = {0};
    for (int round = 0; round < ROUNDS; round++) {
        autoerr struct err err = {0};
        assert_ok(node_shutdown(node, &err), &err);
        samples_add(&bare, slowest_mount(disks, n));
        uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
        node_spawn(node);
        struct command_result ready = node_ctl(node, "ready", "--timeout", "30s");
        samples_add(&ours, bench_ms_since(start));
        assert_int_equal(ready.status, 0);
        node_wait_pools(node, n);
    }
    report_row(name, samples_p50(&ours), samples_p50(&bare), "ms", "<=1.5");
    samples_free(&ours);
    samples_free(&bare);
}

void suite_boot(void)
{
    static const unsigned counts[] = {1, 8, 32, 64};
    for (size_t i = 0; i < array_length(counts); i++)
        measure(counts[i]);
}
