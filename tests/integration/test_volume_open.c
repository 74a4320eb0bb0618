/*
 * Opening pools: finishing them whatever kills it, taking over, and refusing what is not ours with
 * the reason. Real btrfs on a loop device.
 */
#include "volume_fixture.h"

#include "btrfs.h"
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LABEL VOLUME_LABEL_NEW "alpha"

static void check_pool(struct volume *volume)
{
    static const char *const folders[] = {".storaged", "weak", "spaces", "cache", "zdb"};
    const struct volume_info *info = volume_info(volume);
    struct statvfs flags;
    struct stat status;
    char label[BTRFS_LABEL_SIZE];
    autoclose int root = open(info->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fstatvfs(root, &flags), 0);
    assert_int_equal(flags.f_flag & (ST_NOSUID | ST_NODEV | ST_NOATIME | ST_RDONLY),
                     ST_NOSUID | ST_NODEV | ST_NOATIME);
    assert_int_equal(fstat(root, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0711);
    for (size_t i = 0; i < array_length(folders); i++)
        assert_int_equal(fstatat(root, folders[i], &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(btrfs_read_label(root, label), 0);
    assert_string_equal(label, VOLUME_LABEL "alpha");
    assert_string_equal(info->name, "alpha");
    assert_int_equal(info->disk_type, STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD);
    assert_string_equal(info->type_evidence, "rotational=0");
    assert_true(uuid_valid(info->uuid));
}

static void finishes_an_unfinished_pool(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    check_pool(volume);
    assert_true(volume_info(volume)->finished);
    assert_false(volume_info(volume)->adopted);
    char uuid[UUID_TEXT_SIZE];
    memcpy(uuid, volume_info(volume)->uuid, sizeof uuid);
    pool_close(volume);
    volume = pool_open(&pool);
    check_pool(volume);
    assert_false(volume_info(volume)->finished);
    assert_string_equal(volume_info(volume)->uuid, uuid);
    pool_close(volume);
}

static void open_only(void *data)
{
    struct pool *pool = data;
    struct volume *volume;
    enum volume_problem problem;
    autoerr struct err err = {0};
    if (volume_open(&pool->spec, &volume, &problem, &err) < 0)
        _exit(1);
}

/* Opens what a killed one left; the kernel may still be letting go of its mount. */
static struct volume *open_after_kill(struct pool *pool)
{
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    for (;;) {
        autoerr struct err err = {0};
        struct volume *volume = NULL;
        enum volume_problem problem = VOLUME_PROBLEM_NONE;
        int rc = volume_open(&pool->spec, &volume, &problem, &err);
        if (rc == 0)
            return volume;
        if (problem != VOLUME_PROBLEM_FENCED || clock_monotonic_ms() > deadline)
            assert_ok(rc, &err);
    }
}

static void finishing_survives_a_kill_at_every_step(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    long n = 1;
    for (; killed_at_step(n, open_only, &pool); n++) {
        struct volume *volume = open_after_kill(&pool);
        check_pool(volume);
        pool_close(volume);
        pool_format(&pool, LABEL);
    }
    assert_true(n > 20); /* there was something to kill */
    struct volume *volume = open_after_kill(&pool);
    check_pool(volume);
    pool_close(volume);
}

static void takes_over_a_mount_that_is_there(void)
{
    struct pool pool;
    autoerr struct err err = {0};
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    struct record record = space_make(volume, 16 * MiB);
    autofree char *path = space_path(volume, &record, "f");
    autoclose int open_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_ok(volume_close(volume, false, &err), &err);
    volume = pool_open(&pool);
    assert_true(volume_info(volume)->adopted);
    assert_int_equal(write(open_file, "x", 1), 1);
    check_pool(volume);
    volume_must_hold(volume, 1);
    /* Busy: named, and left as it is. */
    assert_refused(volume_close(volume, true, &err), &err, ERR_FAILED_PRECONDITION, "an open file");
    cleanup_fd(&open_file);
    open_file = -1;
    pool_close(pool_open(&pool));
}

static void a_second_opener_is_fenced(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    pool_refused(&pool, VOLUME_PROBLEM_FENCED, "predecessor");
    check_pool(volume);
    pool_close(volume);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void refuses_foreign_filesystems(void)
{
    struct pool pool;
    pool_make(&pool, "holiday");
    uint32_t before = disk_checksum(pool.disk);
    pool_refused(&pool, VOLUME_PROBLEM_NOT_OURS, "no pool descriptor");
    assert_int_equal(disk_checksum(pool.disk), before);
    pool_format(&pool, VOLUME_LABEL "alpha");
    pool_refused(&pool, VOLUME_PROBLEM_NO_DESCRIPTOR, "no pool descriptor");
    pool_format(&pool, VOLUME_LABEL_NEW "../x\ny");
    pool_refused(&pool, VOLUME_PROBLEM_NOT_OURS, "names no pool");
    command_ok("mkfs.ext4", "-q", "-F", pool.disk->path);
    pool_refused(&pool, VOLUME_PROBLEM_MOUNT_FAILED, "refuses the device");
}

static void an_unfinished_label_is_no_licence_to_take_data(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    autofree char *path = pool_mount(&pool, "");
    autofree char *file = path_format("%s/thesis", path);
    file_write(file, "all I have", 10);
    assert_int_equal(umount(path), 0);
    uint32_t before = disk_checksum(pool.disk);
    pool_refused(&pool, VOLUME_PROBLEM_NOT_EMPTY, "thesis");
    assert_int_equal(disk_checksum(pool.disk), before);
}

/* Rewrites the descriptor of a finished pool. */
static void with_descriptor(struct pool *pool, void (*change)(uint8_t *data, size_t *length))
{
    uint8_t data[DESCRIPTOR_MAX];
    autofree char *path = pool_mount(pool, "");
    autofree char *meta = path_format("%s/.storaged", path);
    ssize_t length = getxattr(meta, DESCRIPTOR_XATTR, data, sizeof data);
    assert_true(length > 0);
    size_t changed = (size_t)length;
    change(data, &changed);
    assert_int_equal(setxattr(meta, DESCRIPTOR_XATTR, data, changed, 0), 0);
    assert_int_equal(umount(path), 0);
}

static void flip_a_bit(uint8_t *data, size_t *length)
{
    data[*length / 2] ^= 1;
}

static void cut_short(uint8_t *data, size_t *length)
{
    (void)data;
    *length /= 2;
}

static void rewrite(uint8_t *data, size_t *length, void (*change)(struct descriptor *))
{
    struct descriptor descriptor;
    autoerr struct err err = {0};
    assert_int_equal(descriptor_unpack(data, *length, &descriptor, &err), VOLUME_PROBLEM_NONE);
    change(&descriptor);
    assert_ok(descriptor_pack(&descriptor, data, length, &err), &err);
}

static void set_incompat(struct descriptor *descriptor)
{
    descriptor->incompat = 1u << 7;
}

static void add_feature(uint8_t *data, size_t *length)
{
    rewrite(data, length, set_incompat);
}

static void set_fsid(struct descriptor *descriptor)
{
    uuid_random(descriptor->fsid);
}

static void rename_pool(uint8_t *data, size_t *length)
{
    rewrite(data, length, set_fsid);
}

static void refuses_wrong_descriptors(void)
{
    static const struct {
        void (*change)(uint8_t *data, size_t *length);
        enum volume_problem problem;
        const char *text;
    } cases[] = {
        {flip_a_bit, VOLUME_PROBLEM_CORRUPT, "checksum"},
        {cut_short, VOLUME_PROBLEM_CORRUPT, "checksum"},
        {add_feature, VOLUME_PROBLEM_TOO_NEW, "features"},
        {rename_pool, VOLUME_PROBLEM_WRONG_FSID, "descriptor is that of"},
    };
    struct pool pool;
    pool_make(&pool, LABEL);
    for (size_t i = 0; i < array_length(cases); i++) {
        pool_close(pool_open(&pool));
        with_descriptor(&pool, cases[i].change);
        uint32_t before = disk_checksum(pool.disk);
        pool_refused(&pool, cases[i].problem, cases[i].text);
        assert_int_equal(disk_checksum(pool.disk), before);
        pool_format(&pool, LABEL);
    }
}

static void refuses_other_disks(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    pool_close(pool_open(&pool));
    pool.member.serial = "S-2";
    pool_refused(&pool, VOLUME_PROBLEM_OTHER_DISKS, "serial S-1");
    pool.member.serial = "S-1";
    pool.member.minor++;
    pool_refused(&pool, VOLUME_PROBLEM_OTHER_DISKS, "another device");
    pool.member.minor--;
    struct volume_member two[2] = {pool.member, pool.member};
    two[1].devid = 2;
    pool.spec.members = two;
    pool.spec.n_members = 2;
    pool_refused(&pool, VOLUME_PROBLEM_OTHER_DISKS, "1 devices");
    pool.spec.members = &pool.member;
    pool.spec.n_members = 1;
    uuid_random(pool.fsid);
    pool_refused(&pool, VOLUME_PROBLEM_WRONG_FSID, "the filesystem is");
}

static void refuses_a_path_that_is_taken(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    pool_close(pool_open(&pool));
    autofree char *path = path_format("%s/%s", pool.mount_root, pool.fsid);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, NULL), 0);
    pool_refused(&pool, VOLUME_PROBLEM_PATH_TAKEN, "something else");
    assert_int_equal(umount(path), 0);
    assert_int_equal(rmdir(path), 0);
    file_write(path, "", 0);
    pool_refused(&pool, VOLUME_PROBLEM_PATH_TAKEN, "");
    assert_int_equal(unlink(path), 0);
    pool_close(pool_open(&pool));
}

static void refuses_a_mount_that_lets_tenants_destroy(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    pool_close(pool_open(&pool));
    autofree char *path = pool_mount(&pool, "user_subvol_rm_allowed");
    pool_refused(&pool, VOLUME_PROBLEM_MOUNT_FAILED, "user_subvol_rm_allowed");
    assert_int_equal(mounts_below(pool.mount_root), 0);
    assert_int_equal(umount(path), 0);
    pool_close(pool_open(&pool));
}

/* ---- a pending log -------------------------------------------------------------------------- */

/* A disk as a power cut leaves it, with an fsync in its log. */
static void cut_power(struct pool *pool, struct pool *after)
{
    struct volume *volume = pool_open(pool);
    struct record record = space_make(volume, 64 * MiB);
    int os_errno;
    (void)space_write(volume, &record, "f", MiB, &os_errno);
    assert_int_equal(os_errno, 0);
    *after = *pool;
    after->disk = disk_create(POOL_SIZE, DISK_SSD);
    command_ok("cp", "--sparse=always", pool->disk->file, after->disk->file);
    pool_close(volume);
    disk_unplug(pool->disk);
    disk_unplug(after->disk);
    disk_plug(after->disk);
    struct stat status;
    assert_int_equal(stat(after->disk->path, &status), 0);
    after->member.path = after->disk->path;
    after->member.major = major(status.st_rdev);
    after->member.minor = minor(status.st_rdev);
    after->spec.fsid = after->fsid;
    after->spec.mount_root = after->mount_root;
    after->spec.members = &after->member;
}

static void peeking_replays_no_log(void)
{
    struct pool pool, after;
    pool_make(&pool, LABEL);
    cut_power(&pool, &after);
    uint32_t before = disk_checksum(after.disk);
    after.spec.log_pending = true;
    after.member.serial = "S-2";
    pool_refused(&after, VOLUME_PROBLEM_OTHER_DISKS, "serial");
    assert_int_equal(disk_checksum(after.disk), before);
    after.member.serial = "S-1";
    struct volume *volume = pool_open(&after);
    struct found found;
    volume_look(volume, &found);
    assert_int_equal(found.count, 1);
    struct stat status;
    autofree char *path = space_path(volume, &found.records[0], "f");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, MiB);
    pool_close(volume);
}

/* ---- a disk that went away ------------------------------------------------------------------ */

/* It came back as another device, while the mount still stands on the one that is gone. */
static void a_mount_without_its_disk_is_replaced(void)
{
    struct pool pool;
    struct stat status;
    autoerr struct err err = {0};
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    struct record record = space_make(volume, 16 * MiB);
    autofree char *path = space_path(volume, &record, "f");
    autofree char *cache_path = path_format("%s/cache", harness_dir());
    struct record cache;
    bool created;
    assert_ok(volume_cache_ensure(volume, 16 * MiB, &cache, &created, &err), &err);
    assert_ok(volume_commit(volume, &err), &err);
    assert_ok(volume_bind_cache(volume, cache_path, &err), &err);
    pool.spec.cache_path = cache_path;
    assert_ok(volume_close(volume, false, &err), &err);
    struct disk *back = disk_create(POOL_SIZE, DISK_SSD);
    disk_unplug(back);
    command_ok("cp", "--sparse=always", pool.disk->file, back->file);
    disk_plug(back);
    assert_int_equal(stat(back->path, &status), 0);
    pool.member.path = back->path;
    pool.member.major = major(status.st_rdev);
    pool.member.minor = minor(status.st_rdev);
    /* In use, it cannot be: the users are named, and nothing changes. */
    autoclose int open_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    pool_refused(&pool, VOLUME_PROBLEM_MOUNT_FAILED, "an open file");
    cleanup_fd(&open_file);
    open_file = -1;
    volume = pool_open(&pool);
    assert_false(volume_info(volume)->adopted);
    volume_must_hold(volume, 2);
    assert_int_equal(mount_id(cache_path), 0);
    autofree char *mounts = file_read("/proc/self/mountinfo", NULL);
    assert_non_null(strstr(mounts, back->path));
    assert_null(strstr(mounts, pool.disk->path));
    pool_close(volume);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(finishes_an_unfinished_pool),
        harness_case(finishing_survives_a_kill_at_every_step),
        harness_case(takes_over_a_mount_that_is_there),
        harness_case(a_second_opener_is_fenced),
        harness_case(refuses_foreign_filesystems),
        harness_case(an_unfinished_label_is_no_licence_to_take_data),
        harness_case(refuses_wrong_descriptors),
        harness_case(refuses_other_disks),
        harness_case(refuses_a_path_that_is_taken),
        harness_case(refuses_a_mount_that_lets_tenants_destroy),
        harness_case(peeking_replays_no_log),
        harness_case(a_mount_without_its_disk_is_replaced),
    };
    return harness_main(argc, argv, "volume_open", cases, array_length(cases));
}
