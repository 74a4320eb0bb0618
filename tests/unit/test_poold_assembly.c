/* Assembly: what the disks make of a pool, and which of them may become the first. */
#include "assembly.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define STATE(name) STORAGE__V1__DISK_STATE__DISK_STATE_##name
#define TYPE(name)  STORAGE__V1__DISK_TYPE__DISK_TYPE_##name
#define FSID        "11111111-2222-4333-8444-555555555555"
#define OTHER       "99999999-2222-4333-8444-555555555555"

enum { DISKS = 8 };

struct bench {
    Storage__V1__Disk disks[DISKS];
    Storage__V1__PoolMembership memberships[DISKS];
    const Storage__V1__Disk *list[DISKS];
    size_t n;
};

static Storage__V1__Disk *add(struct bench *bench, const char *path, Storage__V1__DiskType type,
                              Storage__V1__DiskState state)
{
    Storage__V1__Disk *disk = &bench->disks[bench->n];
    storage__v1__disk__init(disk);
    disk->id = disk->path = (char *)path;
    disk->type = type;
    disk->state = state;
    disk->preparable = state == STATE(BLANK);
    disk->size_bytes = UINT64_C(4) << 30;
    disk->probed_generation = 1;
    bench->list[bench->n++] = disk;
    return disk;
}

static Storage__V1__Disk *add_member(struct bench *bench, const char *path, const char *fsid,
                                     uint64_t devid, uint64_t of)
{
    Storage__V1__PoolMembership *membership = &bench->memberships[bench->n];
    storage__v1__pool_membership__init(membership);
    membership->fsid = (char *)fsid;
    membership->devid = devid;
    membership->num_devices = of;
    membership->generation = 10;
    Storage__V1__Disk *disk = add(bench, path, TYPE(SSD), STATE(POOL_MEMBER));
    disk->pool = membership;
    return disk;
}

static enum assembly_verdict judge(const struct bench *bench, bool patience_over,
                                   struct assembly *out_assembly)
{
    assembly_judge(bench->list, bench->n, FSID, true, patience_over, out_assembly);
    return out_assembly->verdict;
}

static void members_come_one_by_one(void **state)
{
    (void)state;
    struct bench bench = {.n = 0};
    struct assembly assembly;
    assert_int_equal(judge(&bench, true, &assembly), ASSEMBLY_GONE);
    add_member(&bench, "/dev/x", OTHER, 1, 1);
    add(&bench, "/dev/y", TYPE(SSD), STATE(BLANK));
    assert_int_equal(judge(&bench, true, &assembly), ASSEMBLY_GONE);
    add_member(&bench, "/dev/b", FSID, 2, 3);
    assert_int_equal(judge(&bench, false, &assembly), ASSEMBLY_WAITING);
    assert_int_equal(judge(&bench, true, &assembly), ASSEMBLY_INCOMPLETE);
    assert_int_equal(assembly.wanted, 3);
    add_member(&bench, "/dev/c", FSID, 3, 3);
    add_member(&bench, "/dev/a", FSID, 1, 3);
    assert_int_equal(judge(&bench, false, &assembly), ASSEMBLY_COMPLETE);
    assert_int_equal(assembly.n_members, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(assembly.members[i]->pool->devid, i + 1);
}

static void a_copy_is_a_duplicate(void **state)
{
    (void)state;
    struct bench bench = {.n = 0};
    struct assembly assembly;
    add_member(&bench, "/dev/a", FSID, 1, 1);
    assert_int_equal(judge(&bench, false, &assembly), ASSEMBLY_COMPLETE);
    add_member(&bench, "/dev/b", FSID, 1, 1);
    assert_int_equal(judge(&bench, false, &assembly), ASSEMBLY_DUPLICATE);
    /* diskd's word is enough, also while only one of the two is there. */
    struct bench said = {.n = 0};
    add_member(&said, "/dev/a", FSID, 1, 1)->state = STATE(DUPLICATE);
    assert_int_equal(judge(&said, false, &assembly), ASSEMBLY_DUPLICATE);
}

/* The second copy may be on the disk that diskd still reads. */
static void nothing_is_opened_while_a_disk_is_unread(void **state)
{
    (void)state;
    struct bench bench = {.n = 0};
    struct assembly assembly;
    add_member(&bench, "/dev/a", FSID, 1, 1);
    assembly_judge(bench.list, bench.n, FSID, false, false, &assembly);
    assert_int_equal(assembly.verdict, ASSEMBLY_UNSETTLED);
    Storage__V1__Disk *slow = add(&bench, "/dev/b", TYPE(SSD), STATE(UNKNOWN));
    assert_int_equal(judge(&bench, false, &assembly), ASSEMBLY_UNSETTLED);
    /* But not for ever: it may hang. */
    assert_int_equal(judge(&bench, true, &assembly), ASSEMBLY_COMPLETE);
    slow->state = STATE(BROKEN);
    assert_int_equal(judge(&bench, false, &assembly), ASSEMBLY_COMPLETE);
}

static void unfinished_and_mismatched(void **state)
{
    (void)state;
    struct bench bench = {.n = 0};
    struct assembly assembly;
    add_member(&bench, "/dev/a", FSID, 1, 1)->state = STATE(UNFINISHED);
    assert_int_equal(judge(&bench, false, &assembly), ASSEMBLY_UNFINISHED);
    add_member(&bench, "/dev/b", FSID, 2, 1);
    assert_int_equal(judge(&bench, false, &assembly), ASSEMBLY_MISMATCH);
    /* The newest superblock knows how many there are. */
    bench.memberships[1].num_devices = 2;
    bench.memberships[1].generation = 11;
    assert_int_equal(judge(&bench, false, &assembly), ASSEMBLY_UNFINISHED);
}

static void the_stamp_tells_a_new_look(void **state)
{
    (void)state;
    struct bench bench = {.n = 0};
    struct assembly before, after;
    add_member(&bench, "/dev/a", FSID, 1, 1);
    (void)judge(&bench, false, &before);
    (void)judge(&bench, true, &after);
    assert_true(before.stamp == after.stamp);
    bench.disks[0].probed_generation++;
    (void)judge(&bench, false, &after);
    assert_true(before.stamp != after.stamp);
}

/* ---- the first pool ------------------------------------------------------------------------- */

static const Storage__V1__Disk *choose(const struct bench *bench, bool settled,
                                       enum assembly_choice expected)
{
    const Storage__V1__Disk *disk = NULL;
    assert_int_equal(assembly_choose(bench->list, bench->n, settled, NULL, &disk), expected);
    return disk;
}

static void the_first_ssd_is_chosen(void **state)
{
    (void)state;
    struct bench bench = {.n = 0};
    assert_null(choose(&bench, true, ASSEMBLY_CHOICE_NO_DISK));
    add(&bench, "/dev/loop3", TYPE(UNKNOWN), STATE(BLANK));
    assert_null(choose(&bench, true, ASSEMBLY_CHOICE_NO_BLANK));
    add(&bench, "/dev/loop1", TYPE(HDD), STATE(BLANK));
    assert_string_equal(choose(&bench, true, ASSEMBLY_CHOICE_DISK)->path, "/dev/loop1");
    add(&bench, "/dev/loop10", TYPE(SSD), STATE(BLANK));
    assert_string_equal(choose(&bench, true, ASSEMBLY_CHOICE_DISK)->path, "/dev/loop10");
    add(&bench, "/dev/loop2", TYPE(SSD), STATE(BLANK));
    assert_string_equal(choose(&bench, true, ASSEMBLY_CHOICE_DISK)->path, "/dev/loop2");
    add(&bench, "/dev/loop0", TYPE(SSD), STATE(BLANK))->preparable = false;
    add(&bench, "/dev/loop00", TYPE(SSD), STATE(FOREIGN));
    /* A pool on it would have room for nothing, a cache neither. */
    add(&bench, "/dev/loop01", TYPE(SSD), STATE(BLANK))->size_bytes = UINT64_C(1) << 30;
    assert_string_equal(choose(&bench, true, ASSEMBLY_CHOICE_DISK)->path, "/dev/loop2");
    assert_null(choose(&bench, false, ASSEMBLY_CHOICE_UNSETTLED));
    const Storage__V1__Disk *disk = NULL;
    assert_int_equal(assembly_choose(bench.list, bench.n, true, "/dev/loop2", &disk),
                     ASSEMBLY_CHOICE_DISK);
    assert_string_equal(disk->path, "/dev/loop10");
}

static void nothing_is_chosen_by_guess(void **state)
{
    (void)state;
    const struct {
        Storage__V1__DiskState state;
        enum assembly_choice choice;
    } table[] = {
        {STATE(UNKNOWN), ASSEMBLY_CHOICE_UNSETTLED},
        {STATE(UNSPECIFIED), ASSEMBLY_CHOICE_UNSETTLED},
        {STATE(UNFINISHED), ASSEMBLY_CHOICE_HAS_POOL},
        {STATE(FOREIGN), ASSEMBLY_CHOICE_DISK},
        {STATE(IN_USE), ASSEMBLY_CHOICE_DISK},
        {STATE(BROKEN), ASSEMBLY_CHOICE_DISK},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct bench bench = {.n = 0};
        add(&bench, "/dev/a", TYPE(SSD), STATE(BLANK));
        add(&bench, "/dev/b", TYPE(SSD), table[i].state);
        (void)choose(&bench, true, table[i].choice);
    }
    const Storage__V1__DiskState carrying[] = {STATE(POOL_MEMBER), STATE(UNFINISHED),
                                               STATE(DUPLICATE), STATE(BROKEN)};
    for (size_t i = 0; i < sizeof carrying / sizeof *carrying; i++) {
        struct bench bench = {.n = 0};
        add(&bench, "/dev/a", TYPE(SSD), STATE(BLANK));
        add_member(&bench, "/dev/b", FSID, 1, 2)->state = carrying[i];
        (void)choose(&bench, true, ASSEMBLY_CHOICE_HAS_POOL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_one_by_one),
        cmocka_unit_test(a_copy_is_a_duplicate),
        cmocka_unit_test(nothing_is_opened_while_a_disk_is_unread),
        cmocka_unit_test(unfinished_and_mismatched),
        cmocka_unit_test(the_stamp_tells_a_new_look),
        cmocka_unit_test(the_first_ssd_is_chosen),
        cmocka_unit_test(nothing_is_chosen_by_guess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
