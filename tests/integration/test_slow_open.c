/* A pool that takes long to open, at the start of a node: its spaces are there, though unseen. */
#include "poolnode.h"
#include "slowfile.h"

#define DISK_SIZE (2 * GiB)

/* Where no superblock is and libblkid looks for nothing: diskd reads the disk, and mounting waits.
 */
#define HELD_FROM (16 * MiB)
#define HELD_TO   (64 * MiB)

static bool others_go_on(struct node *node, void *data)
{
    (void)data;
    return node_log_count(node, "going on without the rest") > 0;
}

static void a_name_is_not_given_twice_meanwhile(void)
{
    struct two_pools two = poolnode_start_two(DISK_SIZE);
    struct node *node = two.node;
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *space = poolnode_reserve_on(node, two.fsid[1], 16 * MiB);
    assert_ok(node_shutdown(node, &err), &err);
    disk_unplug(two.disk[1]);
    struct slowfile *file = slowfile_plug(two.disk[1]);
    slowfile_set_range(file, HELD_FROM, HELD_TO);
    slowfile_hold(file, true);
    node_spawn(node);
    node_connect(node);
    slowfile_wait_held(file);
    node_wait(node, others_go_on, NULL, "poold goes on without the pool");

    /* A client that does not try again by itself. */
    const struct storage_options options = {.run_dir = node->run_dir};
    struct storage *impatient = NULL;
    Storage__V1__Space *none = NULL;
    assert_ok(storage_open(&options, &impatient, &err), &err);
    assert_refused(call_reserve(impatient, space->name, SSD, space->size_bytes, &none, &err), &err,
                   ERR_UNAVAILABLE, two.fsid[1]);
    assert_true(err.retryable);
    storage_close(impatient);
    slowfile_hold(file, false);
    poolnode_wait(node, two.fsid[1], POOL_STATE(MOUNTED), NULL);
    autoreply Storage__V1__Space *again = must_reserve(node, space->name, SSD, space->size_bytes);
    assert_string_equal(again->id, space->id);
    assert_ok(node_shutdown(node, &err), &err);
    slowfile_unplug(file);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(a_name_is_not_given_twice_meanwhile),
    };
    return harness_main(argc, argv, "slow open", cases, array_length(cases));
}
