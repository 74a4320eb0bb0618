/*
 * kill -9 of a 0-db to its next answer, against a bare start of the same program on a copy of its
 * directories; kill -9 of zdbd until it watches four 0-db again, against diskd with as many disks.
 */
#include "suites.h"
#include "zdb_server.h"
#include "zdbnode.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

enum { ROUNDS = 30, POOLS = 4, RETRY_NS = 200000 };

static void pause_a_little(void)
{
    static const struct timespec retry = {.tv_nsec = RETRY_NS};
    (void)nanosleep(&retry, NULL);
}

/* --- a 0-db ---------------------------------------------------------------------------------- */

static double kill_zdb(struct node *node, const char *pool)
{
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, pool);
    const struct kv_server server = {.name = "zdb", .socket = instance->socket};
    char reply[64] = "";
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    (void)kill((pid_t)instance->pid, SIGKILL);
    process_wait_gone((pid_t)instance->pid);
    for (;;) {
        kv_ask(&server, "PING", reply, sizeof reply);
        if (strcmp(reply, "+PONG\r\n") == 0)
            break;
        if (bench_ms_since(start) > HARNESS_WAIT_MS)
            fail_msg("the 0-db does not come back");
        pause_a_little();
    }
    double ms = bench_ms_since(start);
    zdbnode_wait_instance(node, pool, ZDB(UP));
    return ms;
}

static void measure_zdb(void)
{
    struct node *node = bench_node(disk_create(8 * GiB, DISK_SSD));
    node_set(node, "supervisor.healthy_ms", "1");
    node_set(node, "supervisor.forget_ms", "1"); /* no death is a failure, to be waited for */
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ZDBNamespace *space = zdbnode_reserve(node, "one", 64 * MiB);
    autofree char *home = path_format("%s/%s/zdb/data", node->mount_root, space->pool);
    autofree char *copied = path_format("%s/zdb", node->cache_path);
    struct kv_server bare;
    struct samples ours = {0}, floor = {0};
    kv_zdb(&bare, node->cache_path, "zdb", NULL);
    for (int i = 0; i < 2; i++) {
        autofree char *part = path_format("%s/%s", home, i == 0 ? "data" : "index");
        command_ok("cp", "-a", part, copied);
    }
    for (int i = 0; i < ROUNDS; i++) {
        samples_add(&ours, kill_zdb(node, space->pool));
        samples_add(&floor, kv_start(&bare));
        kv_stop(&bare, i == ROUNDS - 1);
    }
    double ours_p99 = samples_quantile(&ours, 0.99), floor_p99 = samples_quantile(&floor, 0.99);
    report_row("zdbd_restart_zdb_p50", samples_p50(&ours), samples_p50(&floor), "ms", "");
    report_row("zdbd_restart_zdb_more_against_20_ms",
               ours_p99 > floor_p99 ? ours_p99 - floor_p99 : 0, 20, "ms", "<=1");
    samples_free(&ours);
    samples_free(&floor);
}

/* --- zdbd ------------------------------------------------------------------------------------ */

static bool are_watched(struct node *node)
{
    Storage__V1__ZDBListRequest request = STORAGE__V1__ZDBLIST_REQUEST__INIT;
    autoreply Storage__V1__ZDBListReply *list = NULL;
    size_t n_up = 0;
    if (storage_call(node->storage, "storage.v1.ZDBService/List", &request, &list, NULL) != 0)
        return false;
    for (size_t i = 0; i < list->n_instances; i++)
        n_up += list->instances[i]->state == ZDB(UP);
    return n_up == POOLS;
}

static double kill_zdbd(struct node *node)
{
    struct worker_info before = node_worker(node, "zdbd");
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    (void)kill(before.pid, SIGKILL);
    process_wait_gone(before.pid);
    while (!are_watched(node)) {
        if (bench_ms_since(start) > HARNESS_WAIT_MS)
            fail_msg("zdbd does not watch them again");
        pause_a_little();
    }
    double ms = bench_ms_since(start);
    (void)node_wait_worker(node, "zdbd", before.epoch);
    return ms;
}

static double kill_diskd(struct node *node)
{
    struct worker_info before = node_worker(node, "diskd");
    autoreply Storage__V1__DiskListReply *disks = NULL;
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    (void)kill(before.pid, SIGKILL);
    process_wait_gone(before.pid);
    assert_int_equal(call_disks(node->storage, &disks, NULL), 0);
    double ms = bench_ms_since(start);
    (void)node_wait_worker(node, "diskd", before.epoch);
    return ms;
}

static void measure_zdbd(void)
{
    struct node *node = bench_zdb_node(POOLS);
    struct samples ours = {0}, floor = {0};
    for (int i = 0; i < ROUNDS; i++) {
        samples_add(&floor, kill_diskd(node));
        samples_add(&ours, kill_zdbd(node));
    }
    double ours_p99 = samples_quantile(&ours, 0.99), floor_p99 = samples_quantile(&floor, 0.99);
    report_row("zdbd_restart_4_p50", samples_p50(&ours), samples_p50(&floor), "ms", "");
    report_row("zdbd_restart_4_more_against_20_ms", ours_p99 > floor_p99 ? ours_p99 - floor_p99 : 0,
               20, "ms", "<=1");
    samples_free(&ours);
    samples_free(&floor);
}

void suite_zdbd_restart(void)
{
    if (report_wants("zdbd_restart_zdb"))
        measure_zdb();
    if (report_wants("zdbd_restart_4"))
        measure_zdbd();
}
