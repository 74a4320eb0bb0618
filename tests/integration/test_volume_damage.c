/* What somebody did to a volume's tree or to its quota groups: put right, or left alone and said.
 */
#include "volume_fixture.h"

#include "btrfs.h"
#include "quota.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LABEL VOLUME_LABEL_NEW "alpha"

struct bench {
    struct pool pool;
    struct volume *volume;
    int root;
};

static void setup(struct bench *bench)
{
    pool_make(&bench->pool, LABEL);
    bench->volume = pool_open(&bench->pool);
    bench->root = open(volume_info(bench->volume)->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(bench->root >= 0);
}

static void teardown(struct bench *bench)
{
    assert_int_equal(close(bench->root), 0);
    pool_close(bench->volume);
}

static int open_at(const struct bench *bench, const char *path)
{
    int fd = openat(bench->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static uint64_t subvolume_of(const struct bench *bench, const struct record *record)
{
    uint64_t id;
    autofree char *path = path_format("spaces/%s/data", record->id);
    autoclose int data = open_at(bench, path);
    assert_int_equal(btrfs_subvolume_id(data, &id), 0);
    return id;
}

/* The record of an object, as it stands, in another directory. */
static void copy_record(const struct bench *bench, const char *from, const char *to)
{
    uint8_t data[RECORD_MAX];
    autofree char *source = path_format("%s/%s", volume_info(bench->volume)->path, from);
    autofree char *target = path_format("%s/%s", volume_info(bench->volume)->path, to);
    ssize_t length = getxattr(source, RECORD_XATTR, data, sizeof data);
    assert_true(length > 0);
    assert_int_equal(setxattr(target, RECORD_XATTR, data, (size_t)length, 0), 0);
}

/* ---- quota groups ---- */

static void a_limit_on_the_subvolume_is_lifted(void)
{
    struct bench bench;
    setup(&bench);
    struct record record = space_make(bench.volume, 32 * MiB);
    autoerr struct err err = {0};
    bool repaired = false;
    int os_errno;
    uint64_t own = btrfs_group(0, subvolume_of(&bench, &record));
    assert_int_equal(btrfs_set_limit(bench.root, own, MiB), 0);
    assert_ok(volume_enforce(bench.volume, &record, &repaired, &err), &err);
    assert_true(repaired);
    assert_true(space_write(bench.volume, &record, "f", 8 * MiB, &os_errno) == 8 * MiB);
    assert_int_equal(os_errno, 0);
    assert_ok(volume_enforce(bench.volume, &record, &repaired, &err), &err);
    assert_false(repaired);
    teardown(&bench);
}

struct seen_group {
    uint64_t subvolume;
    struct volume_group group;
};

static int see_group(const struct volume_group *group, void *data)
{
    struct seen_group *seen = data;
    if (group->level == 0 && group->number == seen->subvolume)
        seen->group = *group;
    return 0;
}

/* 2/<n> is not 1/<n>: what is in it alone is in no object's group. */
static void a_group_of_another_level_is_no_objects(void)
{
    struct bench bench;
    setup(&bench);
    struct record record = space_make(bench.volume, 32 * MiB);
    struct seen_group seen = {.subvolume = subvolume_of(&bench, &record)};
    autoerr struct err err = {0};
    uint64_t own = btrfs_group(0, seen.subvolume), strange = btrfs_group(2, record.qgroup);
    assert_int_equal(btrfs_create_group(bench.root, strange), 0);
    assert_int_equal(btrfs_assign_group(bench.root, own, strange, true), 0);
    assert_ok(volume_usage(bench.volume, see_group, &seen, &err), &err);
    assert_int_equal(seen.group.parent, record.qgroup);
    assert_int_equal(seen.group.n_parents, 2);
    assert_int_equal(btrfs_assign_group(bench.root, own, btrfs_group(1, record.qgroup), false), 0);
    assert_ok(volume_usage(bench.volume, see_group, &seen, &err), &err);
    assert_int_equal(seen.group.parent, 0);
    assert_int_equal(seen.group.n_parents, 1);
    teardown(&bench);
}

static int count_nested(const struct volume_nested *nested, void *data)
{
    *(unsigned *)data += nested->assigned;
    return 0;
}

/* The kernel puts nothing in a group that is not there. */
static void a_nested_subvolume_gets_its_group_back(void)
{
    struct bench bench;
    setup(&bench);
    struct record record = space_make(bench.volume, 32 * MiB);
    autoerr struct err err = {0};
    unsigned assigned = 0;
    uint64_t nested_id, group = btrfs_group(1, record.qgroup);
    autofree char *path = path_format("spaces/%s/data", record.id);
    autofree char *inside = path_format("%s/nested", path);
    autoclose int data = open_at(&bench, path);
    assert_int_equal(btrfs_create_subvolume(data, "nested", 0), 0);
    autoclose int nested = open_at(&bench, inside);
    assert_int_equal(btrfs_subvolume_id(nested, &nested_id), 0);
    const uint64_t members[] = {btrfs_group(0, subvolume_of(&bench, &record)),
                                btrfs_group(0, nested_id)};
    for (size_t i = 0; i < array_length(members); i++)
        assert_int_equal(btrfs_assign_group(bench.root, members[i], group, false), 0);
    assert_int_equal(btrfs_destroy_group(bench.root, group), 0);
    assert_ok(volume_adopt_nested(bench.volume, count_nested, &assigned, &err), &err);
    assert_int_equal(assigned, 1);
    struct quota_tree tree;
    assert_int_equal(quota_read_group(bench.root, group, &tree), 0);
    assert_int_equal(quota_find(&tree, group)->limit_bytes, 32 * MiB);
    quota_free(&tree);
    cleanup_fd(&data);
    cleanup_fd(&nested);
    data = nested = -1;
    teardown(&bench);
}

/* Numbers are given upwards from the highest, and end somewhere. */
static void the_last_number_of_a_group_stops_nobody(void)
{
    struct bench bench;
    setup(&bench);
    struct found found;
    assert_int_equal(btrfs_create_group(bench.root, btrfs_group(1, BTRFS_GROUP_NUMBER_MAX)), 0);
    assert_int_equal(close(bench.root), 0);
    pool_close(bench.volume);
    bench.volume = pool_open(&bench.pool);
    (void)space_make(bench.volume, 32 * MiB);
    volume_look(bench.volume, &found);
    assert_int_equal(found.count, 1);
    pool_close(bench.volume);
}

/* ---- records in strange places ---- */

static void another_of_its_name_is_not_the_space(void)
{
    struct bench bench;
    setup(&bench);
    struct record record = space_make(bench.volume, 32 * MiB);
    struct found found;
    autofree char *from = path_format("spaces/%s", record.id);
    autofree char *to = path_format("weak/%s", record.id);
    assert_int_equal(mkdirat(bench.root, to, 0700), 0);
    copy_record(&bench, from, to);
    volume_look(bench.volume, &found);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.places[0], VOLUME_IN_SPACES);
    assert_int_equal(found.n_unknown, 1);
    assert_non_null(strstr(found.reasons[0], "something live"));
    space_release(bench.volume, record.id);
    /* Nor is it taken for the space when that is gone. */
    volume_look(bench.volume, &found);
    assert_int_equal(found.count, 0);
    assert_int_equal(found.n_unknown, 1);
    assert_int_equal(unlinkat(bench.root, to, AT_REMOVEDIR), 0);
    volume_must_hold(bench.volume, 0);
    teardown(&bench);
}

static void a_copied_record_charges_nobody(void)
{
    struct bench bench;
    setup(&bench);
    struct record record = space_make(bench.volume, 32 * MiB);
    autoerr struct err err = {0};
    unsigned assigned = 0;
    autofree char *from = path_format("spaces/%s", record.id);
    assert_int_equal(mkdirat(bench.root, "spaces/other", 0700), 0);
    copy_record(&bench, from, "spaces/other");
    autoclose int other = open_at(&bench, "spaces/other");
    assert_int_equal(btrfs_create_subvolume(other, "data", 0), 0);
    autoclose int data = open_at(&bench, "spaces/other/data");
    assert_int_equal(btrfs_create_subvolume(data, "nested", 0), 0);
    cleanup_fd(&data);
    cleanup_fd(&other);
    data = other = -1;
    assert_ok(volume_adopt_nested(bench.volume, count_nested, &assigned, &err), &err);
    assert_int_equal(assigned, 0);
    teardown(&bench);
}

/* Released where it lies nothing would be found, and the next start would have it again. */
static void what_is_live_is_no_booking_elsewhere(void)
{
    struct bench bench;
    setup(&bench);
    autoerr struct err err = {0};
    struct found found;
    struct record home = {.limit_bytes = 64 * MiB}, booking = {.size_bytes = 1, .limit_bytes = 1};
    struct record_note note = {.length = 0};
    booking.disk_type = volume_info(bench.volume)->disk_type;
    uuid_random(booking.id);
    assert_ok(volume_home_ensure(bench.volume, &home, &home, &err), &err);
    assert_ok(volume_booking_make(bench.volume, &booking, &note, &err), &err);
    autofree char *from = path_format("zdb/bookings/%s", booking.id);
    autofree char *to = path_format("weak/%s", booking.id);
    assert_int_equal(renameat(bench.root, from, bench.root, to), 0);
    volume_look(bench.volume, &found);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.places[0], VOLUME_IN_ZDB);
    assert_int_equal(found.n_unknown, 1);
    assert_non_null(strstr(found.reasons[0], "something live"));
    teardown(&bench);
}

/* ---- strangers ---- */

/* The kernel removes an empty subvolume as it does a directory. */
static void an_empty_subvolume_is_no_build_of_ours(void)
{
    struct bench bench;
    setup(&bench);
    struct found found;
    char id[UUID_TEXT_SIZE];
    uuid_random(id);
    autoclose int weak = open_at(&bench, "weak");
    assert_int_equal(btrfs_create_subvolume(weak, id, 0), 0);
    cleanup_fd(&weak);
    weak = -1;
    volume_tidy(bench.volume);
    volume_look(bench.volume, &found);
    assert_int_equal(found.count, 0);
    assert_int_equal(found.n_unknown, 1);
    teardown(&bench);
}

static void what_lies_beside_the_cache_is_told(void)
{
    struct bench bench;
    setup(&bench);
    struct record record = space_make(bench.volume, 32 * MiB), cache;
    struct found found;
    autoerr struct err err = {0};
    bool created;
    assert_ok(volume_cache_ensure(bench.volume, 64 * MiB, &cache, &created, &err), &err);
    autofree char *from = path_format("spaces/%s", record.id);
    autofree char *to = path_format("cache/%s", record.id);
    assert_int_equal(renameat(bench.root, from, bench.root, to), 0);
    volume_look(bench.volume, &found);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.n_unknown, 1);
    assert_string_equal(found.unknown[0], to);
    teardown(&bench);
}

static void the_spaces_outlive_the_home(void)
{
    static const char *const paths[] = {"zdb/bookings", "zdb"};
    struct bench bench;
    setup(&bench);
    struct record home = {.limit_bytes = 64 * MiB};
    struct found found;
    autoerr struct err err = {0};
    (void)space_make(bench.volume, 32 * MiB);
    assert_ok(volume_home_ensure(bench.volume, &home, &home, &err), &err);
    for (size_t i = 0; i < array_length(paths); i++) {
        autofree char *away = path_format("was-%zu", i);
        assert_int_equal(renameat(bench.root, paths[i], bench.root, away), 0);
        assert_int_equal(mkfifoat(bench.root, paths[i], 0600), 0);
        volume_look(bench.volume, &found);
        assert_int_equal(found.count, i == 0 ? 2 : 1);
        assert_int_equal(found.n_unknown, i + 2);
        assert_refused(volume_home_ensure(bench.volume, &home, &home, &err), &err, ERR_INTERNAL,
                       "Not a directory");
        err_clear(&err);
    }
    teardown(&bench);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(a_limit_on_the_subvolume_is_lifted),
        harness_case(a_group_of_another_level_is_no_objects),
        harness_case(a_nested_subvolume_gets_its_group_back),
        harness_case(the_last_number_of_a_group_stops_nobody),
        harness_case(another_of_its_name_is_not_the_space),
        harness_case(a_copied_record_charges_nobody),
        harness_case(what_is_live_is_no_booking_elsewhere),
        harness_case(an_empty_subvolume_is_no_build_of_ours),
        harness_case(what_lies_beside_the_cache_is_told),
        harness_case(the_spaces_outlive_the_home),
    };
    return harness_main(argc, argv, "volume_damage", cases, array_length(cases));
}
