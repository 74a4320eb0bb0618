/*
 * zdbd, poold and the 0-db are killed at the n-th step, for every n of what becomes of a namespace:
 * reserved, grown, shrunk, made public, released. Afterwards what was acknowledged is there,
 * nothing is there by halves, nothing is booked for nobody, and what was cut can be done again.
 */
#include "steps.h"
#include "zdbnode.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define DISK_BYTES (2 * GiB)
#define FIRST      (16 * MiB)
#define GROWN      (48 * MiB)
#define SHRUNK     (8 * MiB)

enum { STEPS_MAX = 200, PLENTY = 100000 };

/* What a namespace is when so many of its changes have been acknowledged. */
static const struct {
    uint64_t size_bytes; /* 0: there is none */
    bool public;
} stages[] = {{0, false},      {FIRST, false}, {GROWN, false},
              {SHRUNK, false}, {SHRUNK, true}, {0, false}};

static struct steps *steps;

/* ---- changes ---- */

static int resize(struct storage *storage, const char *id, uint64_t size_bytes, struct err *err)
{
    Storage__V1__NamespaceResizeRequest request = STORAGE__V1__NAMESPACE_RESIZE_REQUEST__INIT;
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    request.id = (char *)(uintptr_t)id;
    request.size_bytes = size_bytes;
    return storage_call(storage, "storage.v1.NamespaceService/Resize", &request, &space, err);
}

static int publish(struct storage *storage, const char *id, struct err *err)
{
    Storage__V1__NamespaceSetPublicRequest request =
        STORAGE__V1__NAMESPACE_SET_PUBLIC_REQUEST__INIT;
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    request.id = (char *)(uintptr_t)id;
    request.public_ = true;
    return storage_call(storage, "storage.v1.NamespaceService/SetPublic", &request, &space, err);
}

/* The change that leads to the stage; the first gives the id. */
static int change(struct storage *storage, const char *name, char id[40], size_t stage,
                  struct err *err)
{
    if (stage == 1) {
        const Storage__V1__NamespaceReserveRequest request = zdbnode_request(name, FIRST);
        autoreply Storage__V1__ZDBNamespace *space = NULL;
        int rc = zdbnode_call_reserve(storage, &request, &space, err);
        if (rc == 0)
            (void)snprintf(id, 40, "%s", space->id);
        return rc;
    }
    if (stage == array_length(stages) - 1)
        return zdbnode_call_release(storage, id, NULL, err);
    return stages[stage].public ? publish(storage, id, err)
                                : resize(storage, id, stages[stage].size_bytes, err);
}

/* ---- what is there ---- */

/* As many bookings as namespaces, nothing on its way out, and the 0-db was told what is noted. */
static bool has_settled(struct node *node, void *data)
{
    (void)data;
    autoerr struct err err = {0};
    autoreply Storage__V1__ListBookingsReply *bookings = NULL;
    autoreply Storage__V1__NamespaceListReply *spaces = zdbnode_list(node);
    if (call_bookings(node->storage, &bookings, &err) < 0 ||
        bookings->n_bookings != spaces->n_namespaces)
        return false;
    for (size_t i = 0; i < spaces->n_namespaces; i++) {
        if (spaces->namespaces[i]->state != NAMESPACE(LIVE))
            return false;
        autoreply Storage__V1__NamespaceUsage *usage = NULL;
        Storage__V1__NamespaceUsageRequest request = STORAGE__V1__NAMESPACE_USAGE_REQUEST__INIT;
        request.id = spaces->namespaces[i]->id;
        if (storage_call(node->storage, "storage.v1.NamespaceService/Usage", &request, &usage,
                         NULL) < 0 ||
            usage->limit_bytes != spaces->namespaces[i]->size_bytes)
            return false;
    }
    return true;
}

static bool is_at(struct node *node, const char *name, size_t stage)
{
    const Storage__V1__ZDBNamespace *found = NULL;
    autoreply Storage__V1__NamespaceListReply *spaces = zdbnode_list(node);
    for (size_t i = 0; i < spaces->n_namespaces; i++)
        if (strcmp(spaces->namespaces[i]->name, name) == 0)
            found = spaces->namespaces[i];
    if (!found || stages[stage].size_bytes == 0)
        return !found && stages[stage].size_bytes == 0;
    autoreply Storage__V1__NamespaceUsage *usage = zdbnode_usage(node, found->id);
    return found->size_bytes == stages[stage].size_bytes &&
           found->public_ == stages[stage].public && usage->limit_bytes == stages[stage].size_bytes;
}

/* False when all was done before the n-th step of the program that is watched. */
static bool is_cut(struct node *node, const char *program, unsigned n)
{
    char id[40] = "";
    autofree char *name = path_format("cut-%u", n);
    autoerr struct err err = {0};
    struct worker_info old = node_worker(node, program);
    const struct storage_options options = {.run_dir = node->run_dir,
                                            .timeout_ms = HARNESS_WAIT_MS};
    struct storage *storage = NULL;
    size_t stage = 1;
    assert_int_equal(storage_open(&options, &storage, NULL), 0);
    steps_allow(steps, n);
    while (stage < array_length(stages) && change(storage, name, id, stage, &err) == 0)
        stage++;
    bool over = steps_are_over(steps);
    steps_spare(steps);
    storage_close(storage);
    if (over) {
        (void)node_wait_worker(node, program, old.epoch);
        node_wait_cache(node, true);
        node_wait(node, has_settled, NULL, "books and namespaces agree");
    }
    if (stage < array_length(stages)) {
        /* What was cut happened as a whole, or not at all; asked for again, it happens, or it has.
         */
        assert_true(is_at(node, name, stage) || is_at(node, name, stage - 1));
        err_clear(&err);
        assert_ok(change(node->storage, name, id, stage, &err), &err);
        assert_true(is_at(node, name, stage));
        assert_ok(zdbnode_call_release(node->storage, id, NULL, &err), &err);
    }
    zdbnode_must_balance(node, 1);
    return over;
}

/* Beside a namespace that stays, so that the 0-db does. */
static void cut_at_every_step_of(const char *program)
{
    struct node *node = zdbnode_start_watched(program, DISK_BYTES, &steps);
    autoreply Storage__V1__ZDBNamespace *stays = zdbnode_reserve(node, "stays", FIRST);
    struct client *client = zdbnode_enter(stays, PASSWORD);
    unsigned n = 1;
    while (n < STEPS_MAX && is_cut(node, program, n))
        n++;
    assert_in_range(n, 16, STEPS_MAX - 1);
    zdbnode_set(client, "still", "here");
    client_close(client);
    steps_forget(steps);
}

static void zdbd_is_cut_at_every_step(void)
{
    cut_at_every_step_of("zdbd");
}

static void poold_is_cut_at_every_step(void)
{
    cut_at_every_step_of("poold");
}

/* ---- the 0-db ---- */

/* All changes in a row, in a thread of its own, until one fails. */
struct life {
    struct storage *storage;
    const char *name;
    char id[40];
    size_t stage; /* that was not reached */
    struct err err;
};

static void *live(void *data)
{
    struct life *life = data;
    life->stage = 1;
    while (life->stage < array_length(stages) &&
           change(life->storage, life->name, life->id, life->stage, &life->err) == 0)
        life->stage++;
    return NULL;
}

static void zdb_is_killed_after(struct node *node, const char *pool, unsigned n)
{
    autofree char *name = path_format("cut-%u", n);
    const struct storage_options options = {.run_dir = node->run_dir,
                                            .timeout_ms = HARNESS_WAIT_MS};
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, pool);
    struct life life = {.name = name};
    pthread_t thread;
    assert_int_equal(storage_open(&options, &life.storage, NULL), 0);
    steps_allow(steps, PLENTY);
    assert_int_equal(pthread_create(&thread, NULL, live, &life), 0);
    steps_wait(steps, PLENTY - n);
    assert_int_equal(kill((pid_t)instance->pid, SIGKILL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    storage_close(life.storage);
    zdbnode_wait_instance(node, pool, ZDB(UP));
    node_wait(node, has_settled, NULL, "books and namespaces agree");
    if (life.stage < array_length(stages)) {
        assert_true(is_at(node, name, life.stage) || is_at(node, name, life.stage - 1));
        err_clear(&life.err);
        assert_ok(change(node->storage, name, life.id, life.stage, &life.err), &life.err);
        assert_true(is_at(node, name, life.stage));
        assert_ok(zdbnode_call_release(node->storage, life.id, NULL, &life.err), &life.err);
    }
    err_clear(&life.err);
    zdbnode_must_balance(node, 1);
}

/* It has no seam while it is zdbd's: it is killed when zdbd has taken its n-th step. */
static void the_0_db_is_killed_after_every_step_of_zdbd(void)
{
    struct node *node = zdbnode_start_watched("zdbd", DISK_BYTES, &steps);
    autoreply Storage__V1__ZDBNamespace *stays = zdbnode_reserve(node, "stays", FIRST);
    struct life life = {.name = "whole", .storage = node->storage};
    steps_allow(steps, PLENTY);
    (void)live(&life);
    assert_int_equal(life.stage, array_length(stages));
    unsigned n_steps = PLENTY - steps_left(steps);
    assert_in_range(n_steps, 16, STEPS_MAX);
    for (unsigned n = 1; n < n_steps; n++)
        zdb_is_killed_after(node, stays->pool, n);
    steps_forget(steps);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(zdbd_is_cut_at_every_step),
        harness_case(poold_is_cut_at_every_step),
        harness_case(the_0_db_is_killed_after_every_step_of_zdbd),
    };
    return steps_main(argc, argv, "order_steps", cases, array_length(cases));
}
