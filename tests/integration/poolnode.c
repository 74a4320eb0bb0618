/* See the header. Everything is asked of the node itself, but for what must be on its disks. */
#include "poolnode.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { RESERVE_TRIES = 8 };

struct node *poolnode_start_list(struct disk *const *disks)
{
    struct node *node = node_create_list(disks);
    node_set(node, "spaces.headroom", "0");
    node_set(node, "zdb.overhead", "0");
    node_set(node, "supervisor.beat_ms", "400"); /* a worker that hangs is given up sooner */
    node_set(node, "supervisor.abort_grace_ms", "500");
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

struct two_pools poolnode_start_two(uint64_t disk_bytes)
{
    struct disk *a = disk_create(disk_bytes, DISK_SSD), *b = disk_create(disk_bytes, DISK_SSD);
    struct two_pools two = {.node = poolnode_start(a, b)};
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *one = NULL;
    assert_ok(call_pools(two.node->storage, &one, &err), &err);
    bool on_a = strcmp(one->pools[0]->members[0]->path, a->path) == 0;
    two.disk[0] = on_a ? a : b;
    two.disk[1] = on_a ? b : a;
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    assert_ok(call_prepare(two.node->storage, two.disk[1]->path, &prepared, &err), &err);
    (void)snprintf(two.fsid[0], sizeof two.fsid[0], "%s", one->pools[0]->id);
    (void)snprintf(two.fsid[1], sizeof two.fsid[1], "%s", prepared->pools[0]->fsid);
    node_wait_pools(two.node, 2);
    return two;
}

Storage__V1__Space *poolnode_reserve_on(struct node *node, const char *fsid, uint64_t size_bytes)
{
    static unsigned made;
    Storage__V1__Space *others[RESERVE_TRIES], *wanted = NULL;
    size_t n = 0;
    while (!wanted && n < RESERVE_TRIES) {
        autofree char *name = path_format("on-%.8s-%u", fsid, made++);
        Storage__V1__Space *space = must_reserve(node, name, SSD, size_bytes);
        if (strcmp(space->pool, fsid) == 0)
            wanted = space;
        else
            others[n++] = space;
    }
    while (n > 0) {
        must_release(node, others[--n]->id);
        storage_free(others[n]);
    }
    if (!wanted)
        fail_msg("no space was placed on %s", fsid);
    return wanted;
}

Storage__V1__PoolCapacity poolnode_capacity(struct node *node)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__CapacityReply *reply = NULL;
    assert_ok(call_capacity(node->storage, SSD, &reply, &err), &err);
    return *reply->capacity;
}

char *poolnode_path(const struct node *node, const char *fsid, const char *entry)
{
    return path_format("%s/%s/%s", node->mount_root, fsid, entry);
}

struct wanted_state {
    const char *fsid;
    Storage__V1__PoolState state;
    const char *text;
};

static bool pool_is(struct node *node, void *data)
{
    const struct wanted_state *wanted = data;
    autoreply Storage__V1__ListPoolsReply *list = NULL;
    if (call_pools(node->storage, &list, NULL) != 0)
        return false;
    for (size_t i = 0; i < list->n_pools; i++)
        if (strcmp(list->pools[i]->id, wanted->fsid) == 0)
            return list->pools[i]->state == wanted->state &&
                   (!wanted->text || strstr(list->pools[i]->reason, wanted->text));
    return false;
}

bool poolnode_is(struct node *node, const char *fsid, Storage__V1__PoolState state)
{
    struct wanted_state wanted = {.fsid = fsid, .state = state};
    return pool_is(node, &wanted);
}

void poolnode_wait(struct node *node, const char *fsid, Storage__V1__PoolState state,
                   const char *text)
{
    struct wanted_state wanted = {.fsid = fsid, .state = state, .text = text};
    autofree char *what = path_format("the pool %s is in state %d: %s", fsid, (int)state,
                                      text ? text : "for any reason");
    node_wait(node, pool_is, &wanted, what);
}

static bool nothing_releasing(struct node *node, void *data)
{
    (void)data;
    return poolnode_capacity(node).releasing == 0;
}

void poolnode_wait_reaped(struct node *node)
{
    node_wait(node, nothing_releasing, NULL, "nothing is being released any more");
}

static bool booked_is(struct node *node, void *data)
{
    return poolnode_capacity(node).booked == *(uint64_t *)data;
}

void poolnode_wait_booked(struct node *node, uint64_t bytes)
{
    node_wait(node, booked_is, &bytes, "what is booked is what it should be");
}

void poolnode_kill_poold(struct node *node)
{
    struct worker_info poold = node_worker(node, "poold");
    assert_int_equal(kill(poold.pid, SIGKILL), 0);
    node_wait_worker(node, "poold", poold.epoch);
}

/* The quota groups that are ours, and the sum of their limits. */
static size_t count_groups(const char *fsid, uint64_t *out_limits)
{
    autofree char *path = path_format("/sys/fs/btrfs/%s/qgroups", fsid);
    autodir DIR *groups = opendir(path);
    assert_non_null(groups);
    size_t n = 0;
    *out_limits = 0;
    for (struct dirent *entry; (entry = readdir(groups));) {
        if (strncmp(entry->d_name, "1_", 2) != 0)
            continue;
        autofree char *name = path_format("%s/%s/max_referenced", path, entry->d_name);
        autofree char *limit = file_read(name, NULL);
        *out_limits += strtoull(limit, NULL, 10);
        n++;
    }
    return n;
}

uint64_t poolnode_limits(const char *fsid)
{
    uint64_t limits;
    (void)count_groups(fsid, &limits);
    return limits;
}

/* On the disk there are these many subvolumes, each with its group, and nothing half-made; the sum
 * of the limits. */
static uint64_t must_hold_subvolumes(const struct node *node, const char *fsid, size_t n)
{
    autofree char *mount = poolnode_path(node, fsid, "");
    autofree char *weak = poolnode_path(node, fsid, "weak");
    struct command list = {.argv = {"btrfs", "subvolume", "list", mount}};
    struct command ls = {.argv = {"ls", "-A", weak}};
    struct command_result result = command_run(&list);
    uint64_t limits;
    assert_int_equal(result.status, 0);
    size_t n_subvolumes = 0;
    for (const char *at = result.out; (at = strchr(at, '\n')); at++)
        n_subvolumes++;
    if (n_subvolumes != n)
        fail_msg("%s has %zu subvolumes, and not %zu:\n%s", fsid, n_subvolumes, n, result.out);
    assert_int_equal(count_groups(fsid, &limits), n);
    result = command_run(&ls);
    assert_string_equal(result.out, "");
    return limits;
}

/* Whether there is a directory for a 0-db, which has a group of its own. */
static size_t count_homes(const struct node *node, const char *fsid)
{
    autofree char *path = poolnode_path(node, fsid, "zdb/data");
    return access(path, F_OK) == 0;
}

void poolnode_must_hold(const struct node *node, const char *fsid, size_t n_spaces)
{
    (void)must_hold_subvolumes(node, fsid, n_spaces + 1 + count_homes(node, fsid));
}

void poolnode_must_balance(struct node *node)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    autoreply Storage__V1__SpaceListReply *spaces = NULL;
    assert_ok(call_pools(node->storage, &pools, &err), &err);
    assert_ok(call_spaces(node->storage, &spaces, &err), &err);
    assert_string_equal(spaces->next_page_token, "");
    assert_true(pools->n_pools > 0);
    for (size_t i = 0; i < pools->n_pools; i++) {
        const Storage__V1__PoolInfo *pool = pools->pools[i];
        size_t n_spaces = 0;
        for (size_t k = 0; k < spaces->n_spaces; k++) {
            assert_int_equal(spaces->spaces[k]->state, STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE);
            n_spaces += strcmp(spaces->spaces[k]->pool, pool->id) == 0;
        }
        assert_int_equal(pool->spaces, n_spaces);
        size_t n_others = (pool->has_cache ? 1 : 0) + count_homes(node, pool->id);
        uint64_t limits = must_hold_subvolumes(node, pool->id, n_spaces + n_others);
        assert_int_equal(pool->capacity->booked, limits);
    }
}

uint64_t file_fill(const char *folder, const char *name, uint64_t at_most, int *out_errno)
{
    autofree char *path = path_format("%s/%s", folder, name);
    autofree char *chunk = calloc(1, MiB);
    autoclose int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    assert_non_null(chunk);
    uint64_t done = 0;
    *out_errno = fd < 0 ? errno : 0;
    while (fd >= 0 && done < at_most) {
        ssize_t n = write(fd, chunk, at_most - done < MiB ? at_most - done : MiB);
        if (n < 0) {
            *out_errno = errno;
            break;
        }
        done += (uint64_t)n;
    }
    return done;
}
