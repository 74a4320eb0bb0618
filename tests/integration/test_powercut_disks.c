/*
 * The power fails while a pool is made or wiped. A disk cut in the making is blank, or a pool that
 * a fresh node finishes by itself; one cut in a wipe is the pool that it was, or half wiped and no
 * pool, or blank; either way a fresh node goes on where the other was cut off. The disks beside it
 * stay as they are.
 *
 * As many cuts as fit are made of each disk while it is worked on; those that differ are opened,
 * a cut of each disk at a time. STORAGED_TEST_CUTS makes it longer.
 */
#include "disknode.h"
#include "poolnode.h"
#include "powerhost.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DISK_BYTES (1536 * MiB)

enum { DISKS = 3, CUTS = 10, CUTS_MAX = 256, TAG_BYTES = 100000 };

struct cut {
    char *file;
    bool answered; /* the verb was, before it */
};

/* A verb on one disk, in a thread of its own, while the main thread cuts. */
struct verb {
    const char *method;
    void *request;
    struct storage *storage;
    struct err err;
    atomic_bool answered;
};

struct bench {
    struct powerhost host;
    struct node *node;
    struct disk *disks[DISKS];
    struct disk *foreign, *keeper; /* beside them: an ext4, and a pool with a space */
    uint32_t foreign_checksum;
    char *tag; /* in the keeper's space */
    struct cut cuts[DISKS][CUTS_MAX];
    size_t n_cuts[DISKS];
    unsigned n_blank, n_pools, n_half; /* as the cuts were found */
};

/* ---- what the disks are ---- */

static Storage__V1__DiskState state_of(const struct bench *bench, size_t disk)
{
    autoreply Storage__V1__Disk *seen = disknode_get(bench->node, bench->disks[disk]->path);
    return seen->state;
}

/* The pool on this disk, or NULL; the caller frees. */
static char *pool_on(const struct bench *bench, const struct disk *disk, bool *out_mounted)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_pools(bench->node->storage, &pools, &err), &err);
    for (size_t i = 0; i < pools->n_pools; i++) {
        const Storage__V1__PoolInfo *pool = pools->pools[i];
        if (pool->n_members != 1 || strcmp(pool->members[0]->path, disk->path) != 0)
            continue;
        *out_mounted = pool->state == POOL_STATE(MOUNTED);
        return path_format("%s", pool->id);
    }
    return NULL;
}

static void prepare(const struct bench *bench, const struct disk *disk)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__PrepareReply *reply = NULL;
    assert_ok(call_prepare(bench->node->storage, disk->path, &reply, &err), &err);
}

static void neighbours_are_as_they_were(const struct bench *bench)
{
    autofree char *text = file_read(bench->tag, NULL);
    assert_int_equal(strlen(text), TAG_BYTES);
    assert_int_equal(disk_checksum(bench->foreign), bench->foreign_checksum);
}

static void shut_down(const struct bench *bench)
{
    autoerr struct err err = {0};
    assert_ok(node_shutdown(bench->node, &err), &err);
}

/* ---- cutting ---- */

static void *verb_run(void *data)
{
    struct verb *verb = data;
    void *reply = NULL;
    if (storage_call(verb->storage, verb->method, verb->request, &reply, &verb->err) == 0)
        storage_free(reply);
    atomic_store(&verb->answered, true);
    return NULL;
}

/* Documentation/block/stat.rst: the fifth number counts the writes that have ended. */
static unsigned long writes_of(const struct disk *disk)
{
    autofree char *path = path_format("/sys/block/%s/stat", disk_name(disk));
    autofree char *stat = file_read(path, NULL);
    unsigned long n_writes;
    assert_int_equal(sscanf(stat, "%*u %*u %*u %*u %lu", &n_writes), 1);
    return n_writes;
}

typedef bool (*over)(const struct bench *bench, const struct disk *disk);

static void take_cut(struct bench *bench, size_t disk, bool answered)
{
    assert_true(bench->n_cuts[disk] < CUTS_MAX);
    bench->cuts[disk][bench->n_cuts[disk]++] = (struct cut){
        .file = powerhost_cut(&bench->host, bench->disks[disk]),
        .answered = answered,
    };
}

/* Cuts the disk before the verb, whenever something was written, and when it is over. */
static void cut_during(struct bench *bench, size_t disk, struct verb *verb, over is_over)
{
    pthread_t thread;
    unsigned long written = writes_of(bench->disks[disk]);
    take_cut(bench, disk, false);
    verb->storage = node_client(bench->node);
    assert_int_equal(pthread_create(&thread, NULL, verb_run, verb), 0);
    for (bool last = false; !last;) {
        bool answered = atomic_load(&verb->answered);
        last = answered && is_over(bench, bench->disks[disk]);
        unsigned long now = writes_of(bench->disks[disk]);
        if (now != written || last)
            take_cut(bench, disk, answered);
        written = now;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    storage_close(verb->storage);
    assert_ok(-(int)verb->err.code, &verb->err);
}

static void drop_cut(const struct cut *cut)
{
    assert_int_equal(unlink(cut->file), 0);
    free(cut->file);
}

/* Of those that do not differ from the one before, the last; and of these `n`, evenly, the first
 * and the last among them. */
static void thin_out(struct bench *bench, size_t disk, size_t n)
{
    struct cut *cuts = bench->cuts[disk];
    size_t made = bench->n_cuts[disk], differ = 0, kept = 0;
    uint32_t before = 0;
    for (size_t i = 0; i < made; i++) {
        struct disk look = {.fd = -1};
        (void)snprintf(look.file, sizeof look.file, "%s", cuts[i].file);
        uint32_t now = disk_checksum(&look);
        if (differ > 0 && now == before)
            drop_cut(&cuts[--differ]);
        cuts[differ++] = cuts[i];
        before = now;
    }
    for (size_t i = 0; i < differ; i++) {
        if (kept * (differ - 1) <= i * (n - 1))
            cuts[kept++] = cuts[i];
        else
            drop_cut(&cuts[i]);
    }
    (void)fprintf(stderr, "%zu cuts, %zu differ, %zu opened\n", made, differ, kept);
    bench->n_cuts[disk] = kept;
}

/* A fresh node with one more cut of each disk; false when there are no more. A disk of which there
 * are fewer keeps the pool that its last one became: its file is NULL. */
static bool open_row(struct bench *bench, struct cut out_row[DISKS])
{
    bool any = false;
    for (size_t i = 0; i < DISKS; i++) {
        out_row[i] = (struct cut){0};
        if (bench->n_cuts[i] == 0)
            continue;
        out_row[i] = bench->cuts[i][--bench->n_cuts[i]];
        powerhost_swap(&bench->host, &bench->disks[i], &out_row[i].file, 1);
        any = true;
    }
    if (any)
        node_start(bench->node);
    return any;
}

static void close_row(const struct bench *bench, struct cut row[DISKS])
{
    node_wait_pools(bench->node, DISKS + 1);
    neighbours_are_as_they_were(bench);
    autoreply Storage__V1__Space *space = must_reserve(bench->node, "after", SSD, 16 * MiB);
    must_release(bench->node, space->id);
    shut_down(bench);
    for (size_t i = 0; i < DISKS; i++)
        if (row[i].file)
            drop_cut(&row[i]);
}

/* ---- the bench ---- */

static size_t cuts_of_a_disk(void)
{
    const char *text = getenv("STORAGED_TEST_CUTS");
    size_t n = text ? strtoul(text, NULL, 10) / 20 : CUTS;
    return n < 2 ? 2 : n < CUTS_MAX ? n : CUTS_MAX;
}

/* Started, with a pool on the keeper alone. */
static struct bench *bench_make(void)
{
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    bench->host = powerhost_make(false);
    bench->foreign = disk_create(DISK_BYTES, DISK_SSD);
    bench->keeper = disk_create(DISK_BYTES, DISK_SSD);
    command_ok("mkfs.ext4", "-q", bench->foreign->path);
    bench->foreign_checksum = disk_checksum(bench->foreign);
    bench->node = node_create(bench->foreign, bench->keeper);
    node_set(bench->node, "pools.create", "no");
    for (size_t i = 0; i < DISKS; i++) {
        bench->disks[i] = powerhost_disk(&bench->host, DISK_BYTES);
        node_allow(bench->node, bench->disks[i]);
    }
    node_start(bench->node);
    prepare(bench, bench->keeper);
    node_wait_cache(bench->node, true);
    autoreply Storage__V1__Space *space = must_reserve(bench->node, "kept", SSD, 16 * MiB);
    autofree char *noise = malloc(TAG_BYTES);
    memset(noise, 'x', TAG_BYTES);
    bench->tag = path_format("%s/tag", space->path);
    file_write(bench->tag, noise, TAG_BYTES);
    return bench;
}

static void bench_free(struct bench *bench)
{
    (void)fprintf(stderr, "%u blank, %u pools, %u half wiped\n", bench->n_blank, bench->n_pools,
                  bench->n_half);
    assert_true(bench->n_blank > 0 && bench->n_pools > 0);
    free(bench->tag);
    powerhost_clear(&bench->host);
    free(bench);
}

/* ---- the tests ---- */

static bool is_pool(const struct bench *bench, const struct disk *disk)
{
    bool mounted = false;
    autofree char *fsid = pool_on(bench, disk, &mounted);
    return mounted;
}

static void a_disk_cut_in_the_making_becomes_a_pool(void)
{
    struct bench *bench = bench_make();
    struct cut row[DISKS];
    for (size_t i = 0; i < DISKS; i++) {
        Storage__V1__PreparePolicy policy = STORAGE__V1__PREPARE_POLICY__INIT;
        char *disks[] = {bench->disks[i]->path};
        policy.profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
        policy.disks = disks;
        policy.n_disks = array_length(disks);
        struct verb verb = {.method = "storage.v1.DiskService/Prepare", .request = &policy};
        cut_during(bench, i, &verb, is_pool);
    }
    shut_down(bench);
    for (size_t i = 0; i < DISKS; i++)
        thin_out(bench, i, cuts_of_a_disk());
    while (open_row(bench, row)) {
        for (size_t i = 0; i < DISKS; i++) {
            if (row[i].file && state_of(bench, i) == STATE(BLANK)) {
                assert_false(row[i].answered);
                prepare(bench, bench->disks[i]);
                bench->n_blank++;
            } else if (row[i].file) {
                bench->n_pools++; /* it is opened, and finished if need be, by itself */
            }
        }
        close_row(bench, row);
    }
    bench_free(bench);
}

static bool is_answered(const struct bench *bench, const struct disk *disk)
{
    (void)bench, (void)disk;
    return true;
}

/* Without force: what was being wiped is nobody's. */
static void wipe_rest(const struct bench *bench, size_t disk)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Disk *seen = disknode_get(bench->node, bench->disks[disk]->path);
    autoreply Storage__V1__Disk *wiped = NULL;
    assert_non_null(strstr(seen->reason, "a wipe of it was cut off"));
    assert_ok(disknode_wipe(bench->node, seen->id, "", false, &wiped, &err), &err);
}

/* What is left of it is the pool that it was, or half wiped, or blank. */
static void wipe_again(struct bench *bench, size_t disk, const struct cut *cut)
{
    bool mounted;
    autofree char *fsid = pool_on(bench, bench->disks[disk], &mounted);
    if (fsid) {
        assert_false(cut->answered);
        Storage__V1__WipePoolRequest request = STORAGE__V1__WIPE_POOL_REQUEST__INIT;
        request.id = fsid;
        request.force = !mounted;
        autoerr struct err err = {0};
        autoreply Storage__V1__WipePoolReply *reply = NULL;
        assert_ok(storage_call(bench->node->storage, "storage.v1.PoolService/Wipe", &request,
                               &reply, &err),
                  &err);
        bench->n_pools++;
    } else if (state_of(bench, disk) == STATE(FOREIGN)) {
        assert_false(cut->answered);
        wipe_rest(bench, disk);
        bench->n_half++;
    } else {
        bench->n_blank++;
    }
    assert_int_equal(state_of(bench, disk), STATE(BLANK));
    prepare(bench, bench->disks[disk]);
}

static void a_disk_cut_in_a_wipe_is_wiped_again(void)
{
    struct bench *bench = bench_make();
    struct cut row[DISKS];
    for (size_t i = 0; i < DISKS; i++)
        prepare(bench, bench->disks[i]);
    node_wait_pools(bench->node, DISKS + 1);
    for (size_t i = 0; i < DISKS; i++) {
        bool mounted;
        autofree char *fsid = pool_on(bench, bench->disks[i], &mounted);
        Storage__V1__WipePoolRequest request = STORAGE__V1__WIPE_POOL_REQUEST__INIT;
        request.id = fsid;
        struct verb verb = {.method = "storage.v1.PoolService/Wipe", .request = &request};
        cut_during(bench, i, &verb, is_answered);
    }
    shut_down(bench);
    for (size_t i = 0; i < DISKS; i++)
        thin_out(bench, i, cuts_of_a_disk());
    while (open_row(bench, row)) {
        for (size_t i = 0; i < DISKS; i++)
            if (row[i].file)
                wipe_again(bench, i, &row[i]);
        close_row(bench, row);
    }
    bench_free(bench);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_disk_cut_in_the_making_becomes_a_pool),
        harness_case(a_disk_cut_in_a_wipe_is_wiped_again),
    };
    return harness_main(argc, argv, "powercut_disks", cases, array_length(cases));
}
