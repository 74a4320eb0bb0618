/* Pools for the tests of volumes, see the header. */
#include "volume_fixture.h"

#include "base/step.h"
#include "btrfs.h"
#include "subvolumes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

void pool_format(struct pool *pool, const char *label)
{
    uuid_random(pool->fsid);
    command_ok("mkfs.btrfs", "-q", "-f", "-K", "-U", pool->fsid, "-L", label, pool->disk->path);
    pool->member = (struct volume_member){
        .path = pool->disk->path, .devid = 1, .serial = "S-1", .disk_id = "test"};
    struct stat status;
    assert_int_equal(stat(pool->disk->path, &status), 0);
    pool->member.major = major(status.st_rdev);
    pool->member.minor = minor(status.st_rdev);
    pool->spec = (struct volume_spec){
        .mount_root = pool->mount_root,
        .fsid = pool->fsid,
        .label = label,
        .members = &pool->member,
        .n_members = 1,
        .unfinished = strncmp(label, VOLUME_LABEL_NEW, strlen(VOLUME_LABEL_NEW)) == 0,
        .disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD,
        .type_evidence = "rotational=0",
    };
}

void pool_make(struct pool *pool, const char *label)
{
    pool->disk = disk_create(POOL_SIZE, DISK_SSD);
    (void)snprintf(pool->mount_root, sizeof pool->mount_root, "%s/pools", harness_dir());
    pool_format(pool, label);
}

struct volume *pool_open(struct pool *pool)
{
    autoerr struct err err = {0};
    struct volume *volume = NULL;
    enum volume_problem problem = VOLUME_PROBLEM_NONE;
    struct found found;
    assert_ok(volume_open(&pool->spec, &volume, &problem, &err), &err);
    pool->spec.unfinished = false;
    volume_look(volume, &found);
    return volume;
}

void pool_refused(struct pool *pool, enum volume_problem problem, const char *text)
{
    autoerr struct err err = {0};
    struct volume *volume = NULL;
    enum volume_problem got = VOLUME_PROBLEM_NONE;
    int rc = volume_open(&pool->spec, &volume, &got, &err);
    assert_true(rc < 0);
    if (got != problem)
        fail_msg("%s instead of %s: %s", volume_problem_name(got), volume_problem_name(problem),
                 err.message);
    assert_refused(rc, &err, err.code, text);
}

void pool_close(struct volume *volume)
{
    autoerr struct err err = {0};
    assert_ok(volume_close(volume, true, &err), &err);
}

char *pool_mount(const struct pool *pool, const char *options)
{
    char *path = path_format("%s/by-hand", harness_dir());
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
    assert_int_equal(mount(pool->disk->path, path, "btrfs", 0, options), 0);
    return path;
}

/* ---- spaces --------------------------------------------------------------------------------- */

void space_fill_record(struct record *out_record, uint64_t limit_bytes)
{
    *out_record = (struct record){
        .name = "a",
        .disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD,
        .size_bytes = limit_bytes,
        .limit_bytes = limit_bytes,
        .uid = 1234,
        .gid = 4321,
        .mode = 0750,
        .created_us = 1,
    };
    uuid_random(out_record->id);
}

struct record space_make(struct volume *volume, uint64_t limit_bytes)
{
    autoerr struct err err = {0};
    struct record record;
    space_fill_record(&record, limit_bytes);
    assert_ok(volume_build_space(volume, &record, &err), &err);
    assert_ok(volume_commit(volume, &err), &err);
    return record;
}

char *space_path(const struct volume *volume, const struct record *record, const char *name)
{
    char path[PATH_MAX];
    assert_int_equal(volume_space_path(volume, record->id, path), 0);
    return path_format("%s/%s", path, name);
}

uint64_t space_write(const struct volume *volume, const struct record *record, const char *name,
                     uint64_t bytes, int *out_errno)
{
    static char block[MiB];
    autofree char *path = space_path(volume, record, name);
    autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    memset(block, 'x', sizeof block);
    uint64_t written = 0;
    *out_errno = 0;
    while (written < bytes && *out_errno == 0) {
        ssize_t n = write(fd, block, sizeof block);
        if (n < 0)
            *out_errno = errno;
        else
            written += (uint64_t)n;
    }
    if (*out_errno == 0 && fsync(fd) < 0)
        *out_errno = errno;
    return written;
}

void space_release(struct volume *volume, const char *id)
{
    autoerr struct err err = {0};
    struct volume_reap_result result;
    assert_ok(volume_mark_dying(volume, id, &err), &err);
    assert_ok(volume_commit(volume, &err), &err);
    assert_ok(volume_reap(volume, id, REAP_MS, &result, &err), &err);
    assert_int_equal(result.reaped, VOLUME_REAP_GONE);
    assert_ok(volume_commit(volume, &err), &err);
}

/* ---- looking -------------------------------------------------------------------------------- */

static int collect(const struct volume_object *object, void *data)
{
    struct found *found = data;
    assert_true(found->count < OBJECTS_MAX && found->n_unknown < OBJECTS_MAX);
    if (object->record) {
        found->places[found->count] = object->place;
        found->records[found->count++] = *object->record;
    } else {
        (void)snprintf(found->unknown[found->n_unknown], 64, "%s/%.40s",
                       volume_place_name(object->place), object->name);
        (void)snprintf(found->reasons[found->n_unknown++], 128, "%.120s", object->reason);
    }
    return 0;
}

void volume_look(struct volume *volume, struct found *out_found)
{
    autoerr struct err err = {0};
    *out_found = (struct found){0};
    assert_ok(volume_scan(volume, collect, out_found, &err), &err);
}

void volume_tidy(struct volume *volume)
{
    struct found found;
    autoerr struct err err = {0};
    volume_look(volume, &found);
    for (size_t i = 0; i < found.count; i++) {
        struct volume_reap_result result;
        if (found.records[i].state == RECORD_STATE_LIVE)
            continue;
        assert_ok(volume_reap(volume, found.records[i].id, REAP_MS, &result, &err), &err);
        assert_int_equal(result.reaped, VOLUME_REAP_GONE);
    }
    assert_ok(volume_commit(volume, &err), &err);
}

static int count_group(const struct volume_group *group, void *data)
{
    size_t *counts = data; /* by level */
    /* 0/5 is the top's own. */
    if (group->level <= 1 && !(group->level == 0 && group->number == 5))
        counts[group->level]++;
    return 0;
}

void volume_must_hold(struct volume *volume, size_t n)
{
    autoerr struct err err = {0};
    struct found found;
    struct subvolumes subvolumes;
    size_t groups[2] = {0};
    volume_look(volume, &found);
    assert_int_equal(found.count, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(found.records[i].state, RECORD_STATE_LIVE);
    assert_int_equal(found.n_unknown, 0);
    autoclose int root = open(volume_info(volume)->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(root >= 0);
    assert_int_equal(subvolumes_read(root, &subvolumes), 0);
    assert_int_equal(subvolumes.count, n);
    subvolumes_free(&subvolumes);
    assert_ok(volume_usage(volume, count_group, groups, &err), &err);
    assert_int_equal(groups[0], n);
    assert_int_equal(groups[1], n);
}

/* ---- kills ---------------------------------------------------------------------------------- */

static long steps_left;

static void count_down(void)
{
    if (--steps_left == 0)
        (void)raise(SIGKILL);
}

bool killed_at_step(long n, step_work work, void *data)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        steps_left = n;
        step_hook = count_down;
        work(data);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        assert_int_equal(WTERMSIG(status), SIGKILL);
    else
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}
