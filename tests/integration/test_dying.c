/* Disks that hang and disks that fail, under load: nothing false is said, and nothing spreads. */
#include "poolnode.h"
#include "slowfile.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define DISK_SIZE (2 * GiB)

/* --- a client of a pool ---------------------------------------------------------------------- */

enum { CALL_MS = 1200, LATE_MS = 1500, CLIENTS = 3 };

/* Releases one space of the hung pool, with a deadline of its own. */
struct caller {
    pthread_t thread;
    struct storage *storage;
    const char *id;
    uint64_t took_ms;
    int rc;
    struct err err;
};

static void *caller_run(void *data)
{
    struct caller *caller = data;
    uint64_t begun_ms = clock_monotonic_ms();
    caller->rc = call_release(caller->storage, caller->id, NULL, &caller->err);
    caller->took_ms = clock_monotonic_ms() - begun_ms;
    return NULL;
}

static struct storage *impatient_client(const struct node *node)
{
    struct storage_options options = {.run_dir = node->run_dir, .timeout_ms = CALL_MS};
    autoerr struct err err = {0};
    struct storage *storage = NULL;
    assert_ok(storage_open(&options, &storage, &err), &err);
    return storage;
}

static void calls_end_at_their_deadline(const struct node *node, Storage__V1__Space *const *spaces)
{
    struct caller callers[CLIENTS] = {0};
    for (int i = 0; i < CLIENTS; i++) {
        callers[i].storage = impatient_client(node);
        callers[i].id = spaces[i]->id;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, caller_run, &callers[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_refused(callers[i].rc, &callers[i].err, ERR_DEADLINE_EXCEEDED, "");
        assert_true(callers[i].took_ms < CALL_MS + LATE_MS);
        err_clear(&callers[i].err);
        storage_close(callers[i].storage);
    }
}

/* Reserves and releases on the pool that is well, as long as it is told. */
static void others_go_on(struct node *node, const char *fsid)
{
    for (int i = 0; i < 3; i++) {
        autoreply Storage__V1__Space *space = poolnode_reserve_on(node, fsid, 16 * MiB);
        int refusal;
        assert_int_equal(file_fill(space->path, "file", MiB, &refusal), MiB);
        must_release(node, space->id);
    }
}

static Storage__V1__SpaceState state_of(struct node *node, const char *id)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *space = NULL;
    assert_ok(call_get(node->storage, id, &space, &err), &err);
    return space->state;
}

/* --- a disk that hangs ----------------------------------------------------------------------- */

static void a_frozen_pool_is_fenced_then_whole(int signal_number)
{
    struct two_pools two = poolnode_start_two(DISK_SIZE);
    struct node *node = two.node;
    Storage__V1__Space *spaces[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        spaces[i] = poolnode_reserve_on(node, two.fsid[1], 32 * MiB);
    autoreply Storage__V1__Space *kept = poolnode_reserve_on(node, two.fsid[1], 32 * MiB);
    poolnode_wait_reaped(node);
    autofree char *mount = poolnode_path(node, two.fsid[1], "");
    struct freezer freezer = filesystem_freeze(mount);

    calls_end_at_their_deadline(node, spaces);
    others_go_on(node, two.fsid[0]);
    struct worker_info poold = node_worker(node, "poold");
    assert_int_equal(poold.restarts, 0);

    /* The thread of the old one is still in the kernel when the next one begins. */
    assert_int_equal(kill(poold.pid, signal_number), 0);
    node_wait_worker(node, "poold", poold.epoch);
    assert_int_equal(kill(poold.pid, 0), 0);
    poolnode_wait(node, two.fsid[1], POOL_STATE(FENCED), "predecessor");
    if (signal_number == SIGABRT)
        others_go_on(node, two.fsid[0]);

    filesystem_thaw(&freezer);
    process_wait_gone(poold.pid);
    poolnode_wait(node, two.fsid[1], POOL_STATE(MOUNTED), NULL);
    poolnode_wait(node, two.fsid[0], POOL_STATE(MOUNTED), NULL);
    assert_int_equal(state_of(node, kept->id), STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE);
    /* What was asked for in vain may have been done; asked for again, it is. */
    for (int i = 0; i < CLIENTS; i++) {
        must_release(node, spaces[i]->id);
        storage_free(spaces[i]);
    }
    poolnode_wait_reaped(node);
    autofree char *data = path_format("%s", kept->path);
    int refusal;
    assert_int_equal(file_fill(data, "file", 8 * MiB, &refusal), 8 * MiB);
}

static void a_pool_frozen_over_an_abort(void)
{
    a_frozen_pool_is_fenced_then_whole(SIGABRT);
}

static void a_pool_frozen_over_a_kill(void)
{
    a_frozen_pool_is_fenced_then_whole(SIGKILL);
}

/* --- a disk that fails ------------------------------------------------------------------------ */

enum { WRITERS = 4, ACKS_MAX = 400, ACKS_FIRST = 8 };

/* What was acknowledged of a space last; unsure after a release that failed. */
enum fate { RESERVED, RELEASED, UNSURE };

struct ack {
    Storage__V1__Space *space;
    enum fate fate;
};

/* Reserves until it is stopped, each name until it is told that it has it; releases a third. */
struct writer {
    pthread_t thread;
    struct storage *storage;
    const char *dying; /* fsid */
    int number;
    struct ack acks[ACKS_MAX];
    size_t n_acks;
    enum err_code unexpected; /* a refusal that no dying disk explains */
};

static atomic_bool writers_stop;
static atomic_uint acks_dying, acks_other;

static bool is_explained(int rc)
{
    static const enum err_code codes[] = {ERR_UNAVAILABLE, ERR_ABORTED};
    bool found = false;
    for (size_t i = 0; i < array_length(codes); i++)
        found = found || rc == -(int)codes[i];
    return found;
}

static bool writer_call(struct writer *writer, int rc)
{
    if (rc < 0 && !is_explained(rc))
        writer->unexpected = (enum err_code) - rc;
    return rc == 0;
}

static void *writer_run(void *data)
{
    struct writer *writer = data;
    while (!writers_stop && writer->n_acks < ACKS_MAX) {
        autofree char *name = path_format("load-%d-%zu", writer->number, writer->n_acks);
        struct ack ack = {.fate = RESERVED};
        if (!writer_call(writer, call_reserve(writer->storage, name, SSD, MiB, &ack.space, NULL)))
            continue;
        bool on_dying = strcmp(ack.space->pool, writer->dying) == 0;
        atomic_fetch_add(on_dying ? &acks_dying : &acks_other, 1);
        if (writer->n_acks % 3 == 0)
            ack.fate = writer_call(writer, call_release(writer->storage, ack.space->id, NULL, NULL))
                           ? RELEASED
                           : UNSURE;
        writer->acks[writer->n_acks++] = ack;
    }
    return NULL;
}

static void writers_start(struct writer *writers, const struct node *node, const char *dying)
{
    writers_stop = false;
    acks_dying = acks_other = 0;
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.storage = node_client(node), .dying = dying, .number = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]), 0);
    }
}

static void writers_end(struct writer *writers)
{
    writers_stop = true;
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        storage_close(writers[i].storage);
        assert_int_equal(writers[i].unexpected, ERR_OK);
    }
}

struct acks {
    atomic_uint *count;
    unsigned at_least;
};

static bool has_acks(struct node *node, void *data)
{
    const struct acks *acks = data;
    (void)node;
    return *acks->count >= acks->at_least;
}

static void wait_acks(struct node *node, atomic_uint *count, unsigned more)
{
    struct acks acks = {.count = count, .at_least = *count + more};
    node_wait(node, has_acks, &acks, "spaces are reserved");
}

static void check_ack(struct node *node, const struct ack *ack)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *found = NULL;
    struct stat st;
    if (ack->fate == RESERVED) {
        assert_int_equal(state_of(node, ack->space->id),
                         STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE);
        assert_int_equal(stat(ack->space->path, &st), 0);
    } else if (ack->fate == RELEASED) {
        assert_refused(call_get(node->storage, ack->space->id, &found, &err), &err, ERR_NOT_FOUND,
                       "");
    }
}

/* What was acknowledged is so, whichever pool it is on. */
static void check_acks(struct node *node, struct writer *writers)
{
    for (int i = 0; i < WRITERS; i++) {
        for (size_t k = 0; k < writers[i].n_acks; k++) {
            check_ack(node, &writers[i].acks[k]);
            storage_free(writers[i].acks[k].space);
        }
    }
}

struct death {
    unsigned failing;     /* SLOWFILE_… */
    unsigned more_writes; /* that go well before */
    bool gone;            /* and the kernel says that the disk is gone */
    bool uncached;        /* the kernel has to read again */
    const char *topic;
    Storage__V1__PoolState state;
};

/* The pool of the cache, and one on a disk that can die. */
static struct two_pools start_beside(struct disk *dying, struct slowfile **out_file)
{
    struct two_pools two = {.disk = {disk_create(DISK_SIZE, DISK_SSD), dying}};
    autoerr struct err err = {0};
    two.node = poolnode_start(two.disk[0], dying);
    autoreply Storage__V1__ListPoolsReply *one = NULL;
    assert_ok(call_pools(two.node->storage, &one, &err), &err);
    (void)snprintf(two.fsid[0], sizeof two.fsid[0], "%s", one->pools[0]->id);
    *out_file = slowfile_plug(dying);
    node_wait_disk(two.node, dying, STORAGE__V1__DISK_STATE__DISK_STATE_BLANK);
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    assert_ok(call_prepare(two.node->storage, dying->path, &prepared, &err), &err);
    (void)snprintf(two.fsid[1], sizeof two.fsid[1], "%s", prepared->pools[0]->fsid);
    node_wait_pools(two.node, 2);
    return two;
}

/* What is in use, or was changed just now, stays in the cache for that moment. */
static bool is_read_only_once_read(struct node *node, void *fsid)
{
    file_write("/proc/sys/vm/drop_caches", "3", 1);
    return poolnode_is(node, fsid, POOL_STATE(READ_ONLY));
}

static void nothing_false_is_said_of(const struct death *death)
{
    struct writer writers[WRITERS];
    struct slowfile *file;
    struct disk *dying = disk_reserve(DISK_SIZE, DISK_SSD);
    struct two_pools two = start_beside(dying, &file);
    struct node *node = two.node;
    writers_start(writers, node, two.fsid[1]);
    wait_acks(node, &acks_dying, ACKS_FIRST);
    node_mark(node);
    slowfile_fail(file, death->failing, death->more_writes);
    if (death->uncached)
        node_wait(node, is_read_only_once_read, two.fsid[1], "what is not cached cannot be read");
    if (death->gone)
        disk_uevent(dying, "remove");
    (void)watch_wait(node->watch, death->topic, two.fsid[1]);
    poolnode_wait(node, two.fsid[1], death->state, NULL);
    wait_acks(node, &acks_other, ACKS_FIRST);
    writers_end(writers);
    others_go_on(node, two.fsid[0]);
    assert_int_equal(node_worker(node, "poold").restarts, 0);
    if (death->gone) {
        slowfile_fail(file, 0, 0);
        disk_uevent(dying, "add");
        poolnode_wait(node, two.fsid[1], POOL_STATE(MOUNTED), NULL);
        autoreply Storage__V1__Space *space = poolnode_reserve_on(node, two.fsid[1], 16 * MiB);
        must_release(node, space->id);
    }

    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    slowfile_unplug(file);
    disk_plug(dying);
    node_start(node);
    poolnode_wait(node, two.fsid[0], POOL_STATE(MOUNTED), NULL);
    poolnode_wait(node, two.fsid[1], POOL_STATE(MOUNTED), NULL);
    check_acks(node, writers);
}

/* From a write on that is somewhere in a commit. */
static void a_disk_whose_writes_fail(void)
{
    const char *turns = getenv("STORAGED_TEST_TURNS");
    unsigned n = turns ? (unsigned)strtoul(turns, NULL, 10) : 5;
    for (unsigned i = 0; i < n; i++)
        nothing_false_is_said_of(&(struct death){.failing = SLOWFILE_WRITES | SLOWFILE_FLUSHES,
                                                 .more_writes = i * 7,
                                                 .topic = "pool.readonly",
                                                 .state = POOL_STATE(READ_ONLY)});
}

static void a_disk_whose_flushes_fail(void)
{
    nothing_false_is_said_of(&(struct death){
        .failing = SLOWFILE_FLUSHES, .topic = "pool.readonly", .state = POOL_STATE(READ_ONLY)});
}

/* The kernel lets changes fail one by one, and the filesystem is writable still. */
static void a_disk_whose_reads_fail(void)
{
    nothing_false_is_said_of(&(struct death){.failing = SLOWFILE_READS,
                                             .uncached = true,
                                             .topic = "pool.readonly",
                                             .state = POOL_STATE(READ_ONLY)});
}

static void a_disk_that_vanishes(void)
{
    nothing_false_is_said_of(
        &(struct death){.failing = SLOWFILE_WRITES | SLOWFILE_FLUSHES | SLOWFILE_READS,
                        .gone = true,
                        .topic = "pool.failed",
                        .state = POOL_STATE(FAILED)});
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_pool_frozen_over_an_abort), harness_case(a_pool_frozen_over_a_kill),
        harness_case(a_disk_whose_writes_fail),    harness_case(a_disk_whose_flushes_fail),
        harness_case(a_disk_whose_reads_fail),     harness_case(a_disk_that_vanishes),
    };
    return harness_main(argc, argv, "dying", cases, array_length(cases));
}
