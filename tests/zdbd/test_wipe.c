/*
 * Wiping the pool of a 0-db: with a namespace on it, with none, while zdbd is ended or does not
 * answer, and when somebody else has the pool.
 */
#include "zdbnode.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define DISK_BYTES (2 * GiB)
#define PATIENT_MS "20000" /* for zdbd */
#define HASTY_MS   "1000"

/* One pool; a 0-db runs there, though nothing is booked. */
static struct node *start_always(const char *stop_ms)
{
    struct node *node =
        zdbnode_create_list((struct disk *const[]){disk_create(DISK_BYTES, DISK_SSD), NULL});
    node_set(node, "zdb.always", "yes");
    node_set(node, "supervisor.beat_ms", "20000"); /* nobody is missed while it is stopped */
    node_set(node, "supervisor.stop_ms", stop_ms);
    node_start(node);
    node_wait_cache(node, true);
    zdbnode_wait_instance(node, NULL, ZDB(UP));
    return node;
}

static int wipe(struct storage *storage, const char *pool, struct err *err)
{
    autoreply Storage__V1__WipePoolReply *reply = NULL;
    Storage__V1__WipePoolRequest request = STORAGE__V1__WIPE_POOL_REQUEST__INIT;
    request.id = (char *)(uintptr_t)pool;
    return storage_call(storage, "storage.v1.PoolService/Wipe", &request, &reply, err);
}

/* A wipe by somebody else, while the test goes on and zdbd stands still. */
struct wiper {
    struct node *node;
    char *pool;
    pid_t zdbd;
    pthread_t thread;
    struct storage *storage;
    struct err err;
    int rc;
};

static void *run_wiper(void *data)
{
    struct wiper *wiper = data;
    wiper->rc = wipe(wiper->storage, wiper->pool, &wiper->err);
    return NULL;
}

/* Until its pool is being given up. zdbd is waited for so long. */
static struct node *wiper_start(struct wiper *wiper, const char *stop_ms)
{
    struct node *node = start_always(stop_ms);
    *wiper = (struct wiper){.node = node,
                            .pool = zdbnode_only_pool(node),
                            .zdbd = node_worker(node, "zdbd").pid,
                            .storage = node_client(node)};
    assert_int_equal(kill(wiper->zdbd, SIGSTOP), 0);
    node_mark(node);
    assert_int_equal(pthread_create(&wiper->thread, NULL, run_wiper, wiper), 0);
    (void)watch_wait(node->watch, "pool.leaving", wiper->pool);
    return node;
}

static void wiper_end(struct wiper *wiper)
{
    assert_int_equal(pthread_join(wiper->thread, NULL), 0);
    storage_close(wiper->storage);
}

static void wiper_free(struct wiper *wiper)
{
    err_clear(&wiper->err);
    free(wiper->pool);
}

/* There is one pool, and it serves: its id, for the caller to free. */
static char *find_serving(struct node *node)
{
    node_wait_cache(node, true);
    zdbnode_wait_instance(node, NULL, ZDB(UP));
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", MiB);
    client_close(zdbnode_enter(made, PASSWORD));
    zdbnode_must_balance(node, 1);
    return path_format("%s", made->pool);
}

/* Another one can be made of its disk, which serves 0-db as well. */
static void must_be_another(struct node *node, const char *pool)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__DiskListReply *disks = NULL;
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    assert_ok(call_disks(node->storage, &disks, &err), &err);
    assert_int_equal(disks->n_disks, 1);
    assert_ok(call_prepare(node->storage, disks->disks[0]->path, &prepared, &err), &err);
    autofree char *serving = find_serving(node);
    assert_string_not_equal(serving, pool);
}

/* The pool serves as before, and so does its 0-db. */
static void must_be_the_same(struct node *node, const char *pool)
{
    (void)watch_wait(node->watch, "pool.mounted", pool);
    autofree char *serving = find_serving(node);
    assert_string_equal(serving, pool);
}

static void a_namespace_keeps_its_pool(void)
{
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    autofree char *pool = zdbnode_only_pool(node);
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", MiB);
    autoreply Storage__V1__ZDBInstance *before = zdbnode_instance(node, NULL);
    autoerr struct err err = {0};
    assert_refused(wipe(node->storage, pool, &err), &err, ERR_FAILED_PRECONDITION, made->id);
    zdbnode_wait_namespace(node, made->id, NAMESPACE(LIVE));
    autoreply Storage__V1__ZDBInstance *after = zdbnode_instance(node, NULL);
    assert_int_equal(after->pid, before->pid);

    /* Its 0-db is just about to end. */
    assert_true(zdbnode_release(node, made->id));
    err_clear(&err);
    assert_ok(wipe(node->storage, pool, &err), &err);
    process_wait_gone((pid_t)before->pid);
}

static void a_server_without_namespaces_makes_way(void)
{
    struct node *node = start_always(PATIENT_MS);
    autofree char *pool = zdbnode_only_pool(node);
    autoreply Storage__V1__ZDBInstance *before = zdbnode_instance(node, NULL);
    autoerr struct err err = {0};
    assert_ok(wipe(node->storage, pool, &err), &err);
    process_wait_gone((pid_t)before->pid);
    must_be_another(node, pool);
}

/* The next zdbd finds a 0-db on a pool that is being given up. */
static void zdbd_dies_before_it_has_let_go(void)
{
    struct wiper wiper;
    struct node *node = wiper_start(&wiper, PATIENT_MS);
    Storage__V1__Booking *none = NULL;
    autoerr struct err err = {0};
    assert_refused(call_book(node->storage, "6ba7b810-9dad-41d1-80b4-00c04fd430c8", wiper.pool, MiB,
                             &none, &err),
                   &err, ERR_UNAVAILABLE, "leaving");
    assert_int_equal(kill(wiper.zdbd, SIGKILL), 0);
    wiper_end(&wiper);
    assert_ok(wiper.rc, &wiper.err);
    must_be_another(node, wiper.pool);
    wiper_free(&wiper);
}

/* Nobody lets go: what has the pool is named, and goes on. */
static void zdbd_does_not_answer(void)
{
    struct wiper wiper;
    struct node *node = wiper_start(&wiper, HASTY_MS);
    wiper_end(&wiper);
    assert_refused(wiper.rc, &wiper.err, ERR_FAILED_PRECONDITION, "(zdb)");
    assert_int_equal(kill(wiper.zdbd, SIGCONT), 0);
    must_be_the_same(node, wiper.pool);
    wiper_free(&wiper);
}

static void somebody_else_has_the_pool(void)
{
    struct node *node = start_always(PATIENT_MS);
    autofree char *pool = zdbnode_only_pool(node);
    autofree char *path = path_format("%s/busy", node->cache_path);
    autoerr struct err err = {0};
    file_write(path, "x", 1);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    node_mark(node);
    assert_refused(wipe(node->storage, pool, &err), &err, ERR_FAILED_PRECONDITION,
                   "cannot be given up");
    must_be_the_same(node, pool);
}

/* The pool stays, and the client asks the next poold, which opens it. */
static void poold_stops_before_zdbd_has_let_go(void)
{
    struct wiper wiper;
    struct node *node = wiper_start(&wiper, PATIENT_MS);
    struct command_result restart = node_ctl(node, "worker", "restart", "poold");
    assert_int_equal(restart.status, 0);
    assert_int_equal(kill(wiper.zdbd, SIGCONT), 0);
    wiper_end(&wiper);
    assert_ok(wiper.rc, &wiper.err);
    must_be_another(node, wiper.pool);
    wiper_free(&wiper);
}

static int leave_home(struct node *node, const char *pool, struct err *err)
{
    autoreply Storage__V1__LeaveHomeReply *reply = NULL;
    Storage__V1__LeaveHomeRequest request = STORAGE__V1__LEAVE_HOME_REQUEST__INIT;
    request.pool = (char *)(uintptr_t)pool;
    return storage_call(node->storage, "storage.v1.BookingService/LeaveHome", &request, &reply,
                        err);
}

/* Said of a pool that stays, it changes nothing. */
static void leaving_is_no_wipe(void)
{
    struct node *node = start_always(PATIENT_MS);
    autofree char *pool = zdbnode_only_pool(node);
    autoreply Storage__V1__ZDBInstance *before = zdbnode_instance(node, pool);
    autoerr struct err err = {0};
    assert_ok(leave_home(node, pool, &err), &err);
    assert_refused(leave_home(node, "7d1c0000-0000-4000-8000-0000000000bb", &err), &err,
                   ERR_NOT_FOUND, "no pool");
    node_wait_pools(node, 1);
    autoreply Storage__V1__ZDBInstance *after = zdbnode_instance(node, pool);
    assert_int_equal(after->pid, before->pid);
    assert_int_equal(after->state, ZDB(UP));
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_namespace_keeps_its_pool),
        harness_case(a_server_without_namespaces_makes_way),
        harness_case(zdbd_dies_before_it_has_let_go),
        harness_case(zdbd_does_not_answer),
        harness_case(somebody_else_has_the_pool),
        harness_case(leaving_is_no_wipe),
        harness_case(poold_stops_before_zdbd_has_let_go),
    };
    return harness_main(argc, argv, "zdbd_wipe", cases, array_length(cases));
}
