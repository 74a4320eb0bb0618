/*
 * Pools that go, come back, turn read-only or serve no 0-db, and ports that somebody else has: what
 * becomes of the 0-db and its namespaces, and that the other pool's do not notice.
 */
#include "busy.h"
#include "slowfile.h"
#include "zdbnode.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISK_BYTES (2 * GiB)

/* Two pools, a namespace on each. */
struct bed {
    struct node *node;
    struct disk *disks[3];
    Storage__V1__ZDBNamespace *spaces[2];
};

static void bed_open(struct bed *bed)
{
    *bed = (struct bed){
        .disks = {disk_create(DISK_BYTES, DISK_SSD), disk_create(DISK_BYTES, DISK_SSD), NULL}};
    bed->node = zdbnode_create_list(bed->disks);
    node_set(bed->node, "supervisor.backoff_min_ms", "10");
    node_set(bed->node, "supervisor.backoff_max_ms", "200");
    zdbnode_start_pools(bed->node, bed->disks);
    bed->spaces[0] = zdbnode_reserve(bed->node, "first", 256 * MiB);
    bed->spaces[1] = zdbnode_reserve(bed->node, "second", 256 * MiB);
    assert_string_not_equal(bed->spaces[0]->pool, bed->spaces[1]->pool);
}

static void bed_close(struct bed *bed)
{
    storage_free(bed->spaces[0]);
    storage_free(bed->spaces[1]);
}

static struct disk *disk_of(const struct bed *bed, const char *pool)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_pools(bed->node->storage, &pools, &err), &err);
    for (size_t i = 0; i < pools->n_pools; i++)
        for (size_t k = 0; bed->disks[k]; k++)
            if (strcmp(pools->pools[i]->id, pool) == 0 &&
                strcmp(pools->pools[i]->members[0]->path, bed->disks[k]->path) == 0)
                return bed->disks[k];
    fail_msg("no disk has pool %s", pool);
    return NULL;
}

struct reason {
    const char *id, *text;
};

static bool has_failed(struct node *node, void *data)
{
    const struct reason *reason = data;
    autoreply Storage__V1__ZDBNamespace *space = zdbnode_get(node, reason->id);
    return space->state == NAMESPACE(FAILED) && strstr(space->reason, reason->text);
}

static void wait_failed(struct node *node, const char *id, const char *text)
{
    struct reason reason = {id, text};
    autofree char *what = path_format("a namespace has failed: %s", text);
    node_wait(node, has_failed, &reason, what);
}

/* ---- a disk ---- */

/* A mounted loop cannot be pulled, so the kernel's word for it is given in its stead. */
static void a_disk_goes_and_comes_back(void)
{
    struct bed bed;
    bed_open(&bed);
    struct node *node = bed.node;
    const Storage__V1__ZDBNamespace *gone = bed.spaces[0], *stays = bed.spaces[1];
    struct disk *disk = disk_of(&bed, gone->pool);
    autoreply Storage__V1__ZDBInstance *before = zdbnode_instance(node, gone->pool);
    autoreply Storage__V1__ZDBInstance *other = zdbnode_instance(node, stays->pool);
    struct busy *busy = busy_start(stays, PASSWORD);
    struct client *client = zdbnode_enter(gone, PASSWORD);
    zdbnode_set(client, "key", "value");

    for (int i = 0; i < 2; i++) {
        node_mark(node);
        disk_uevent(disk, "remove");
        (void)watch_wait(node->watch, "namespace.failed", gone->id);
        assert_true(client_ends(client));
        client_close(client);
        zdbnode_wait_instance(node, gone->pool, ZDB(IDLE));
        wait_failed(node, gone->id, gone->pool);
        process_wait_gone((pid_t)before->pid);
        autoerr struct err err = {0};
        assert_refused(zdbnode_call_release(node->storage, gone->id, NULL, &err), &err,
                       ERR_UNAVAILABLE, gone->pool);

        node_mark(node);
        disk_uevent(disk, "add");
        (void)watch_wait(node->watch, "namespace.live", gone->id);
        autoreply Storage__V1__ZDBNamespace *back = zdbnode_get(node, gone->id);
        assert_int_equal(back->port, gone->port);
        client = zdbnode_enter(back, PASSWORD);
        zdbnode_must_get(client, "key", "value");
    }
    client_close(client);
    busy_end(busy);
    autoreply Storage__V1__ZDBInstance *after = zdbnode_instance(node, stays->pool);
    assert_int_equal(after->pid, other->pid);
    zdbnode_must_balance(node, 2);
    bed_close(&bed);
}

/* The pool of the cache, and one on a disk that can fail. */
static struct slowfile *bed_open_failing(struct bed *bed)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    struct disk *failing = disk_reserve(DISK_BYTES, DISK_SSD);
    *bed = (struct bed){.disks = {disk_create(DISK_BYTES, DISK_SSD), failing, NULL}};
    bed->node = zdbnode_create_list(bed->disks);
    node_start(bed->node);
    node_wait_cache(bed->node, true);
    struct slowfile *file = slowfile_plug(failing);
    node_wait_disk(bed->node, failing, STORAGE__V1__DISK_STATE__DISK_STATE_BLANK);
    assert_ok(call_prepare(bed->node->storage, failing->path, &prepared, &err), &err);
    node_wait_pools(bed->node, 2);
    /* The second pool has more room, for it has no cache. */
    bed->spaces[0] = zdbnode_reserve(bed->node, "first", 256 * MiB);
    bed->spaces[1] = zdbnode_reserve(bed->node, "second", 256 * MiB);
    assert_string_equal(bed->spaces[0]->pool, prepared->pools[0]->fsid);
    assert_string_not_equal(bed->spaces[1]->pool, bed->spaces[0]->pool);
    return file;
}

/* What is there can be read; nothing is promised any more, and the other pool is asked. */
static void a_pool_turns_read_only(void)
{
    struct bed bed;
    struct slowfile *file = bed_open_failing(&bed);
    struct node *node = bed.node;
    const char *pool = bed.spaces[0]->pool;
    struct client *client = zdbnode_enter(bed.spaces[0], PASSWORD);
    zdbnode_set(client, "key", "value");
    slowfile_fail(file, SLOWFILE_WRITES | SLOWFILE_FLUSHES, 0);
    autoerr struct err err = {0};
    assert_refused(zdbnode_call_release(node->storage, bed.spaces[0]->id, NULL, &err), &err,
                   ERR_UNAVAILABLE, "");
    poolnode_wait(node, pool, POOL_STATE(READ_ONLY), NULL);
    assert_refused(zdbnode_call_release(node->storage, bed.spaces[0]->id, NULL, &err), &err,
                   ERR_UNAVAILABLE, "read-only");
    for (int i = 0; i < 3; i++) {
        autofree char *name = path_format("more-%d", i);
        autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, name, MiB);
        assert_string_equal(made->pool, bed.spaces[1]->pool);
        assert_true(zdbnode_release(node, made->id));
    }
    autoreply Storage__V1__ZDBNamespace *found = zdbnode_get(node, bed.spaces[0]->id);
    assert_int_equal(found->state, NAMESPACE(LIVE));
    zdbnode_must_get(client, "key", "value");
    const struct word set[] = {word("SET"), word("key"), word("other")};
    size_t size;
    assert_true(client_send_words(client, set, array_length(set)));
    const uint8_t *reply = client_reply(client, &size);
    assert_true(reply && *reply == '-');
    client_close(client);

    /* With a disk that is well again, so is all that was acknowledged. */
    err_clear(&err);
    assert_ok(node_shutdown(node, &err), &err);
    slowfile_unplug(file);
    disk_plug(bed.disks[1]);
    node_start(node);
    zdbnode_wait_all_live(node, 2);
    client_close(zdbnode_enter(bed.spaces[0], PASSWORD));
    zdbnode_must_balance(node, 2);
    bed_close(&bed);
}

static bool knows_none(struct node *node, void *data)
{
    (void)data;
    autoreply Storage__V1__NamespaceListReply *list = zdbnode_list(node);
    autoreply Storage__V1__ZDBListReply *zdbs = NULL;
    Storage__V1__ZDBListRequest request = STORAGE__V1__ZDBLIST_REQUEST__INIT;
    return list->n_namespaces == 0 &&
           storage_call(node->storage, "storage.v1.ZDBService/List", &request, &zdbs, NULL) == 0 &&
           zdbs->n_instances == 1 && zdbs->instances[0]->state == ZDB(UP) &&
           node_log_count(node, "that is not booked") > 0;
}

/* Both poold and zdbd are reborn while diskd has no disk of it: zdbd finds a 0-db with namespaces
 * that nobody has booked, so far. */
static void a_pool_is_heard_of_late(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = zdbnode_create_list((struct disk *const[]){disk, NULL});
    node_set(node, "supervisor.beat_ms", "20000"); /* zdbd is not missed */
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", MiB);
    assert_int_equal(kill(node_worker(node, "zdbd").pid, SIGSTOP), 0);
    disk_uevent(disk, "remove");
    node_wait_no_disk(node, disk);
    poolnode_kill_poold(node);
    zdbnode_kill_zdbd(node);
    node_wait(node, knows_none, NULL, "zdbd has seen what its 0-db has");
    disk_uevent(disk, "add");
    node_wait_pools(node, 1);
    autoerr struct err err = {0};
    autoreply Storage__V1__ListBookingsReply *bookings = NULL;
    assert_ok(call_bookings(node->storage, &bookings, &err), &err);
    assert_int_equal(bookings->n_bookings, 1);
    zdbnode_wait_all_live(node, 1);
    client_close(zdbnode_enter(made, PASSWORD));
    zdbnode_must_balance(node, 1);
}

/* ---- a port ---- */

static int take_port(uint32_t port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

struct waiting {
    const char *pool, *reason;
};

/* It tries again soon, and waits again: all of it is of one moment. */
static bool waits_for(struct node *node, void *data)
{
    const struct waiting *waiting = data;
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, waiting->pool);
    return instance->state == ZDB(WAITING) && instance->pid == 0 &&
           strstr(instance->reason, waiting->reason);
}

static void somebody_took_its_port(void)
{
    struct bed bed;
    bed_open(&bed);
    struct node *node = bed.node;
    const Storage__V1__ZDBNamespace *space = bed.spaces[0];
    autofree char *text = path_format("port %u", space->port);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    int fd = take_port(space->port);
    node_start(node);
    zdbnode_wait_namespace(node, bed.spaces[1]->id, NAMESPACE(LIVE));
    wait_failed(node, space->id, text);
    struct waiting waiting = {space->pool, text};
    node_wait(node, waits_for, &waiting, "its 0-db waits, and says for what");

    assert_int_equal(close(fd), 0);
    zdbnode_wait_namespace(node, space->id, NAMESPACE(LIVE));
    autoreply Storage__V1__ZDBNamespace *back = zdbnode_get(node, space->id);
    assert_int_equal(back->port, space->port);
    client_close(zdbnode_enter(back, PASSWORD));
    zdbnode_must_balance(node, 2);
    bed_close(&bed);
}

/* ---- what the config says ---- */

static void one_runs_always(void)
{
    struct node *node =
        zdbnode_create_list((struct disk *const[]){disk_create(DISK_BYTES, DISK_SSD), NULL});
    node_set(node, "zdb.always", "yes");
    node_start(node);
    node_wait_cache(node, true);
    zdbnode_wait_instance(node, NULL, ZDB(UP));
    zdbnode_must_balance(node, 0);
    autoreply Storage__V1__ZDBInstance *before = zdbnode_instance(node, NULL);
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", MiB);
    assert_int_equal(made->port, before->port);
    assert_true(zdbnode_release(node, made->id));
    autoreply Storage__V1__ZDBInstance *after = zdbnode_instance(node, NULL);
    assert_int_equal(after->state, ZDB(UP));
    assert_int_equal(after->pid, before->pid);
    zdbnode_must_balance(node, 0);
}

static void a_type_may_serve_none(void)
{
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", MiB);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    node_set(node, "zdb.disk_types", "hdd");
    node_set(node, "zdb.always", "yes");
    node_start(node);
    wait_failed(node, made->id, "[zdb] disk_types");
    Storage__V1__ZDBNamespace *none = NULL;
    const Storage__V1__NamespaceReserveRequest request = zdbnode_request("other", MiB);
    assert_refused(zdbnode_call_reserve(node->storage, &request, &none, &err), &err,
                   ERR_FAILED_PRECONDITION, "[zdb] disk_types");
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, NULL);
    assert_int_equal(instance->state, ZDB(IDLE));
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_disk_goes_and_comes_back),
        harness_case(a_pool_turns_read_only),
        harness_case(a_pool_is_heard_of_late),
        harness_case(somebody_took_its_port),
        harness_case(one_runs_always),
        harness_case(a_type_may_serve_none),
    };
    return harness_main(argc, argv, "zdbd_pools", cases, array_length(cases));
}
