/*
 * The cache of a pool: made once, limited, bound where it belongs and nowhere over anything that is
 * not ours. Real btrfs, real mounts.
 */
#include "volume_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LABEL VOLUME_LABEL_NEW "alpha"

static struct record cache_make(struct volume *volume, uint64_t limit_bytes, bool must_create)
{
    struct record record;
    autoerr struct err err = {0};
    bool created;
    assert_ok(volume_cache_ensure(volume, limit_bytes, &record, &created, &err), &err);
    assert_int_equal(created, must_create);
    assert_ok(volume_commit(volume, &err), &err);
    return record;
}

static void must_be_bound(const struct volume *volume, const char *path, enum volume_bound expected)
{
    enum volume_bound bound;
    autoerr struct err err = {0};
    assert_ok(volume_cache_bound(volume, path, &bound, &err), &err);
    assert_int_equal(bound, expected);
}

static void the_cache_is_made_once_and_limited(void)
{
    struct pool pool;
    autoerr struct err err = {0};
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    struct record made = cache_make(volume, 64 * MiB, true);
    struct record again = cache_make(volume, 64 * MiB, false);
    assert_memory_equal(&made, &again, sizeof made);
    autofree char *path = path_format("%s/cache", harness_dir());
    must_be_bound(volume, path, VOLUME_BOUND_NOT);
    for (int i = 0; i < 2; i++) /* idempotent */
        assert_ok(volume_bind_cache(volume, path, &err), &err);
    must_be_bound(volume, path, VOLUME_BOUND_OURS);
    assert_int_equal(mounts_below(path), 1);
    struct statvfs flags;
    struct stat status;
    assert_int_equal(statvfs(path, &flags), 0);
    assert_int_equal(flags.f_flag & (ST_NOSUID | ST_NODEV), ST_NOSUID | ST_NODEV);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0755);
    assert_int_equal(status.st_uid, 0);
    /* A smaller limit holds at once. */
    again = cache_make(volume, 16 * MiB, false);
    assert_int_equal(again.limit_bytes, 16 * MiB);
    autofree char *file = path_format("%s/f", path);
    autoclose int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    static char block[20 * MiB];
    memset(block, 1, sizeof block);
    assert_true(write(fd, block, sizeof block) < (ssize_t)sizeof block);
    /* Busy: named. */
    assert_refused(volume_unbind_cache(volume, path, &err), &err, ERR_FAILED_PRECONDITION,
                   "an open file");
    cleanup_fd(&fd);
    fd = -1;
    assert_ok(volume_unbind_cache(volume, path, &err), &err);
    assert_ok(volume_unbind_cache(volume, path, &err), &err);
    assert_int_equal(mounts_below(path), 0);
    pool_close(volume);
    volume = pool_open(&pool);
    volume_must_hold(volume, 1);
    pool_close(volume);
}

struct job {
    struct volume *volume;
};

static void make_cache(void *data)
{
    struct job *job = data;
    struct record record;
    bool created;
    if (volume_cache_ensure(job->volume, 64 * MiB, &record, &created, NULL) < 0 ||
        volume_commit(job->volume, NULL) < 0)
        _exit(1);
}

static void making_it_survives_a_kill_at_every_step(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    for (long n = 1;; n++) {
        struct job job = {.volume = pool_open(&pool)};
        bool killed = killed_at_step(n, make_cache, &job);
        volume_tidy(job.volume);
        struct record record;
        bool created;
        autoerr struct err err = {0};
        assert_ok(volume_cache_ensure(job.volume, 64 * MiB, &record, &created, &err), &err);
        assert_ok(volume_commit(job.volume, &err), &err);
        volume_tidy(job.volume);
        volume_must_hold(job.volume, 1);
        pool_close(job.volume);
        if (!killed)
            break;
        pool_format(&pool, LABEL);
    }
}

static void only_our_binds_are_replaced(void)
{
    struct pool first, second;
    autoerr struct err err = {0};
    pool_make(&first, LABEL);
    pool_make(&second, VOLUME_LABEL_NEW "beta");
    struct volume *one = pool_open(&first), *two = pool_open(&second);
    (void)cache_make(one, 64 * MiB, true);
    (void)cache_make(two, 64 * MiB, true);
    autofree char *path = path_format("%s/cache", harness_dir());
    assert_ok(volume_bind_cache(one, path, &err), &err);
    must_be_bound(two, path, VOLUME_BOUND_OTHER);
    assert_ok(volume_bind_cache(two, path, &err), &err);
    must_be_bound(two, path, VOLUME_BOUND_OURS);
    must_be_bound(one, path, VOLUME_BOUND_OTHER);
    assert_int_equal(mounts_below(path), 1);
    /* Over ours, then alone. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mount("tmpfs", path, "tmpfs", 0, NULL), 0);
        must_be_bound(two, path, VOLUME_BOUND_FOREIGN);
        assert_refused(volume_bind_cache(two, path, &err), &err, ERR_ALREADY_EXISTS,
                       "not storaged's");
        assert_ok(volume_unbind_cache(two, path, &err), &err);
        must_be_bound(two, path, VOLUME_BOUND_FOREIGN);
        assert_int_equal(umount(path), 0);
        assert_ok(volume_unbind_cache(two, path, &err), &err);
    }
    /* A space is not the cache, though it is ours. */
    struct record record = space_make(two, 16 * MiB);
    autofree char *space = space_path(two, &record, "");
    assert_int_equal(mount(space, path, NULL, MS_BIND, NULL), 0);
    must_be_bound(two, path, VOLUME_BOUND_FOREIGN);
    assert_int_equal(umount(path), 0);
    pool_close(one);
    pool_close(two);
}

static void a_destroyed_cache_is_made_again(void)
{
    struct pool pool;
    autoerr struct err err = {0};
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    (void)cache_make(volume, 64 * MiB, true);
    autofree char *path = path_format("%s/cache", harness_dir());
    assert_ok(volume_bind_cache(volume, path, &err), &err);
    autofree char *data = path_format("%s/cache/data", volume_info(volume)->path);
    command_ok("btrfs", "-q", "subvolume", "delete", data);
    must_be_bound(volume, path, VOLUME_BOUND_OTHER);
    (void)cache_make(volume, 64 * MiB, false);
    assert_ok(volume_bind_cache(volume, path, &err), &err);
    must_be_bound(volume, path, VOLUME_BOUND_OURS);
    assert_int_equal(mounts_below(path), 1);
    assert_ok(volume_unbind_cache(volume, path, &err), &err);
    pool_close(volume);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(the_cache_is_made_once_and_limited),
        harness_case(making_it_survives_a_kill_at_every_step),
        harness_case(only_our_binds_are_replaced),
        harness_case(a_destroyed_cache_is_made_again),
    };
    return harness_main(argc, argv, "volume_cache", cases, array_length(cases));
}
