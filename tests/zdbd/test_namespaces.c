/* Namespaces on a real node: a life, what is refused, and what a client can and cannot do inside.
 */
#include "zdbnode.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define DISK_BYTES (4 * GiB)

/* ---- a life ---- */

static void resize(struct node *node, const char *id, uint64_t size_bytes, enum err_code code,
                   const char *text)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    Storage__V1__NamespaceResizeRequest request = STORAGE__V1__NAMESPACE_RESIZE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    request.size_bytes = size_bytes;
    int rc =
        storage_call(node->storage, "storage.v1.NamespaceService/Resize", &request, &space, &err);
    if (code == ERR_OK) {
        assert_ok(rc, &err);
        assert_int_equal(space->size_bytes, size_bytes);
    } else {
        assert_refused(rc, &err, code, text);
    }
}

static void a_namespace_is_reserved_used_and_released(void)
{
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    uint64_t before = poolnode_capacity(node).booked;
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", 64 * MiB);
    assert_true(made->created);
    assert_int_equal(made->state, NAMESPACE(LIVE));
    assert_int_equal(made->disk_type, SSD);
    assert_true(made->port >= 9900 && made->port <= 10899);
    assert_int_equal(made->n_addresses, 1);
    assert_string_equal(made->addresses[0], "127.0.0.1");
    watch_wait(node->watch, "namespace.reserved", made->id);
    zdbnode_must_balance(node, 1);
    assert_true(poolnode_capacity(node).booked > before + 64 * MiB);

    struct client *client = zdbnode_enter(made, PASSWORD);
    zdbnode_set(client, "key", "value");
    zdbnode_must_get(client, "key", "value");
    autoreply Storage__V1__NamespaceUsage *usage = zdbnode_usage(node, made->id);
    assert_int_equal(usage->entries, 1);
    assert_int_equal(usage->data_bytes, 5);
    assert_int_equal(usage->limit_bytes, 64 * MiB);

    /* The same again finds it; another size does not. */
    autoreply Storage__V1__ZDBNamespace *again = zdbnode_reserve(node, "mine", 64 * MiB);
    assert_string_equal(again->id, made->id);
    assert_false(again->created);
    autoerr struct err err = {0};
    Storage__V1__ZDBNamespace *none = NULL;
    const Storage__V1__NamespaceReserveRequest other = zdbnode_request("mine", 65 * MiB);
    assert_refused(zdbnode_call_reserve(node->storage, &other, &none, &err), &err,
                   ERR_ALREADY_EXISTS, "its size is another");

    resize(node, made->id, 128 * MiB, ERR_OK, NULL);
    resize(node, made->id, 32 * MiB, ERR_OK, NULL);
    resize(node, made->id, 4, ERR_FAILED_PRECONDITION, "5 bytes are stored");
    resize(node, made->id, 1 << 20, ERR_OK, NULL);
    autoreply Storage__V1__NamespaceUsage *smaller = zdbnode_usage(node, made->id);
    assert_int_equal(smaller->limit_bytes, MiB);

    assert_true(zdbnode_release(node, made->id));
    assert_false(zdbnode_release(node, made->id));
    watch_wait(node->watch, "namespace.released", made->id);
    zdbnode_must_balance(node, 0);
    client_close(client);
    /* Nothing needs it any more. */
    zdbnode_wait_instance(node, NULL, ZDB(IDLE));
}

/* ---- what is refused ---- */

static void refused(struct node *node, const Storage__V1__NamespaceReserveRequest *request,
                    enum err_code code, const char *text)
{
    autoerr struct err err = {0};
    Storage__V1__ZDBNamespace *none = NULL;
    assert_refused(zdbnode_call_reserve(node->storage, request, &none, &err), &err, code, text);
}

static void what_cannot_be_is_refused_and_leaves_nothing(void)
{
    static uint8_t star[] = "*", nul[] = {'a', 0, 'b'}, longest[64];
    static char slash[] = "a/b";
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    Storage__V1__NamespaceReserveRequest bad;
    memset(longest, 'x', sizeof longest);
#define refuse(field, value, code, text)                                                           \
    bad = zdbnode_request("mine", MiB);                                                            \
    bad.field = (value);                                                                           \
    refused(node, &bad, (code), (text))
    refuse(size_bytes, 0, ERR_INVALID_ARGUMENT, "has a size");
    refuse(size_bytes, UINT64_MAX, ERR_INVALID_ARGUMENT, "more than a 0-db counts");
    refuse(size_bytes, 1024 * GiB, ERR_RESOURCE_EXHAUSTED, "the largest possible now is");
    refuse(disk_type, 0, ERR_INVALID_ARGUMENT, "SSD or HDD");
    refuse(disk_type, STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD, ERR_FAILED_PRECONDITION, "type HDD");
    refuse(mode, 0, ERR_INVALID_ARGUMENT, "user or sequential");
    refuse(name, slash, ERR_INVALID_ARGUMENT, "no '/'");
    refuse(password, ((ProtobufCBinaryData){0, NULL}), ERR_INVALID_ARGUMENT, "needs a password");
    refuse(password, ((ProtobufCBinaryData){1, star}), ERR_INVALID_ARGUMENT, "is no password");
    refuse(password, ((ProtobufCBinaryData){3, nul}), ERR_INVALID_ARGUMENT, "no NUL");
    refuse(password, ((ProtobufCBinaryData){64, longest}), ERR_INVALID_ARGUMENT, "at most 63");
#undef refuse
    zdbnode_must_balance(node, 0);

    /* The longest password there is, in sequential mode, and public. */
    Storage__V1__NamespaceReserveRequest request = zdbnode_request("other", MiB);
    request.password.data = longest;
    request.password.len = 63;
    request.mode = MODE(SEQUENTIAL);
    request.public_ = true;
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBNamespace *made = NULL;
    assert_ok(zdbnode_call_reserve(node->storage, &request, &made, &err), &err);
    assert_true(made->public_);
    assert_int_equal(made->mode, MODE(SEQUENTIAL));
    char password[64] = {0};
    memcpy(password, longest, 63);
    client_close(zdbnode_enter(made, password));
}

/* ---- who outlives whom ---- */

static void a_0_db_outlives_zdbd_and_storaged(void)
{
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", 64 * MiB);
    autoreply Storage__V1__ZDBInstance *before = zdbnode_instance(node, made->pool);
    struct client *client = zdbnode_enter(made, PASSWORD);
    zdbnode_set(client, "key", "one");

    zdbnode_kill_zdbd(node);
    zdbnode_set(client, "key", "two");
    zdbnode_wait_namespace(node, made->id, NAMESPACE(LIVE));
    node_kill(node);
    zdbnode_set(client, "key", "three");
    node_start(node);
    zdbnode_wait_namespace(node, made->id, NAMESPACE(LIVE));
    node_stop(node);
    zdbnode_set(client, "key", "four");
    node_start(node);
    zdbnode_wait_namespace(node, made->id, NAMESPACE(LIVE));
    zdbnode_must_get(client, "key", "four");

    autoreply Storage__V1__ZDBInstance *after = zdbnode_instance(node, made->pool);
    assert_int_equal(after->pid, before->pid);
    assert_int_equal(after->port, before->port);
    assert_true(after->adopted);
    zdbnode_must_balance(node, 1);

    /* A shutdown ends it, for its pool is unmounted; then it comes back with what it had. */
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    assert_true(client_ends(client));
    client_close(client);
    node_start(node);
    zdbnode_wait_namespace(node, made->id, NAMESPACE(LIVE));
    autoreply Storage__V1__ZDBNamespace *again = zdbnode_get(node, made->id);
    assert_int_equal(again->port, made->port);
    client = zdbnode_enter(again, PASSWORD);
    zdbnode_must_get(client, "key", "four");
    client_close(client);
}

/* ---- out of service ---- */

static bool is_refused_by_its_0_db(struct node *node, void *id)
{
    autoreply Storage__V1__ZDBNamespace *space = zdbnode_get(node, id);
    return space->state == NAMESPACE(FAILED) && strstr(space->reason, "its descriptor is lost");
}

/* A 0-db that lists a namespace may yet keep everybody out of it. */
static void one_that_its_0_db_keeps_closed_is_failed(void)
{
    struct node *node = zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "mine", 64 * MiB);
    autoreply Storage__V1__ZDBNamespace *other = zdbnode_reserve(node, "other", MiB);
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, made->pool);
    autofree char *descriptor = path_format("%s/%s/zdb/data/index/%s/zdb-namespace",
                                            node->mount_root, made->pool, made->id);
    struct client *client = zdbnode_enter(made, PASSWORD);
    zdbnode_set(client, "key", "value");
    client_close(client);
    assert_int_equal(unlink(descriptor), 0);
    node_mark(node);
    assert_int_equal(kill((pid_t)instance->pid, SIGKILL), 0);
    (void)watch_wait(node->watch, "namespace.live", other->id);
    node_wait(node, is_refused_by_its_0_db, made->id, "it is failed");
    zdbnode_must_balance(node, 2);

    /* Its password makes it whole: what else was lost is noted. */
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBNamespace *changed = NULL;
    Storage__V1__NamespaceSetPasswordRequest request =
        STORAGE__V1__NAMESPACE_SET_PASSWORD_REQUEST__INIT;
    request.id = made->id;
    request.password = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "new"};
    assert_ok(storage_call(node->storage, "storage.v1.NamespaceService/SetPassword", &request,
                           &changed, &err),
              &err);
    (void)watch_wait(node->watch, "namespace.live", made->id);
    zdbnode_wait_namespace(node, made->id, NAMESPACE(LIVE));
    autoreply Storage__V1__NamespaceUsage *usage = zdbnode_usage(node, made->id);
    assert_int_equal(usage->limit_bytes, 64 * MiB);
    client = zdbnode_enter(made, "new");
    zdbnode_must_get(client, "key", "value");
    client_close(client);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_namespace_is_reserved_used_and_released),
        harness_case(what_cannot_be_is_refused_and_leaves_nothing),
        harness_case(a_0_db_outlives_zdbd_and_storaged),
        harness_case(one_that_its_0_db_keeps_closed_is_failed),
    };
    return harness_main(argc, argv, "namespaces", cases, array_length(cases));
}
