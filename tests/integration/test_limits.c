/*
 * As much of everything as a node must bear: spaces by the thousand, listed in pages while more
 * come; 64 disks; 1 000 subscribers. Each twice, and the second time no process grows any more.
 *
 * STORAGED_TEST_SPACES says how many spaces (1 000), STORAGED_TEST_POOLS how many of the 64 disks
 * become pools (8).
 */
#include "gauge.h"
#include "poolnode.h"
#include "subscribers.h"

#include "rpc/client.h"

#include <stdio.h>
#include <sys/resource.h>

enum {
    SPACES = 1000,
    POOLS = 8,
    DISKS = 64,
    PAGE = 90,
    IN_FLIGHT = 64,
    NEWCOMERS_MAX = 256,
    CYCLES = 2,
    REPLY_MAX_BYTES = 1 << 20,
    CALL_MS = 120000,
    OUTCOME_BYTES = 1024, /* what a change leaves for five minutes, so that a retry finds it */
    DESCRIPTORS = 8192,
};

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* --- many calls at once ---------------------------------------------------------------------- */

struct crowd {
    uv_loop_t loop;
    struct rpc_client *client;
    unsigned wanted, begun, answered;
    char (*ids)[40]; /* by number: of the reserved, or of those to be released */
    bool releases;
};

static void crowd_go_on(struct crowd *crowd);

struct errand {
    struct crowd *crowd;
    unsigned number;
};

static void on_answer(const struct rpc_result *result, void *data)
{
    struct errand *errand = data;
    struct crowd *crowd = errand->crowd;
    if (result->err->code != ERR_OK)
        fail_msg("call %u: %s", errand->number, result->err->message);
    if (!crowd->releases) {
        const Storage__V1__Space *space = (const Storage__V1__Space *)result->output;
        (void)snprintf(crowd->ids[errand->number], sizeof crowd->ids[0], "%s", space->id);
    }
    crowd->answered++;
    free(errand);
    crowd_go_on(crowd);
}

static void crowd_call(struct crowd *crowd, unsigned number)
{
    const struct rpc_call_options options = {.deadline_ms = CALL_MS};
    Storage__V1__ReserveRequest reserve = STORAGE__V1__RESERVE_REQUEST__INIT;
    Storage__V1__ReleaseRequest release = STORAGE__V1__RELEASE_REQUEST__INIT;
    autofree char *name = path_format("space-%u", number);
    reserve.name = name;
    reserve.disk_type = SSD;
    reserve.size_bytes = MiB;
    release.id = crowd->ids[number];
    struct errand *errand = malloc(sizeof *errand);
    assert_non_null(errand);
    *errand = (struct errand){.crowd = crowd, .number = number};
    autoerr struct err err = {0};
    assert_ok(rpc_client_call(crowd->client, &storage__v1__space_service__descriptor,
                              crowd->releases ? "Release" : "Reserve",
                              crowd->releases ? &release.base : &reserve.base, &options, on_answer,
                              errand, &err),
              &err);
}

static void crowd_go_on(struct crowd *crowd)
{
    while (crowd->begun < crowd->wanted && crowd->begun - crowd->answered < IN_FLIGHT)
        crowd_call(crowd, crowd->begun++);
}

/* Reserves so many spaces of 1 MiB, or releases them. */
static void change_spaces(const struct node *node, unsigned n, char (*ids)[40], bool releases)
{
    struct crowd crowd = {.wanted = n, .ids = ids, .releases = releases};
    autofree char *url = path_format("ipc://%s/poold.sock", node->run_dir);
    autoerr struct err err = {0};
    uint64_t begun_ms = clock_monotonic_ms();
    assert_int_equal(uv_loop_init(&crowd.loop), 0);
    const struct rpc_client_options options = {.loop = &crowd.loop, .url = url};
    assert_ok(rpc_client_open(&options, &crowd.client, &err), &err);
    crowd_go_on(&crowd);
    while (crowd.answered < n)
        (void)uv_run(&crowd.loop, UV_RUN_ONCE); /* every call has a deadline */
    rpc_client_close(crowd.client, NULL, NULL);
    assert_int_equal(uv_run(&crowd.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&crowd.loop), 0);
    print_message("%u spaces %s in %llu ms\n", n, releases ? "released" : "reserved",
                  (unsigned long long)(clock_monotonic_ms() - begun_ms));
}

/* --- lists in pages -------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    return strcmp(a, b);
}

static Storage__V1__SpaceListReply *list_page(struct node *node, const char *token, uint32_t size)
{
    Storage__V1__SpaceListRequest request = STORAGE__V1__SPACE_LIST_REQUEST__INIT;
    Storage__V1__SpaceListReply *reply = NULL;
    autoerr struct err err = {0};
    request.page_token = (char *)(uintptr_t)token;
    request.page_size = size;
    assert_ok(storage_call(node->storage, "storage.v1.SpaceService/List", &request, &reply, &err),
              &err);
    assert_true(storage__v1__space_list_reply__get_packed_size(reply) < REPLY_MAX_BYTES);
    if (size > 0)
        assert_true(reply->n_spaces <= size);
    return reply;
}

/* Walks all pages: each of the sorted ids once, in order, whoever else is listed between them. With
 * `newcomers`, one more space comes after each page, and goes at the end. */
static void walk_pages(struct node *node, char (*ids)[40], unsigned n, uint32_t size,
                       bool newcomers)
{
    static char late[NEWCOMERS_MAX][40];
    char token[40] = "", before[40] = "";
    unsigned found = 0, n_late = 0, n_pages = 0;
    uint64_t begun_ms = clock_monotonic_ms();
    do {
        autoreply Storage__V1__SpaceListReply *page = list_page(node, token, size);
        n_pages++;
        for (size_t i = 0; i < page->n_spaces; i++) {
            const char *id = page->spaces[i]->id;
            assert_true(strcmp(before, id) < 0);
            (void)snprintf(before, sizeof before, "%s", id);
            if (found < n && strcmp(ids[found], id) == 0)
                found++;
        }
        (void)snprintf(token, sizeof token, "%s", page->next_page_token);
        if (newcomers && n_late < NEWCOMERS_MAX) {
            autofree char *name = path_format("late-%u", n_late);
            autoreply Storage__V1__Space *space = must_reserve(node, name, SSD, MiB);
            (void)snprintf(late[n_late++], sizeof late[0], "%s", space->id);
        }
    } while (*token);
    assert_int_equal(found, n);
    print_message("%u pages in %llu ms\n", n_pages,
                  (unsigned long long)(clock_monotonic_ms() - begun_ms));
    while (n_late > 0)
        must_release(node, late[--n_late]);
}

static bool has_reaped_some(struct node *node, void *data)
{
    uint64_t *left_bytes = data;
    uint64_t bytes = poolnode_capacity(node).releasing;
    bool less = bytes == 0 || bytes < *left_bytes;
    *left_bytes = bytes;
    return less;
}

/* However long it takes, as long as it goes on. */
static void wait_reaped(struct node *node)
{
    uint64_t left_bytes = UINT64_MAX;
    uint64_t begun_ms = clock_monotonic_ms();
    while (left_bytes > 0)
        node_wait(node, has_reaped_some, &left_bytes, "the reaper goes on");
    print_message("reaped in %llu ms more\n",
                  (unsigned long long)(clock_monotonic_ms() - begun_ms));
}

static struct node *start_node(struct disk *const *disks)
{
    struct rlimit limit = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return poolnode_start_list(disks);
}

static void spaces_by_the_thousand_are_listed_in_pages(void)
{
    unsigned n = setting("STORAGED_TEST_SPACES", SPACES);
    struct disk *disk = disk_create(4 * GiB + n * 2 * MiB, DISK_SSD);
    struct node *node = start_node((struct disk *const[]){disk, NULL});
    autofree char(*ids)[40] = calloc(n, sizeof *ids);
    assert_non_null(ids);
    struct gauge before = gauge_read(node), full, after;
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        change_spaces(node, n, ids, false);
        qsort(ids, n, sizeof *ids, by_id);
        walk_pages(node, ids, n, 0, false);
        walk_pages(node, ids, n, PAGE, true);
        full = gauge_read(node);
        change_spaces(node, n, ids, true);
        wait_reaped(node);
        after = gauge_read(node);
        if (cycle == 0)
            before = after;
        print_message("with all of them, poold has %.2f MiB\n",
                      (double)full.resident_bytes[GAUGE_POOLD] / (double)MiB);
    }
    gauge_expect_flat(&before, &after, MiB + 2 * (uint64_t)n * OUTCOME_BYTES);
    node_stop(node);
}

/* --- disks ----------------------------------------------------------------------------------- */

static void walk_disks(struct node *node, unsigned n)
{
    autoerr struct err err = {0};
    char token[64] = "";
    unsigned found = 0;
    do {
        Storage__V1__DiskListRequest request = STORAGE__V1__DISK_LIST_REQUEST__INIT;
        autoreply Storage__V1__DiskListReply *page = NULL;
        request.page_token = token;
        request.page_size = 10;
        assert_ok(storage_call(node->storage, "storage.v1.DiskService/List", &request, &page, &err),
                  &err);
        assert_true(page->n_disks <= 10);
        found += (unsigned)page->n_disks;
        (void)snprintf(token, sizeof token, "%s", page->next_page_token);
    } while (*token);
    assert_int_equal(found, n);
}

static void probe_all(struct node *node, struct disk *const *disks)
{
    for (; *disks; disks++) {
        Storage__V1__DiskProbeRequest request = STORAGE__V1__DISK_PROBE_REQUEST__INIT;
        autoreply Storage__V1__Disk *found = NULL;
        autoerr struct err err = {0};
        request.id = (*disks)->path;
        assert_ok(
            storage_call(node->storage, "storage.v1.DiskService/Probe", &request, &found, &err),
            &err);
    }
}

/* So many of the blank disks become pools. */
static void prepare_some(struct node *node, unsigned n)
{
    Storage__V1__PreparePolicy policy = STORAGE__V1__PREPARE_POLICY__INIT;
    autoerr struct err err = {0};
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    autoreply Storage__V1__DiskListReply *all = NULL;
    char *chosen[DISKS];
    assert_ok(call_disks(node->storage, &all, &err), &err);
    policy.disks = chosen;
    policy.profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
    for (size_t i = 0; i < all->n_disks && policy.n_disks < n; i++)
        if (all->disks[i]->state == STORAGE__V1__DISK_STATE__DISK_STATE_BLANK)
            chosen[policy.n_disks++] = all->disks[i]->id;
    assert_int_equal(policy.n_disks, n);
    assert_ok(
        storage_call(node->storage, "storage.v1.DiskService/Prepare", &policy, &prepared, &err),
        &err);
    assert_int_equal(prepared->n_pools, n);
}

static void sixty_four_disks_are_found_and_used(void)
{
    unsigned n_pools = setting("STORAGED_TEST_POOLS", POOLS);
    struct disk *disks[DISKS + 1] = {NULL};
    for (int i = 0; i < DISKS; i++)
        disks[i] = disk_create(2 * GiB, DISK_SSD);
    struct node *node = start_node(disks);
    walk_disks(node, DISKS);
    prepare_some(node, n_pools - 1);
    node_wait_pools(node, n_pools);
    node_stop(node);
    uint64_t begun_ms = clock_monotonic_ms();
    node_start(node);
    node_wait_pools(node, n_pools);
    node_wait_cache(node, true);
    print_message("%d disks with %u pools are there after %llu ms\n", DISKS, n_pools,
                  (unsigned long long)(clock_monotonic_ms() - begun_ms));
    walk_disks(node, DISKS);
    struct gauge before = {0}, after = {0};
    for (int cycle = 0; cycle < 2 * CYCLES; cycle++) {
        probe_all(node, disks);
        after = gauge_read(node);
        if (cycle == CYCLES - 1)
            before = after;
    }
    gauge_expect_flat(&before, &after, MiB);
    node_stop(node);
}

/* --- subscribers ----------------------------------------------------------------------------- */

static void a_thousand_subscribers_miss_nothing(void)
{
    enum { EVENTFUL = 25 };
    struct disk *disk = disk_create(2 * GiB, DISK_SSD);
    struct node *node = start_node((struct disk *const[]){disk, NULL});
    struct gauge idle = gauge_read(node), before = {0}, after = {0};
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        struct subscribers subscribers = subscribers_start(node);
        for (int i = 0; i < EVENTFUL; i++) {
            autofree char *name = path_format("eventful-%d-%d", cycle, i);
            autoreply Storage__V1__Space *space = must_reserve(node, name, SSD, MiB);
            must_release(node, space->id);
        }
        autoreply Storage__V1__Space *last = must_reserve(node, SUBSCRIBERS_LAST, SSD, MiB);
        struct gauge full = gauge_read(node);
        print_message("with all of them, poold has %.2f MiB and %u descriptors\n",
                      (double)full.resident_bytes[GAUGE_POOLD] / (double)MiB,
                      full.descriptors[GAUGE_POOLD]);
        subscribers_wait(&subscribers);
        must_release(node, last->id);
        gauge_wait_descriptors(node, &idle);
        after = gauge_read(node);
        if (cycle == 0)
            before = after;
    }
    gauge_expect_flat(&before, &after, MiB);
    node_stop(node);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(spaces_by_the_thousand_are_listed_in_pages),
        harness_case(sixty_four_disks_are_found_and_used),
        harness_case(a_thousand_subscribers_miss_nothing),
    };
    int rc = gauge_main(argc, argv);
    if (rc < 0)
        rc = subscribers_main(argc, argv);
    return rc >= 0 ? rc : harness_main(argc, argv, "limits", cases, array_length(cases));
}
