/* storagectl: every noun and verb, as a table and as JSON, its exit codes, and its patience. */
#include "harness.h"

#include <signal.h>
#include <stdio.h>

/* As `storagectl --help` has them. */
enum { EXIT_WRONG = 2, EXIT_NOT_FOUND, EXIT_REFUSED, EXIT_NO_ROOM, EXIT_NOT_ALLOWED, EXIT_NOT_NOW };

#define SSD STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD

static struct node *start_node(void)
{
    struct node *node = node_create(disk_create(4 * GiB, DISK_SSD));
    node_set(node, "spaces.headroom", "0");
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

static void must_pass(const struct command_result *result, const char *what)
{
    if (result->status != 0)
        fail_msg("%s: %d: %s%s", what, result->status, result->out, result->err);
}

static void every_list_is_a_table_and_json(void)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "listed", SSD, 64 * MiB);
    const struct {
        const char *noun, *verb, *table_has, *filter;
    } lists[] = {
        {"disk", "list", "/dev/loop", "[.. | .path? // empty] | length == 1"},
        {"pool", "list", "ssd", "[.. | .id? // empty] | length >= 1"},
        {"space", "list", "listed", "[.. | .name? // empty] | index(\"listed\") != null"},
        {"worker", "list", "poold", "[.. | .name? // empty] | index(\"poold\") != null"},
        {"capacity", NULL, "ssd", "[.. | .usable? // empty] | length >= 1"},
        {"status", NULL, "poold", ". != null"},
    };
    for (size_t i = 0; i < array_length(lists); i++) {
        struct command_result table = node_ctl(node, lists[i].noun, lists[i].verb);
        must_pass(&table, lists[i].noun);
        if (!strcasestr(table.out, lists[i].table_has))
            fail_msg("%s: no %s in\n%s", lists[i].noun, lists[i].table_has, table.out);
        struct command_result json = node_ctl(node, "--json", lists[i].noun, lists[i].verb);
        must_pass(&json, lists[i].noun);
        assert_true(json_holds(json.out, lists[i].filter));
    }
    autoerr struct err err = {0};
    autoreply Storage__V1__DiskListReply *disks = NULL;
    assert_ok(call_disks(node->storage, &disks, &err), &err);
    struct command_result stats = node_ctl(node, "--json", "disk", "stats", disks->disks[0]->id);
    must_pass(&stats, "disk stats");
    assert_true(json_holds(stats.out, "[.. | .writes? // empty] | length == 1"));
}

static void a_space_from_the_shell(void)
{
    struct node *node = start_node();
    struct command_result made = node_ctl(node, "--json", "space", "reserve", "--type", "ssd",
                                          "--size", "64M", "--name", "shell");
    must_pass(&made, "space reserve");
    assert_true(json_holds(made.out, "[.. | .name? // empty] | index(\"shell\") != null"));
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    assert_int_equal(list->n_spaces, 1);
    const char *id = list->spaces[0]->id;
    struct command_result got = node_ctl(node, "space", "get", id);
    must_pass(&got, "space get");
    assert_non_null(strstr(got.out, id));
    struct command_result gone = node_ctl(node, "space", "release", id);
    must_pass(&gone, "space release");
    struct command_result missing = node_ctl(node, "space", "get", id);
    assert_int_equal(missing.status, EXIT_NOT_FOUND);
}

static void the_exit_code_is_the_status(void)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "taken", SSD, 64 * MiB);
    const struct {
        const char *argv[10];
        int status;
        const char *says;
    } wrong[] = {
        {{"space", "reserve", "--type", "ssd", "--size", "0", "--name", "n"}, EXIT_WRONG, "size"},
        {{"space", "reserve", "--type", "ssd", "--size", "65M", "--name", "taken"},
         EXIT_REFUSED,
         "taken"},
        {{"space", "reserve", "--type", "ssd", "--size", "900T", "--name", "n"},
         EXIT_NO_ROOM,
         "largest"},
        {{"space", "reserve", "--type", "hdd", "--size", "1M", "--name", "n"}, EXIT_REFUSED, "HDD"},
        {{"space", "get", "00000000-0000-4000-8000-000000000000"}, EXIT_NOT_FOUND, "no such space"},
        {{"disk", "stats", "/dev/none"}, EXIT_NOT_FOUND, "/dev/none"},
        {{"disk", "prepare", "/dev/none"}, EXIT_NOT_FOUND, "/dev/none"},
        {{"worker", "reset", "nobody"}, EXIT_NOT_FOUND, "nobody"},
    };
    for (size_t i = 0; i < array_length(wrong); i++) {
        struct command_result result = node_ctl_list(node, wrong[i].argv);
        if (result.status != wrong[i].status || !strcasestr(result.err, wrong[i].says))
            fail_msg("%s %s: %d, not %d with \"%s\": %s", wrong[i].argv[0], wrong[i].argv[1],
                     result.status, wrong[i].status, wrong[i].says, result.err);
    }
}

static void bad_usage_is_told_how_it_should_be(void)
{
    struct node *node = node_create_list((struct disk *const[]){NULL});
    const char *const bad[][5] = {{NULL},
                                  {"nonsense", NULL},
                                  {"space", "nonsense", NULL},
                                  {"space", NULL},
                                  {"disk", "list", "--nonsense", NULL},
                                  {"--timeout", "soon", "status", NULL}};
    for (size_t i = 0; i < array_length(bad); i++) {
        struct command_result result = node_ctl_list(node, bad[i]);
        assert_int_equal(result.status, EXIT_WRONG);
        assert_non_null(strstr(result.err, "--help"));
    }
}

static void it_waits_for_a_restarting_worker(void)
{
    struct node *node = start_node();
    for (int i = 0; i < 3; i++) {
        struct worker_info poold = node_worker(node, "poold");
        assert_int_equal(kill(poold.pid, SIGKILL), 0);
        struct command_result result = node_ctl(node, "--timeout", "20s", "pool", "list");
        must_pass(&result, "pool list");
        node_wait_worker(node, "poold", poold.epoch);
    }
}

static void without_storaged_it_says_so(void)
{
    struct node *node = node_create_list((struct disk *const[]){NULL});
    struct command_result result = node_ctl(node, "--timeout", "200ms", "pool", "list");
    assert_int_equal(result.status, EXIT_NOT_NOW);
    assert_string_not_equal(result.err, "");
}

static void ready_waits_for_the_cache(void)
{
    struct disk *disk = disk_reserve(2 * GiB, DISK_SSD);
    struct node *node = node_create(disk);
    node_start(node);
    struct command_result early = node_ctl(node, "ready", "--timeout", "300ms");
    assert_int_not_equal(early.status, 0);
    assert_non_null(strstr(early.err, "cache"));
    struct command waiting = {.argv = {"storagectl", "ready", "--timeout", "30s"},
                              .run_dir = node->run_dir};
    pid_t pid = command_spawn(&waiting, STDOUT_FILENO, STDERR_FILENO);
    disk_plug(disk);
    assert_int_equal(child_wait(pid), 0);
    assert_int_not_equal(mount_id(node->cache_path), 0);
}

static void workers_are_restarted_on_demand(void)
{
    struct node *node = start_node();
    const char *const names[] = {"diskd", "poold"};
    for (size_t i = 0; i < array_length(names); i++) {
        struct worker_info old = node_worker(node, names[i]);
        struct command_result result = node_ctl(node, "worker", "restart", names[i]);
        must_pass(&result, "worker restart");
        struct worker_info new = node_wait_worker(node, names[i], old.epoch);
        assert_int_not_equal(new.pid, old.pid);
    }
    node_wait_cache(node, true);
}

static void a_second_disk_is_prepared_from_the_shell(void)
{
    struct disk *a = disk_create(2 * GiB, DISK_SSD);
    struct disk *b = disk_create(2 * GiB, DISK_HDD);
    struct node *node = node_create(a, b);
    node_start(node);
    node_wait_pools(node, 1);
    struct command_result result = node_ctl(node, "disk", "prepare", b->path);
    must_pass(&result, "disk prepare");
    node_wait_pools(node, 2);
    result = node_ctl(node, "disk", "prepare", b->path);
    assert_int_equal(result.status, EXIT_REFUSED);
}

static void events_are_followed_as_lines(void)
{
    struct node *node = start_node();
    autofree char *path = path_format("%s/events", node->dir);
    struct command follow = {.argv = {"sh", "-c", NULL}, .run_dir = node->run_dir};
    follow.argv[2] =
        path_format("exec %s/storagectl --json events --follow > %s", STORAGED_BIN_DIR, path);
    pid_t pid = command_spawn(&follow, STDOUT_FILENO, STDERR_FILENO);
    free((char *)(uintptr_t)follow.argv[2]);
    bool seen = false;
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    for (int i = 0; !seen && clock_monotonic_ms() < deadline; i++) {
        autofree char *name = path_format("n%d", i);
        autoreply Storage__V1__Space *space = must_reserve(node, name, SSD, MiB);
        (void)watch_fill(node->watch, deadline); /* its event, or at least a tick */
        autofree char *lines = access(path, R_OK) == 0 ? file_read(path, NULL) : NULL;
        seen = lines && strstr(lines, "space.reserved");
    }
    (void)kill(pid, SIGTERM);
    (void)child_wait(pid);
    assert_true(seen);
    autofree char *lines = file_read(path, NULL);
    char *end = strrchr(lines, '\n');
    assert_non_null(end);
    end[1] = '\0'; /* the last line may be cut */
    assert_true(json_holds(lines, ". != null"));
}

/* The README's client without any library of ours. */
static void a_raw_client_needs_nngcat_and_protoc(void)
{
    struct node *node = start_node();
    autofree char *script =
        path_format("cd " STORAGED_PROTO_DIR " && echo 'version: 1 method: "
                    "\"storage.v1.PoolService/Capacity\" input: \"\\010\\001\"' |"
                    " protoc --encode=storage.v1.Call storage/v1/rpc.proto > %s/call &&"
                    " nngcat --req --dial ipc://%s/poold.sock --file %s/call --raw |"
                    " protoc --decode=storage.v1.Reply storage/v1/rpc.proto",
                    node->dir, node->run_dir, node->dir);
    struct command command = {.argv = {"sh", "-c", script}};
    struct command_result result = command_run(&command);
    must_pass(&result, "nngcat");
    assert_non_null(strstr(result.out, "epoch: "));
    assert_non_null(strstr(result.out, "output: "));
    assert_null(strstr(result.out, "code: "));
}

static void a_shutdown_from_the_shell(void)
{
    struct node *node = start_node();
    struct command_result result = node_ctl(node, "shutdown");
    must_pass(&result, "shutdown");
    pid_t pid = node->pid;
    node->pid = 0;
    assert_int_equal(child_wait(pid), 0);
    assert_int_equal(mounts_below(node->mount_root), 0);
    assert_int_equal(mount_id(node->cache_path), 0);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(every_list_is_a_table_and_json),
        harness_case(a_space_from_the_shell),
        harness_case(the_exit_code_is_the_status),
        harness_case(bad_usage_is_told_how_it_should_be),
        harness_case(it_waits_for_a_restarting_worker),
        harness_case(without_storaged_it_says_so),
        harness_case(ready_waits_for_the_cache),
        harness_case(workers_are_restarted_on_demand),
        harness_case(a_second_disk_is_prepared_from_the_shell),
        harness_case(events_are_followed_as_lines),
        harness_case(a_raw_client_needs_nngcat_and_protoc),
        harness_case(a_shutdown_from_the_shell),
    };
    return harness_main(argc, argv, "cli", cases, array_length(cases));
}
