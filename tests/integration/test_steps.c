/*
 * poold is killed at its n-th step, for every n of a life: the first pool made, the cache, two
 * spaces, one released and reaped. Steps stand before and after each change to a disk or a mount
 * (lib/base/step.h). Afterwards a poold that nobody kills finds all that was
 * acknowledged, lists nothing half-made, and leaks nothing.
 */
#include "poolnode.h"
#include "steps.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define DISK_BYTES  (2 * GiB)
#define SPACE_BYTES (16 * MiB)

enum { STEPS_MAX = 2000, CALL_MS = 2000, RETRY_MS = 5 };

/* What the client knows when poold has died. */
struct told {
    char ids[2][40]; /* acknowledged; "" if not */
    bool asked_release, released;
};

static const char *const names[] = {"first", "second"};

static struct steps *steps;

/* Until it is answered, or poold has been killed; who is refused because nobody is there yet asks
 * again. */
static int reserve(struct storage *storage, const char *name, char *out_id)
{
    for (;;) {
        autoreply Storage__V1__Space *space = NULL;
        int rc = call_reserve(storage, name, SSD, SPACE_BYTES, &space, NULL);
        if (rc == 0)
            (void)snprintf(out_id, 40, "%s", space->id);
        if (rc == 0 || steps_are_over(steps))
            return rc;
        (void)poll(NULL, 0, RETRY_MS); /* who is to answer needs the processor */
    }
}

static bool is_reaped(struct node *node, void *data)
{
    (void)data;
    autoreply Storage__V1__CapacityReply *reply = NULL;
    return steps_are_over(steps) || (call_capacity(node->storage, SSD, &reply, NULL) == 0 &&
                                     reply->capacity->releasing == 0);
}

static void live(struct node *node, struct told *told)
{
    struct storage_options options = {.run_dir = node->run_dir, .timeout_ms = CALL_MS};
    struct storage *storage = NULL;
    assert_int_equal(storage_open(&options, &storage, NULL), 0);
    for (int i = 0; i < 2 && !steps_are_over(steps); i++)
        (void)reserve(storage, names[i], told->ids[i]);
    if (!steps_are_over(steps)) {
        told->asked_release = true;
        told->released = call_release(storage, told->ids[0], NULL, NULL) == 0;
    }
    storage_close(storage);
    node_wait(node, is_reaped, NULL, "the released space is reaped, or poold killed");
}

/* ---- afterwards ---- */

static bool has_space(const Storage__V1__SpaceListReply *list, const char *id)
{
    for (size_t i = 0; i < list->n_spaces; i++)
        if (strcmp(list->spaces[i]->id, id) == 0)
            return true;
    return false;
}

static void check_spaces(struct node *node, const struct told *told)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    if (*told->ids[0] && !told->asked_release)
        assert_true(has_space(list, told->ids[0]));
    if (told->released)
        assert_false(has_space(list, told->ids[0]));
    if (*told->ids[1])
        assert_true(has_space(list, told->ids[1]));
    for (size_t i = 0; i < list->n_spaces; i++)
        assert_int_equal(list->spaces[i]->state, STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE);
}

/* A retry finds what was made; then all is released. */
static void retry_and_release(struct node *node, const struct told *told)
{
    for (int i = 0; i < 2; i++) {
        autoreply Storage__V1__Space *space = must_reserve(node, names[i], SSD, SPACE_BYTES);
        if (*told->ids[i] && !(i == 0 && told->asked_release))
            assert_string_equal(space->id, told->ids[i]);
        must_release(node, space->id);
    }
    poolnode_wait_reaped(node);
}

/* On the disk there is the cache, and in the ledger what it needs. */
static void nothing_leaked(struct node *node)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__CacheInfo *cache = NULL;
    Storage__V1__PoolCapacity capacity = poolnode_capacity(node);
    assert_ok(call_cache(node->storage, &cache, &err), &err);
    assert_int_equal(capacity.booked, cache->limit_bytes);
    poolnode_must_hold(node, cache->pool, 0);
    poolnode_must_balance(node);
}

/* False when the life was over before the n-th step. */
static bool kill_at(unsigned n)
{
    struct told told = {0};
    struct node *node = node_create(disk_create(DISK_BYTES, DISK_SSD));
    node_set(node, "spaces.headroom", "0");
    steps = steps_watch(node, "poold");
    steps_allow(steps, n);
    node_spawn(node);
    node_connect(node);
    live(node, &told);
    bool killed = steps_are_over(steps);
    node_kill(node);
    steps_forget(steps);
    node_start(node);
    node_wait_cache(node, true);
    check_spaces(node, &told);
    retry_and_release(node, &told);
    nothing_leaked(node);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    watch_stop(take_ptr(node->watch)); /* there are many lives */
    return killed;
}

static void a_life_is_cut_at_every_step(void)
{
    unsigned n = 1;
    while (n < STEPS_MAX && kill_at(n))
        n++;
    assert_in_range(n, 40, STEPS_MAX - 1);
}

/* ---- a pool that is wiped ---- */

static int wipe_pool(struct storage *storage, const char *fsid, const char *request_id,
                     struct err *err)
{
    Storage__V1__WipePoolRequest request = STORAGE__V1__WIPE_POOL_REQUEST__INIT;
    autoreply Storage__V1__WipePoolReply *reply = NULL;
    request.id = (char *)(uintptr_t)fsid;
    assert_int_equal(storage_set_request_id(storage, request_id, NULL), 0);
    return storage_call(storage, "storage.v1.PoolService/Wipe", &request, &reply, err);
}

/* A poold that was killed in the midst of it leaves the pool, or a disk that diskd makes blank. */
static bool is_settled(struct node *node, void *data)
{
    const struct disk *disk = data;
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    autoreply Storage__V1__Disk *seen = NULL;
    if (call_pools(node->storage, &pools, NULL) != 0 ||
        call_disk(node->storage, disk->path, &seen, NULL) != 0)
        return false;
    return pools->n_pools == 1
               ? pools->pools[0]->state == STORAGE__V1__POOL_STATE__POOL_STATE_MOUNTED
               : seen->state == STORAGE__V1__DISK_STATE__DISK_STATE_BLANK;
}

/* The only pool there is. */
static char *wait_for_pool(struct node *node)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__CacheInfo *cache = NULL;
    node_wait_pools(node, 1);
    node_wait_cache(node, true);
    assert_ok(call_cache(node->storage, &cache, &err), &err);
    return path_format("%s", cache->pool);
}

/* False when the pool was wiped before the n-th step. Then the wipe is asked for again, with the
 * same request id and with another, until there is no such pool any more. */
static bool wipe_is_cut(struct node *node, struct disk *disk, unsigned n)
{
    autoerr struct err err = {0};
    autofree char *fsid = wait_for_pool(node);
    autofree char *request_id = path_format("wipe-%u", n);
    struct worker_info old = node_worker(node, "poold");
    const struct storage_options options = {.run_dir = node->run_dir,
                                            .timeout_ms = HARNESS_WAIT_MS};
    struct storage *storage = NULL;
    assert_int_equal(storage_open(&options, &storage, NULL), 0);
    steps_allow(steps, n);
    int rc = wipe_pool(storage, fsid, request_id, &err);
    bool killed = rc != 0;
    steps_spare(steps);
    storage_close(storage);
    if (killed) {
        assert_refused(rc, &err, ERR_UNAVAILABLE, "");
        (void)node_wait_worker(node, "poold", old.epoch);
        node_wait(node, is_settled, disk, "the pool is there, or its disk is blank");
        while ((rc = wipe_pool(node->storage, fsid, request_id, &err)) == -ERR_ABORTED)
            ;
        if (rc != -ERR_NOT_FOUND)
            assert_ok(rc, &err);
    }
    rc = wipe_pool(node->storage, fsid, "", &err);
    assert_int_equal(rc, -ERR_NOT_FOUND);
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    assert_ok(call_prepare(node->storage, disk->path, &prepared, &err), &err);
    autofree char *next = wait_for_pool(node);
    assert_string_not_equal(next, fsid);
    poolnode_must_hold(node, next, 0);
    return killed;
}

static void a_wipe_is_cut_at_every_step(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = node_create(disk);
    node_set(node, "spaces.headroom", "0");
    node_set(node, "supervisor.healthy_ms", "1");
    steps = steps_watch(node, "poold");
    steps_spare(steps);
    node_start(node);
    unsigned n = 1;
    while (n < STEPS_MAX && wipe_is_cut(node, disk, n))
        n++;
    steps_forget(steps);
    assert_in_range(n, 5, STEPS_MAX - 1);
}

struct wiper {
    pthread_t thread;
    struct storage *storage;
    const char *fsid;
};

static void *wipe_and_forget(void *data)
{
    struct wiper *wiper = data;
    (void)wipe_pool(wiper->storage, wiper->fsid, "", NULL);
    return NULL;
}

/* diskd goes on, and who asked it is gone: the next poold finds a disk that is being wiped. */
static void poold_dies_while_diskd_wipes(void)
{
    enum { MANY = 1 << 20, APART = 5, TIMES = 8 };
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = node_create(disk);
    node_set(node, "supervisor.healthy_ms", "1");
    steps = steps_watch(node, "diskd");
    node_start(node);
    for (unsigned i = 0; i < TIMES; i++) {
        autofree char *fsid = wait_for_pool(node);
        struct wiper wiper = {.storage = node_client(node), .fsid = fsid};
        struct worker_info old = node_worker(node, "poold");
        steps_allow(steps, MANY);
        assert_int_equal(pthread_create(&wiper.thread, NULL, wipe_and_forget, &wiper), 0);
        steps_wait(steps, MANY - 1 - i * APART);
        assert_int_equal(kill(old.pid, SIGKILL), 0);
        assert_int_equal(pthread_join(wiper.thread, NULL), 0);
        storage_close(wiper.storage);
        (void)node_wait_worker(node, "poold", old.epoch);
        node_wait(node, is_settled, disk, "the wipe is over");
        autoerr struct err err = {0};
        autoreply Storage__V1__PrepareReply *prepared = NULL;
        assert_ok(call_prepare(node->storage, disk->path, &prepared, &err), &err);
        autofree char *next = wait_for_pool(node);
        assert_string_not_equal(next, fsid);
        poolnode_must_hold(node, next, 0);
    }
    steps_forget(steps);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_life_is_cut_at_every_step),
        harness_case(a_wipe_is_cut_at_every_step),
        harness_case(poold_dies_while_diskd_wipes),
    };
    return steps_main(argc, argv, "steps", cases, array_length(cases));
}
