/*
 * A pool's tree is damaged while storaged is away: by chance, from a seed that is printed. Whatever
 * it makes of that at one start it makes of it at every later one: what is whole is served within
 * its limit and can be given up, what nobody knows stays as it is, and no byte is promised twice.
 *
 * STORAGED_TEST_SEED throws other dice, STORAGED_TEST_TURNS more pools.
 */
#include "damage.h"
#include "dice.h"
#include "poolnode.h"

#include "quota.h"
#include "record.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define DISK_BYTES (6 * GiB)
#define SIZE       (16 * MiB)

enum { SPACES = 12, BOOKINGS = 5, STARTS = 3, DAMAGES_MAX = 5, TURNS = 4, SEED = 2 };

struct turn {
    struct damage_scene scene;
    struct disk *disk;
    struct node *node;
    char fsid[UUID_TEXT_SIZE];
    uint32_t aliens;
    char *seen; /* what the first start made of it */
};

/* ---- a pool in use ---- */

static uint64_t group_of(const struct turn *turn, const char *id)
{
    uint8_t data[RECORD_MAX];
    struct record record;
    autoerr struct err err = {0};
    autofree char *entry = path_format("spaces/%s", id);
    autofree char *path = poolnode_path(turn->node, turn->fsid, entry);
    ssize_t length = getxattr(path, RECORD_XATTR, data, sizeof data);
    assert_true(length > 0);
    assert_ok(record_unpack(data, (size_t)length, &record, &err), &err);
    return record.qgroup;
}

static void fill(struct turn *turn)
{
    struct damage_scene *scene = &turn->scene;
    for (unsigned i = 0; i < SPACES; i++) {
        autofree char *name = path_format("space-%u", i);
        autoreply Storage__V1__Space *space = must_reserve(turn->node, name, SSD, SIZE);
        autofree char *mark = path_format("%s/mark", space->path);
        struct damage_object *object = &scene->objects[scene->n_objects++];
        (void)snprintf(turn->fsid, sizeof turn->fsid, "%s", space->pool);
        (void)snprintf(object->id, sizeof object->id, "%s", space->id);
        file_write(mark, space->id, strlen(space->id));
        object->limit_bytes = space->limit_bytes;
        object->group = group_of(turn, space->id);
    }
    for (unsigned i = 0; i < BOOKINGS; i++) {
        struct damage_object *object = &scene->objects[scene->n_objects++];
        autoerr struct err err = {0};
        uuid_random(object->id);
        object->booking = true;
        autoreply Storage__V1__Booking *booking = must_book(turn->node, object->id, "", SIZE);
        autoreply Storage__V1__Booking *settled = NULL;
        object->limit_bytes = booking->limit_bytes;
        if (i % 2)
            assert_ok(call_settle(turn->node->storage, object->id, &settled, &err), &err);
    }
}

static void begin(struct turn *turn)
{
    turn->disk = disk_create(DISK_BYTES, DISK_SSD);
    turn->node = node_create(turn->disk);
    node_set(turn->node, "spaces.headroom", "0");
    node_set(turn->node, "zdb.overhead", "0");
    node_set(turn->node, "cache.size", "64M");
    node_set(turn->node, "supervisor.workers", "diskd poold");
    node_start(turn->node);
    node_wait_cache(turn->node, true);
    fill(turn);
}

/* ---- damage ---- */

static void stop(struct turn *turn)
{
    autoerr struct err err = {0};
    switch (dice(&turn->scene.random, 3)) {
    case 0:
        node_stop(turn->node);
        break;
    case 1:
        node_kill(turn->node);
        break;
    default:
        assert_ok(node_shutdown(turn->node, &err), &err);
        break;
    }
}

static void damage(struct turn *turn)
{
    struct damage_scene *scene = &turn->scene;
    uint64_t n = 1 + dice(&scene->random, DAMAGES_MAX);
    scene->top = poolnode_path(turn->node, turn->fsid, "");
    bool mounted = mount_id(scene->top) != 0;
    scene->top[strlen(scene->top) - 1] = '\0';
    if (!mounted && mount_id(scene->top) == 0)
        assert_int_equal(mount(turn->disk->path, scene->top, "btrfs", MS_NOATIME, NULL), 0);
    scene->root = open(scene->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(scene->root >= 0);
    while (n-- > 0) {
        size_t kind = dice(&scene->random, damage_kinds());
        (void)fprintf(stderr, " %s", damage_name(kind));
        damage_do(scene, kind);
    }
    (void)fprintf(stderr, "\n");
    assert_int_equal(btrfs_commit(scene->root), 0);
    turn->aliens = damage_aliens(scene);
    (void)close(scene->root);
    scene->root = -1;
    if (dice(&scene->random, 2))
        (void)umount(scene->top);
}

/* ---- what has to hold ---- */

static bool limits_hold(struct node *node, void *data)
{
    const struct turn *turn = data;
    autofree char *top = poolnode_path(node, turn->fsid, "");
    autoclose int root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool hold = root >= 0;
    for (size_t i = 0; hold && i < turn->scene.n_objects; i++) {
        const struct damage_object *object = &turn->scene.objects[i];
        if (object->hurt || object->booking)
            continue;
        struct quota_tree tree = {0}, own = {0};
        uint64_t subvolume = 0, group = btrfs_group(1, object->group);
        autofree char *path = path_format("spaces/%s/data", object->id);
        autoclose int data_fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        hold = data_fd >= 0 && btrfs_subvolume_id(data_fd, &subvolume) == 0 &&
               quota_read_group(root, group, &tree) == 0 &&
               quota_read_group(root, btrfs_group(0, subvolume), &own) == 0;
        const struct quota_group *found = quota_find(&tree, group);
        const struct quota_group *of_data = quota_find(&own, btrfs_group(0, subvolume));
        hold = hold && found && found->limit_bytes == object->limit_bytes && of_data &&
               of_data->limit_bytes == BTRFS_NO_LIMIT && of_data->n_parents == 1 &&
               of_data->lowest_parent == group;
        quota_free(&tree);
        quota_free(&own);
    }
    return hold;
}

static void whole_ones_are_served(struct turn *turn)
{
    autoerr struct err err = {0};
    for (size_t i = 0; i < turn->scene.n_objects; i++) {
        const struct damage_object *object = &turn->scene.objects[i];
        if (object->hurt)
            continue;
        if (object->booking) {
            autoreply Storage__V1__Booking *booking = NULL;
            assert_ok(call_get_booking(turn->node->storage, object->id, &booking, &err), &err);
            assert_int_equal(booking->limit_bytes, object->limit_bytes);
            continue;
        }
        autoreply Storage__V1__Space *space = NULL;
        assert_ok(call_get(turn->node->storage, object->id, &space, &err), &err);
        assert_int_equal(space->state, STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE);
        autofree char *mark = path_format("%s/mark", space->path);
        autofree char *text = file_read(mark, NULL);
        assert_string_equal(text, object->id);
    }
    node_wait(turn->node, limits_hold, turn, "the kernel's limits are those of the records");
}

/* What is hurt is served, or named as left alone. */
static void hurt_ones_are_named(struct turn *turn)
{
    for (size_t i = 0; i < turn->scene.n_objects; i++) {
        const struct damage_object *object = &turn->scene.objects[i];
        if (!object->hurt || object->booking)
            continue;
        autoreply Storage__V1__Space *space = NULL;
        if (call_get(turn->node->storage, object->id, &space, NULL) == 0)
            continue;
        autoreply Storage__V1__ListPoolsReply *pools = NULL;
        assert_int_equal(call_pools(turn->node->storage, &pools, NULL), 0);
        if (!strstr(pools->pools[0]->reason, "left alone"))
            fail_msg("%s is gone without a word: %s", object->id, pools->pools[0]->reason);
    }
}

/* What the disk has promised by itself: the limits of what is served, and what others take. */
static void nothing_is_promised_twice(struct turn *turn)
{
    autoerr struct err err = {0};
    Storage__V1__PoolCapacity before = poolnode_capacity(turn->node);
    Storage__V1__Space *all = NULL, *more = NULL;
    if (before.largest == 0)
        return;
    assert_ok(call_reserve(turn->node->storage, "all", SSD, before.largest, &all, &err), &err);
    assert_refused(call_reserve(turn->node->storage, "more", SSD, MiB, &more, &err), &err,
                   ERR_RESOURCE_EXHAUSTED, "");
    must_release(turn->node, all->id);
    storage_free(all);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *describe(struct turn *turn)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *spaces = NULL;
    autoreply Storage__V1__ListBookingsReply *bookings = NULL;
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_spaces(turn->node->storage, &spaces, &err), &err);
    assert_ok(call_bookings(turn->node->storage, &bookings, &err), &err);
    assert_ok(call_pools(turn->node->storage, &pools, &err), &err);
    char *lines[DAMAGE_OBJECTS_MAX * 4];
    size_t n = 0;
    assert_true(spaces->n_spaces + bookings->n_bookings < array_length(lines));
    for (size_t i = 0; i < spaces->n_spaces; i++)
        lines[n++] = path_format("space %s %s %d\n", spaces->spaces[i]->id, spaces->spaces[i]->name,
                                 (int)spaces->spaces[i]->state);
    for (size_t i = 0; i < bookings->n_bookings; i++)
        lines[n++] = path_format("booking %s %d\n", bookings->bookings[i]->id,
                                 (int)bookings->bookings[i]->state);
    qsort(lines, n, sizeof *lines, compare_lines);
    assert_int_equal(pools->n_pools, 1);
    char *text = path_format("pool %d %s\n", (int)pools->pools[0]->state, pools->pools[0]->reason);
    for (size_t i = 0; i < n; i++) {
        char *longer = path_format("%s%s", text, lines[i]);
        free(text);
        free(lines[i]);
        text = longer;
    }
    return text;
}

static bool unmade_are_gone(struct node *node, void *data)
{
    const struct turn *turn = data;
    static const char *const places[] = {"spaces", "weak", "zdb/bookings"};
    for (size_t i = 0; i < turn->scene.n_unmade; i++)
        for (size_t k = 0; k < array_length(places); k++) {
            autofree char *entry = path_format("%s/%s", places[k], turn->scene.unmade[i]);
            autofree char *path = poolnode_path(node, turn->fsid, entry);
            if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return false;
        }
    return true;
}

static void strangers_are_untouched(const struct turn *turn, const char *when)
{
    if (damage_aliens(&turn->scene) != turn->aliens)
        fail_msg("what storaged did not make was changed %s", when);
}

static void look(struct turn *turn)
{
    node_start(turn->node);
    poolnode_wait(turn->node, turn->fsid, POOL_STATE(MOUNTED), NULL);
    whole_ones_are_served(turn);
    hurt_ones_are_named(turn);
    autofree char *seen = describe(turn);
    if (!turn->seen)
        turn->seen = path_format("%s", seen);
    if (strcmp(turn->seen, seen) != 0)
        fail_msg("first it was\n%s\nand now\n%s", turn->seen, seen);
    node_wait(turn->node, unmade_are_gone, turn, "what was half-made is gone");
    poolnode_wait_reaped(turn->node);
    nothing_is_promised_twice(turn);
    strangers_are_untouched(turn, "by a start");
    assert_int_equal(node_worker(turn->node, "poold").restarts, 0);
    assert_int_equal(node_worker(turn->node, "diskd").restarts, 0);
}

/* ---- the end ---- */

static bool released_are_gone(struct node *node, void *data)
{
    const struct turn *turn = data;
    for (size_t i = 0; i < turn->scene.n_objects; i++) {
        const struct damage_object *object = &turn->scene.objects[i];
        if (object->hurt)
            continue;
        autofree char *entry =
            path_format("%s/%s", object->booking ? "zdb/bookings" : "spaces", object->id);
        autofree char *path = poolnode_path(node, turn->fsid, entry);
        if (access(path, F_OK) == 0)
            return false;
    }
    return true;
}

static void release(struct turn *turn)
{
    for (size_t i = 0; i < turn->scene.n_objects; i++) {
        struct damage_object *object = &turn->scene.objects[i];
        if (object->booking && turn->scene.home_hurt)
            object->hurt = true;
        else if (!object->hurt && object->booking)
            must_unbook(turn->node, object->id);
        else if (!object->hurt)
            must_release(turn->node, object->id);
    }
    node_wait(turn->node, released_are_gone, turn, "what was released is gone");
    strangers_are_untouched(turn, "by a release");
    stop(turn);
    node_start(turn->node);
    for (size_t i = 0; i < turn->scene.n_objects; i++) {
        const struct damage_object *object = &turn->scene.objects[i];
        autoreply Storage__V1__Space *space = NULL;
        autoreply Storage__V1__Booking *booking = NULL;
        if (object->hurt)
            continue;
        int rc = object->booking ? call_get_booking(turn->node->storage, object->id, &booking, NULL)
                                 : call_get(turn->node->storage, object->id, &space, NULL);
        if (rc != -ERR_NOT_FOUND)
            fail_msg("%s was released, and is back", object->id);
    }
    strangers_are_untouched(turn, "by the last start");
}

static void one_turn(uint64_t seed)
{
    /* Seeds that are close together throw numbers that are not. */
    struct turn turn = {.scene = {.random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15), .root = -1}};
    (void)fprintf(stderr, "STORAGED_TEST_SEED=%llu:", (unsigned long long)seed);
    begin(&turn);
    stop(&turn);
    damage(&turn);
    for (int i = 0; i < STARTS; i++) {
        look(&turn);
        if (i + 1 < STARTS)
            stop(&turn);
    }
    release(&turn);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(turn.node, &err), &err);
    damage_forget(&turn.scene);
    free(turn.seen);
}

static void every_start_makes_the_same_of_it(void)
{
    uint64_t seed = number_from_environment("STORAGED_TEST_SEED", SEED);
    unsigned long turns = number_from_environment("STORAGED_TEST_TURNS", TURNS);
    for (unsigned long i = 0; i < turns; i++)
        one_turn(seed + i);
}

/* It was held back by nothing for a while; the limit is back, and the bytes are still there. */
static void what_is_used_beyond_a_limit_is_booked(void)
{
    enum { MORE = 8 };
    struct turn turn = {.scene = {.root = -1}};
    begin(&turn);
    uint64_t before = poolnode_capacity(turn.node).booked;
    const struct damage_object *object = &turn.scene.objects[0];
    autofree char *entry = path_format("spaces/%s/data", object->id);
    autofree char *path = poolnode_path(turn.node, turn.fsid, entry);
    autofree char *file = path_format("%s/more", path);
    autoclose int data = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int os_errno;
    assert_int_equal(btrfs_set_limit(data, btrfs_group(1, object->group), BTRFS_NO_LIMIT), 0);
    assert_int_equal(file_fill(path, "more", SIZE + MORE * MiB, &os_errno), SIZE + MORE * MiB);
    command_ok("sync", "-f", file);
    poolnode_kill_poold(turn.node);
    node_wait(turn.node, limits_hold, &turn, "the kernel's limits are those of the records");
    uint64_t booked = poolnode_capacity(turn.node).booked;
    assert_true(booked >= before + MORE * MiB && booked < before + (MORE + 2) * MiB);
    damage_forget(&turn.scene);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(every_start_makes_the_same_of_it),
        harness_case(what_is_used_beyond_a_limit_is_booked),
    };
    return harness_main(argc, argv, "pool_damage", cases, array_length(cases));
}
