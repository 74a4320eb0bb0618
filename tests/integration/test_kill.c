/* Processes die and hang under load: what was acknowledged is there, and the rest goes on. */
#include "poolnode.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CLIENTS = 4, SPACES_MAX = 400, KILLS = 4 };

static struct node *start_node(void)
{
    struct node *node = node_create(disk_create(8 * GiB, DISK_SSD));
    node_set(node, "spaces.headroom", "0");
    node_set(node, "supervisor.beat_ms", "200");
    node_set(node, "supervisor.abort_grace_ms", "500");
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

/* --- a busy client --------------------------------------------------------------------------- */

/* Reserves without a name, so that a retry which is not recognised shows as one space too many,
 * and releases every third. */
struct busy {
    pthread_t thread;
    struct storage *storage;
    unsigned number;
    atomic_bool stop;
    atomic_uint made;
    char ids[SPACES_MAX][40]; /* acknowledged and not released */
    unsigned n_ids;
    struct err err;
};

static void *busy_run(void *data)
{
    struct busy *busy = data;
    for (unsigned i = 0; i < SPACES_MAX && !busy->stop; i++) {
        char request_id[64];
        (void)snprintf(request_id, sizeof request_id, "busy-%u-%u", busy->number, i);
        autoreply Storage__V1__Space *space = NULL;
        if (storage_set_request_id(busy->storage, request_id, &busy->err) != 0 ||
            call_reserve(busy->storage, NULL, SSD, MiB, &space, &busy->err) != 0)
            break;
        busy->made++;
        if (i % 3 != 2) {
            (void)snprintf(busy->ids[busy->n_ids++], sizeof busy->ids[0], "%s", space->id);
            continue;
        }
        if (call_release(busy->storage, space->id, NULL, &busy->err) != 0)
            break;
    }
    return NULL;
}

static struct busy *busy_start(struct node *node)
{
    struct busy *all = calloc(CLIENTS, sizeof *all);
    assert_non_null(all);
    for (unsigned i = 0; i < CLIENTS; i++) {
        all[i].number = i;
        all[i].storage = node_client(node);
        assert_int_equal(pthread_create(&all[i].thread, NULL, busy_run, &all[i]), 0);
    }
    return all;
}

static bool busy_goes_on(struct node *node, void *data)
{
    (void)node;
    const struct busy *all = data;
    for (unsigned i = 0; i < CLIENTS; i++)
        if (all[i].made == 0)
            return false;
    return true;
}

/* Every acknowledged space is there, and no other. */
static void busy_stop_and_check(struct node *node, struct busy *all)
{
    unsigned expected = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        all[i].stop = true;
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_join(all[i].thread, NULL), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_ok(-(int)all[i].err.code, &all[i].err);
        expected += all[i].n_ids;
        for (unsigned k = 0; k < all[i].n_ids; k++) {
            autoerr struct err err = {0};
            autoreply Storage__V1__Space *space = NULL;
            assert_ok(call_get(node->storage, all[i].ids[k], &space, &err), &err);
            assert_int_equal(access(space->path, F_OK), 0);
        }
        storage_close(all[i].storage);
        err_clear(&all[i].err);
    }
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    assert_string_equal(list->next_page_token, "");
    assert_int_equal(list->n_spaces, expected);
    free(all);
}

static uint64_t booked(struct node *node)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__CapacityReply *reply = NULL;
    assert_ok(call_capacity(node->storage, SSD, &reply, &err), &err);
    return reply->capacity->booked - reply->capacity->releasing;
}

/* --- kill -9 --------------------------------------------------------------------------------- */

static void poold_dies_under_busy_clients(void)
{
    struct node *node = start_node();
    uint64_t before = booked(node);
    struct busy *all = busy_start(node);
    node_wait(node, busy_goes_on, all, "the clients are at work");
    struct worker_info poold = node_worker(node, "poold");
    for (int i = 0; i < KILLS; i++) {
        assert_int_equal(kill(poold.pid, SIGKILL), 0);
        poold = node_wait_worker(node, "poold", poold.epoch);
        assert_string_equal(poold.exit_reason, "signal 9 (Killed)");
    }
    busy_stop_and_check(node, all);
    /* What is booked is what the spaces need, also for one who reads it all anew. */
    poolnode_wait_reaped(node);
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    assert_int_equal(booked(node), before + list->n_spaces * MiB);
    poolnode_must_balance(node);
    assert_ok(node_shutdown(node, &err), &err);
    node_start(node);
    node_wait_cache(node, true);
    assert_int_equal(booked(node), before + list->n_spaces * MiB);
}

static void a_writer_in_a_space_does_not_notice(void)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "writer", SSD, 64 * MiB);
    autofree char *path = path_format("%s/file", space->path);
    autoclose int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    struct worker_info poold = node_worker(node, "poold");
    assert_int_equal(write(fd, "before", 6), 6);
    assert_int_equal(kill(poold.pid, SIGKILL), 0);
    process_wait_gone(poold.pid);
    assert_int_equal(write(fd, " and after", 10), 10);
    assert_int_equal(fsync(fd), 0);
    node_wait_worker(node, "poold", poold.epoch);
    node_wait_cache(node, true);
    autofree char *text = file_read(path, NULL);
    assert_string_equal(text, "before and after");
}

static void diskd_dies_and_pools_go_on(void)
{
    struct node *node = start_node();
    struct busy *all = busy_start(node);
    node_wait(node, busy_goes_on, all, "the clients are at work");
    struct worker_info poold = node_worker(node, "poold");
    struct worker_info diskd = node_worker(node, "diskd");
    for (int i = 0; i < KILLS; i++) {
        assert_int_equal(kill(diskd.pid, SIGKILL), 0);
        diskd = node_wait_worker(node, "diskd", diskd.epoch);
    }
    busy_stop_and_check(node, all);
    assert_true(node_worker(node, "poold").epoch == poold.epoch);
    autoerr struct err err = {0};
    autoreply Storage__V1__DiskListReply *disks = NULL;
    assert_ok(call_disks(node->storage, &disks, &err), &err);
    assert_int_equal(disks->n_disks, 1);
    node_wait_pools(node, 1);
}

static void storaged_dies_and_the_next_adopts(void)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "mine", SSD, 64 * MiB);
    autofree char *path = path_format("%s/file", space->path);
    autoclose int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "before", 6), 6);
    autofree char *pool = path_format("%s/%s", node->mount_root, space->pool);
    int pool_mount = mount_id(pool), cache_mount = mount_id(node->cache_path);
    assert_true(pool_mount != 0 && cache_mount != 0);

    node_kill(node);
    assert_int_equal(mount_id(pool), pool_mount);
    assert_int_equal(mount_id(node->cache_path), cache_mount);
    assert_int_equal(write(fd, " and after", 10), 10);

    node_start(node);
    node_wait_cache(node, true);
    node_wait_pools(node, 1);
    assert_int_equal(mount_id(pool), pool_mount);
    assert_int_equal(mount_id(node->cache_path), cache_mount);
    assert_int_equal(mounts_below(node->mount_root), 1);
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *after = NULL;
    assert_ok(call_get(node->storage, space->id, &after, &err), &err);
    assert_string_equal(after->path, space->path);
    autofree char *text = file_read(path, NULL);
    assert_string_equal(text, "before and after");
}

static void storaged_dies_under_busy_clients(void)
{
    struct node *node = start_node();
    struct busy *all = busy_start(node);
    node_wait(node, busy_goes_on, all, "the clients are at work");
    for (int i = 0; i < 2; i++) {
        node_kill(node);
        node_start(node);
    }
    busy_stop_and_check(node, all);
}

/* --- hangs ----------------------------------------------------------------------------------- */

static void hangs_and_is_replaced(const char *name)
{
    struct node *node = start_node();
    struct worker_info old = node_worker(node, name);
    assert_int_equal(kill(old.pid, SIGSTOP), 0);
    struct worker_info new = node_wait_worker(node, name, old.epoch);
    process_wait_gone(old.pid);
    assert_int_equal(new.restarts, old.restarts + 1);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *space = must_reserve(node, "after", SSD, 16 * MiB);
}

static void a_hung_poold_is_replaced(void)
{
    hangs_and_is_replaced("poold");
}

static void a_hung_diskd_is_replaced(void)
{
    hangs_and_is_replaced("diskd");
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(poold_dies_under_busy_clients),
        harness_case(a_writer_in_a_space_does_not_notice),
        harness_case(diskd_dies_and_pools_go_on),
        harness_case(storaged_dies_and_the_next_adopts),
        harness_case(storaged_dies_under_busy_clients),
        harness_case(a_hung_poold_is_replaced),
        harness_case(a_hung_diskd_is_replaced),
    };
    return harness_main(argc, argv, "kill", cases, array_length(cases));
}
