/* More calls than one pool takes, while it hangs. */
#include "harness.h"

#include "rpc/client.h"

#include <stdio.h>

#define SSD STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD

enum { TAKEN_MAX = 256, CALLS = 300, DEADLINE_MS = 25000, READ_MS = 2000 };

struct tally {
    unsigned answered, released, refused;
};

static void on_released(const struct rpc_result *result, void *data)
{
    struct tally *tally = data;
    tally->answered++;
    tally->released += result->err->code == ERR_OK;
    tally->refused += result->err->code == ERR_RESOURCE_EXHAUSTED && result->err->retryable;
}

static void run_until(uv_loop_t *loop, const unsigned *count, unsigned wanted)
{
    uint64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (*count < wanted && clock_monotonic_ms() < deadline_ms)
        (void)uv_run(loop, UV_RUN_ONCE); /* every call has a timer that ends this */
    assert_int_equal(*count, wanted);
}

static void a_hung_pool_takes_only_so_many_calls(void)
{
    struct node *node = node_create(disk_create(2 * GiB, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *space = must_reserve(node, "wanted", SSD, 64 * MiB);
    autofree char *mount = path_format("%s/%s", node->mount_root, space->pool);
    autofree char *url = path_format("ipc://%s/poold.sock", node->run_dir);
    autoerr struct err err = {0};
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    const struct rpc_client_options options = {.loop = &loop, .url = url};
    const struct rpc_call_options call = {.deadline_ms = DEADLINE_MS};
    struct rpc_client *client = NULL;
    assert_ok(rpc_client_open(&options, &client, &err), &err);
    Storage__V1__ReleaseRequest request = STORAGE__V1__RELEASE_REQUEST__INIT;
    request.id = space->id;
    struct tally tally = {0};

    struct freezer freezer = filesystem_freeze(mount);
    for (int i = 0; i < CALLS; i++)
        assert_ok(rpc_client_call(client, &storage__v1__space_service__descriptor, "Release",
                                  &request.base, &call, on_released, &tally, &err),
                  &err);
    run_until(&loop, &tally.answered, CALLS - TAKEN_MAX);
    assert_int_equal(tally.refused, CALLS - TAKEN_MAX);
    /* Whoever asks for nothing of the disk is served meanwhile. */
    uint64_t begun_ms = clock_monotonic_ms();
    autoreply Storage__V1__Space *found = NULL;
    assert_ok(call_get(node->storage, space->id, &found, &err), &err);
    assert_true(clock_monotonic_ms() - begun_ms < READ_MS);

    filesystem_thaw(&freezer);
    run_until(&loop, &tally.answered, CALLS);
    assert_int_equal(tally.released, TAKEN_MAX);
    rpc_client_close(client, NULL, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_hung_pool_takes_only_so_many_calls),
    };
    return harness_main(argc, argv, "crowd", cases, array_length(cases));
}
