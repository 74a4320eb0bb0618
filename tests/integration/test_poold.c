/* poold as a whole: one space's life over poold's death, and pools that vanish, return and hang. */
#include "poolnode.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define SPACE(s)  STORAGE__V1__SPACE_STATE__SPACE_STATE_##s
#define DISK_SIZE (2 * GiB)

/* --- one space ------------------------------------------------------------------------------- */

static bool all_is_back(struct node *node, void *data)
{
    Storage__V1__PoolCapacity now = poolnode_capacity(node);
    return now.releasing == 0 && now.booked == *(const uint64_t *)data;
}

static void from_a_blank_disk_to_a_reaped_space(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    struct node *node = node_create(disk);
    node_set(node, "spaces.headroom", "0");
    node_start(node);
    node_wait_cache(node, true);
    uint64_t before = poolnode_capacity(node).booked;
    autoreply Storage__V1__Space *space = must_reserve(node, "life", SSD, 64 * MiB);
    int refusal;
    assert_true(file_fill(space->path, "filler", GiB, &refusal) <= 64 * MiB);
    assert_int_equal(refusal, EDQUOT);

    autofree char *pool = path_format("%s/%s", node->mount_root, space->pool);
    int pool_mount = mount_id(pool), cache_mount = mount_id(node->cache_path);
    struct worker_info poold = node_worker(node, "poold");
    assert_int_equal(kill(poold.pid, SIGKILL), 0);
    node_wait_worker(node, "poold", poold.epoch);
    /* The first answer of the new one already knows all. */
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *found = NULL;
    assert_ok(call_get(node->storage, space->id, &found, &err), &err);
    assert_string_equal(found->path, space->path);
    assert_true(found->used_bytes > 32 * MiB);
    node_wait_cache(node, true);
    assert_int_equal(mount_id(pool), pool_mount);
    assert_int_equal(mount_id(node->cache_path), cache_mount);
    assert_int_equal(poolnode_capacity(node).booked, before + 64 * MiB);
    autoreply Storage__V1__Space *again = must_reserve(node, "life", SSD, 64 * MiB);
    assert_string_equal(again->id, space->id);
    assert_false(again->created);

    node_mark(node);
    must_release(node, space->id);
    watch_wait(node->watch, "space.released", space->id);
    watch_wait(node->watch, "space.reaped", space->id);
    node_wait(node, all_is_back, &before, "the ledger has all back");
    assert_int_not_equal(access(space->path, F_OK), 0);
    assert_ok(node_shutdown(node, &err), &err);
    assert_int_equal(mounts_below(node->dir), 0);
    /* All those commits have left its label alone: diskd reads the same name as at first. */
    node_start(node);
    autoreply Storage__V1__Disk *seen = NULL;
    assert_ok(call_disk(node->storage, disk->path, &seen, &err), &err);
    autofree char *label = path_format("storaged:%.8s", found->pool);
    assert_string_equal(seen->pool->label, label);
}

enum { TWINS = 16 };

struct twin {
    pthread_t thread;
    struct storage *storage;
    Storage__V1__Space *space;
    struct err err;
};

static void *twin_run(void *data)
{
    struct twin *twin = data;
    (void)call_reserve(twin->storage, "the one", SSD, 16 * MiB, &twin->space, &twin->err);
    return NULL;
}

static void all_who_ask_at_once_get_one_space(void)
{
    struct node *node = node_create(disk_create(DISK_SIZE, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    struct twin twins[TWINS] = {0};
    for (int i = 0; i < TWINS; i++)
        twins[i].storage = node_client(node);
    for (int i = 0; i < TWINS; i++)
        assert_int_equal(pthread_create(&twins[i].thread, NULL, twin_run, &twins[i]), 0);
    unsigned made = 0;
    for (int i = 0; i < TWINS; i++) {
        assert_int_equal(pthread_join(twins[i].thread, NULL), 0);
        assert_ok(-(int)twins[i].err.code, &twins[i].err);
        assert_string_equal(twins[i].space->id, twins[0].space->id);
        made += twins[i].space->created ? 1 : 0;
    }
    assert_int_equal(made, 1);
    for (int i = 0; i < TWINS; i++) {
        storage_free(twins[i].space);
        storage_close(twins[i].storage);
    }
}

static void nested_subvolumes_belong_to_their_space(void)
{
    struct node *node = node_create(disk_create(DISK_SIZE, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    uint64_t before = poolnode_capacity(node).booked;
    autoreply Storage__V1__Space *space = must_reserve(node, "nest", SSD, 64 * MiB);
    autofree char *outer = path_format("%s/outer", space->path);
    autofree char *inner = path_format("%s/outer/inner", space->path);
    command_ok("btrfs", "-q", "subvolume", "create", outer);
    command_ok("btrfs", "-q", "subvolume", "create", inner);
    /* They are looked for at every open, before the first subscriber can be back. */
    struct worker_info poold = node_worker(node, "poold");
    assert_int_equal(kill(poold.pid, SIGKILL), 0);
    node_wait_worker(node, "poold", poold.epoch);
    node_wait_cache(node, true);
    assert_int_equal(node_log_count(node, "msg=space.nested"), 2);
    must_release(node, space->id);
    node_wait(node, all_is_back, &before, "the ledger has all back");
    assert_int_not_equal(access(space->path, F_OK), 0);
}

struct asker {
    struct storage *storage;
    const char *id;
    bool existed;
    struct err err;
};

static void *release_it(void *data)
{
    struct asker *asker = data;
    (void)call_release(asker->storage, asker->id, &asker->existed, &asker->err);
    return NULL;
}

static bool patience_is_over(struct node *node, void *data)
{
    (void)data;
    return node_log_count(node, "the rest") > 0 || node_log_count(node, "still silent") > 0;
}

/* A poold that was just reborn learns of its pools by diskd alone. */
static void a_space_is_not_denied_while_diskd_is_silent(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    struct node *node = node_create(disk);
    node_set(node, "supervisor.beats_missed", "100");
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *space = must_reserve(node, "kept", SSD, 64 * MiB);
    struct asker asker = {.storage = node_client(node), .id = space->id};
    struct worker_info poold = node_worker(node, "poold"), diskd = node_worker(node, "diskd");
    assert_int_equal(kill(diskd.pid, SIGSTOP), 0);
    assert_int_equal(kill(poold.pid, SIGKILL), 0);
    node_wait_worker(node, "poold", poold.epoch);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release_it, &asker), 0);
    node_wait(node, patience_is_over, NULL, "poold has waited for what may be slow");
    assert_int_equal(kill(diskd.pid, SIGCONT), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ok(-(int)asker.err.code, &asker.err);
    assert_true(asker.existed);
}

static void no_pool_is_made_by_itself_when_told_so(void)
{
    struct disk *disk = disk_create(DISK_SIZE, DISK_SSD);
    struct node *node = node_create(disk);
    node_set(node, "pools.create", "no");
    node_start(node);
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *none = NULL;
    assert_refused(call_reserve(node->storage, "early", SSD, MiB, &none, &err), &err,
                   ERR_FAILED_PRECONDITION, "SSD");
    node_wait_disk(node, disk, STORAGE__V1__DISK_STATE__DISK_STATE_BLANK);
    /* An operator's word is another thing. */
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    assert_ok(call_prepare(node->storage, disk->path, &prepared, &err), &err);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *space = must_reserve(node, "early", SSD, MiB);
    assert_string_equal(space->pool, prepared->pools[0]->fsid);
}

/* --- pools that come and go ------------------------------------------------------------------ */

static bool space_is(struct node *node, const char *id, Storage__V1__SpaceState state)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *space = NULL;
    assert_ok(call_get(node->storage, id, &space, &err), &err);
    return space->state == state;
}

static void a_pool_whose_disk_returns_serves_again(void)
{
    struct two_pools two = poolnode_start_two(DISK_SIZE);
    struct node *node = two.node;
    autoreply Storage__V1__Space *space = poolnode_reserve_on(node, two.fsid[1], 64 * MiB);
    autoreply Storage__V1__Space *other = poolnode_reserve_on(node, two.fsid[0], 64 * MiB);
    assert_true(space_is(node, space->id, SPACE(LIVE)));

    disk_uevent(two.disk[1], "remove");
    poolnode_wait(node, two.fsid[1], POOL_STATE(FAILED), NULL);
    assert_true(space_is(node, space->id, SPACE(FAILED)));
    assert_true(space_is(node, other->id, SPACE(LIVE)));
    autoerr struct err err = {0};
    assert_refused(call_release(node->storage, space->id, NULL, &err), &err, ERR_UNAVAILABLE,
                   "vanished");
    must_release(node, other->id);

    disk_uevent(two.disk[1], "add");
    poolnode_wait(node, two.fsid[1], POOL_STATE(MOUNTED), NULL);
    assert_true(space_is(node, space->id, SPACE(LIVE)));
    must_release(node, space->id);
    watch_wait(node->watch, "space.reaped", space->id);
}

static void the_cache_follows_its_pool(void)
{
    struct two_pools two = poolnode_start_two(DISK_SIZE);
    struct node *node = two.node;
    autoerr struct err err = {0};
    autoreply Storage__V1__CacheInfo *before = NULL, *after = NULL;
    assert_ok(call_cache(node->storage, &before, &err), &err);
    assert_string_equal(before->pool, two.fsid[0]);
    node_mark(node);
    disk_uevent(two.disk[0], "remove");
    watch_wait(node->watch, "cache.unmounted", two.fsid[0]);
    const Storage__V1__Event *event = watch_wait(node->watch, "cache.mounted", two.fsid[1]);
    autofree char *reason = path_format("its cache is mounted on %s", node->cache_path);
    assert_string_equal(event->reason, reason);
    assert_ok(call_cache(node->storage, &after, &err), &err);
    assert_true(after->mounted);
    assert_string_equal(after->pool, two.fsid[1]);
    assert_int_not_equal(mount_id(node->cache_path), 0);
}

/* The look at each half-minute would come too late for whoever waits for /var/cache. */
static void a_cache_that_somebody_unmounts_is_back_at_once(void)
{
    enum { AT_ONCE_MS = 10000 };
    struct node *node = node_create(disk_create(DISK_SIZE, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    node_mark(node);
    uint64_t begun_ms = clock_monotonic_ms();
    assert_int_equal(umount(node->cache_path), 0);
    watch_wait(node->watch, "cache.unmounted", NULL);
    watch_wait(node->watch, "cache.mounted", NULL);
    assert_true(clock_monotonic_ms() - begun_ms < AT_ONCE_MS);
    assert_int_not_equal(mount_id(node->cache_path), 0);
}

/* --- pools that hang ------------------------------------------------------------------------- */

struct release_call {
    pthread_t thread;
    struct storage *storage;
    const char *id;
    int rc;
    struct err err;
};

static void *release_run(void *data)
{
    struct release_call *call = data;
    call->rc = call_release(call->storage, call->id, NULL, &call->err);
    return NULL;
}

/* Looked at with each tick. */
static bool is_past(struct node *node, void *data)
{
    (void)node;
    return clock_monotonic_ms() >= *(const uint64_t *)data;
}

static void a_pool_that_hangs_stalls_itself_alone(void)
{
    struct two_pools two = poolnode_start_two(DISK_SIZE);
    struct node *node = two.node;
    autoreply Storage__V1__Space *space = poolnode_reserve_on(node, two.fsid[1], 64 * MiB);
    autofree char *mount = path_format("%s/%s", node->mount_root, two.fsid[1]);
    struct freezer freezer = filesystem_freeze(mount);
    struct release_call hung = {.storage = node_client(node), .id = space->id};
    assert_int_equal(pthread_create(&hung.thread, NULL, release_run, &hung), 0);

    /* The hung pool has more room; once it is seen to hang, the other is chosen. */
    uint64_t seen_ms = clock_monotonic_ms() + 1500;
    node_wait(node, is_past, &seen_ms, "time has passed");
    autoreply Storage__V1__Space *other = poolnode_reserve_on(node, two.fsid[0], 64 * MiB);
    assert_true(space_is(node, other->id, SPACE(LIVE)));
    must_release(node, other->id);

    struct worker_info poold = node_worker(node, "poold");
    assert_int_equal(poold.state, STORAGE__V1__WORKER_STATE__WORKER_STATE_READY);
    assert_int_equal(poold.restarts, 0);
    filesystem_thaw(&freezer);
    assert_int_equal(pthread_join(hung.thread, NULL), 0);
    assert_ok(hung.rc, &hung.err);
    watch_wait(node->watch, "space.reaped", space->id);
    storage_close(hung.storage);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(from_a_blank_disk_to_a_reaped_space),
        harness_case(all_who_ask_at_once_get_one_space),
        harness_case(nested_subvolumes_belong_to_their_space),
        harness_case(a_space_is_not_denied_while_diskd_is_silent),
        harness_case(no_pool_is_made_by_itself_when_told_so),
        harness_case(a_pool_whose_disk_returns_serves_again),
        harness_case(the_cache_follows_its_pool),
        harness_case(a_cache_that_somebody_unmounts_is_back_at_once),
        harness_case(a_pool_that_hangs_stalls_itself_alone),
    };
    return harness_main(argc, argv, "poold", cases, array_length(cases));
}
