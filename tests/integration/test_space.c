/* Spaces: what is promised, what the kernel enforces, every refusal, and that nothing leaks. */
#include "poolnode.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define HDD        STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD
#define DISK_SIZE  (4 * GiB)
#define UNKNOWN_ID "00000000-0000-4000-8000-000000000000"

/* A node on one SSD, with its cache mounted; limits are exact unless a headroom is given. */
static struct node *start_node(const char *headroom)
{
    struct node *node = node_create(disk_create(DISK_SIZE, DISK_SSD));
    node_set(node, "spaces.headroom", headroom);
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

/* --- what a user gets ------------------------------------------------------------------------ */

static void a_space_is_a_directory_with_a_limit(void)
{
    struct node *node = start_node("0");
    autoreply Storage__V1__Space *space = must_reserve(node, "web", SSD, 96 * MiB);
    assert_true(space->created);
    assert_int_equal(space->size_bytes, 96 * MiB);
    assert_int_equal(space->limit_bytes, 96 * MiB);
    struct stat st;
    assert_int_equal(stat(space->path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(st.st_uid, 0);
    int refusal;
    uint64_t taken = file_fill(space->path, "filler", GiB, &refusal);
    assert_int_equal(refusal, EDQUOT);
    assert_in_range(taken, 80 * MiB, 96 * MiB);
    /* One full space is nobody else's business. */
    autoreply Storage__V1__Space *other = must_reserve(node, "db", SSD, 64 * MiB);
    assert_int_equal(file_fill(other->path, "filler", 32 * MiB, &refusal), 32 * MiB);
}

static void headroom_lets_a_full_space_be_rewritten(void)
{
    struct node *node = start_node("64M");
    autoreply Storage__V1__Space *space = must_reserve(node, "vm", SSD, 128 * MiB);
    assert_int_equal(space->size_bytes, 128 * MiB);
    assert_int_equal(space->limit_bytes, 192 * MiB);
    autoreply Storage__V1__Space *small = must_reserve(node, "small", SSD, 16 * MiB);
    assert_int_equal(small->limit_bytes, 32 * MiB);
    int refusal;
    assert_int_equal(file_fill(space->path, "filler", 128 * MiB, &refusal), 128 * MiB);
}

static void owner_and_mode_are_the_callers_choice(void)
{
    struct node *node = start_node("0");
    Storage__V1__ReserveRequest request = STORAGE__V1__RESERVE_REQUEST__INIT;
    Storage__V1__Owner owner = STORAGE__V1__OWNER__INIT;
    owner.uid = 1234;
    owner.gid = 5678;
    request.name = (char *)(uintptr_t) "owned";
    request.disk_type = SSD;
    request.size_bytes = 32 * MiB;
    request.owner = &owner;
    request.mode = 02750;
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *space = NULL;
    assert_ok(
        storage_call(node->storage, "storage.v1.SpaceService/Reserve", &request, &space, &err),
        &err);
    struct stat st;
    assert_int_equal(stat(space->path, &st), 0);
    assert_int_equal(st.st_uid, 1234);
    assert_int_equal(st.st_gid, 5678);
    assert_int_equal(st.st_mode & 07777, 02750);
    request.mode = 0200000;
    Storage__V1__Space *none = NULL;
    int rc = storage_call(node->storage, "storage.v1.SpaceService/Reserve", &request, &none, &err);
    assert_refused(rc, &err, ERR_INVALID_ARGUMENT, "mode");
}

static void the_same_reserve_finds_the_same_space(void)
{
    struct node *node = start_node("0");
    uint64_t before = poolnode_capacity(node).booked;
    autoreply Storage__V1__Space *first = must_reserve(node, "once", SSD, 64 * MiB);
    autoreply Storage__V1__Space *again = must_reserve(node, "once", SSD, 64 * MiB);
    assert_string_equal(again->id, first->id);
    assert_false(again->created);
    autoerr struct err err = {0};
    Storage__V1__Space *none = NULL;
    assert_refused(call_reserve(node->storage, "once", SSD, 65 * MiB, &none, &err), &err,
                   ERR_ALREADY_EXISTS, "once");
    /* And nothing was booked twice. */
    assert_int_equal(poolnode_capacity(node).booked, before + 64 * MiB);
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    assert_int_equal(list->n_spaces, 1);
}

static void a_nameless_reserve_is_keyed_by_its_request_id(void)
{
    struct node *node = start_node("0");
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *first = NULL, *again = NULL, *other = NULL;
    assert_ok(storage_set_request_id(node->storage, "job-1", &err), &err);
    assert_ok(call_reserve(node->storage, NULL, SSD, 64 * MiB, &first, &err), &err);
    struct worker_info old = node_worker(node, "poold");
    assert_int_equal(kill(old.pid, SIGKILL), 0);
    node_wait_worker(node, "poold", old.epoch);
    assert_ok(storage_set_request_id(node->storage, "job-1", &err), &err);
    assert_ok(call_reserve(node->storage, NULL, SSD, 64 * MiB, &again, &err), &err);
    assert_string_equal(again->id, first->id);
    assert_false(again->created);
    assert_ok(call_reserve(node->storage, NULL, SSD, 64 * MiB, &other, &err), &err);
    assert_string_not_equal(other->id, first->id);
}

/* --- refusals -------------------------------------------------------------------------------- */

static void bad_reserves_are_refused_in_words(void)
{
    struct node *node = start_node("0");
    autofree char *longest = calloc(1, 130);
    memset(longest, 'n', 128);
    autofree char *too_long = calloc(1, 130);
    memset(too_long, 'n', 129);
    autofree char *largest =
        path_format("%llu", (unsigned long long)poolnode_capacity(node).largest);
    const struct {
        const char *name;
        Storage__V1__DiskType type;
        uint64_t size;
        enum err_code code;
        const char *says;
    } bad[] = {
        {"zero", SSD, 0, ERR_INVALID_ARGUMENT, "size"},
        {"huge", SSD, UINT64_C(1) << 50, ERR_RESOURCE_EXHAUSTED, largest},
        {"most", SSD, UINT64_MAX, ERR_RESOURCE_EXHAUSTED, largest},
        {"slow", HDD, MiB, ERR_FAILED_PRECONDITION, "HDD"},
        {"none", STORAGE__V1__DISK_TYPE__DISK_TYPE_UNSPECIFIED, MiB, ERR_INVALID_ARGUMENT, "type"},
        {"a/b", SSD, MiB, ERR_INVALID_ARGUMENT, "name"},
        {"..", SSD, MiB, ERR_INVALID_ARGUMENT, "name"},
        {".", SSD, MiB, ERR_INVALID_ARGUMENT, "name"},
        {"a\nb", SSD, MiB, ERR_INVALID_ARGUMENT, "name"},
        {"a\x7f", SSD, MiB, ERR_INVALID_ARGUMENT, "name"},
        {"a\xff", SSD, MiB, ERR_INVALID_ARGUMENT, "UTF-8"},
        {too_long, SSD, MiB, ERR_INVALID_ARGUMENT, "128"},
    };
    for (size_t i = 0; i < array_length(bad); i++) {
        autoerr struct err err = {0};
        Storage__V1__Space *none = NULL;
        int rc = call_reserve(node->storage, bad[i].name, bad[i].type, bad[i].size, &none, &err);
        assert_refused(rc, &err, bad[i].code, bad[i].says);
    }
    autoreply Storage__V1__Space *ok = must_reserve(node, longest, SSD, 16 * MiB);
    autoreply Storage__V1__Space *dots = must_reserve(node, "...a..b", SSD, 16 * MiB);
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    assert_int_equal(list->n_spaces, 2);
}

static void unknown_spaces(void)
{
    struct node *node = start_node("0");
    autoerr struct err err = {0};
    bool existed = true;
    assert_ok(call_release(node->storage, UNKNOWN_ID, &existed, &err), &err);
    assert_false(existed);
    Storage__V1__Space *none = NULL;
    assert_refused(call_get(node->storage, UNKNOWN_ID, &none, &err), &err, ERR_NOT_FOUND, "");
    assert_refused(call_release(node->storage, "", NULL, &err), &err, ERR_INVALID_ARGUMENT, "id");
    assert_refused(call_release(node->storage, "../cache", NULL, &err), &err, ERR_INVALID_ARGUMENT,
                   "id");
}

/* --- the ledger ------------------------------------------------------------------------------ */

static bool nothing_releasing(struct node *node, void *data)
{
    const uint64_t *booked = data;
    Storage__V1__PoolCapacity now = poolnode_capacity(node);
    return now.releasing == 0 && now.booked == *booked;
}

static void what_is_released_comes_back(void)
{
    struct node *node = start_node("0");
    uint64_t before = poolnode_capacity(node).booked;
    autoreply Storage__V1__Space *space = must_reserve(node, "short", SSD, 256 * MiB);
    assert_int_equal(poolnode_capacity(node).booked, before + 256 * MiB);
    int refusal;
    assert_int_equal(file_fill(space->path, "filler", 64 * MiB, &refusal), 64 * MiB);
    bool existed = false;
    autoerr struct err err = {0};
    assert_ok(call_release(node->storage, space->id, &existed, &err), &err);
    assert_true(existed);
    Storage__V1__Space *none = NULL;
    assert_refused(call_get(node->storage, space->id, &none, &err), &err, ERR_NOT_FOUND, "");
    node_wait(node, nothing_releasing, &before, "all that was released is free again");
    assert_int_not_equal(access(space->path, F_OK), 0);
    /* The name is free; the id is not used again. */
    autoreply Storage__V1__Space *next = must_reserve(node, "short", SSD, 256 * MiB);
    assert_true(next->created);
    assert_string_not_equal(next->id, space->id);
}

static void the_largest_fits_and_one_more_does_not(void)
{
    struct node *node = start_node("0");
    Storage__V1__PoolCapacity capacity = poolnode_capacity(node);
    assert_true(capacity.largest > 0);
    assert_true(capacity.booked + capacity.largest <= capacity.usable);
    assert_true(capacity.usable < capacity.total);
    autoerr struct err err = {0};
    Storage__V1__Space *none = NULL;
    assert_refused(call_reserve(node->storage, "more", SSD, capacity.largest + MiB, &none, &err),
                   &err, ERR_RESOURCE_EXHAUSTED, "");
    autoreply Storage__V1__Space *space = must_reserve(node, "all", SSD, capacity.largest);
    capacity = poolnode_capacity(node);
    assert_true(capacity.booked <= capacity.usable);
    assert_refused(call_reserve(node->storage, "more", SSD, 64 * MiB, &none, &err), &err,
                   ERR_RESOURCE_EXHAUSTED, "");
}

/* The ledger's word is good: what it promised really can be written. */
static void the_largest_can_be_filled(void)
{
    struct node *node = node_create(disk_create(1536 * MiB, DISK_SSD));
    node_set(node, "spaces.headroom", "0");
    node_set(node, "cache.size", "64M");
    node_start(node);
    node_wait_cache(node, true);
    uint64_t largest = poolnode_capacity(node).largest;
    autoreply Storage__V1__Space *space = must_reserve(node, "all", SSD, largest);
    int refusal;
    uint64_t taken = file_fill(space->path, "filler", 2 * GiB, &refusal);
    assert_int_equal(refusal, EDQUOT); /* and not ENOSPC */
    assert_in_range(taken, largest - largest / 20 - 8 * MiB, largest);
}

/* --- lists and restarts ---------------------------------------------------------------------- */

static void lists_are_paged(void)
{
    enum { SPACES = 25, PAGE = 10 };
    struct node *node = start_node("0");
    for (int i = 0; i < SPACES; i++) {
        autofree char *name = path_format("space-%02d", i);
        autoreply Storage__V1__Space *space = must_reserve(node, name, SSD, 4 * MiB);
    }
    autofree char *token = path_format("%s", "");
    bool seen[SPACES] = {false};
    unsigned pages = 0;
    do {
        Storage__V1__SpaceListRequest request = STORAGE__V1__SPACE_LIST_REQUEST__INIT;
        request.page_size = PAGE;
        request.page_token = token;
        autoerr struct err err = {0};
        autoreply Storage__V1__SpaceListReply *page = NULL;
        assert_ok(
            storage_call(node->storage, "storage.v1.SpaceService/List", &request, &page, &err),
            &err);
        assert_true(page->n_spaces <= PAGE);
        for (size_t i = 0; i < page->n_spaces; i++) {
            int number = -1;
            assert_int_equal(sscanf(page->spaces[i]->name, "space-%d", &number), 1);
            assert_in_range(number, 0, SPACES - 1);
            assert_false(seen[number]);
            seen[number] = true;
        }
        free(token);
        token = path_format("%s", page->next_page_token);
        pages++;
    } while (*token);
    assert_int_equal(pages, 3);
    for (int i = 0; i < SPACES; i++)
        assert_true(seen[i]);
}

static void spaces_are_as_they_were_after_a_restart(void)
{
    struct node *node = start_node("16M");
    autoreply Storage__V1__Space *before = must_reserve(node, "kept", SSD, 64 * MiB);
    Storage__V1__PoolCapacity capacity = poolnode_capacity(node);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    assert_int_equal(mounts_below(node->mount_root), 0);
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *after = NULL;
    assert_ok(call_get(node->storage, before->id, &after, &err), &err);
    assert_string_equal(after->name, before->name);
    assert_string_equal(after->path, before->path);
    assert_string_equal(after->pool, before->pool);
    assert_int_equal(after->size_bytes, before->size_bytes);
    assert_int_equal(after->limit_bytes, before->limit_bytes);
    assert_int_equal(after->created_us, before->created_us);
    assert_int_equal(poolnode_capacity(node).booked, capacity.booked);
    int refusal;
    (void)file_fill(after->path, "filler", GiB, &refusal);
    assert_int_equal(refusal, EDQUOT);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_space_is_a_directory_with_a_limit),
        harness_case(headroom_lets_a_full_space_be_rewritten),
        harness_case(owner_and_mode_are_the_callers_choice),
        harness_case(the_same_reserve_finds_the_same_space),
        harness_case(a_nameless_reserve_is_keyed_by_its_request_id),
        harness_case(bad_reserves_are_refused_in_words),
        harness_case(unknown_spaces),
        harness_case(what_is_released_comes_back),
        harness_case(the_largest_fits_and_one_more_does_not),
        harness_case(the_largest_can_be_filled),
        harness_case(lists_are_paged),
        harness_case(spaces_are_as_they_were_after_a_restart),
    };
    return harness_main(argc, argv, "space", cases, array_length(cases));
}
