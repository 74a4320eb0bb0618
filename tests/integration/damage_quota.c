/* What can be done to quota groups, owners and modes; and what the aliens are, to see it later. */
#include "damage_private.h"

#include "base/crc32c.h"
#include "btrfs.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- quotas ---- */

static int open_data(const struct damage_scene *scene, const struct damage_object *object,
                     uint64_t *out_id)
{
    autofree char *path = damage_path(object, "/data");
    int fd = openat(scene->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(btrfs_subvolume_id(fd, out_id), 0);
    return fd;
}

void damage_change_limit(struct damage_scene *scene)
{
    const uint64_t limits[] = {BTRFS_NO_LIMIT, GiB, 0, 4096, 1 + damage_throw(scene, 64 * MiB)};
    struct damage_object *object = damage_pick(scene, false);
    if (object)
        (void)btrfs_set_limit(scene->root, btrfs_group(1, object->group),
                              limits[damage_throw(scene, array_length(limits))]);
}

void damage_limit_subvolume(struct damage_scene *scene)
{
    struct damage_object *object = damage_pick(scene, false);
    uint64_t id;
    if (!object)
        return;
    autoclose int data = open_data(scene, object, &id);
    assert_int_equal(btrfs_set_limit(data, btrfs_group(0, id), damage_throw(scene, MiB)), 0);
}

void damage_take_group(struct damage_scene *scene)
{
    struct damage_object *object = damage_pick(scene, false);
    uint64_t id, group = object ? btrfs_group(1, object->group) : 0;
    if (!object)
        return;
    if (damage_throw(scene, 2))
        damage_add_nested(scene);
    autoclose int data = open_data(scene, object, &id);
    (void)btrfs_assign_group(data, btrfs_group(0, id), group, false);
    if (damage_throw(scene, 4) > 0)
        (void)btrfs_destroy_group(data, group);
}

void damage_misassign(struct damage_scene *scene)
{
    struct damage_object *object = damage_pick(scene, false), *other = damage_pick(scene, false);
    uint64_t id, wrong;
    if (!object || object == other)
        return;
    autoclose int data = open_data(scene, object, &id);
    wrong = btrfs_group(1, other->group);
    if (damage_throw(scene, 2)) {
        wrong = btrfs_group(1 + (unsigned)damage_throw(scene, 2),
                            DAMAGE_GROUP_STRANGE + damage_throw(scene, 1000));
        (void)btrfs_create_group(data, wrong);
    }
    if (damage_throw(scene, 2))
        (void)btrfs_assign_group(data, btrfs_group(0, id), btrfs_group(1, object->group), false);
    (void)btrfs_assign_group(data, btrfs_group(0, id), wrong, true);
}

void damage_add_group(struct damage_scene *scene)
{
    const uint64_t numbers[] = {DAMAGE_GROUP_STRANGE + damage_throw(scene, 1000),
                                BTRFS_GROUP_NUMBER_MAX, BTRFS_GROUP_NUMBER_MAX / 3};
    uint64_t group = btrfs_group(1 + (unsigned)damage_throw(scene, 2),
                                 numbers[damage_throw(scene, array_length(numbers))]);
    (void)btrfs_create_group(scene->root, group);
    if (damage_throw(scene, 2))
        (void)btrfs_set_limit(scene->root, group, GiB);
}

/* ---- modes ---- */

void damage_change_access(struct damage_scene *scene)
{
    struct damage_object *object = damage_pick(scene, damage_throw(scene, 2));
    if (!object)
        return;
    autofree char *own =
        damage_path(object, object->booking || damage_throw(scene, 2) ? "" : "/data");
    const char *path = damage_throw(scene, 2) ? own : damage_folder(scene);
    int rc = fchmodat(scene->root, path, (mode_t)damage_throw(scene, 01000), 0);
    if (rc == 0 && damage_throw(scene, 2))
        rc = fchownat(scene->root, path, 12345, 12345, 0);
    /* What was damaged before may lack it, be no directory, or be read-only. */
    assert_true(rc == 0 || errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EROFS);
}

void damage_make_read_only(struct damage_scene *scene)
{
    struct damage_object *object = damage_pick(scene, false);
    uint64_t id;
    if (!object)
        return;
    autoclose int data = open_data(scene, object, &id);
    assert_int_equal(btrfs_set_read_only(data, true), 0);
}

/* ---- what may not be touched ---- */

static uint32_t sum;

static void add_bytes(const void *data, size_t length)
{
    sum = crc32c(sum, data, length);
}

static int add_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    uint8_t record[RECORD_MAX];
    char target[PATH_MAX];
    const uint64_t facts[] = {status->st_mode, status->st_uid, status->st_gid,
                              (uint64_t)status->st_size, (uint64_t)status->st_mtime};
    (void)where;
    add_bytes(path, strlen(path));
    add_bytes(facts, sizeof facts);
    ssize_t length = lgetxattr(path, RECORD_XATTR, record, sizeof record);
    if (length > 0)
        add_bytes(record, (size_t)length);
    length = type == FTW_SL ? readlink(path, target, sizeof target) : 0;
    if (length > 0)
        add_bytes(target, (size_t)length);
    if (type == FTW_F && S_ISREG(status->st_mode)) {
        size_t size;
        autofree char *text = file_read(path, &size);
        add_bytes(text, size);
    }
    return 0;
}

uint32_t damage_aliens(const struct damage_scene *scene)
{
    sum = 0;
    char here[PATH_MAX];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(scene->top), 0);
    for (size_t i = 0; i < scene->n_aliens; i++)
        if (nftw(scene->aliens[i], add_entry, 16, FTW_PHYS) != 0)
            fail_msg("%s: %s", scene->aliens[i], strerror(errno));
    assert_int_equal(chdir(here), 0);
    return sum;
}

void damage_forget(struct damage_scene *scene)
{
    for (size_t i = 0; i < scene->n_aliens; i++)
        free(scene->aliens[i]);
    free(scene->top);
    if (scene->root >= 0)
        (void)close(scene->root);
    *scene = (struct damage_scene){.root = -1};
}
