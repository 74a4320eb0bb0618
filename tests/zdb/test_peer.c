/* The independent reader and writer against bytes that were put down by hand from the format. */
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct peer_ns ns;

static int end(void **state)
{
    (void)state;
    peer_ns_free(&ns);
    return 0;
}

static void assert_bytes(const struct peer_bytes *bytes, const void *expected, size_t size)
{
    assert_int_equal(bytes->size, size);
    assert_memory_equal(bytes->at, expected, size);
}

static void assert_verified(void)
{
    char why[PEER_WHY_MAX] = "";
    bool verified = peer_verify(&ns, why);
    if (!verified)
        fail_msg("%s", why);
}

static void assert_wrong(const char *expected)
{
    char why[PEER_WHY_MAX] = "";
    assert_false(peer_verify(&ns, why));
    assert_string_equal(why, expected);
}

static void assert_value(struct peer_key key, const char *expected)
{
    const uint8_t *payload;
    uint32_t size;
    bool found = peer_get(&ns, key, &payload, &size);
    assert_int_equal(found, expected != NULL);
    if (!expected)
        return;
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(payload, expected, size);
}

#define HEX_DATA_0  "DAT0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define HEX_INDEX_0 "IDX0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void the_checksum_is_the_one_of_the_format(void **state)
{
    (void)state;
    assert_int_equal(peer_crc("123456789", 9), 0x58e3fa20);
    assert_int_equal(peer_crc("", 0), 0);
}

static void a_new_key_is_these_bytes(void **state)
{
    (void)state;
    static const char data[] = HEX_DATA_0 "\3\t\0\0\0\0\0\0\0\x20\xfa\xe3\x58\0\4\3\2\1"
                                          "key123456789";
    static const char index[] = HEX_INDEX_0 "\0"
                                            "\3\x1c\0\0\0\t\0\0\0\0\0\0\0\0\0\0\0\0\4\3\2\1"
                                            "\x20\xfa\xe3\x58\0\0\0\0\0\0\0\0key";
    peer_ns_init(&ns, "ns", PEER_USER, PEER_UPSTREAM);
    peer_set(&ns, peer_key("key"), "123456789", 9, 0x01020304);
    assert_bytes(&ns.data[0], data, sizeof data - 1);
    assert_bytes(&ns.index[0], index, sizeof index - 1);
    assert_value(peer_key("key"), "123456789");
    assert_value(peer_key("ke"), NULL);
    assert_verified();
}

static void an_overwrite_and_a_delete_are_these_bytes(void **state)
{
    (void)state;
    static const char data[] = HEX_DATA_0 "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0k"
                                          "\1\t\0\0\0\x1c\0\0\0\x20\xfa\xe3\x58\0\2\0\0\0k123456789"
                                          "\1\0\0\0\0\x2f\0\0\0\0\0\0\0\1\3\0\0\0k";
    static const char index[] =
        HEX_INDEX_0 "\0"
                    "\1\x1c\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0k"
                    "\1\x2f\0\0\0\t\0\0\0\x1d\0\0\0\1\0\0\0\0\2\0\0\0\x20\xfa\xe3\x58"
                    "\0\0\0\0\x1d\0\0\0k";
    peer_ns_init(&ns, "ns", PEER_USER, PEER_UPSTREAM);
    peer_set(&ns, peer_key("k"), "", 0, 1);
    peer_set(&ns, peer_key("k"), "123456789", 9, 2);
    peer_delete(&ns, peer_key("k"), 3);
    assert_bytes(&ns.data[0], data, sizeof data - 1);
    assert_bytes(&ns.index[0], index, sizeof index - 1);
    assert_value(peer_key("k"), NULL);
    assert_int_equal(peer_count(&ns), 0);
    assert_verified();
}

static void the_second_file_names_the_last_entry_of_the_first(void **state)
{
    (void)state;
    static const char data[] = "DAT0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0"
                               "\1\0\0\0\0\x1c\0\0\0\0\0\0\0\0\2\0\0\0b";
    static const char index[] = "IDX0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0"
                                "\1\x1c\0\0\0\0\0\0\0\x1d\0\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0"
                                "\0\0\0\0\0\0\0\0b";
    peer_ns_init(&ns, "ns", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("a"), "", 0, 1);
    peer_rotate(&ns);
    peer_set(&ns, peer_key("b"), "", 0, 2);
    assert_bytes(&ns.data[1], data, sizeof data - 1);
    assert_bytes(&ns.index[1], index, sizeof index - 1);
    assert_value(peer_key("a"), "");
    assert_value(peer_key("b"), "");
    assert_verified();
}

static void a_sequential_update_is_these_bytes(void **state)
{
    (void)state;
    static const char index[] =
        HEX_INDEX_0 "\1"
                    /* the slot: new values, previous kept, the copy as parent */
                    "\x8\x37\0\0\0\t\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\x20\xfa\xe3\x58"
                    "\0\0\0\0\x47\0\0\0\0\0\0\0\0\0\0\0"
                    /* the copy of what it was */
                    "\x8\x1c\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\1\0\0\0\xb9\xa6\x2e\xff"
                    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    peer_ns_init(&ns, "ns", PEER_SEQ, PEER_UPSTREAM);
    assert_int_equal(peer_seq_add(&ns, "1", 1, 1), 0);
    peer_seq_update(&ns, 0, "123456789", 9, 2);
    uint32_t crc = peer_crc("1", 1);
    struct peer_bytes expected = {0};
    peer_put(&expected, index, sizeof index - 1);
    for (unsigned i = 0; i < 4; i++)
        expected.at[29 + 42 + 22 + i] = (uint8_t)(crc >> (8 * i));
    assert_bytes(&ns.index[0], expected.at, expected.size);
    peer_bytes_free(&expected);
    assert_value(peer_key("\0\0\0\0\0\0\0\0"), "123456789");
    assert_value(peer_key("\1\0\0\0\0\0\0\0"), NULL);
    assert_int_equal(peer_seq_add(&ns, "next", 4, 3), 2);
    assert_verified();
}

static void sequential_slots_are_found_over_files(void **state)
{
    (void)state;
    peer_ns_init(&ns, "ns", PEER_SEQ, PEER_UPSTREAM);
    assert_int_equal(peer_seq_add(&ns, "zero", 4, 1), 0);
    assert_int_equal(peer_seq_add(&ns, "one", 3, 1), 1);
    peer_rotate(&ns);
    peer_seq_update(&ns, 0, "zero again", 10, 2);
    assert_int_equal(peer_seq_add(&ns, "three", 5, 3), 3);
    peer_seq_delete(&ns, 1, 4);
    assert_value(peer_key("\0\0\0\0\0\0\0\0"), "zero again");
    assert_value(peer_key("\1\0\0\0\0\0\0\0"), NULL);
    assert_value(peer_key("\3\0\0\0\0\0\0\0"), "three");
    assert_value(peer_key("\4\0\0\0\0\0\0\0"), NULL);
    assert_int_equal(peer_count(&ns), 2);
    assert_int_equal(peer_live_bytes(&ns), 15);
    assert_verified();
}

static void a_descriptor_is_these_bytes(void **state)
{
    (void)state;
    static const char expected[] = "\1\0\0\0\2\6\0\x10\0\0\0\0\0\0\6nssecret";
    struct peer_bytes bytes = {0};
    peer_ns_init(&ns, "ns", PEER_USER, PEER_UPSTREAM);
    ns.is_public = false;
    ns.worm = true;
    ns.maxsize = 4096;
    memcpy(ns.password, "secret", 7);
    peer_descriptor(&ns, &bytes);
    assert_bytes(&bytes, expected, sizeof expected - 1);

    struct peer_ns read = {.is_public = true};
    peer_put(&bytes, "what a longer one left", 22);
    assert_true(peer_descriptor_read(&bytes, &read));
    assert_string_equal(read.name, "ns");
    assert_string_equal(read.password, "secret");
    assert_int_equal(read.maxsize, 4096);
    assert_true(read.worm && !read.is_public);
    peer_cut(&bytes, sizeof expected - 2);
    assert_false(peer_descriptor_read(&bytes, &read));
    peer_bytes_free(&bytes);
}

static void entries_that_are_cut_are_no_entries(void **state)
{
    (void)state;
    struct peer_data_entry data;
    struct peer_index_entry index;
    peer_ns_init(&ns, "ns", PEER_USER, PEER_UPSTREAM);
    peer_set(&ns, peer_key("key"), "payload", 7, 1);
    for (size_t size = ns.data[0].size; size > PEER_DATA_HEADER;) {
        uint32_t offset = PEER_DATA_HEADER;
        peer_cut(&ns.data[0], --size);
        assert_int_equal(peer_data_next(&ns.data[0], &offset, &data),
                         size == PEER_DATA_HEADER ? 0 : -1);
    }
    for (size_t size = ns.index[0].size; size > PEER_INDEX_HEADER;) {
        uint32_t offset = PEER_INDEX_HEADER;
        peer_cut(&ns.index[0], --size);
        assert_int_equal(peer_index_next(&ns.index[0], &offset, &index),
                         size == PEER_INDEX_HEADER ? 0 : -1);
    }
}

/* A namespace with something of everything, with one byte of it changed. */
static void assert_flip_is_seen(struct peer_bytes *file, size_t at)
{
    char why[PEER_WHY_MAX] = "";
    file->at[at] ^= 0x04;
    bool verified = peer_verify(&ns, why);
    file->at[at] ^= 0x04;
    if (verified)
        fail_msg("byte %zu of a file of %zu was changed, and nothing was found", at, file->size);
}

static void every_changed_byte_is_seen(void **state)
{
    (void)state;
    peer_ns_init(&ns, "ns", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("a"), "one", 3, 1);
    peer_set(&ns, peer_key("b"), "two", 3, 2);
    peer_rotate(&ns);
    peer_set(&ns, peer_key("a"), "three", 5, 3);
    peer_set(&ns, peer_key("c"), "four", 4, 3);
    peer_set(&ns, peer_key("c"), "five", 4, 3);
    assert_verified();
    for (uint32_t file = 0; file < ns.n_files; file++) {
        for (size_t at = 0; at < ns.data[file].size; at++)
            assert_flip_is_seen(&ns.data[file], at);
        for (size_t at = 0; at < ns.index[file].size; at++)
            assert_flip_is_seen(&ns.index[file], at);
    }
    ns.index[1].at[PEER_INDEX_HEADER + 14] =
        0; /* the data file, as upstream writes it: right too */
    assert_verified();
}

static void what_lives_twice_is_seen(void **state)
{
    (void)state;
    peer_ns_init(&ns, "ns", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("a"), "one", 3, 1);
    peer_set(&ns, peer_key("a"), "two", 3, 2);
    ns.index[0].at[PEER_INDEX_HEADER + 13] = 0;
    assert_wrong("i0 @29: the key lives twice");
}

static void what_was_deleted_and_lives_is_seen(void **state)
{
    (void)state;
    peer_ns_init(&ns, "ns", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("a"), "one", 3, 1);
    peer_delete(&ns, peer_key("a"), 2);
    ns.index[0].at[PEER_INDEX_HEADER + 13] = 0;
    assert_wrong("d0 @50: the key lives in an older entry");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_the_one_of_the_format),
        cmocka_unit_test_teardown(a_new_key_is_these_bytes, end),
        cmocka_unit_test_teardown(an_overwrite_and_a_delete_are_these_bytes, end),
        cmocka_unit_test_teardown(the_second_file_names_the_last_entry_of_the_first, end),
        cmocka_unit_test_teardown(a_sequential_update_is_these_bytes, end),
        cmocka_unit_test_teardown(sequential_slots_are_found_over_files, end),
        cmocka_unit_test_teardown(a_descriptor_is_these_bytes, end),
        cmocka_unit_test_teardown(entries_that_are_cut_are_no_entries, end),
        cmocka_unit_test_teardown(every_changed_byte_is_seen, end),
        cmocka_unit_test_teardown(what_lives_twice_is_seen, end),
        cmocka_unit_test_teardown(what_was_deleted_and_lives_is_seen, end),
    };
    return cmocka_run_group_tests_name("zdb_peer", tests, NULL, NULL);
}
