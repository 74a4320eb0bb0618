/* The superblock parser, on superblocks made field by field, and on bytes that are none. */
#include "base/crc32c.h"
#include "superblock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The kernel's struct btrfs_super_block up to its label (include/uapi/linux/btrfs_tree.h of 6.6;
 * not yet public in Debian 12), on a little-endian machine. */
struct __attribute__((packed)) image {
    uint8_t csum[32];
    uint8_t fsid[16];
    uint64_t bytenr, flags;
    char magic[8];
    uint64_t generation, root, chunk_root, log_root, log_root_transid, total_bytes, bytes_used,
        root_dir_objectid, num_devices;
    uint32_t sectorsize, nodesize, leafsize, stripesize, sys_chunk_array_size;
    uint64_t chunk_root_generation, compat_flags, compat_ro_flags, incompat_flags;
    uint16_t csum_type;
    uint8_t root_level, chunk_root_level, log_root_level;
    struct __attribute__((packed)) {
        uint64_t devid;
        uint8_t rest[90];
    } dev_item;
    char label[256];
    uint8_t rest[SUPERBLOCK_BYTES - 555];
};
_Static_assert(sizeof(struct image) == SUPERBLOCK_BYTES, "the image has the superblock's size");

static void seal(struct image *image)
{
    uint32_t crc = crc32c(0, (uint8_t *)image + 32, SUPERBLOCK_BYTES - 32);
    memcpy(image->csum, &crc, sizeof crc);
}

static struct image make_image(void)
{
    struct image image = {
        .bytenr = 65536,
        .magic = {'_', 'B', 'H', 'R', 'f', 'S', '_', 'M'},
        .generation = 77,
        .num_devices = 3,
        .dev_item.devid = 2,
        .label = "storaged:tank",
    };
    for (uint8_t i = 0; i < 16; i++)
        image.fsid[i] = (uint8_t)(0x10 + i);
    seal(&image);
    return image;
}

static void a_good_one_is_read(void **state)
{
    struct image image = make_image();
    struct superblock super;
    (void)state;
    assert_int_equal(superblock_parse((uint8_t *)&image, &super), 0);
    assert_true(super.intact);
    assert_false(super.log_pending);
    assert_string_equal(super.fsid, "10111213-1415-1617-1819-1a1b1c1d1e1f");
    assert_string_equal(super.label, "storaged:tank");
    assert_int_equal(super.devid, 2);
    assert_int_equal(super.num_devices, 3);
    assert_int_equal(super.generation, 77);
}

static void a_pending_log_is_seen(void **state)
{
    struct image image = make_image();
    struct superblock super;
    (void)state;
    image.log_root = 30408704;
    seal(&image);
    assert_int_equal(superblock_parse((uint8_t *)&image, &super), 0);
    assert_true(super.intact && super.log_pending);
}

static void a_label_without_an_end_is_taken_whole(void **state)
{
    struct image image = make_image();
    struct superblock super;
    (void)state;
    memset(image.label, 'x', sizeof image.label);
    seal(&image);
    assert_int_equal(superblock_parse((uint8_t *)&image, &super), 0);
    assert_int_equal(strlen(super.label), 256);
}

static void every_flipped_byte_is_noticed(void **state)
{
    (void)state;
    for (size_t at = 0; at < SUPERBLOCK_BYTES; at++) {
        struct image image = make_image();
        struct superblock super;
        ((uint8_t *)&image)[at] ^= 0x40;
        int rc = superblock_parse((uint8_t *)&image, &super);
        bool in_magic = at >= 64 && at < 72;
        bool unused = at >= 4 && at < 32; /* the checksum has room for longer ones */
        if (in_magic)
            assert_int_equal(rc, -ERR_NOT_FOUND);
        else
            assert_true(rc == 0 && super.intact == unused);
    }
}

static void a_copy_in_the_wrong_place_is_not_believed(void **state)
{
    struct image image = make_image();
    struct superblock super;
    (void)state;
    image.bytenr = UINT64_C(64) << 20;
    seal(&image);
    assert_int_equal(superblock_parse((uint8_t *)&image, &super), 0);
    assert_false(super.intact);
}

static void another_checksum_is_not_believed(void **state)
{
    struct image image = make_image();
    struct superblock super;
    (void)state;
    image.csum_type = 1;
    seal(&image);
    assert_int_equal(superblock_parse((uint8_t *)&image, &super), 0);
    assert_false(super.intact);
}

static void garbage_is_none(void **state)
{
    uint8_t bytes[SUPERBLOCK_BYTES];
    struct superblock super = {.devid = 5};
    (void)state;
    srandom(1);
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)random();
        assert_int_equal(superblock_parse(bytes, &super), -ERR_NOT_FOUND);
        assert_int_equal(super.devid, 5);
        memcpy(bytes + SUPERBLOCK_MAGIC_AT, "_BHRfS_M", 8);
        struct superblock other;
        assert_int_equal(superblock_parse(bytes, &other), 0);
        assert_false(other.intact);
    }
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(superblock_parse(bytes, &super), -ERR_NOT_FOUND);
    memcpy(bytes + SUPERBLOCK_MAGIC_AT, "!BHRfS_M", 8); /* mkfs has not finished */
    assert_int_equal(superblock_parse(bytes, &super), -ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one_is_read),
        cmocka_unit_test(a_pending_log_is_seen),
        cmocka_unit_test(a_label_without_an_end_is_taken_whole),
        cmocka_unit_test(every_flipped_byte_is_noticed),
        cmocka_unit_test(a_copy_in_the_wrong_place_is_not_believed),
        cmocka_unit_test(another_checksum_is_not_believed),
        cmocka_unit_test(garbage_is_none),
    };
    return cmocka_run_group_tests_name("btrfs superblock", tests, NULL, NULL);
}
