/*
 * Namespaces that are asked for at the same time: the last bytes are given once, a name stands for
 * one namespace, and after a crowd poold's books, zdbd's list and the 0-db's own agree.
 */
#include "zdbnode.h"

#include "base/uuid.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define DISK_BYTES (4 * GiB)

enum { RACERS = 8, ROUNDS = 4, SHORT_MS = 1000 };

struct racer {
    pthread_t thread;
    struct storage *storage;
    Storage__V1__NamespaceReserveRequest request;
    Storage__V1__ZDBNamespace *made;
    struct err err;
    int rc;
};

static void *reserve(void *data)
{
    struct racer *racer = data;
    racer->rc = zdbnode_call_reserve(racer->storage, &racer->request, &racer->made, &racer->err);
    return NULL;
}

static void open_racers(struct node *node, struct racer *racers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        racers[i] = (struct racer){.storage = node_client(node)};
}

static void close_racers(struct racer *racers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        storage_close(racers[i].storage);
}

static void race(struct racer *racers, size_t n, void *(*run)(void *))
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
}

static void forget(struct racer *racer)
{
    storage_free(take_ptr(racer->made));
    err_clear(&racer->err);
}

/* ---- the last bytes ---- */

/* There is room for `n_fit` of the `n`. */
static void only_what_fits_is_given(struct node *node, struct racer *racers, size_t n, size_t n_fit)
{
    uint64_t size = poolnode_capacity(node).largest / n_fit;
    char names[RACERS][16];
    size_t n_made = 0;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(names[i], sizeof names[i], "racer-%zu", i);
        racers[i].request = zdbnode_request(names[i], size);
    }
    race(racers, n, reserve);
    for (size_t i = 0; i < n; i++) {
        if (racers[i].rc < 0)
            assert_refused(racers[i].rc, &racers[i].err, ERR_RESOURCE_EXHAUSTED, "the largest");
        n_made += racers[i].rc == 0 ? 1 : 0;
    }
    assert_int_equal(n_made, n_fit);
    zdbnode_must_balance(node, n_fit + 1);
    for (size_t i = 0; i < n; i++) {
        if (racers[i].made)
            assert_true(zdbnode_release(node, racers[i].made->id));
        forget(&racers[i]);
    }
    zdbnode_must_balance(node, 1);
}

static void the_last_bytes_are_given_once(void)
{
    struct racer racers[RACERS];
    struct node *node =
        zdbnode_create_list((struct disk *const[]){disk_create(DISK_BYTES, DISK_SSD), NULL});
    node_set(node, "zdb.overhead", "0");
    node_start(node);
    node_wait_cache(node, true);
    /* With it the directory of the 0-db is there, and its bytes are booked. */
    autoreply Storage__V1__ZDBNamespace *first = zdbnode_reserve(node, "first", MiB);
    open_racers(node, racers, RACERS);
    uint64_t before = poolnode_capacity(node).booked;
    for (int round = 0; round < ROUNDS; round++) {
        only_what_fits_is_given(node, racers, 2, 1);
        only_what_fits_is_given(node, racers, RACERS, 3);
        assert_int_equal(poolnode_capacity(node).booked, before);
    }
    close_racers(racers, RACERS);
}

/* ---- one name ---- */

/* Until it is there, by this call or another. */
static void *reserve_until_there(void *data)
{
    struct racer *racer = data;
    do {
        err_clear(&racer->err);
        (void)reserve(racer);
    } while (racer->rc == -ERR_ABORTED);
    return NULL;
}

static void a_name_stands_for_one_namespace(void)
{
    struct racer racers[RACERS];
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    open_racers(node, racers, RACERS);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n_created = 0;
        for (size_t i = 0; i < RACERS; i++)
            racers[i].request = zdbnode_request("one", MiB);
        race(racers, RACERS, reserve_until_there);
        for (size_t i = 0; i < RACERS; i++) {
            assert_ok(racers[i].rc, &racers[i].err);
            assert_string_equal(racers[i].made->id, racers[0].made->id);
            n_created += racers[i].made->created ? 1 : 0;
        }
        assert_int_equal(n_created, 1);
        zdbnode_must_balance(node, 1);
        assert_true(zdbnode_release(node, racers[0].made->id));
        zdbnode_must_balance(node, 0);
        for (size_t i = 0; i < RACERS; i++)
            forget(&racers[i]);
    }
    close_racers(racers, RACERS);
}

/* ---- one that is being made ---- */

static bool has_bookings(struct node *node, void *n)
{
    autoreply Storage__V1__ListBookingsReply *list = NULL;
    return call_bookings(node->storage, &list, NULL) == 0 && list->n_bookings == *(size_t *)n;
}

/* Its 0-db does not answer for a moment: until it does, nobody else gets at it. */
static void what_is_being_made_is_busy(void)
{
    const char *const names[] = {"namespace", "0", "a-request"};
    char id[UUID_TEXT_SIZE];
    autoerr struct err err = {0};
    Storage__V1__ZDBNamespace *none = NULL;
    struct racer racer;
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    autoreply Storage__V1__ZDBNamespace *first = zdbnode_reserve(node, "first", MiB);
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, NULL);
    open_racers(node, &racer, 1);
    assert_int_equal(storage_set_request_id(racer.storage, "a-request", NULL), 0);
    uuid_derive(names, array_length(names), id);
    racer.request = zdbnode_request("slow", MiB);
    assert_int_equal(kill((pid_t)instance->pid, SIGSTOP), 0);
    assert_int_equal(pthread_create(&racer.thread, NULL, reserve, &racer), 0);
    node_wait(node, has_bookings, &(size_t){2}, "it is booked");
    const Storage__V1__NamespaceReserveRequest same = zdbnode_request("slow", MiB);
    assert_refused(zdbnode_call_reserve(node->storage, &same, &none, &err), &err, ERR_ABORTED,
                   "in flight");
    assert_refused(zdbnode_call_release(node->storage, id, NULL, &err), &err, ERR_ABORTED,
                   "in flight");
    assert_int_equal(kill((pid_t)instance->pid, SIGCONT), 0);
    assert_int_equal(pthread_join(racer.thread, NULL), 0);
    assert_ok(racer.rc, &racer.err);
    assert_string_equal(racer.made->id, id);
    assert_int_equal(racer.made->state, NAMESPACE(LIVE));
    zdbnode_must_balance(node, 2);
    forget(&racer);
    close_racers(&racer, 1);
}

/* ---- one that nobody waits for any more ---- */

/* Its pool's disk notes the booking when the call has long been answered. */
static void what_was_given_up_is_not_left_behind(void)
{
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    autoreply Storage__V1__ZDBNamespace *first = zdbnode_reserve(node, "first", MiB);
    autofree char *mount = path_format("%s/%s", node->mount_root, first->pool);
    const struct storage_options options = {.run_dir = node->run_dir, .timeout_ms = SHORT_MS};
    const Storage__V1__NamespaceReserveRequest request = zdbnode_request("second", MiB);
    struct storage *hasty = NULL;
    Storage__V1__ZDBNamespace *none = NULL;
    autoerr struct err err = {0};
    assert_ok(storage_open(&options, &hasty, &err), &err);
    node_mark(node);
    struct freezer freezer = filesystem_freeze(mount);
    int rc = zdbnode_call_reserve(hasty, &request, &none, &err);
    filesystem_thaw(&freezer);
    storage_close(hasty);
    assert_true(rc < 0);
    (void)watch_wait(node->watch, "booking.made", NULL);
    node_wait(node, has_bookings, &(size_t){1}, "nothing of it is booked");
    zdbnode_must_balance(node, 1);
    zdbnode_must_agree(node, 1);
}

/* ---- a crowd ---- */

enum { CROWD = 4, TURNS = 60, SHARED = 2 };

/* Another client works on the same. */
static bool is_taken(int rc)
{
    return rc == -ERR_ABORTED || rc == -ERR_UNAVAILABLE;
}

/* Each third of its namespaces has a name that others take too; the last one of its own stays. */
static void *churn(void *data)
{
    struct racer *racer = data;
    racer->rc = 0;
    for (unsigned turn = 0; turn < TURNS && racer->rc == 0; turn++) {
        autofree char *name = turn % 3 == 0 ? path_format("shared-%u", turn / 3 % SHARED)
                                            : path_format("own-%p-%u", (void *)racer, turn);
        autoreply Storage__V1__ZDBNamespace *made = NULL;
        err_clear(&racer->err);
        racer->request = zdbnode_request(name, MiB);
        racer->rc = zdbnode_call_reserve(racer->storage, &racer->request, &made, &racer->err);
        bool stays = turn % 3 != 0 && turn + 3 > TURNS;
        if (racer->rc == 0 && !stays)
            racer->rc = zdbnode_call_release(racer->storage, made->id, NULL, &racer->err);
        if (turn % 3 == 0 && is_taken(racer->rc))
            racer->rc = 0;
    }
    return NULL;
}

static void a_crowd_leaves_the_books_balanced(void)
{
    struct racer racers[CROWD];
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    open_racers(node, racers, CROWD);
    race(racers, CROWD, churn);
    for (size_t i = 0; i < CROWD; i++) {
        assert_ok(racers[i].rc, &racers[i].err);
        err_clear(&racers[i].err);
    }
    /* What was shared may be there, if the last one to want it found it on its way out. */
    for (unsigned i = 0; i < SHARED; i++) {
        autofree char *name = path_format("shared-%u", i);
        autoreply Storage__V1__ZDBNamespace *shared = zdbnode_reserve(node, name, MiB);
        assert_true(zdbnode_release(node, shared->id));
    }
    size_t n_stay = (size_t)CROWD * 2;
    zdbnode_must_balance(node, n_stay);
    zdbnode_must_agree(node, n_stay);
    zdbnode_kill_zdbd(node);
    zdbnode_wait_all_live(node, n_stay);
    zdbnode_must_balance(node, n_stay);
    zdbnode_must_agree(node, n_stay);
    close_racers(racers, CROWD);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(the_last_bytes_are_given_once),
        harness_case(a_name_stands_for_one_namespace),
        harness_case(what_is_being_made_is_busy),
        harness_case(what_was_given_up_is_not_left_behind),
        harness_case(a_crowd_leaves_the_books_balanced),
    };
    return harness_main(argc, argv, "zdbd_races", cases, array_length(cases));
}
