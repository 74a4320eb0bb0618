/*
 * The table of damages. Each picks what it hurts by the scene's dice, marks it, and notes what it
 * leaves behind that storaged did not make.
 */
#include "damage_private.h"

#include "btrfs.h"
#include "dice.h"
#include "record.h"
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { CROWD = 5000, NAME_LONGEST = 255 };

/* ---- choosing ---- */

uint64_t damage_throw(struct damage_scene *scene, uint64_t sides)
{
    return dice(&scene->random, sides);
}

struct damage_object *damage_pick(struct damage_scene *scene, bool booking)
{
    struct damage_object *whole[DAMAGE_OBJECTS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < scene->n_objects; i++)
        if (!scene->objects[i].hurt && scene->objects[i].booking == booking)
            whole[n++] = &scene->objects[i];
    return n > 2 ? whole[damage_throw(scene, n)] : NULL;
}

static struct damage_object *hurt(struct damage_scene *scene, bool booking)
{
    struct damage_object *object = damage_pick(scene, booking);
    if (object)
        object->hurt = true;
    return object;
}

char *damage_path(const struct damage_object *object, const char *inside)
{
    return path_format("%s/%s%s", object->booking ? "zdb/bookings" : "spaces", object->id, inside);
}

static char *full(const struct damage_scene *scene, const char *path)
{
    return path_format("%s/%s", scene->top, path);
}

static void note_alien(struct damage_scene *scene, const char *path)
{
    assert_true(scene->n_aliens < DAMAGE_ALIENS_MAX);
    scene->aliens[scene->n_aliens++] = path_format("%s", path);
}

static void new_id(struct damage_scene *scene, char out_id[UUID_TEXT_SIZE])
{
    uint8_t bytes[16];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)damage_throw(scene, 256);
    uuid_format(bytes, out_id);
}

/* A name as storaged gives them, or one that it never gives. */
static char *new_name(struct damage_scene *scene)
{
    static const char *const odd[] = {"x", "..data", "a b\n\x1b[2Jc", "\xff\xfe", "%s%n", "data"};
    char id[UUID_TEXT_SIZE], number[24];
    new_id(scene, id);
    uint64_t kind = damage_throw(scene, 4);
    if (kind < 2)
        return path_format("%s", id);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)damage_throw(scene, 100000));
    if (kind == 2)
        return path_format("%s%s", odd[damage_throw(scene, array_length(odd))], number);
    char *name = calloc(1, NAME_LONGEST + 1);
    assert_non_null(name);
    memset(name, 'n', NAME_LONGEST);
    memcpy(name, number, strlen(number));
    return name;
}

static bool is_folder(const struct damage_scene *scene, const char *path)
{
    struct stat status;
    return fstatat(scene->root, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

const char *damage_folder(struct damage_scene *scene)
{
    static const char *const folders[] = {"spaces", "weak", "zdb/bookings", "zdb", "cache", "."};
    const char *folder = folders[damage_throw(scene, array_length(folders))];
    bool lost = scene->home_hurt && strncmp(folder, "zdb", 3) == 0;
    return lost || !is_folder(scene, folder) ? "." : folder;
}

static void write_file(const struct damage_scene *scene, const char *path)
{
    autofree char *file = full(scene, path);
    file_write(file, path, strlen(path));
}

/* ---- records ---- */

struct bytes {
    uint8_t data[RECORD_MAX];
    size_t length;
};

static void read_record(const struct damage_scene *scene, const char *path, struct bytes *out)
{
    autofree char *at = full(scene, path);
    ssize_t length = getxattr(at, RECORD_XATTR, out->data, sizeof out->data);
    if (length < 0)
        fail_msg("%s: %s", path, strerror(errno));
    out->length = (size_t)length;
}

static void write_record(const struct damage_scene *scene, const char *path,
                         const struct bytes *bytes)
{
    autofree char *at = full(scene, path);
    if (setxattr(at, RECORD_XATTR, bytes->data, bytes->length, 0) != 0)
        fail_msg("%s: %s", path, strerror(errno));
}

static void spoil_record(struct damage_scene *scene)
{
    struct damage_object *object = hurt(scene, damage_throw(scene, 2));
    struct bytes bytes;
    if (!object)
        return;
    autofree char *path = damage_path(object, "");
    read_record(scene, path, &bytes);
    switch (damage_throw(scene, 4)) {
    case 0:
        bytes.data[damage_throw(scene, bytes.length)] ^= (uint8_t)(1 + damage_throw(scene, 255));
        break;
    case 1:
        bytes.length = damage_throw(scene, bytes.length);
        break;
    case 2:
        bytes.data[4] =
            (uint8_t)(2 + damage_throw(scene, 200)); /* a version, the checksum not its own */
        break;
    default:
        seal_close(&(struct seal_kind){.magic = "sRec", .version = 9}, bytes.data,
                   bytes.length - SEAL_SIZE);
        break;
    }
    write_record(scene, path, &bytes);
    note_alien(scene, path);
}

static void remove_record(struct damage_scene *scene)
{
    struct damage_object *object = hurt(scene, damage_throw(scene, 2));
    if (!object)
        return;
    autofree char *path = damage_path(object, "");
    autofree char *at = full(scene, path);
    assert_int_equal(removexattr(at, RECORD_XATTR), 0);
    note_alien(scene, path);
}

static void exchange_records(struct damage_scene *scene)
{
    struct damage_object *a = hurt(scene, damage_throw(scene, 2)),
                         *b = hurt(scene, damage_throw(scene, 2));
    struct bytes of_a, of_b;
    if (!a || !b)
        return;
    autofree char *path_a = damage_path(a, ""), *path_b = damage_path(b, "");
    read_record(scene, path_a, &of_a);
    read_record(scene, path_b, &of_b);
    write_record(scene, path_a, &of_b);
    write_record(scene, path_b, &of_a);
    note_alien(scene, path_a);
    note_alien(scene, path_b);
}

/* The record of one that is whole, in a directory beside it. */
static void copy_record(struct damage_scene *scene)
{
    struct damage_object *object = damage_pick(scene, damage_throw(scene, 2));
    struct bytes bytes;
    if (!object)
        return;
    autofree char *name = new_name(scene), *from = damage_path(object, "");
    autofree char *path = damage_throw(scene, 3) ? path_format("%s/%s", damage_folder(scene), name)
                                                 : path_format("weak/%s", object->id);
    autofree char *data = path_format("%s/data", path);
    if (mkdirat(scene->root, path, 0700) != 0)
        return; /* done before */
    assert_int_equal(mkdirat(scene->root, data, 0700), 0);
    read_record(scene, from, &bytes);
    write_record(scene, path, &bytes);
    note_alien(scene, path);
}

/* ---- names ---- */

static void rename_object(struct damage_scene *scene)
{
    struct damage_object *object = hurt(scene, damage_throw(scene, 2));
    if (!object)
        return;
    autofree char *name = new_name(scene), *from = damage_path(object, "");
    autofree char *to = path_format("%s/%s", object->booking ? "zdb/bookings" : "spaces", name);
    assert_int_equal(renameat(scene->root, from, scene->root, to), 0);
    note_alien(scene, to);
}

static void move_object(struct damage_scene *scene)
{
    struct damage_object *object = hurt(scene, damage_throw(scene, 2));
    if (!object)
        return;
    autofree char *from = damage_path(object, "");
    autofree char *to = path_format("%s/%s", damage_folder(scene), object->id);
    assert_int_equal(renameat(scene->root, from, scene->root, to), 0);
    note_alien(scene, to);
}

static void swap_names(struct damage_scene *scene)
{
    struct damage_object *a = hurt(scene, damage_throw(scene, 2)),
                         *b = hurt(scene, damage_throw(scene, 2));
    if (!a || !b)
        return;
    autofree char *path_a = damage_path(a, ""), *path_b = damage_path(b, "");
    assert_int_equal(renameat2(scene->root, path_a, scene->root, path_b, RENAME_EXCHANGE), 0);
    note_alien(scene, path_a);
    note_alien(scene, path_b);
}

/* ---- strangers ---- */

enum thing { THING_FILE, THING_LINK, THING_FIFO, THING_FOLDER, THING_SUBVOLUME, THINGS };

static void make_thing(const struct damage_scene *scene, const char *path, enum thing thing)
{
    autofree char *inside = path_format("%s/inside", path);
    autofree char *slash = path_format("%s/", path);
    switch (thing) {
    case THING_FILE:
        write_file(scene, path);
        return;
    case THING_LINK:
        assert_int_equal(symlinkat("nowhere", scene->root, path), 0);
        return;
    case THING_FIFO:
        assert_int_equal(mkfifoat(scene->root, path, 0600), 0);
        return;
    case THING_FOLDER:
        assert_int_equal(mkdirat(scene->root, path, 0700), 0);
        break;
    default: {
        autofree char *folder = path_format("./%s", path);
        char *name = strrchr(folder, '/');
        *name++ = '\0';
        autoclose int dir = openat(scene->root, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(btrfs_create_subvolume(dir, name, 0), 0);
    }
    }
    write_file(scene, inside);
}

static void add_stranger(struct damage_scene *scene)
{
    autofree char *name = new_name(scene);
    autofree char *path = path_format("%s/%s", damage_folder(scene), name);
    make_thing(scene, path, (enum thing)damage_throw(scene, THINGS));
    note_alien(scene, path);
}

/* As storaged would name it, and nothing in it. */
static void add_empty_subvolume(struct damage_scene *scene)
{
    char id[UUID_TEXT_SIZE];
    new_id(scene, id);
    const char *place = damage_folder(scene);
    autofree char *path = path_format("%s/%s", place, id);
    autoclose int dir = openat(scene->root, place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(btrfs_create_subvolume(dir, id, 0), 0);
    note_alien(scene, path);
}

static void add_crowd(struct damage_scene *scene)
{
    const char *place = damage_folder(scene);
    for (unsigned i = 0; i < CROWD; i++) {
        autofree char *path = path_format("%s/crowd-%u-%u", place, i, (unsigned)scene->n_aliens);
        autoclose int fd = openat(scene->root, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
    }
}

static void add_snapshot(struct damage_scene *scene)
{
    struct damage_object *object = damage_pick(scene, false);
    if (!object)
        return;
    autofree char *name = new_name(scene), *from = damage_path(object, "/data");
    autofree char *path = path_format("%s/%s", damage_folder(scene), name);
    autofree char *source = full(scene, from), *target = full(scene, path);
    command_ok("btrfs", "-q", "subvolume", "snapshot", source, target);
    note_alien(scene, path);
}

void damage_add_nested(struct damage_scene *scene)
{
    struct damage_object *object = damage_pick(scene, false);
    char id[UUID_TEXT_SIZE];
    if (!object)
        return;
    new_id(scene, id);
    autofree char *inside = path_format("/data/%s", id), *path = damage_path(object, inside);
    make_thing(scene, path, THING_SUBVOLUME);
}

/* ---- things in the place of others ---- */

static void replace_data(struct damage_scene *scene)
{
    struct damage_object *object = hurt(scene, false);
    char id[UUID_TEXT_SIZE];
    if (!object)
        return;
    new_id(scene, id);
    autofree char *path = damage_path(object, "/data"), *to = path_format("data-%s", id);
    assert_int_equal(renameat(scene->root, path, scene->root, to), 0);
    make_thing(scene, path, (enum thing)damage_throw(scene, THINGS - 1));
    note_alien(scene, path);
    note_alien(scene, to);
}

static void replace_object(struct damage_scene *scene)
{
    struct damage_object *object = hurt(scene, damage_throw(scene, 2));
    char id[UUID_TEXT_SIZE];
    if (!object)
        return;
    new_id(scene, id);
    autofree char *path = damage_path(object, ""), *to = path_format("was-%s", id);
    assert_int_equal(renameat(scene->root, path, scene->root, to), 0);
    make_thing(scene, path, (enum thing)damage_throw(scene, THINGS));
    note_alien(scene, path);
    note_alien(scene, to);
}

/* The 0-db's directory, or that of its bookings, is gone, or something else. */
static void replace_home(struct damage_scene *scene)
{
    const char *path = damage_throw(scene, 2) ? "zdb" : "zdb/bookings";
    uint64_t thing = damage_throw(scene, THINGS + 1);
    for (size_t i = 0; i < scene->n_aliens; i++)
        if (strncmp(scene->aliens[i], "zdb", 3) == 0)
            return; /* it would take them along */
    if (scene->home_hurt)
        return;
    scene->home_hurt = true;
    for (size_t i = 0; i < scene->n_objects; i++)
        scene->objects[i].hurt |= scene->objects[i].booking;
    assert_int_equal(renameat(scene->root, path, scene->root, "was-home"), 0);
    note_alien(scene, "was-home");
    if (thing == THINGS)
        return;
    make_thing(scene, path, (enum thing)thing);
    note_alien(scene, path);
}

static void spoil_home(struct damage_scene *scene)
{
    struct bytes bytes;
    if (scene->home_hurt)
        return;
    scene->home_hurt = true;
    read_record(scene, "zdb", &bytes);
    bytes.data[damage_throw(scene, bytes.length)] ^= 1;
    write_record(scene, "zdb", &bytes);
}

/* ---- half-made ---- */

static void pack(struct damage_scene *scene, const char *path, const char *id,
                 enum record_kind kind, enum record_state state, uint64_t group)
{
    struct record record = {.kind = kind,
                            .state = state,
                            .disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD,
                            .size_bytes = MiB,
                            .limit_bytes = MiB,
                            .qgroup = kind == RECORD_KIND_BOOKING ? 0 : group,
                            .mode = 0700,
                            .generation = 1};
    struct bytes bytes;
    autoerr struct err err = {0};
    (void)snprintf(record.id, sizeof record.id, "%s", id);
    assert_ok(record_pack(&record, bytes.data, &bytes.length, &err), &err);
    write_record(scene, path, &bytes);
}

/* As far as a kill let it come. */
static void add_unmade(struct damage_scene *scene)
{
    assert_true(scene->n_unmade < DAMAGE_UNMADE_MAX);
    char *id = scene->unmade[scene->n_unmade++];
    new_id(scene, id);
    uint64_t step = damage_throw(scene, 5),
             group = DAMAGE_GROUP_STRANGE + damage_throw(scene, 1000);
    bool dying = damage_throw(scene, 2), booking = damage_throw(scene, 4) == 0 && !scene->home_hurt;
    const char *place = step == 0 || damage_throw(scene, 2) ? "weak"
                        : booking                           ? "zdb/bookings"
                                                            : "spaces";
    autofree char *path = path_format("%s/%s", place, id);
    assert_int_equal(mkdirat(scene->root, path, 0700), 0);
    if (step == 0)
        return;
    pack(scene, path, id, booking ? RECORD_KIND_BOOKING : RECORD_KIND_SPACE,
         dying ? RECORD_STATE_DYING : RECORD_STATE_BUILDING, group);
    if (booking)
        return;
    if (step > 1)
        (void)btrfs_create_group(scene->root, btrfs_group(1, group));
    if (step > 2)
        (void)btrfs_set_limit(scene->root, btrfs_group(1, group), MiB);
    if (step > 3) {
        autoclose int dir = openat(scene->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(btrfs_create_subvolume(dir, "data", btrfs_group(1, group)), 0);
    }
}

/* ---- the table ---- */

static const struct {
    const char *name;
    void (*apply)(struct damage_scene *scene);
} kinds[] = {
#define KIND(function)                                                                             \
    {                                                                                              \
#function, function                                                                        \
    }
    KIND(spoil_record),
    KIND(remove_record),
    KIND(exchange_records),
    KIND(copy_record),
    KIND(rename_object),
    KIND(move_object),
    KIND(swap_names),
    KIND(add_stranger),
    KIND(add_stranger),
    KIND(add_empty_subvolume),
    KIND(add_crowd),
    KIND(add_snapshot),
    KIND(damage_add_nested),
    KIND(replace_data),
    KIND(replace_object),
    KIND(replace_home),
    KIND(spoil_home),
    KIND(add_unmade),
    KIND(add_unmade),
    KIND(damage_change_limit),
    KIND(damage_limit_subvolume),
    KIND(damage_take_group),
    KIND(damage_misassign),
    KIND(damage_add_group),
    KIND(damage_change_access),
    KIND(damage_make_read_only),
#undef KIND
};

size_t damage_kinds(void)
{
    return array_length(kinds);
}

const char *damage_name(size_t kind)
{
    return kinds[kind].name;
}

void damage_do(struct damage_scene *scene, size_t kind)
{
    kinds[kind].apply(scene);
}
