/* What is asked of a namespace that zdbd does not have before it: whose pool is not open, or which
 * is on its way out. */
#include "zdbnode.h"

#include <signal.h>

#define DISK_BYTES (2 * GiB)

enum { SHORT_MS = 500 };

static int get(struct storage *storage, const char *id, struct err *err)
{
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    Storage__V1__NamespaceGetRequest request = STORAGE__V1__NAMESPACE_GET_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    return storage_call(storage, "storage.v1.NamespaceService/Get", &request, &space, err);
}

static int lock(struct storage *storage, const char *id, struct err *err)
{
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    Storage__V1__NamespaceLockRequest request = STORAGE__V1__NAMESPACE_LOCK_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    return storage_call(storage, "storage.v1.NamespaceService/Lock", &request, &space, err);
}

static bool cannot_be_told(struct node *node, void *id)
{
    autoerr struct err err = {0};
    return get(node->storage, id, &err) == -ERR_UNAVAILABLE && err.n_blockers == 1;
}

/* Two disks claim to be its pool: neither is mounted until one of them is gone. */
static void one_on_a_pool_that_is_not_open_is_not_said_to_be_gone(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *copy = disk_reserve(DISK_BYTES, DISK_SSD);
    struct node *node = zdbnode_create_list((struct disk *const[]){disk, copy, NULL});
    autoerr struct err err = {0};
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", MiB);
    assert_ok(node_shutdown(node, &err), &err);
    command_ok("cp", "--sparse=always", disk->file, copy->file);
    disk_plug(copy);
    node_start(node);

    node_wait(node, cannot_be_told, made->id, "zdbd says that the pool may hold it");
    assert_refused(zdbnode_call_release(node->storage, made->id, NULL, &err), &err, ERR_UNAVAILABLE,
                   made->pool);
    assert_refused(lock(node->storage, made->id, &err), &err, ERR_UNAVAILABLE, made->pool);
    disk_unplug(copy);
    zdbnode_wait_namespace(node, made->id, NAMESPACE(LIVE));
    assert_true(zdbnode_release(node, made->id));
}

/* It was noted before the 0-db was told, so it holds whatever becomes of that. */
static void a_second_release_finds_the_first(void)
{
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", MiB);
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, made->pool);
    struct storage_options options = {.run_dir = node->run_dir, .timeout_ms = SHORT_MS};
    struct storage *hasty = NULL;
    autoerr struct err err = {0};
    assert_ok(storage_open(&options, &hasty, &err), &err);
    assert_int_equal(kill((pid_t)instance->pid, SIGSTOP), 0);
    int rc = zdbnode_call_release(hasty, made->id, NULL, &err);
    storage_close(hasty);
    assert_refused(rc, &err, ERR_DEADLINE_EXCEEDED, "");
    assert_true(zdbnode_release(node, made->id));
    assert_refused(lock(node->storage, made->id, &err), &err, ERR_NOT_FOUND, made->id);
    (void)kill((pid_t)instance->pid, SIGCONT);
    zdbnode_wait_instance(node, made->pool, ZDB(IDLE));
    zdbnode_must_balance(node, 0);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(one_on_a_pool_that_is_not_open_is_not_said_to_be_gone),
        harness_case(a_second_release_finds_the_first),
    };
    return harness_main(argc, argv, "unknown namespaces", cases, array_length(cases));
}
