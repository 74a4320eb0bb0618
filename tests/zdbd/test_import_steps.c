/*
 * zdbd, poold and the importer are killed at the n-th step, for every n of an import. Afterwards
 * the namespace is there as a whole, or there is no trace of it; what was cut can be asked for
 * again; and the source is as it was.
 */
#include "foreign.h"
#include "steps.h"

#include <pthread.h>
#include <signal.h>

#define DISK_BYTES (2 * GiB)

enum { STEPS_MAX = 200, STOPS = 7, STOP_EVERY = 12, PLENTY = 100000 };

static struct steps *steps;
static struct server foreign;

/* As many bookings as namespaces, and all of them served. */
static bool has_settled(struct node *node, void *data)
{
    (void)data;
    autoerr struct err err = {0};
    autoreply Storage__V1__ListBookingsReply *bookings = NULL;
    autoreply Storage__V1__NamespaceListReply *spaces = zdbnode_list(node);
    if (call_bookings(node->storage, &bookings, &err) < 0 ||
        bookings->n_bookings != spaces->n_namespaces)
        return false;
    for (size_t i = 0; i < spaces->n_namespaces; i++)
        if (spaces->namespaces[i]->state != NAMESPACE(LIVE))
            return false;
    return true;
}

static const Storage__V1__ZDBNamespace *find(const Storage__V1__NamespaceListReply *spaces)
{
    for (size_t i = 0; i < spaces->n_namespaces; i++)
        if (strcmp(spaces->namespaces[i]->zdb_name, "moved") == 0)
            return spaces->namespaces[i];
    return NULL;
}

/* The call joins what goes on, or is made again to the next zdbd. */
static void import(struct node *node)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBImportReply *reply = NULL;
    struct storage *storage = node_client(node);
    (void)foreign_call_import(node, storage, &foreign, false, &reply, &err);
    storage_close(storage);
}

/* False when all was done before the n-th step of the program that is watched. `worker` is its name
 * if it is one. */
static bool is_cut(struct node *node, const Storage__V1__ZDBNamespace *stays,
                   const struct peer_ns *wanted, const char *worker, unsigned n)
{
    struct worker_info old = node_worker(node, worker ? worker : "zdbd");
    steps_allow(steps, n);
    import(node);
    bool over = steps_are_over(steps);
    steps_spare(steps);
    if (over && worker) {
        (void)node_wait_worker(node, worker, old.epoch);
        node_wait_cache(node, true);
    }
    node_wait(node, has_settled, NULL, "books and namespaces agree");
    autoreply Storage__V1__NamespaceListReply *spaces = zdbnode_list(node);
    bool there = find(spaces) != NULL;
    zdbnode_must_balance(node, there ? 2 : 1);
    if (!there)
        foreign_must_hold(node, stays->pool, (const char *const[]){stays->id, NULL});
    if (!there)
        import(node);
    autoreply Storage__V1__NamespaceListReply *again = zdbnode_list(node);
    const Storage__V1__ZDBNamespace *moved = find(again);
    assert_non_null(moved);
    foreign_must_be_served(moved, wanted);
    assert_true(zdbnode_release(node, moved->id));
    zdbnode_must_balance(node, 1);
    foreign_must_hold(node, stays->pool, (const char *const[]){stays->id, NULL});
    return over;
}

/* Beside a namespace that stays, whose clients notice nothing. */
static void cut_at_every_step_of(const char *program, const char *worker)
{
    foreign_init(&foreign);
    struct node *node = zdbnode_start_watched(program, DISK_BYTES, &steps);
    struct peer_ns wanted;
    foreign_make_over(&wanted, "moved", PEER_USER, 1);
    assert_true(peer_save(&wanted, foreign.index, foreign.data));
    autofree char *before = foreign_checksum(&foreign);
    autoreply Storage__V1__ZDBNamespace *stays = zdbnode_reserve(node, "stays", 16 * MiB);
    struct client *client = zdbnode_enter(stays, PASSWORD);
    unsigned n = 1;
    while (n < STEPS_MAX && is_cut(node, stays, &wanted, worker, n))
        n++;
    assert_in_range(n, 16, STEPS_MAX - 1);
    zdbnode_set(client, "still", "here");
    client_close(client);
    autofree char *after = foreign_checksum(&foreign);
    assert_string_equal(before, after);
    peer_ns_free(&wanted);
    steps_forget(steps);
}

static void zdbd_is_cut_at_every_step(void)
{
    cut_at_every_step_of("zdbd", "zdbd");
}

static void poold_is_cut_at_every_step(void)
{
    cut_at_every_step_of("poold", "poold");
}

static void the_importer_is_cut_at_every_step(void)
{
    cut_at_every_step_of("zdbimport", NULL);
}

/* ---- what has the name already ---- */

/* As an administrator of the 0-db may make one: it is in the home, loaded, and booked by nobody. */
static char *put_into_home(struct node *node, const Storage__V1__ZDBNamespace *stays,
                           const struct peer_ns *ns)
{
    autofree char *home = poolnode_path(node, stays->pool, "zdb/data");
    autofree char *index = path_format("%s/index", home), *data = path_format("%s/data", home);
    autofree char *reference = path_format("--reference=%s", home);
    autofree char *theirs = path_format("%s/%s", index, ns->name);
    autofree char *values = path_format("%s/%s", data, ns->name);
    assert_true(peer_save(ns, index, data));
    command_ok("chown", "-R", reference, theirs, values);
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, NULL);
    node_mark(node);
    assert_int_equal(kill((pid_t)instance->pid, SIGKILL), 0);
    (void)watch_wait(node->watch, "namespace.live", stays->id);
    return path_format("%s/d0", values);
}

static void what_has_the_name_already_outlives_every_step(void)
{
    foreign_init(&foreign);
    struct node *node = zdbnode_start_watched("zdbd", DISK_BYTES, &steps);
    struct peer_ns theirs;
    foreign_make(&theirs, "moved", PEER_USER);
    assert_true(peer_save(&theirs, foreign.index, foreign.data));
    autoreply Storage__V1__ZDBNamespace *stays = zdbnode_reserve(node, "stays", 16 * MiB);
    autofree char *file = put_into_home(node, stays, &theirs);
    bool over = true;
    for (unsigned n = 1; over && n < STEPS_MAX; n++) {
        struct worker_info old = node_worker(node, "zdbd");
        steps_allow(steps, n);
        import(node);
        over = steps_are_over(steps);
        steps_spare(steps);
        if (over)
            (void)node_wait_worker(node, "zdbd", old.epoch);
        node_wait(node, has_settled, NULL, "books and namespaces agree");
        zdbnode_must_balance(node, 1);
        foreign_must_hold(node, stays->pool, (const char *const[]){stays->id, theirs.name, NULL});
        assert_int_equal(access(file, F_OK), 0);
    }
    assert_false(over);
    /* Its 0-db serves it on, under its own name. */
    Storage__V1__ZDBNamespace by_name = *stays;
    by_name.zdb_name = theirs.name;
    foreign_must_be_served(&by_name, &theirs);
    peer_ns_free(&theirs);
    steps_forget(steps);
}

/* ---- a stop ---- */

static void *import_in_thread(void *data)
{
    import(data);
    return NULL;
}

/* Every other time the 0-db ends as well. */
static void stop(struct node *node, unsigned n)
{
    autoerr struct err err = {0};
    if (n % 2 == 0)
        node_stop(node);
    else
        assert_ok(node_shutdown(node, &err), &err);
}

/* The call, which waits for the next zdbd, joins nothing and asks again. */
static void a_stop_on_the_way_is_no_harm(void)
{
    foreign_init(&foreign);
    struct node *node = zdbnode_start_watched("zdbimport", DISK_BYTES, &steps);
    struct peer_ns wanted;
    foreign_make(&wanted, "moved", PEER_USER);
    assert_true(peer_save(&wanted, foreign.index, foreign.data));
    autoreply Storage__V1__ZDBNamespace *stays = zdbnode_reserve(node, "stays", 16 * MiB);
    for (unsigned n = 1; n < STOPS; n++) {
        pthread_t thread;
        steps_allow(steps, PLENTY);
        assert_int_equal(pthread_create(&thread, NULL, import_in_thread, node), 0);
        steps_wait(steps, PLENTY - n * STOP_EVERY);
        stop(node, n);
        steps_spare(steps);
        node_start(node);
        assert_int_equal(pthread_join(thread, NULL), 0);
        node_wait(node, has_settled, NULL, "books and namespaces agree");
        autoreply Storage__V1__NamespaceListReply *spaces = zdbnode_list(node);
        const Storage__V1__ZDBNamespace *moved = find(spaces);
        if (moved) {
            foreign_must_be_served(moved, &wanted);
            assert_true(zdbnode_release(node, moved->id));
        }
        zdbnode_must_balance(node, 1);
        foreign_must_hold(node, stays->pool, (const char *const[]){stays->id, NULL});
    }
    peer_ns_free(&wanted);
    steps_forget(steps);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(zdbd_is_cut_at_every_step),
        harness_case(poold_is_cut_at_every_step),
        harness_case(the_importer_is_cut_at_every_step),
        harness_case(what_has_the_name_already_outlives_every_step),
        harness_case(a_stop_on_the_way_is_no_harm),
    };
    return steps_main(argc, argv, "import_steps", cases, array_length(cases));
}
