/* Disks that hang and disks that fail, under load: nothing false is said, and nothing spreads. */
#include "poolnode.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>

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

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_pool_frozen_over_an_abort),
        harness_case(a_pool_frozen_over_a_kill),
    };
    return harness_main(argc, argv, "dying", cases, array_length(cases));
}
