/* What zdbd keeps: a list of 1 000 namespaces, against encoding it; its memory with the 0-db of 64
 * pools, against one. */
#include "suites.h"
#include "zdbnode.h"

#include <stdio.h>

enum { LIST_SPACES = 1000, LIST_ROUNDS = 40, MANY_POOLS = 64 };

/* --- nodes ----------------------------------------------------------------------------------- */

static bool all_are_up(struct node *node, void *data)
{
    Storage__V1__ZDBListRequest request = STORAGE__V1__ZDBLIST_REQUEST__INIT;
    autoreply Storage__V1__ZDBListReply *list = NULL;
    if (storage_call(node->storage, "storage.v1.ZDBService/List", &request, &list, NULL) != 0)
        return false;
    for (size_t i = 0; i < list->n_instances; i++)
        if (list->instances[i]->state != ZDB(UP))
            return false;
    return list->n_instances == *(const unsigned *)data;
}

struct node *bench_zdb_node(unsigned n_pools)
{
    struct disk *disks[BENCH_DISKS_MAX + 1] = {0};
    assert_true(n_pools <= BENCH_DISKS_MAX);
    for (unsigned i = 0; i < n_pools; i++)
        disks[i] = disk_create(2 * GiB, DISK_SSD);
    struct node *node = node_create_list(disks);
    node_set(node, "supervisor.healthy_ms", "1"); /* a worker's end is no failure */
    node_set(node, "zdb.always", "yes");
    node_start(node);
    bench_make_pools(node, disks);
    node_wait(node, all_are_up, &n_pools, "each pool has its 0-db");
    return node;
}

/* --- a list ---------------------------------------------------------------------------------- */

/* One whole listing; what it costs to encode and decode its pages is added to *out_coding_ms. */
static double list_all(struct node *node, double *out_coding_ms)
{
    uint64_t coding_ns = 0;
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    char *token = path_format("%s", "");
    size_t n = 0;
    do {
        Storage__V1__NamespaceListRequest request = STORAGE__V1__NAMESPACE_LIST_REQUEST__INIT;
        request.page_token = token;
        autoerr struct err err = {0};
        autoreply Storage__V1__NamespaceListReply *page = NULL;
        assert_ok(
            storage_call(node->storage, "storage.v1.NamespaceService/List", &request, &page, &err),
            &err);
        n += page->n_namespaces;
        uint64_t before = clock_read_ns(CLOCK_MONOTONIC);
        size_t size = storage__v1__namespace_list_reply__get_packed_size(page);
        autofree uint8_t *packed = malloc(size);
        (void)storage__v1__namespace_list_reply__pack(page, packed);
        storage_free(storage__v1__namespace_list_reply__unpack(NULL, size, packed));
        coding_ns += clock_read_ns(CLOCK_MONOTONIC) - before;
        free(token);
        token = path_format("%s", page->next_page_token);
    } while (*token);
    free(token);
    assert_int_equal(n, LIST_SPACES);
    *out_coding_ms = (double)coding_ns / 1e6;
    return bench_ms_since(start) - *out_coding_ms;
}

void suite_zdbd_list(void)
{
    struct node *node = bench_node(disk_create(256 * GiB, DISK_SSD));
    struct samples ours = {0}, coding = {0};
    node_start(node);
    node_wait_cache(node, true);
    for (int i = 0; i < LIST_SPACES; i++) {
        autofree char *name = path_format("namespace-%d", i);
        storage_free(zdbnode_reserve(node, name, MiB));
    }
    for (int i = 0; i < LIST_ROUNDS; i++) {
        double coding_ms;
        samples_add(&ours, list_all(node, &coding_ms));
        samples_add(&coding, coding_ms);
    }
    double p50 = samples_p50(&ours);
    report_row("zdbd_list_1000_against_coding", p50, samples_p50(&coding), "ms", "");
    report_row("zdbd_list_1000_against_40_ms", p50, 40, "ms", "<=1");
    samples_free(&ours);
    samples_free(&coding);
}

/* --- memory ---------------------------------------------------------------------------------- */

void suite_zdbd_memory(void)
{
    struct node *node = bench_zdb_node(1);
    double one = bench_resident_mib(node_worker(node, "zdbd").pid);
    node_kill(node);
    node = bench_zdb_node(MANY_POOLS);
    double many = bench_resident_mib(node_worker(node, "zdbd").pid);
    report_row("zdbd_memory_64_against_1", many, one, "MiB", "<=2");
}
