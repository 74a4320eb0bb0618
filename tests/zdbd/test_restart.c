/*
 * Restarts that are asked for: of a 0-db whose program has changed on disk, one at a time, and only
 * where there is one to restart. And what the log makes of an end that was asked for.
 */
#include "zdbnode.h"

#include <signal.h>
#include <stdio.h>

#define DISK_BYTES (2 * GiB)

enum { POOLS = 3 };

static int restart(struct node *node, const char *pool, struct err *err)
{
    autoreply Storage__V1__ZDBInstance *instance = NULL;
    Storage__V1__ZDBRestartRequest request = STORAGE__V1__ZDBRESTART_REQUEST__INIT;
    request.pool = (char *)(uintptr_t)pool;
    return storage_call(node->storage, "storage.v1.ZDBService/Restart", &request, &instance, err);
}

static void must_restart(struct node *node, const char *pool)
{
    autoerr struct err err = {0};
    assert_ok(restart(node, pool, &err), &err);
}

static void refuse_restart(struct node *node, const char *pool, enum err_code code,
                           const char *text)
{
    autoerr struct err err = {0};
    assert_refused(restart(node, pool, &err), &err, code, text);
}

/* A program that is there whole, in place of the one before. */
static void install(const char *path)
{
    autofree char *fresh = path_format("%s.new", path);
    command_ok("cp", STORAGED_BIN_DIR "/zdb", fresh);
    command_ok("mv", fresh, path);
}

static void signal_zdb(struct node *node, const char *pool, int number)
{
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, pool);
    assert_true(instance->pid > 0);
    assert_int_equal(kill((pid_t)instance->pid, number), 0);
}

/* The pool that has no namespace. */
static char *find_idle(struct node *node, Storage__V1__ZDBNamespace *const spaces[POOLS - 1])
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_pools(node->storage, &pools, &err), &err);
    for (size_t i = 0; i < pools->n_pools; i++)
        if (strcmp(pools->pools[i]->id, spaces[0]->pool) != 0 &&
            strcmp(pools->pools[i]->id, spaces[1]->pool) != 0)
            return path_format("%s", pools->pools[i]->id);
    fail_msg("each pool has a namespace");
    return NULL;
}

struct bed {
    struct node *node;
    struct disk *disks[POOLS + 1];
    char *binary;
    Storage__V1__ZDBNamespace *spaces[POOLS - 1];
};

static void bed_open(struct bed *bed)
{
    *bed = (struct bed){.binary = path_format("%s/zdb", harness_dir())};
    for (size_t i = 0; i < POOLS; i++)
        bed->disks[i] = disk_create(DISK_BYTES, DISK_SSD);
    install(bed->binary);
    bed->node = zdbnode_create_list(bed->disks);
    node_set(bed->node, "zdb.binary", bed->binary);
    zdbnode_start_pools(bed->node, bed->disks);
    bed->spaces[0] = zdbnode_reserve(bed->node, "first", MiB);
    bed->spaces[1] = zdbnode_reserve(bed->node, "second", MiB);
    assert_string_not_equal(bed->spaces[0]->pool, bed->spaces[1]->pool);
}

static void bed_close(struct bed *bed)
{
    storage_free(bed->spaces[0]);
    storage_free(bed->spaces[1]);
    free(bed->binary);
}

/* ---- another program ---- */

static bool is_new(struct node *node, const char *pool, uint32_t old_pid)
{
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, pool);
    if (instance->pid == old_pid)
        assert_true(instance->binary_changed);
    return instance->pid != old_pid && instance->state == ZDB(UP) && !instance->binary_changed;
}

static void a_changed_program_is_run_when_asked_for(void)
{
    struct bed bed;
    uint32_t pids[2];
    bed_open(&bed);
    struct node *node = bed.node;
    for (size_t i = 0; i < array_length(pids); i++) {
        autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, bed.spaces[i]->pool);
        assert_false(instance->binary_changed);
        pids[i] = instance->pid;
    }
    struct client *client = zdbnode_enter(bed.spaces[0], PASSWORD);
    zdbnode_set(client, "key", "value");
    install(bed.binary);
    assert_false(is_new(node, bed.spaces[0]->pool, pids[0]));
    assert_false(is_new(node, bed.spaces[1]->pool, pids[1]));
    zdbnode_kill_zdbd(node);
    zdbnode_wait_all_live(node, 2);
    assert_false(is_new(node, bed.spaces[0]->pool, pids[0]));

    /* It takes its time to end, so that the other one is asked for meanwhile. */
    signal_zdb(node, bed.spaces[0]->pool, SIGSTOP);
    must_restart(node, bed.spaces[0]->pool);
    refuse_restart(node, bed.spaces[1]->pool, ERR_ABORTED, "one at a time");
    signal_zdb(node, bed.spaces[0]->pool, SIGCONT);
    zdbnode_wait_instance(node, bed.spaces[0]->pool, ZDB(UP));
    assert_true(is_new(node, bed.spaces[0]->pool, pids[0]));
    assert_false(is_new(node, bed.spaces[1]->pool, pids[1]));
    assert_true(client_ends(client));
    client_close(client);
    zdbnode_wait_all_live(node, 2);
    client = zdbnode_enter(bed.spaces[0], PASSWORD);
    zdbnode_must_get(client, "key", "value");
    client_close(client);

    node_mark(node);
    must_restart(node, bed.spaces[1]->pool);
    (void)watch_wait(node->watch, "zdb.up", bed.spaces[1]->pool);
    assert_true(is_new(node, bed.spaces[1]->pool, pids[1]));
    assert_int_equal(node_log_count(node, "warning zdbd msg=zdb."), 0);
    bed_close(&bed);
}

/* ---- what cannot be restarted ---- */

static bool knows_that_pool_failed(struct node *node, void *pool)
{
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, pool);
    return strstr(instance->reason, "its pool has failed") != NULL;
}

static void only_what_is_wanted_is_restarted(void)
{
    struct bed bed;
    bed_open(&bed);
    struct node *node = bed.node;
    autofree char *idle = find_idle(node, bed.spaces);
    refuse_restart(node, idle, ERR_FAILED_PRECONDITION, "nothing is booked");
    refuse_restart(node, "7d1c0000-0000-4000-8000-0000000000bb", ERR_NOT_FOUND, "no pool");
    refuse_restart(node, "nothing", ERR_INVALID_ARGUMENT, "no pool");

    /* One whose disk goes while it is restarted does not come up again: the others still may. */
    const char *gone = bed.spaces[0]->pool;
    signal_zdb(node, gone, SIGSTOP);
    must_restart(node, gone);
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_pools(node->storage, &pools, &err), &err);
    for (size_t i = 0; i < pools->n_pools; i++)
        for (size_t k = 0; strcmp(pools->pools[i]->id, gone) == 0 && bed.disks[k]; k++)
            if (strcmp(pools->pools[i]->members[0]->path, bed.disks[k]->path) == 0)
                disk_uevent(bed.disks[k], "remove");
    node_wait(node, knows_that_pool_failed, bed.spaces[0]->pool, "zdbd knows that its pool failed");
    refuse_restart(node, gone, ERR_FAILED_PRECONDITION, "its pool has failed");
    must_restart(node, bed.spaces[1]->pool);
    signal_zdb(node, gone, SIGCONT);
    zdbnode_wait_instance(node, gone, ZDB(IDLE));
    zdbnode_wait_namespace(node, bed.spaces[1]->id, NAMESPACE(LIVE));
    bed_close(&bed);
}

/* ---- the log ---- */

static void an_end_that_was_asked_for_is_no_warning(void)
{
    static const char warnings[] = "warning zdbd msg=zdb.";
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", MiB);
    assert_true(zdbnode_release(node, made->id));
    zdbnode_wait_instance(node, NULL, ZDB(IDLE));
    assert_int_equal(node_log_count(node, "info zdbd msg=zdb.down"), 1);
    assert_int_equal(node_log_count(node, "info zdbd msg=zdb.ended"), 1);

    autoreply Storage__V1__ZDBNamespace *again = zdbnode_reserve(node, "again", MiB);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    assert_int_equal(node_log_count(node, "info zdbd msg=zdb.down"), 2);
    assert_int_equal(node_log_count(node, "info zdbd msg=zdb.ended"), 2);
    assert_int_equal(node_log_count(node, warnings), 0);

    node_start(node);
    zdbnode_wait_namespace(node, again->id, NAMESPACE(LIVE));
    node_mark(node);
    signal_zdb(node, again->pool, SIGKILL);
    (void)watch_wait(node->watch, "zdb.up", NULL);
    assert_int_equal(node_log_count(node, "warning zdbd msg=zdb.down"), 1);
    assert_int_equal(node_log_count(node, "warning zdbd msg=zdb.ended"), 1);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_changed_program_is_run_when_asked_for),
        harness_case(only_what_is_wanted_is_restarted),
        harness_case(an_end_that_was_asked_for_is_no_warning),
    };
    return harness_main(argc, argv, "zdbd_restart", cases, array_length(cases));
}
