/* Nodes that serve 0-db: see the header. */
#include "zdbnode.h"

#include "steps.h"

#include <signal.h>
#include <stdio.h>

struct node *zdbnode_create_list(struct disk *const *disks)
{
    struct node *node = node_create_list(disks);
    node_set(node, "spaces.headroom", "0");
    return node;
}

struct node *zdbnode_start_list(struct disk *const *disks)
{
    struct node *node = zdbnode_create_list(disks);
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

void zdbnode_start_pools(struct node *node, struct disk *const *disks)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    node_start(node);
    node_wait_cache(node, true);
    assert_ok(call_pools(node->storage, &pools, &err), &err);
    size_t n = 0;
    for (; disks[n]; n++) {
        autoreply Storage__V1__PrepareReply *prepared = NULL;
        if (strcmp(pools->pools[0]->members[0]->path, disks[n]->path) != 0)
            assert_ok(call_prepare(node->storage, disks[n]->path, &prepared, &err), &err);
    }
    node_wait_pools(node, n);
}

struct node *zdbnode_start_watched(const char *program, uint64_t disk_bytes,
                                   struct steps **out_steps)
{
    struct node *node =
        zdbnode_create_list((struct disk *const[]){disk_create(disk_bytes, DISK_SSD), NULL});
    node_set(node, "supervisor.healthy_ms", "1");
    node_set(node, "supervisor.backoff_min_ms", "1");
    node_set(node, "supervisor.backoff_max_ms", "1");
    *out_steps = steps_watch(node, program);
    steps_spare(*out_steps);
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

/* ---- calls ---- */

Storage__V1__NamespaceReserveRequest zdbnode_request(const char *name, uint64_t size_bytes)
{
    static uint8_t password[] = PASSWORD;
    Storage__V1__NamespaceReserveRequest request = STORAGE__V1__NAMESPACE_RESERVE_REQUEST__INIT;
    request.disk_type = SSD;
    request.mode = MODE(USER);
    request.name = (char *)(uintptr_t)name;
    request.size_bytes = size_bytes;
    request.password = (ProtobufCBinaryData){sizeof password - 1, password};
    return request;
}

int zdbnode_call_reserve(struct storage *storage,
                         const Storage__V1__NamespaceReserveRequest *request,
                         Storage__V1__ZDBNamespace **out_namespace, struct err *err)
{
    return storage_call(storage, "storage.v1.NamespaceService/Reserve", request, out_namespace,
                        err);
}

Storage__V1__ZDBNamespace *zdbnode_reserve(struct node *node, const char *name, uint64_t size_bytes)
{
    autoerr struct err err = {0};
    Storage__V1__ZDBNamespace *made = NULL;
    const Storage__V1__NamespaceReserveRequest request = zdbnode_request(name, size_bytes);
    assert_ok(zdbnode_call_reserve(node->storage, &request, &made, &err), &err);
    return made;
}

int zdbnode_call_release(struct storage *storage, const char *id, bool *out_existed,
                         struct err *err)
{
    autoreply Storage__V1__NamespaceReleaseReply *reply = NULL;
    Storage__V1__NamespaceReleaseRequest request = STORAGE__V1__NAMESPACE_RELEASE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    int rc = storage_call(storage, "storage.v1.NamespaceService/Release", &request, &reply, err);
    if (rc == 0 && out_existed)
        *out_existed = reply->existed;
    return rc;
}

bool zdbnode_release(struct node *node, const char *id)
{
    autoerr struct err err = {0};
    bool existed = false;
    assert_ok(zdbnode_call_release(node->storage, id, &existed, &err), &err);
    return existed;
}

static int get_namespace(struct node *node, const char *id, Storage__V1__ZDBNamespace **out_space,
                         struct err *err)
{
    Storage__V1__NamespaceGetRequest request = STORAGE__V1__NAMESPACE_GET_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    return storage_call(node->storage, "storage.v1.NamespaceService/Get", &request, out_space, err);
}

Storage__V1__ZDBNamespace *zdbnode_get(struct node *node, const char *id)
{
    autoerr struct err err = {0};
    Storage__V1__ZDBNamespace *space = NULL;
    assert_ok(get_namespace(node, id, &space, &err), &err);
    return space;
}

Storage__V1__NamespaceListReply *zdbnode_list(struct node *node)
{
    autoerr struct err err = {0};
    Storage__V1__NamespaceListReply *list = NULL;
    Storage__V1__NamespaceListRequest request = STORAGE__V1__NAMESPACE_LIST_REQUEST__INIT;
    assert_ok(
        storage_call(node->storage, "storage.v1.NamespaceService/List", &request, &list, &err),
        &err);
    return list;
}

Storage__V1__NamespaceUsage *zdbnode_usage(struct node *node, const char *id)
{
    autoerr struct err err = {0};
    Storage__V1__NamespaceUsage *usage = NULL;
    Storage__V1__NamespaceUsageRequest request = STORAGE__V1__NAMESPACE_USAGE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    assert_ok(
        storage_call(node->storage, "storage.v1.NamespaceService/Usage", &request, &usage, &err),
        &err);
    return usage;
}

/* The instance's own message is taken out of the list, so that one storage_free() frees it. */
static Storage__V1__ZDBInstance *get_instance(struct node *node, const char *pool, struct err *err)
{
    Storage__V1__ZDBInstance *instance = NULL;
    Storage__V1__ZDBGetRequest request = STORAGE__V1__ZDBGET_REQUEST__INIT;
    request.pool = (char *)(uintptr_t)pool;
    (void)storage_call(node->storage, "storage.v1.ZDBService/Get", &request, &instance, err);
    return instance;
}

char *zdbnode_only_pool(struct node *node)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_pools(node->storage, &pools, &err), &err);
    assert_int_equal(pools->n_pools, 1);
    return path_format("%s", pools->pools[0]->id);
}

Storage__V1__ZDBInstance *zdbnode_instance(struct node *node, const char *pool)
{
    autoerr struct err err = {0};
    autofree char *only = pool ? NULL : zdbnode_only_pool(node);
    Storage__V1__ZDBInstance *instance = get_instance(node, pool ? pool : only, &err);
    assert_ok(instance ? 0 : -(int)err.code, &err);
    return instance;
}

struct wanted {
    const char *id;
    int state;
};

static bool has_instance_state(struct node *node, void *data)
{
    const struct wanted *wanted = data;
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBInstance *instance = get_instance(node, wanted->id, &err);
    return instance && (int)instance->state == wanted->state;
}

void zdbnode_wait_instance(struct node *node, const char *pool, Storage__V1__ZDBState state)
{
    autofree char *only = pool ? NULL : zdbnode_only_pool(node);
    struct wanted wanted = {pool ? pool : only, (int)state};
    node_wait(node, has_instance_state, &wanted, "a 0-db in the state that is waited for");
}

/* While its pool is not known it cannot be told. */
static bool has_namespace_state(struct node *node, void *data)
{
    const struct wanted *wanted = data;
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    int rc = get_namespace(node, wanted->id, &space, &err);
    if (rc != -ERR_UNAVAILABLE)
        assert_ok(rc, &err);
    return rc == 0 && (int)space->state == wanted->state;
}

void zdbnode_wait_namespace(struct node *node, const char *id, Storage__V1__ZDBNamespaceState state)
{
    struct wanted wanted = {id, (int)state};
    node_wait(node, has_namespace_state, &wanted, "a namespace in the state that is waited for");
}

static bool are_all_live(struct node *node, void *data)
{
    size_t n_live = 0;
    char token[64] = "";
    do {
        autoerr struct err err = {0};
        autoreply Storage__V1__NamespaceListReply *page = NULL;
        Storage__V1__NamespaceListRequest request = STORAGE__V1__NAMESPACE_LIST_REQUEST__INIT;
        request.page_token = token;
        assert_ok(
            storage_call(node->storage, "storage.v1.NamespaceService/List", &request, &page, &err),
            &err);
        for (size_t i = 0; i < page->n_namespaces; i++) {
            if (page->namespaces[i]->state != NAMESPACE(LIVE))
                return false;
            n_live++;
        }
        (void)snprintf(token, sizeof token, "%s", page->next_page_token);
    } while (*token);
    return n_live == *(size_t *)data;
}

void zdbnode_wait_all_live(struct node *node, size_t n)
{
    node_wait(node, are_all_live, &n, "all namespaces are live");
}

void zdbnode_kill_zdbd(struct node *node)
{
    struct worker_info before = node_worker(node, "zdbd");
    assert_int_equal(kill(before.pid, SIGKILL), 0);
    (void)node_wait_worker(node, "zdbd", before.epoch);
}

/* ---- clients ---- */

static void must_answer(struct client *client, const struct word *words, size_t n,
                        const char *wanted)
{
    size_t size = 0;
    assert_true(client_send_words(client, words, n));
    const uint8_t *reply = client_reply(client, &size);
    assert_non_null(reply);
    if (size != strlen(wanted) || memcmp(reply, wanted, size) != 0)
        fail_msg("the 0-db answers %.*s, not %s", (int)size, reply, wanted);
}

struct client *zdbnode_enter(const Storage__V1__ZDBNamespace *space, const char *password)
{
    struct client *client = client_open_tcp((uint16_t)space->port);
    const char *name = *space->zdb_name ? space->zdb_name : space->id;
    const struct word words[] = {word("SELECT"), word(name), word(password)};
    must_answer(client, words, array_length(words), "+OK\r\n");
    return client;
}

void zdbnode_say_words(struct client *client, const char *answer, const struct word *words,
                       size_t n)
{
    size_t size;
    assert_true(client_send_words(client, words, n));
    const char *reply = (const char *)client_reply(client, &size);
    assert_non_null(reply);
    if (size < strlen(answer) || memcmp(reply, answer, strlen(answer)) != 0)
        fail_msg("%.*s: not %s but %.*s", (int)words[0].size, (const char *)words[0].at, answer,
                 (int)size, reply);
}

void zdbnode_set(struct client *client, const char *key, const char *value)
{
    const struct word words[] = {word("SET"), word(key), word(value)};
    autofree char *wanted = path_format("$%zu\r\n%s\r\n", strlen(key), key);
    must_answer(client, words, array_length(words), wanted);
}

void zdbnode_must_get(struct client *client, const char *key, const char *value)
{
    const struct word words[] = {word("GET"), word(key)};
    autofree char *wanted =
        value ? path_format("$%zu\r\n%s\r\n", strlen(value), value) : path_format("$-1\r\n");
    must_answer(client, words, array_length(words), wanted);
}

/* ---- books ---- */

void zdbnode_must_balance(struct node *node, size_t n_namespaces)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ListBookingsReply *bookings = NULL;
    autoreply Storage__V1__NamespaceListReply *spaces = zdbnode_list(node);
    assert_ok(call_bookings(node->storage, &bookings, &err), &err);
    assert_int_equal(spaces->n_namespaces, n_namespaces);
    assert_int_equal(bookings->n_bookings, n_namespaces);
    for (size_t i = 0; i < n_namespaces; i++) {
        assert_string_equal(bookings->bookings[i]->id, spaces->namespaces[i]->id);
        assert_int_equal(bookings->bookings[i]->size_bytes, spaces->namespaces[i]->size_bytes);
        assert_int_equal(bookings->bookings[i]->state,
                         STORAGE__V1__BOOKING_STATE__BOOKING_STATE_LIVE);
    }
    poolnode_must_balance(node);
}

void zdbnode_must_agree(struct node *node, size_t n_namespaces)
{
    enum { OWN = 2 }; /* "default" and the canary's */
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, NULL);
    autoreply Storage__V1__NamespaceListReply *spaces = zdbnode_list(node);
    struct client *client = client_open_tcp((uint16_t)instance->port);
    const struct word words[] = {word("NSLIST")};
    size_t size;
    assert_true(client_send_words(client, words, 1));
    const uint8_t *reply = client_reply(client, &size);
    assert_non_null(reply);
    autofree char *text = strndup((const char *)reply, size);
    autofree char *wanted = path_format("*%zu\r\n", n_namespaces + OWN);
    if (strncmp(text, wanted, strlen(wanted)) != 0)
        fail_msg("the 0-db has %.8s namespaces, not %zu and its own", text, n_namespaces);
    assert_int_equal(spaces->n_namespaces, n_namespaces);
    for (size_t i = 0; i < n_namespaces; i++)
        assert_non_null(strstr(text, spaces->namespaces[i]->id));
    client_close(client);
}
