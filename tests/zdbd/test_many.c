/*
 * A thousand namespaces on one 0-db: reserved by a crowd, listed in pages, live again soon after
 * zdbd or the 0-db was killed, and released. What one Reserve costs at ten and at a thousand is
 * printed.
 */
#include "zdbnode.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DISK_BYTES (16 * GiB)

enum {
    MANY = 1000,
    FEW = 10,
    THREADS = 16,
    SAMPLES = 15,
    PAGE = 64,
    DEATHS = 2,
    GROWTH_MAX_KIB =
        8 * 1024, /* one process differs from the next by two or three MiB under ASan */
};

/* ---- a crowd ---- */

struct worker {
    pthread_t thread;
    struct storage *storage;
    unsigned first; /* takes each THREADS-th from here on */
    char (*ids)[40];
    bool releases;
    struct err err;
    int rc;
};

static int reserve_one(struct worker *worker, unsigned n)
{
    autofree char *name = path_format("many-%u", n);
    autoreply Storage__V1__ZDBNamespace *made = NULL;
    const Storage__V1__NamespaceReserveRequest request = zdbnode_request(name, MiB);
    int rc = zdbnode_call_reserve(worker->storage, &request, &made, &worker->err);
    if (rc == 0)
        (void)snprintf(worker->ids[n], sizeof worker->ids[n], "%s", made->id);
    return rc;
}

static void *work(void *data)
{
    struct worker *worker = data;
    for (unsigned n = worker->first; n < MANY && worker->rc == 0; n += THREADS)
        worker->rc = worker->releases
                         ? zdbnode_call_release(worker->storage, worker->ids[n], NULL, &worker->err)
                         : reserve_one(worker, n);
    return NULL;
}

static uint64_t run_crowd(struct node *node, char (*ids)[40], unsigned first, bool releases)
{
    struct worker workers[THREADS];
    uint64_t begun_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){
            .storage = node_client(node), .first = first + i, .ids = ids, .releases = releases};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_ok(workers[i].rc, &workers[i].err);
        storage_close(workers[i].storage);
    }
    return clock_monotonic_ms() - begun_ms;
}

/* ---- what one costs ---- */

static int compare(const void *a, const void *b)
{
    const double *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

static double now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The median; each is released again. */
static double time_reserve_ms(struct node *node)
{
    double took[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        double begun = now_ms();
        autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(node, "one-more", MiB);
        took[i] = now_ms() - begun;
        assert_true(zdbnode_release(node, made->id));
    }
    qsort(took, SAMPLES, sizeof *took, compare);
    return took[SAMPLES / 2];
}

/* VmRSS, in KiB. */
static unsigned long memory_of(pid_t pid)
{
    unsigned long kib = 0;
    autofree char *path = path_format("/proc/%d/status", (int)pid);
    autofree char *status = file_read(path, NULL);
    const char *at = strstr(status, "VmRSS:");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "VmRSS: %lu", &kib), 1);
    return kib;
}

/* ---- pages ---- */

static int find_id(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Each once, in order, on pages that are full but for the last. */
static void must_list_all(struct node *node, char (*ids)[40])
{
    char token[64] = "", last[40] = "";
    size_t n = 0, n_pages = 0;
    do {
        autoerr struct err err = {0};
        autoreply Storage__V1__NamespaceListReply *page = NULL;
        Storage__V1__NamespaceListRequest request = STORAGE__V1__NAMESPACE_LIST_REQUEST__INIT;
        request.page_token = token;
        request.page_size = PAGE;
        assert_ok(
            storage_call(node->storage, "storage.v1.NamespaceService/List", &request, &page, &err),
            &err);
        for (size_t i = 0; i < page->n_namespaces; i++) {
            const char *id = page->namespaces[i]->id;
            assert_true(strcmp(id, last) > 0);
            assert_non_null(bsearch(id, ids, MANY, sizeof *ids, find_id));
            (void)snprintf(last, sizeof last, "%s", id);
        }
        (void)snprintf(token, sizeof token, "%s", page->next_page_token);
        assert_int_equal(page->n_namespaces, *token ? PAGE : MANY % PAGE);
        n += page->n_namespaces;
        n_pages++;
    } while (*token);
    assert_int_equal(n, MANY);
    assert_int_equal(n_pages, MANY / PAGE + 1);
}

/* ---- deaths ---- */

/* Until all are live again. */
static uint64_t kill_zdbd(struct node *node)
{
    uint64_t begun_ms = clock_monotonic_ms();
    zdbnode_kill_zdbd(node);
    zdbnode_wait_all_live(node, MANY);
    return clock_monotonic_ms() - begun_ms;
}

static uint64_t kill_zdb(struct node *node)
{
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, NULL);
    uint64_t begun_ms = clock_monotonic_ms();
    node_mark(node);
    assert_int_equal(kill((pid_t)instance->pid, SIGKILL), 0);
    (void)watch_wait(node->watch, "zdb.up", NULL);
    zdbnode_wait_all_live(node, MANY);
    return clock_monotonic_ms() - begun_ms;
}

/* What a sanitizer keeps of freed memory is no growth. */
static void keep_no_freed_memory(void)
{
    const char *before = getenv("ASAN_OPTIONS");
    autofree char *options = path_format("%s:quarantine_size_mb=1", before ? before : "");
    assert_int_equal(setenv("ASAN_OPTIONS", options, 1), 0);
}

static struct node *start(void)
{
    struct node *node =
        zdbnode_create_list((struct disk *const[]){disk_create(DISK_BYTES, DISK_SSD), NULL});
    keep_no_freed_memory();
    node_set(node, "zdb.overhead", "0");
    node_set(node, "supervisor.healthy_ms", "1"); /* a death is nothing to wait for */
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

static void a_thousand_on_one_0_db(void)
{
    static char ids[MANY][40];
    struct node *node = start();
    struct worker first = {.storage = node->storage, .ids = ids};
    for (unsigned n = 0; n < FEW; n++)
        assert_ok(reserve_one(&first, n), &first.err);
    double few_ms = time_reserve_ms(node);
    uint64_t reserved_ms = run_crowd(node, ids, FEW, false);
    double many_ms = time_reserve_ms(node);
    qsort(ids, MANY, sizeof *ids, find_id);
    must_list_all(node, ids);
    zdbnode_must_agree(node, MANY);

    uint64_t adopted_ms = kill_zdbd(node);
    uint64_t back_ms = kill_zdb(node);
    for (int i = 0; i < DEATHS; i++) /* until as many events are kept as there ever are */
        (void)kill_zdb(node);
    unsigned long before_kib = memory_of(node_worker(node, "zdbd").pid);
    for (int i = 0; i < DEATHS; i++)
        (void)kill_zdb(node);
    unsigned long after_kib = memory_of(node_worker(node, "zdbd").pid);
    zdbnode_must_agree(node, MANY);
    poolnode_must_balance(node);

    uint64_t released_ms = run_crowd(node, ids, 0, true);
    zdbnode_must_balance(node, 0);
    zdbnode_wait_instance(node, NULL, ZDB(IDLE));
    (void)fprintf(stderr,
                  "a Reserve took %.2f ms at %d and %.2f ms at %d; %d by %d clients %ju ms, "
                  "released %ju ms; all live %ju ms after zdbd was killed, %ju ms after the 0-db; "
                  "zdbd had %lu KiB, and %lu after %d deaths more\n",
                  few_ms, FEW, many_ms, MANY, MANY - FEW, THREADS, (uintmax_t)reserved_ms,
                  (uintmax_t)released_ms, (uintmax_t)adopted_ms, (uintmax_t)back_ms, before_kib,
                  after_kib, DEATHS);
    assert_true(after_kib < before_kib + GROWTH_MAX_KIB);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_thousand_on_one_0_db),
    };
    return harness_main(argc, argv, "zdbd_many", cases, array_length(cases));
}
