/*
 * Spaces on a volume: built, limited, released and reaped, and whole after a kill at every system
 * call of it. Real btrfs on a loop device.
 */
#include "volume_fixture.h"

#include "base/step.h"
#include "btrfs.h"
#include "quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LABEL VOLUME_LABEL_NEW "alpha"

static struct volume *setup(struct pool *pool)
{
    pool_make(pool, LABEL);
    return pool_open(pool);
}

static int root_of(const struct volume *volume)
{
    int root = open(volume_info(volume)->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(root >= 0);
    return root;
}

static void a_space_is_what_was_asked_for(void)
{
    struct pool pool;
    struct volume *volume = setup(&pool);
    struct record made = space_make(volume, 16 * MiB), read;
    autoerr struct err err = {0};
    autofree char *path = space_path(volume, &made, "");
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_uid, 1234);
    assert_int_equal(status.st_gid, 4321);
    assert_int_equal(status.st_mode & 07777, 0750);
    assert_ok(volume_read_record(volume, made.id, &read, &err), &err);
    assert_memory_equal(&read, &made, sizeof read);
    assert_int_equal(read.state, RECORD_STATE_LIVE);
    assert_true(read.qgroup > 0);
    struct record same = made;
    assert_refused(volume_build_space(volume, &same, &err), &err, ERR_ALREADY_EXISTS, "taken");
    volume_tidy(volume); /* what only the cleaner could finish to undo */
    volume_must_hold(volume, 1);
    pool_close(volume);
    volume = pool_open(&pool);
    volume_must_hold(volume, 1);
    space_release(volume, made.id);
    volume_must_hold(volume, 0);
    pool_close(volume);
}

static void the_kernel_enforces_the_limit(void)
{
    struct pool pool;
    struct volume *volume = setup(&pool);
    struct record record = space_make(volume, 32 * MiB);
    autoerr struct err err = {0};
    int os_errno;
    uint64_t usage;
    assert_true(space_write(volume, &record, "big", 128 * MiB, &os_errno) <= 33 * MiB);
    assert_int_equal(os_errno, EDQUOT);
    assert_ok(volume_group_usage(volume, record.qgroup, &usage, &err), &err);
    assert_true(usage > 16 * MiB && usage <= 32 * MiB);
    space_release(volume, record.id);
    volume_must_hold(volume, 0);
    pool_close(volume);
}

static void limits_are_repaired(void)
{
    struct pool pool;
    struct volume *volume = setup(&pool);
    struct record record = space_make(volume, 32 * MiB);
    autoerr struct err err = {0};
    bool repaired;
    uint64_t subvolume;
    autoclose int root = root_of(volume);
    autofree char *path = space_path(volume, &record, "");
    autoclose int data = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_ok(volume_enforce(volume, &record, &repaired, &err), &err);
    assert_false(repaired);
    assert_int_equal(btrfs_set_limit(root, btrfs_group(1, record.qgroup), GiB), 0);
    assert_ok(volume_enforce(volume, &record, &repaired, &err), &err);
    assert_true(repaired);
    assert_int_equal(btrfs_subvolume_id(data, &subvolume), 0);
    assert_int_equal(
        btrfs_assign_group(root, btrfs_group(0, subvolume), btrfs_group(1, record.qgroup), false),
        0);
    assert_int_equal(btrfs_destroy_group(root, btrfs_group(1, record.qgroup)), 0);
    assert_ok(volume_enforce(volume, &record, &repaired, &err), &err);
    assert_true(repaired);
    assert_ok(volume_enforce(volume, &record, &repaired, &err), &err);
    assert_false(repaired);
    int os_errno;
    (void)space_write(volume, &record, "big", 128 * MiB, &os_errno);
    assert_int_equal(os_errno, EDQUOT);
    assert_ok(volume_mark_dying(volume, record.id, &err), &err);
    assert_refused(volume_enforce(volume, &record, &repaired, &err), &err, ERR_FAILED_PRECONDITION,
                   "dying");
    cleanup_fd(&data);
    cleanup_fd(&root);
    data = root = -1;
    volume_tidy(volume);
    assert_refused(volume_enforce(volume, &record, &repaired, &err), &err, ERR_NOT_FOUND, "");
    volume_must_hold(volume, 0);
    pool_close(volume);
}

static void only_what_is_dying_is_reaped(void)
{
    struct pool pool;
    struct volume *volume = setup(&pool);
    struct record record = space_make(volume, 16 * MiB), cache;
    struct volume_reap_result result;
    autoerr struct err err = {0};
    bool created;
    char unknown[UUID_TEXT_SIZE];
    uuid_random(unknown);
    assert_refused(volume_reap(volume, record.id, 0, &result, &err), &err, ERR_FAILED_PRECONDITION,
                   "live");
    assert_ok(volume_cache_ensure(volume, 64 * MiB, &cache, &created, &err), &err);
    assert_refused(volume_mark_dying(volume, cache.id, &err), &err, ERR_NOT_FOUND, "no such");
    assert_refused(volume_mark_dying(volume, "../cache", &err), &err, ERR_INVALID_ARGUMENT, "id");
    assert_refused(volume_mark_dying(volume, unknown, &err), &err, ERR_NOT_FOUND, "no such");
    assert_ok(volume_reap(volume, unknown, 0, &result, &err), &err);
    assert_int_equal(result.reaped, VOLUME_REAP_GONE);
    assert_ok(volume_mark_dying(volume, record.id, &err), &err);
    assert_ok(volume_mark_dying(volume, record.id, &err), &err);
    assert_ok(volume_mark_live(volume, record.id, &err), &err);
    assert_ok(volume_read_record(volume, record.id, &record, &err), &err);
    assert_int_equal(record.state, RECORD_STATE_LIVE);
    assert_int_equal(record.generation, 3);
    volume_must_hold(volume, 2);
    pool_close(volume);
}

static void what_is_unknown_is_reported_and_stays(void)
{
    struct pool pool;
    struct volume *volume = setup(&pool);
    struct volume_reap_result result;
    autoerr struct err err = {0};
    struct found found;
    char id[UUID_TEXT_SIZE];
    autoclose int root = root_of(volume);
    uuid_random(id);
    autofree char *broken = path_format("spaces/%s", id);
    assert_int_equal(mkdirat(root, broken, 0700), 0);
    autofree char *broken_path = path_format("%s/%s", volume_info(volume)->path, broken);
    assert_int_equal(setxattr(broken_path, RECORD_XATTR, "junk", 4, 0), 0);
    assert_int_equal(mkdirat(root, "weak/mine", 0700), 0);
    assert_int_equal(btrfs_create_subvolume(root, "stranger", 0), 0);
    volume_look(volume, &found);
    assert_int_equal(found.count, 0);
    assert_int_equal(found.n_unknown, 3);
    assert_true(volume_reap(volume, id, 0, &result, &err) < 0);
    assert_true(volume_mark_dying(volume, id, &err) < 0);
    volume_look(volume, &found);
    assert_int_equal(found.n_unknown, 3);
    cleanup_fd(&root);
    root = -1;
    pool_close(volume);
}

/* ---- kills ---------------------------------------------------------------------------------- */

struct job {
    struct volume *volume;
    struct record record;
};

static void build_and_commit(void *data)
{
    struct job *job = data;
    if (volume_build_space(job->volume, &job->record, NULL) < 0 ||
        volume_commit(job->volume, NULL) < 0)
        _exit(1);
}

static void building_survives_a_kill_at_every_step(void)
{
    struct pool pool;
    struct job job = {.volume = setup(&pool)};
    struct record other = space_make(job.volume, 16 * MiB);
    long n = 1;
    for (bool killed = true; killed; n++) {
        struct found found;
        space_fill_record(&job.record, 16 * MiB);
        killed = killed_at_step(n, build_and_commit, &job);
        volume_tidy(job.volume);
        volume_look(job.volume, &found);
        assert_true(found.count == 1 || found.count == 2);
        volume_must_hold(job.volume, found.count);
        if (found.count == 2)
            space_release(job.volume, job.record.id);
        volume_must_hold(job.volume, 1);
    }
    assert_true(n > 20);
    space_release(job.volume, other.id);
    pool_close(job.volume);
}

static void tenant_subvolumes(const struct volume *volume, const struct record *record)
{
    autofree char *path = space_path(volume, record, "");
    autoclose int data = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(data >= 0);
    assert_int_equal(btrfs_create_subvolume(data, "a", 0), 0);
    autoclose int a = openat(data, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(a, "dir\n", 0700), 0);
    autoclose int dir = openat(a, "dir\n", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(btrfs_create_subvolume(dir, "b", 0), 0);
    autoclose int b = openat(dir, "b", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(btrfs_create_subvolume(b, "c", 0), 0);
    assert_int_equal(btrfs_set_read_only(b, true), 0);
    assert_int_equal(btrfs_set_read_only(a, true), 0);
    assert_int_equal(btrfs_set_read_only(data, true), 0);
}

static void release_and_reap(void *data)
{
    struct job *job = data;
    struct volume_reap_result result;
    if (volume_mark_dying(job->volume, job->record.id, NULL) < 0 ||
        volume_commit(job->volume, NULL) < 0 ||
        volume_reap(job->volume, job->record.id, REAP_MS, &result, NULL) < 0 ||
        result.reaped != VOLUME_REAP_GONE || volume_commit(job->volume, NULL) < 0)
        _exit(1);
}

static void releasing_survives_a_kill_at_every_step(void)
{
    struct pool pool;
    struct job job = {.volume = setup(&pool)};
    struct record other = space_make(job.volume, 16 * MiB);
    autoerr struct err err = {0};
    long n = 1;
    for (bool killed = true; killed; n++) {
        job.record = space_make(job.volume, 64 * MiB);
        tenant_subvolumes(job.volume, &job.record);
        killed = killed_at_step(n, release_and_reap, &job);
        struct record record;
        int rc = volume_read_record(job.volume, job.record.id, &record, &err);
        assert_true(rc == 0 || rc == -ERR_NOT_FOUND);
        if (rc == 0 && record.state == RECORD_STATE_LIVE)
            assert_ok(volume_mark_dying(job.volume, record.id, &err), &err);
        volume_tidy(job.volume);
        volume_must_hold(job.volume, 1);
    }
    assert_true(n > 30);
    space_release(job.volume, other.id);
    pool_close(job.volume);
}

/* What is on the disk at that moment, as a machine finds it that lost its power. */
static void copy_disk(const struct pool *pool, const char *file)
{
    command_ok("cp", "--sparse=always", pool->disk->file, file);
}

static void attach_copy(struct pool *pool, const char *file)
{
    struct stat status;
    disk_unplug(pool->disk);
    command_ok("cp", "--sparse=always", file, pool->disk->file);
    disk_plug(pool->disk);
    assert_int_equal(stat(pool->disk->path, &status), 0);
}

static void building_survives_a_power_cut_at_every_step(void)
{
    struct pool pool;
    struct job job = {.volume = setup(&pool)};
    struct record other = space_make(job.volume, 16 * MiB);
    autofree char *file = path_format("%s/copy.img", harness_dir());
    for (bool killed = true; killed;) {
        static long n = 1;
        struct found found;
        space_fill_record(&job.record, 16 * MiB);
        killed = killed_at_step(n, build_and_commit, &job);
        copy_disk(&pool, file);
        pool_close(job.volume);
        attach_copy(&pool, file);
        job.volume = pool_open(&pool);
        volume_tidy(job.volume);
        volume_look(job.volume, &found);
        assert_true(found.count == 1 || found.count == 2);
        assert_true(killed || found.count == 2); /* acknowledged means durable */
        volume_must_hold(job.volume, found.count);
        if (found.count == 2)
            space_release(job.volume, job.record.id);
        n += 2; /* before a call is the same as after the one before */
    }
    space_release(job.volume, other.id);
    pool_close(job.volume);
}

/* ---- nested subvolumes ---------------------------------------------------------------------- */

struct nested_seen {
    unsigned count, assigned, taken;
    char path[PATH_MAX];
};

static int see_nested(const struct volume_nested *nested, void *data)
{
    struct nested_seen *seen = data;
    seen->count++;
    seen->assigned += nested->assigned;
    seen->taken += nested->memberships_taken;
    (void)snprintf(seen->path, sizeof seen->path, "%s", nested->path);
    return 0;
}

static void nested_subvolumes_belong_to_their_space(void)
{
    struct pool pool;
    struct volume *volume = setup(&pool);
    struct record victim = space_make(volume, 32 * MiB), record = space_make(volume, 32 * MiB);
    struct nested_seen seen = {0};
    autoerr struct err err = {0};
    autofree char *path = space_path(volume, &record, "");
    autoclose int data = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Charged to somebody else. */
    assert_int_equal(btrfs_create_subvolume(data, "evil", btrfs_group(1, victim.qgroup)), 0);
    cleanup_fd(&data);
    data = -1;
    assert_ok(volume_adopt_nested(volume, see_nested, &seen, &err), &err);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.assigned, 1);
    assert_int_equal(seen.taken, 1);
    autofree char *expected = path_format("spaces/%s/data/evil", record.id);
    assert_string_equal(seen.path, expected);
    seen = (struct nested_seen){0};
    assert_ok(volume_adopt_nested(volume, see_nested, &seen, &err), &err);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.assigned + seen.taken, 0);
    int os_errno;
    (void)space_write(volume, &record, "evil/f", 128 * MiB, &os_errno);
    assert_int_equal(os_errno, EDQUOT);
    (void)space_write(volume, &victim, "f", 8 * MiB, &os_errno);
    assert_int_equal(os_errno, 0);
    space_release(volume, record.id);
    space_release(volume, victim.id);
    volume_must_hold(volume, 0);
    pool_close(volume);
}

/* The copy keeps the extents of the source alive, and with them the source's quota group. */
static void shared_extents_keep_the_group_until_they_go(void)
{
    struct pool pool;
    struct volume *volume = setup(&pool);
    struct record source = space_make(volume, 32 * MiB), copy = space_make(volume, 32 * MiB);
    struct volume_reap_result result;
    autoerr struct err err = {0};
    int os_errno;
    (void)space_write(volume, &source, "f", 8 * MiB, &os_errno);
    autofree char *from = space_path(volume, &source, "f");
    autofree char *to = space_path(volume, &copy, "f");
    command_ok("cp", "--reflink=always", from, to);
    assert_ok(volume_mark_dying(volume, source.id, &err), &err);
    assert_ok(volume_commit(volume, &err), &err);
    assert_ok(volume_reap(volume, source.id, 1000, &result, &err), &err);
    assert_int_equal(result.reaped, VOLUME_REAP_CHARGED);
    assert_int_equal(result.remaining_bytes, 8 * MiB);
    assert_int_equal(unlink(to), 0);
    assert_ok(volume_commit(volume, &err), &err);
    assert_ok(volume_reap(volume, source.id, REAP_MS, &result, &err), &err);
    assert_int_equal(result.reaped, VOLUME_REAP_GONE);
    space_release(volume, copy.id);
    volume_must_hold(volume, 0);
    pool_close(volume);
}

/* Asked without a pause, so that it is seen in each state that the kernel passes through. */
static void what_shares_nothing_is_never_taken_for_shared(void)
{
    enum { SPACES = 96 };
    struct pool pool;
    struct volume *volume = setup(&pool);
    struct record records[SPACES];
    bool gone[SPACES] = {false};
    autoerr struct err err = {0};
    int os_errno;
    for (size_t i = 0; i < SPACES; i++) {
        records[i] = space_make(volume, 2 * MiB);
        (void)space_write(volume, &records[i], "f", 64 * 1024, &os_errno);
        assert_ok(volume_mark_dying(volume, records[i].id, &err), &err);
    }
    assert_ok(volume_commit(volume, &err), &err);
    for (size_t n = 0; n < SPACES;) {
        for (size_t i = 0; i < SPACES; i++) {
            struct volume_reap_result result;
            if (gone[i])
                continue;
            assert_ok(volume_reap(volume, records[i].id, 0, &result, &err), &err);
            gone[i] = result.reaped == VOLUME_REAP_GONE;
            n += gone[i];
            assert_int_not_equal(result.reaped, VOLUME_REAP_CHARGED);
        }
    }
    volume_must_hold(volume, 0);
    pool_close(volume);
}

/* ---- a full filesystem ---------------------------------------------------------------------- */

static void a_full_pool_can_release(void)
{
    struct pool pool;
    struct volume *volume = setup(&pool);
    struct record record = space_make(volume, 0);
    int os_errno;
    (void)space_write(volume, &record, "big", 8 * GiB, &os_errno);
    assert_int_equal(os_errno, ENOSPC);
    space_release(volume, record.id);
    volume_must_hold(volume, 0);
    pool_close(volume);
}

/* With attributes of ever smaller files, until the kernel refuses an empty one. */
static void fill_metadata(int dir)
{
    static const char value[3000];
    static unsigned made;
    for (size_t size = sizeof value; size > 0; size /= 8) {
        for (bool room = true; room; made++) {
            char name[16];
            (void)snprintf(name, sizeof name, "%u", made);
            autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
            room = fd >= 0 && fsetxattr(fd, "user.x", value, size, 0) == 0;
        }
    }
}

static void a_pool_full_of_metadata_can_release(void)
{
    struct pool pool;
    struct volume *volume = setup(&pool);
    struct record filler = space_make(volume, 0), record = space_make(volume, 0), another;
    int os_errno;
    (void)space_write(volume, &filler, "big", 8 * GiB, &os_errno);
    assert_int_equal(os_errno, ENOSPC);
    autofree char *path = space_path(volume, &record, "");
    autoclose int data = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autoerr struct err err = {0};
    int rc = 0;
    for (unsigned n = 0; rc == 0 && n < OBJECTS_MAX / 2; n++) {
        fill_metadata(data);
        space_fill_record(&another, 0);
        rc = volume_build_space(volume, &another, &err);
    }
    assert_refused(rc, &err, ERR_RESOURCE_EXHAUSTED, "");
    cleanup_fd(&data);
    data = -1;
    space_release(volume, record.id);
    space_release(volume, filler.id);
    volume_tidy(volume);
    struct found found;
    volume_look(volume, &found);
    for (size_t i = 0; i < found.count; i++)
        space_release(volume, found.records[i].id);
    volume_must_hold(volume, 0);
    pool_close(volume);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(a_space_is_what_was_asked_for),
        harness_case(the_kernel_enforces_the_limit),
        harness_case(limits_are_repaired),
        harness_case(only_what_is_dying_is_reaped),
        harness_case(what_is_unknown_is_reported_and_stays),
        harness_case(building_survives_a_kill_at_every_step),
        harness_case(releasing_survives_a_kill_at_every_step),
        harness_case(building_survives_a_power_cut_at_every_step),
        harness_case(nested_subvolumes_belong_to_their_space),
        harness_case(shared_extents_keep_the_group_until_they_go),
        harness_case(what_shares_nothing_is_never_taken_for_shared),
        harness_case(a_full_pool_can_release),
        harness_case(a_pool_full_of_metadata_can_release),
    };
    return harness_main(argc, argv, "volume_space", cases, array_length(cases));
}
