/*
 * poold is killed at its n-th step, for every n of a life: the first pool made, the cache, two
 * spaces, one released and reaped. Steps stand before and after each change to a disk or a mount
 * (workers/poold/volume/step.h). Afterwards a poold that nobody kills finds all that was
 * acknowledged, lists nothing half-made, and leaks nothing.
 */
#include "harness.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define SSD         STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD
#define DISK_BYTES  (2 * GiB)
#define SPACE_BYTES (16 * MiB)

enum { STEPS_MAX = 2000, CALL_MS = 2000 };

/* What the client knows when poold has died. */
struct told {
    char ids[2][40]; /* acknowledged; "" if not */
    bool asked_release, released;
};

static const char *const names[] = {"first", "second"};

static bool was_killed(struct node *node)
{
    return node_log_count(node, "worker=poold pid=") > 0 &&
           node_log_count(node, "reason=\"signal 9 (Killed)\"") > 0;
}

/* Until it is answered, or poold has been killed; who is refused because nobody is there yet asks
 * again. */
static int reserve(struct node *node, struct storage *storage, const char *name, char *out_id)
{
    for (;;) {
        autoreply Storage__V1__Space *space = NULL;
        int rc = call_reserve(storage, name, SSD, SPACE_BYTES, &space, NULL);
        if (rc == 0)
            (void)snprintf(out_id, 40, "%s", space->id);
        if (rc == 0 || was_killed(node))
            return rc;
        (void)sched_yield();
    }
}

static bool is_reaped(struct node *node, void *data)
{
    (void)data;
    autoreply Storage__V1__CapacityReply *reply = NULL;
    return was_killed(node) || (call_capacity(node->storage, SSD, &reply, NULL) == 0 &&
                                reply->capacity->releasing == 0);
}

static void live(struct node *node, struct told *told)
{
    struct storage_options options = {.run_dir = node->run_dir, .timeout_ms = CALL_MS};
    struct storage *storage = NULL;
    assert_int_equal(storage_open(&options, &storage, NULL), 0);
    for (int i = 0; i < 2 && !was_killed(node); i++)
        (void)reserve(node, storage, names[i], told->ids[i]);
    if (!was_killed(node)) {
        told->asked_release = true;
        told->released = call_release(storage, told->ids[0], NULL, NULL) == 0;
    }
    storage_close(storage);
    node_wait(node, is_reaped, NULL, "the released space is reaped, or poold killed");
}

/* ---- afterwards ---- */

static bool has_space(const Storage__V1__SpaceListReply *list, const char *id)
{
    for (size_t i = 0; i < list->n_spaces; i++)
        if (strcmp(list->spaces[i]->id, id) == 0)
            return true;
    return false;
}

static void check_spaces(struct node *node, const struct told *told)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    if (*told->ids[0] && !told->asked_release)
        assert_true(has_space(list, told->ids[0]));
    if (told->released)
        assert_false(has_space(list, told->ids[0]));
    if (*told->ids[1])
        assert_true(has_space(list, told->ids[1]));
    for (size_t i = 0; i < list->n_spaces; i++)
        assert_int_equal(list->spaces[i]->state, STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE);
}

/* A retry finds what was made; then all is released. */
static void retry_and_release(struct node *node, const struct told *told)
{
    for (int i = 0; i < 2; i++) {
        autoreply Storage__V1__Space *space = must_reserve(node, names[i], SSD, SPACE_BYTES);
        if (*told->ids[i] && !(i == 0 && told->asked_release))
            assert_string_equal(space->id, told->ids[i]);
        must_release(node, space->id);
    }
    node_wait(node, is_reaped, NULL, "all is reaped");
}

static size_t count_lines(const char *text, const char *with)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, with)); at++)
        n++;
    return n;
}

/* On the disk there is the cache, and in the ledger what it needs. */
static void nothing_leaked(struct node *node)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__CapacityReply *capacity = NULL;
    autoreply Storage__V1__CacheInfo *cache = NULL;
    assert_ok(call_capacity(node->storage, SSD, &capacity, &err), &err);
    assert_ok(call_cache(node->storage, &cache, &err), &err);
    assert_int_equal(capacity->pools, 1);
    assert_int_equal(capacity->capacity->booked, cache->limit_bytes);
    autofree char *mount = path_format("%s/%s", node->mount_root, cache->pool);
    autofree char *weak = path_format("%s/weak", mount);
    struct command commands[] = {
        {.argv = {"btrfs", "subvolume", "list", mount}},
        {.argv = {"btrfs", "qgroup", "show", "--raw", mount}},
        {.argv = {"ls", "-A", weak}},
    };
    struct command_result subvolumes = command_run(&commands[0]);
    struct command_result groups = command_run(&commands[1]);
    struct command_result half_made = command_run(&commands[2]);
    assert_int_equal(count_lines(subvolumes.out, "ID "), 1);
    assert_int_equal(count_lines(groups.out, "\n1/"), 1);
    assert_string_equal(half_made.out, "");
}

/* False when the life was over before the n-th step. */
static bool kill_at(unsigned n)
{
    struct told told = {0};
    char step[16];
    struct node *node = node_create(disk_create(DISK_BYTES, DISK_SSD));
    node_set(node, "spaces.headroom", "0");
    (void)snprintf(step, sizeof step, "%u", n);
    assert_int_equal(setenv("STORAGED_STOP_AT_STEP", step, 1), 0);
    node_spawn(node);
    assert_int_equal(unsetenv("STORAGED_STOP_AT_STEP"), 0);
    node_connect(node);
    live(node, &told);
    bool killed = was_killed(node);
    node_kill(node);
    file_write(node->log, "", 0);
    node_start(node);
    node_wait_cache(node, true);
    check_spaces(node, &told);
    retry_and_release(node, &told);
    nothing_leaked(node);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    watch_stop(take_ptr(node->watch)); /* there are many lives */
    return killed;
}

static void a_life_is_cut_at_every_step(void)
{
    unsigned n = 1;
    while (n < STEPS_MAX && kill_at(n))
        n++;
    assert_in_range(n, 40, STEPS_MAX - 1);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {harness_case(a_life_is_cut_at_every_step)};
    return harness_main(argc, argv, "steps", cases, array_length(cases));
}
