/* The two ways to stop, and starting over what is still mounted. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define SSD STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD

static struct node *start_node(void)
{
    struct node *node = node_create(disk_create(2 * GiB, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

static void a_stop_leaves_the_mounts_for_the_next_start(void)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "mine", SSD, 64 * MiB);
    autofree char *in_space = path_format("%s/file", space->path);
    autofree char *in_cache = path_format("%s/file", node->cache_path);
    autoclose int fd = open(in_space, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "one", 3), 3);
    file_write(in_cache, "cached", 6);
    autofree char *pool = path_format("%s/%s", node->mount_root, space->pool);
    int pool_mount = mount_id(pool), cache_mount = mount_id(node->cache_path);

    node_stop(node);
    assert_int_equal(mount_id(pool), pool_mount);
    assert_int_equal(mount_id(node->cache_path), cache_mount);
    assert_int_equal(write(fd, " two", 4), 4);

    node_start(node);
    node_wait_cache(node, true);
    assert_int_equal(mount_id(pool), pool_mount);
    assert_int_equal(mount_id(node->cache_path), cache_mount);
    assert_int_equal(write(fd, " three", 6), 6);
    autofree char *text = file_read(in_space, NULL);
    assert_string_equal(text, "one two three");
    autofree char *cached = file_read(in_cache, NULL);
    assert_string_equal(cached, "cached");
}

static void a_shutdown_unmounts_all(void)
{
    struct node *node = start_node();
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    assert_int_equal(mounts_below(node->mount_root), 0);
    assert_int_equal(mount_id(node->cache_path), 0);
    autofree char *control = path_format("%s/control.sock", node->run_dir);
    assert_int_not_equal(access(control, F_OK), 0);
    node_start(node);
    node_wait_cache(node, true);
}

/* Pools that end side by side look at each other's mounts, which keeps those busy for a moment. */
static void a_shutdown_of_many_pools_unmounts_all(void)
{
    enum { POOLS = 6, ROUNDS = 5 };
    struct disk *disks[POOLS + 1] = {0};
    for (int i = 0; i < POOLS; i++)
        disks[i] = disk_create(4 * GiB, DISK_SSD);
    struct node *node = node_create_list(disks);
    node_start(node);
    node_wait_cache(node, true);
    for (int i = 0; i < POOLS; i++) {
        autoerr struct err err = {0};
        autoreply Storage__V1__Disk *disk = NULL;
        autoreply Storage__V1__PrepareReply *prepared = NULL;
        assert_ok(call_disk(node->storage, disks[i]->path, &disk, &err), &err);
        if (disk->state == STORAGE__V1__DISK_STATE__DISK_STATE_BLANK)
            assert_ok(call_prepare(node->storage, disks[i]->path, &prepared, &err), &err);
    }
    for (int round = 0; round < ROUNDS; round++) {
        autoerr struct err err = {0};
        node_wait_pools(node, POOLS);
        node_wait_cache(node, true);
        assert_ok(node_shutdown(node, &err), &err);
        assert_int_equal(mounts_below(node->dir), 0);
        node_start(node);
    }
}

static void a_shutdown_names_what_is_busy(void)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "busy", SSD, 64 * MiB);
    autofree char *path = path_format("%s/open", space->path);
    autoclose int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    autoerr struct err err = {0};
    autofree char *self = path_format("%d", getpid());
    assert_refused(node_shutdown(node, &err), &err, ERR_FAILED_PRECONDITION, self);
    /* What was busy is still mounted, and the next start takes it over. */
    autofree char *pool = path_format("%s/%s", node->mount_root, space->pool);
    assert_int_not_equal(mount_id(pool), 0);
    assert_int_equal(write(fd, "x", 1), 1);
    node_start(node);
    node_wait_cache(node, true);
    assert_int_equal(mounts_below(node->mount_root), 1);
}

static void a_second_instance_names_the_first(void)
{
    struct node *node = start_node();
    struct command second = {.argv = {"storaged", "--config", node->config}};
    struct command_result result = command_run(&second);
    assert_int_not_equal(result.status, 0);
    autofree char *pid = path_format("%d", node->pid);
    assert_non_null(strstr(result.err, pid));
    struct worker_info poold = node_worker(node, "poold");
    assert_int_equal(poold.state, STORAGE__V1__WORKER_STATE__WORKER_STATE_READY);
    assert_int_equal(poold.restarts, 0);
}

/* zinit signals the whole group: the workers end on their channel alone. */
static void workers_ignore_the_signals_of_a_group(void)
{
    struct node *node = start_node();
    const char *const names[] = {"diskd", "poold"};
    for (size_t i = 0; i < array_length(names); i++) {
        struct worker_info worker = node_worker(node, names[i]);
        assert_int_equal(kill(worker.pid, SIGTERM), 0);
        assert_int_equal(kill(worker.pid, SIGINT), 0);
        assert_int_not_equal(getpgid(worker.pid), getpgid(node->pid));
    }
    autoreply Storage__V1__Space *space = must_reserve(node, "still", SSD, 64 * MiB);
    for (size_t i = 0; i < array_length(names); i++)
        assert_int_equal(node_worker(node, names[i]).restarts, 0);
    node_stop(node);
}

static void a_stop_that_is_cut_short_harms_nothing(void)
{
    struct node *node = start_node();
    autoreply Storage__V1__Space *space = must_reserve(node, "kept", SSD, 64 * MiB);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kill(node->pid, SIGTERM), 0);
        node_kill(node);
        node_start(node);
        node_wait_cache(node, true);
        autoerr struct err err = {0};
        autoreply Storage__V1__Space *found = NULL;
        assert_ok(call_get(node->storage, space->id, &found, &err), &err);
    }
}

static void bad_config_ends_with_78_and_says_where(void)
{
    struct node *node = node_create_list((struct disk *const[]){NULL});
    const char *const bad[] = {"[storaged]\nno_such_key = 1\n", "[no_such_section]\na = 1\n",
                               "[supervisor]\nbeat_ms = soon\n", "[cache]\npercent = 101\n"};
    const char *const says[] = {"no_such_key", "no_such_section", "beat_ms", "percent"};
    for (size_t i = 0; i < array_length(bad); i++) {
        file_write(node->config, bad[i], strlen(bad[i]));
        struct command command = {.argv = {"storaged", "--config", node->config}};
        struct command_result result = command_run(&command);
        assert_int_equal(result.status, 78);
        assert_non_null(strstr(result.err, says[i]));
        assert_non_null(strstr(result.err, "storaged.conf"));
    }
}

static void check_prints_a_config_that_loads_to_the_same(void)
{
    struct node *node = node_create_list((struct disk *const[]){NULL});
    const char text[] = "[cache]\nsize = 5G\n[disks]\nallow = /dev/none /dev/nil*\n";
    file_write(node->config, text, strlen(text));
    struct command command = {
        .argv = {"storaged", "--config", node->config, "--check", "--set", "spaces.headroom=3M"}};
    struct command_result first = command_run(&command);
    assert_int_equal(first.status, 0);
    assert_non_null(strstr(first.out, "/dev/nil*"));
    file_write(node->config, first.out, strlen(first.out));
    command.argv[4] = NULL;
    struct command_result second = command_run(&command);
    assert_int_equal(second.status, 0);
    assert_string_equal(second.out, first.out);
}

/* --- workers that cannot start: the programs are replaced ------------------------------------ */

static char *fake_libexec(struct node *node, const char *poold)
{
    char *folder = path_format("%s/libexec", node->dir);
    autofree char *diskd_link = path_format("%s/diskd", folder);
    autofree char *diskd = path_format("%s/diskd", STORAGED_BIN_DIR);
    autofree char *program = path_format("%s/poold", folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_int_equal(symlink(diskd, diskd_link), 0);
    file_write(program, poold, strlen(poold));
    assert_int_equal(chmod(program, 0755), 0);
    return folder;
}

struct worker_state {
    const char *name;
    Storage__V1__WorkerState state;
};

static bool worker_is(struct node *node, void *data)
{
    const struct worker_state *wanted = data;
    return node_worker(node, wanted->name).state == wanted->state;
}

/* diskd's ticks drive the wait. */
static void start_with_fake_poold(struct node *node, const char *poold,
                                  Storage__V1__WorkerState state)
{
    autofree char *libexec = fake_libexec(node, poold);
    node_set(node, "storaged.libexec_dir", libexec);
    node_set(node, "supervisor.backoff_min_ms", "10");
    node_set(node, "supervisor.backoff_max_ms", "100");
    node_spawn(node);
    node_connect(node);
    node_wait_worker(node, "diskd", 0);
    struct worker_state wanted = {.name = "poold", .state = state};
    node_wait(node, worker_is, &wanted, "poold is in the expected state");
}

static void a_worker_that_cannot_start_is_failing_until_reset(void)
{
    struct node *node = node_create(disk_create(2 * GiB, DISK_SSD));
    start_with_fake_poold(node, "#!/bin/sh\necho I am not well >&2\nexit 3\n",
                          STORAGE__V1__WORKER_STATE__WORKER_STATE_FAILING);
    autoerr struct err err = {0};
    autoreply Storage__V1__ControlReply *reply = NULL;
    assert_ok(call_workers(node->storage, &reply, &err), &err);
    for (size_t i = 0; i < reply->list->n_workers; i++) {
        const Storage__V1__Worker *worker = reply->list->workers[i];
        if (strcmp(worker->name, "poold") != 0)
            continue;
        assert_string_equal(worker->exit_reason, "exit 3");
        assert_true(worker->n_last_log >= 1);
        assert_non_null(strstr(worker->last_log[worker->n_last_log - 1], "I am not well"));
    }
    /* The fault is mended; a reset does not wait for the backoff. */
    autofree char *program = path_format("%s/libexec/poold", node->dir);
    autofree char *real = path_format("%s/poold", STORAGED_BIN_DIR);
    assert_int_equal(unlink(program), 0);
    assert_int_equal(symlink(real, program), 0);
    struct command_result reset = node_ctl(node, "worker", "reset", "poold");
    assert_int_equal(reset.status, 0);
    node_wait_worker(node, "poold", 0);
    node_wait_cache(node, true);
}

static void a_worker_with_a_bad_config_is_not_tried_again(void)
{
    struct node *node = node_create(disk_create(2 * GiB, DISK_SSD));
    start_with_fake_poold(node, "#!/bin/sh\necho once >&2\nexit 78\n",
                          STORAGE__V1__WORKER_STATE__WORKER_STATE_CONFIG);
    assert_int_equal(node_log_count(node, "once"), 1);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_stop_leaves_the_mounts_for_the_next_start),
        harness_case(a_shutdown_unmounts_all),
        harness_case(a_shutdown_of_many_pools_unmounts_all),
        harness_case(a_shutdown_names_what_is_busy),
        harness_case(a_second_instance_names_the_first),
        harness_case(workers_ignore_the_signals_of_a_group),
        harness_case(a_stop_that_is_cut_short_harms_nothing),
        harness_case(bad_config_ends_with_78_and_says_where),
        harness_case(check_prints_a_config_that_loads_to_the_same),
        harness_case(a_worker_that_cannot_start_is_failing_until_reset),
        harness_case(a_worker_with_a_bad_config_is_not_tried_again),
    };
    return harness_main(argc, argv, "stop", cases, array_length(cases));
}
