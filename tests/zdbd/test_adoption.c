/*
 * zdbd is killed again and again under load on four 0-db: not one command of a client fails, no
 * second 0-db comes to be, and the next zdbd watches all four. STORAGED_TEST_KILLS makes it longer.
 */
#include "zdbnode.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define DISK_BYTES (2 * GiB)

enum { POOLS = 4, KILLS = 12, KEYS = 64 };

/* ---- clients ---- */

/* A client that writes and reads back without an end, in a thread of its own. */
struct busy {
    struct client *client;
    pthread_t thread;
    atomic_bool stop;
    unsigned long n_written;
    char failed[256]; /* what went wrong; empty: nothing */
};

static bool is_reply(struct client *client, const char *wanted, char *out_failed, size_t size)
{
    size_t length = 0;
    const uint8_t *reply = client_reply(client, &length);
    if (reply && length == strlen(wanted) && memcmp(reply, wanted, length) == 0)
        return true;
    (void)snprintf(out_failed, size, "the reply is %.*s, not %s", (int)length,
                   reply ? (const char *)reply : "", wanted);
    return false;
}

static bool write_one(struct busy *busy)
{
    char key[16], value[32], wanted[64];
    (void)snprintf(key, sizeof key, "key-%lu", busy->n_written % KEYS);
    (void)snprintf(value, sizeof value, "value-%lu", busy->n_written);
    const struct word set[] = {word("SET"), word(key), word(value)};
    const struct word get[] = {word("GET"), word(key)};
    (void)snprintf(wanted, sizeof wanted, "$%zu\r\n%s\r\n", strlen(key), key);
    if (!client_send_words(busy->client, set, array_length(set)) ||
        !is_reply(busy->client, wanted, busy->failed, sizeof busy->failed))
        return false;
    (void)snprintf(wanted, sizeof wanted, "$%zu\r\n%s\r\n", strlen(value), value);
    return client_send_words(busy->client, get, array_length(get)) &&
           is_reply(busy->client, wanted, busy->failed, sizeof busy->failed);
}

static void *keep_busy(void *data)
{
    struct busy *busy = data;
    while (!atomic_load(&busy->stop) && !*busy->failed) {
        if (write_one(busy))
            busy->n_written++;
        else if (!*busy->failed)
            (void)snprintf(busy->failed, sizeof busy->failed, "the 0-db closed the connection");
    }
    return NULL;
}

/* ---- the node ---- */

static struct node *start_with_pools(void)
{
    struct disk *disks[POOLS + 1] = {NULL};
    for (size_t i = 0; i < POOLS; i++)
        disks[i] = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = zdbnode_create_list(disks);
    node_set(node, "supervisor.healthy_ms", "1"); /* a death is no failure, to be waited for */
    node_start(node);
    node_wait_cache(node, true);
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_pools(node->storage, &pools, &err), &err);
    for (size_t i = 0; i < POOLS; i++) {
        autoreply Storage__V1__PrepareReply *prepared = NULL;
        if (strcmp(pools->pools[0]->members[0]->path, disks[i]->path) != 0)
            assert_ok(call_prepare(node->storage, disks[i]->path, &prepared, &err), &err);
    }
    node_wait_pools(node, POOLS);
    return node;
}

static unsigned count_processes(const char *wanted)
{
    unsigned n = 0;
    autodir DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *entry; (entry = readdir(proc));) {
        autofree char *path = path_format("/proc/%s/comm", entry->d_name);
        autofree char *name =
            entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? file_try_read(path, NULL) : NULL;
        n += name && strcmp(name, wanted) == 0;
    }
    return n;
}

static bool all_are_live(struct node *node, void *data)
{
    (void)data;
    autoreply Storage__V1__NamespaceListReply *list = zdbnode_list(node);
    for (size_t i = 0; i < list->n_namespaces; i++)
        if (list->namespaces[i]->state != NAMESPACE(LIVE))
            return false;
    return list->n_namespaces == POOLS;
}

static void no_client_notices_that_zdbd_dies(void)
{
    struct node *node = start_with_pools();
    struct busy busy[POOLS] = {0};
    Storage__V1__ZDBNamespace *spaces[POOLS];
    uint32_t pids[POOLS];
    const char *text = getenv("STORAGED_TEST_KILLS");
    unsigned long n_kills = text ? strtoul(text, NULL, 10) : KILLS, worst_ms = 0;
    for (size_t i = 0; i < POOLS; i++) {
        autofree char *name = path_format("busy-%zu", i);
        spaces[i] = zdbnode_reserve(node, name, 256 * MiB);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(spaces[i]->pool, spaces[k]->pool);
        autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, spaces[i]->pool);
        pids[i] = instance->pid;
        busy[i].client = zdbnode_enter(spaces[i], PASSWORD);
        assert_int_equal(pthread_create(&busy[i].thread, NULL, keep_busy, &busy[i]), 0);
    }
    for (unsigned long i = 0; i < n_kills; i++) {
        uint64_t start = clock_monotonic_ms();
        zdbnode_kill_zdbd(node);
        node_wait(node, all_are_live, NULL, "all namespaces are live");
        uint64_t took = clock_monotonic_ms() - start;
        worst_ms = took > worst_ms ? took : worst_ms;
    }
    for (size_t i = 0; i < POOLS; i++) {
        atomic_store(&busy[i].stop, true);
        assert_int_equal(pthread_join(busy[i].thread, NULL), 0);
        assert_string_equal(busy[i].failed, "");
        assert_true(busy[i].n_written > 0);
        autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, spaces[i]->pool);
        assert_int_equal(instance->pid, pids[i]);
        client_close(busy[i].client);
        storage_free(spaces[i]);
    }
    assert_int_equal(count_processes("zdb\n"), POOLS);
    zdbnode_must_balance(node, POOLS);
    (void)fprintf(stderr, "%lu kills, %lu ms at most until all four were watched\n", n_kills,
                  worst_ms);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(no_client_notices_that_zdbd_dies),
    };
    return harness_main(argc, argv, "adoption", cases, array_length(cases));
}
