/*
 * Durable Reserve, against the same creates by bare ioctls on a disk of their own. Ours and the
 * floor take turns in small portions, so that what else the machine does falls on both.
 */
#include "suites.h"

#include "floor_btrfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

enum {
    PORTION = 20,
    PORTIONS = 10,
    FILL_CLIENTS = 32,
    CLIENTS_MAX = 64,
};
#define SPACE_BYTES MiB
#define DISK_BYTES  (48 * GiB)

struct node *bench_node(struct disk *disk)
{
    struct node *node = node_create(disk);
    node_set(node, "spaces.headroom", "0");
    node_set(node, "cache.size", "64M");
    return node;
}

static void reserve_one(struct storage *storage)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *space = NULL;
    assert_ok(
        call_reserve(storage, "", STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD, SPACE_BYTES, &space, &err),
        &err);
}

/* --- many clients ---------------------------------------------------------------------------- */

struct crowd {
    const struct node *node;
    _Atomic int left;
    _Atomic int failed;
    pthread_barrier_t connected;
};

static void *crowd_member(void *data)
{
    struct crowd *crowd = data;
    struct storage_options options = {
        .run_dir = crowd->node->run_dir, .timeout_ms = HARNESS_WAIT_MS, .wait = true};
    struct storage *storage = NULL;
    if (storage_open(&options, &storage, NULL) != 0)
        crowd->failed++;
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    if (storage && call_pools(storage, &pools, NULL) != 0)
        crowd->failed++;
    (void)pthread_barrier_wait(&crowd->connected);
    while (storage && crowd->left-- > 0) {
        Storage__V1__Space *space = NULL;
        if (call_reserve(storage, "", STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD, SPACE_BYTES, &space,
                         NULL) != 0)
            crowd->failed++;
        storage_free(space);
    }
    storage_close(storage);
    return NULL;
}

double bench_reserve_many(struct node *node, unsigned clients, unsigned count)
{
    struct crowd crowd = {.node = node, .left = (int)count};
    pthread_t members[CLIENTS_MAX];
    assert_true(clients <= CLIENTS_MAX);
    assert_int_equal(pthread_barrier_init(&crowd.connected, NULL, clients + 1), 0);
    for (unsigned i = 0; i < clients; i++)
        assert_int_equal(pthread_create(&members[i], NULL, crowd_member, &crowd), 0);
    (void)pthread_barrier_wait(&crowd.connected);
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < clients; i++)
        (void)pthread_join(members[i], NULL);
    (void)pthread_barrier_destroy(&crowd.connected);
    double rate = count / (bench_ms_since(start) / 1e3);
    assert_int_equal(crowd.failed, 0);
    return rate;
}

/* --- the rows -------------------------------------------------------------------------------- */

struct step {
    unsigned spaces; /* that are there already, on ours and on the floor */
    unsigned crowd;  /* how many a crowd makes beside them */
};

static void measure_one_client(struct node *node, struct floor_btrfs *floor, const char *name)
{
    struct samples ours = {0}, bare = {0};
    for (int portion = 0; portion < PORTIONS; portion++) {
        floor_btrfs_measure(floor, PORTION, &bare);
        for (int i = 0; i < PORTION; i++) {
            uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
            reserve_one(node->storage);
            samples_add(&ours, bench_ms_since(start));
        }
    }
    report_row(name, samples_p50(&ours), samples_p50(&bare), "ms", "<=1.3");
    samples_free(&ours);
    samples_free(&bare);
}

static void measure_crowds(struct node *node, struct floor_btrfs *floor, const struct step *step)
{
    autofree char *few = path_format("reserve_16_clients_at_%u", step->spaces);
    autofree char *many = path_format("reserve_64_clients_at_%u", step->spaces);
    autofree char *against_one = path_format("%s_against_1", many);
    double one = bench_reserve_many(node, 1, step->crowd / 10);
    double sixteen = bench_reserve_many(node, 16, step->crowd);
    double bare_sixteen = floor_btrfs_rate(floor, 16, step->crowd);
    double sixty_four = bench_reserve_many(node, 64, step->crowd);
    double bare_sixty_four = floor_btrfs_rate(floor, 64, step->crowd);
    report_row(few, sixteen, bare_sixteen, "1/s", "");
    report_row(many, sixty_four, bare_sixty_four, "1/s", ">=0.6");
    report_row(against_one, sixty_four, one, "1/s", ">=8");
}

static void measure_step(const struct step *step)
{
    autofree char *single = path_format("reserve_1_client_at_%u", step->spaces);
    autofree char *few = path_format("reserve_16_clients_at_%u", step->spaces);
    autofree char *many = path_format("reserve_64_clients_at_%u", step->spaces);
    bool crowds = report_wants(few) || report_wants(many);
    if (!crowds && !report_wants(single))
        return;
    struct node *node = bench_node(disk_create(DISK_BYTES, DISK_SSD));
    struct floor_btrfs floor;
    floor_btrfs_open(&floor, disk_create(DISK_BYTES, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    (void)bench_reserve_many(node, FILL_CLIENTS, step->spaces);
    floor_btrfs_fill(&floor, step->spaces);
    if (report_wants(single))
        measure_one_client(node, &floor, single);
    if (crowds)
        measure_crowds(node, &floor, step);
    floor_btrfs_close(&floor);
    node_stop(node);
}

void suite_reserve(void)
{
    static const struct step steps[] = {{10, 300}, {1000, 1500}, {10000, 1500}};
    for (size_t i = 0; i < array_length(steps); i++)
        measure_step(&steps[i]);
}

/* --- beside a writer ------------------------------------------------------------------------- */

struct writer {
    char *path;
    _Atomic bool stop;
};

/* Writes at full speed, and starts over before the limit. */
static void *write_on(void *data)
{
    struct writer *writer = data;
    static char block[1 << 20];
    autoclose int fd = open(writer->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    for (int n = 0; fd >= 0 && !writer->stop; n++) {
        if (n == 512) {
            n = 0;
            if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0)
                break;
        }
        if (write(fd, block, sizeof block) < 0)
            break;
    }
    return NULL;
}

void suite_writer(void)
{
    if (!report_wants("reserve_beside_writer"))
        return;
    struct node *node = bench_node(disk_create(16 * GiB, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *space =
        must_reserve(node, "writer", STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD, 4 * GiB);
    struct samples idle = {0}, busy = {0};
    for (int i = 0; i < PORTION * PORTIONS; i++) {
        uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
        reserve_one(node->storage);
        samples_add(&idle, bench_ms_since(start));
    }
    struct writer writer = {.path = path_format("%s/file", space->path)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    for (int i = 0; i < PORTION * PORTIONS; i++) {
        uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
        reserve_one(node->storage);
        samples_add(&busy, bench_ms_since(start));
    }
    writer.stop = true;
    (void)pthread_join(thread, NULL);
    free(writer.path);
    report_row("reserve_beside_writer", samples_quantile(&busy, 0.99),
               samples_quantile(&idle, 0.99), "ms", "<=2");
    samples_free(&idle);
    samples_free(&busy);
}
