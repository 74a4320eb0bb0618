/*
 * Files that a power cut left, with more or other things in them than what was being written: bytes
 * that look like entries, an index that is longer than it should be, or none that says of which
 * mode it is.
 */
#include "script.h"

static void save(const struct peer_ns *ns)
{
    assert_true(peer_save(ns, zdb.index, zdb.data));
}

static bool log_has(const char *text)
{
    struct peer_bytes log = {0};
    assert_true(peer_file_read(zdb.log, &log));
    bool has = memmem(log.at, log.size, text, strlen(text)) != NULL;
    peer_bytes_free(&log);
    return has;
}

static void check_files(const char *name)
{
    struct peer_ns back;
    hangup_all();
    server_stop(&zdb);
    server_read_back(&zdb, name, &back);
    peer_ns_free(&back);
}

static void remove_index(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char path[PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/default/i%u", zdb.index, i);
        assert_int_equal(unlink(path), 0);
    }
}

/* --- what looks like an entry ---------------------------------------------------------------- */

/* A payload with an entry of another key in it, as it would stand at this offset. */
static void put_fake(struct peer_bytes *payload, uint32_t broken, struct peer_key key)
{
    static const char value[] = "a false value";
    const struct peer_data_entry fake = {
        .key_size = key.size,
        .size = sizeof value - 1,
        .previous = broken,
        .crc = peer_crc(value, sizeof value - 1),
        .time = 9,
        .key = key.at,
        .payload = (const uint8_t *)value,
    };
    peer_put(payload, "some bytes before", 17);
    peer_data_append(payload, &fake);
    for (unsigned i = 0; i < 20; i++)
        peer_put(payload, "and more behind", 15);
}

/* The last payload is cut off, and the index says nothing of it. */
static void tear(struct peer_ns *ns, size_t index_size)
{
    ns->data[0].size -= 50;
    ns->index[0].size = index_size;
    save(ns);
    peer_ns_free(ns);
}

static void a_client_s_bytes_are_no_entry_of_another_key(void)
{
    struct peer_ns ns;
    struct peer_bytes payload = {0};
    peer_ns_init(&ns, "default", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("b"), "good", 4, 1);
    size_t index_size = ns.index[0].size;
    put_fake(&payload, (uint32_t)ns.data[0].size, peer_key("b"));
    peer_set(&ns, peer_key("a"), payload.at, (uint32_t)payload.size, 2);
    peer_bytes_free(&payload);
    tear(&ns, index_size);
    server_start(&zdb, NULL);
    ask(1, "GET b", "=good");
    ask(1, "GET a", "nil");
    ask(1, "SET a again", "=a");
    check_files("default");
}

static void a_client_s_bytes_are_no_entry_of_another_id(void)
{
    static const uint8_t first[8] = {0};
    struct peer_ns ns;
    struct peer_bytes payload = {0};
    peer_ns_init(&ns, "default", PEER_SEQ, PEER_EMBEDDED);
    (void)peer_seq_add(&ns, "good", 4, 1);
    size_t index_size = ns.index[0].size;
    put_fake(&payload, (uint32_t)ns.data[0].size, (struct peer_key){first, 8});
    (void)peer_seq_add(&ns, payload.at, (uint32_t)payload.size, 2);
    peer_bytes_free(&payload);
    tear(&ns, index_size);
    server_start(&zdb, NULL);
    ask(1, "GET %00%00%00%00%00%00%00%00", "=good");
    ask(1, "SET '' again", "=%01%00%00%00%00%00%00%00");
    check_files("default");
}

/* --- the end of the last data ---------------------------------------------------------------- */

/* The index came to the disk before the payload did. */
static void a_new_key_without_its_payload_is_none(void)
{
    struct peer_ns ns;
    peer_ns_init(&ns, "default", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("a"), "one", 3, 1);
    peer_set(&ns, peer_key("b"), "two", 3, 2);
    peer_delete(&ns, peer_key("a"), 3);
    peer_set(&ns, peer_key("a"), "three", 5, 4);
    memset(ns.data[0].at + ns.data[0].size - 5, 0, 5);
    save(&ns);
    peer_ns_free(&ns);
    server_start(&zdb, NULL);
    ask(1, "GET a", "nil");
    ask(1, "GET b", "=two");
    ask(1, "DBSIZE", ":1");
    ask(1, "SET a again", "=a");
    check_files("default");
}

/* They, and the end of an entry before them, look like one whose payload is noughts, as its
 * checksum is: that says nothing against an entry that is whole. */
static void noughts_behind_an_empty_value_take_nothing_from_it(void)
{
    static const uint8_t key[] = {10, 0, 0, 0};
    struct peer_ns ns;
    peer_ns_init(&ns, "default", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, (struct peer_key){key, sizeof key}, "", 0, 33U << 24);
    for (unsigned i = 0; i < 56; i++)
        peer_put_u8(&ns.data[0], 0);
    save(&ns);
    peer_ns_free(&ns);
    server_start(&zdb, NULL);
    ask(1, "GET %0a%00%00%00", "=");
    check_files("default");
}

/* --- the end of the last index --------------------------------------------------------------- */

static void make_ids(struct peer_ns *ns)
{
    peer_ns_init(ns, "default", PEER_SEQ, PEER_EMBEDDED);
    (void)peer_seq_add(ns, "zero", 4, 1);
    (void)peer_seq_add(ns, "one", 3, 2);
    peer_rotate(ns);
    (void)peer_seq_add(ns, "two", 3, 3);
    peer_seq_update(ns, 0, "new", 3, 4);
    (void)peer_seq_add(ns, "four", 4, 5);
}

/* So many bytes of the last index are gone, and so many of this kind stand there. */
static void check_index_end(size_t cut, size_t n, uint8_t byte)
{
    struct peer_ns ns;
    make_ids(&ns);
    peer_cut(&ns.index[1], ns.index[1].size - cut);
    for (size_t i = 0; i < n; i++)
        peer_put_u8(&ns.index[1], byte);
    save(&ns);
    peer_ns_free(&ns);
    server_start(&zdb, NULL);
    ask(1, "GET %00%00%00%00%00%00%00%00", "=new");
    ask(1, "GET %01%00%00%00%00%00%00%00", "=one");
    ask(1, "GET %02%00%00%00%00%00%00%00", "=two");
    ask(1, "GET %04%00%00%00%00%00%00%00", "=four");
    ask(1, "SET '' five", "=%05%00%00%00%00%00%00%00");
    check_files("default");
    assert_false(log_has("making the index again"));
}

static void an_index_that_ends_in_noughts_is_mended_there(void)
{
    check_index_end(0, PEER_SEQ_SLOT, 0);
    check_index_end(PEER_SEQ_SLOT, 3 * PEER_SEQ_SLOT + 7, 0);
    check_index_end(3 * PEER_SEQ_SLOT, 4096, 0);
}

static void an_index_that_ends_in_other_bytes_is_mended_there(void)
{
    check_index_end(0, PEER_SEQ_SLOT, 8);
    check_index_end(PEER_SEQ_SLOT + 5, 2 * PEER_SEQ_SLOT + 5, 0xff);
}

/* The copy of what an update had replaced is lost, and the slot says already what it wrote. */
static void a_history_whose_copy_is_lost_ends(void)
{
    struct peer_ns ns;
    make_ids(&ns);
    peer_cut(&ns.index[1], PEER_INDEX_HEADER + PEER_SEQ_SLOT);
    save(&ns);
    peer_ns_free(&ns);
    server_start(&zdb, NULL);
    ask(1, "HISTORY %00%00%00%00%00%00%00%00", "*3|=%01%00%00%00%47%00%00%00|=4|=new");
    ask(1, "HISTORY %00%00%00%00%00%00%00%00 %01%00%00%00%47%00%00%00", "*3|nil|=4|=new");
    check_files("default");
}

/* And then the data of that update. */
static void what_was_before_an_update_is_known_to_the_data(void)
{
    struct peer_ns ns;
    peer_ns_init(&ns, "default", PEER_SEQ, PEER_EMBEDDED);
    (void)peer_seq_add(&ns, "zero", 4, 1);
    size_t data_size = ns.data[0].size, index_size = ns.index[0].size;
    peer_seq_update(&ns, 0, "new", 3, 2);
    peer_cut(&ns.index[0], index_size);
    save(&ns);
    peer_ns_free(&ns);
    server_start(&zdb, NULL);
    ask(1, "GET %00%00%00%00%00%00%00%00", "=new");
    server_kill(&zdb);
    hangup_all();
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/default/d0", zdb.data);
    assert_int_equal(truncate(path, (off_t)data_size + 5), 0);
    server_start(&zdb, NULL);
    ask(1, "GET %00%00%00%00%00%00%00%00", "=zero");
    check_files("default");
}

/* Wherever its pair is. */
static void an_update_of_an_old_id_is_known_without_the_index(void)
{
    struct peer_ns ns;
    make_ids(&ns);
    for (unsigned i = 0; i < 4; i++) {
        peer_rotate(&ns);
        (void)peer_seq_add(&ns, "more", 4, 6);
    }
    save(&ns);
    peer_ns_free(&ns);
    remove_index(6);
    server_start(&zdb, NULL);
    ask(1, "GET %00%00%00%00%00%00%00%00", "=new");
    ask(1, "GET %08%00%00%00%00%00%00%00", "=more");
    check_files("default");
}

/* Slots are written anew before that, but by upstream's. */
static void two_updates_without_data_are_taken_back(void)
{
    struct peer_ns ns;
    peer_ns_init(&ns, "default", PEER_SEQ, PEER_EMBEDDED);
    (void)peer_seq_add(&ns, "zero", 4, 1);
    size_t size = ns.data[0].size;
    peer_seq_update(&ns, 0, "one", 3, 2);
    peer_seq_update(&ns, 0, "two", 3, 3);
    peer_cut(&ns.data[0], size);
    save(&ns);
    peer_ns_free(&ns);
    server_start(&zdb, NULL);
    ask(1, "GET %00%00%00%00%00%00%00%00", "=zero");
    ask(1, "SET '' three", "=%03%00%00%00%00%00%00%00");
}

/* --- the mode -------------------------------------------------------------------------------- */

static void ids_are_known_without_their_index(void)
{
    struct peer_ns ns;
    make_ids(&ns);
    ns.data[0].at[ns.data[0].size - 1] ^= 1; /* of "one" */
    save(&ns);
    peer_ns_free(&ns);
    remove_index(2);
    server_start(&zdb, NULL);
    ask(1, "GET %00%00%00%00%00%00%00%00", "=new");
    ask(1, "GET %02%00%00%00%00%00%00%00", "=two");
    ask(1, "GET %04%00%00%00%00%00%00%00", "=four");
    ask(1, "SET '' five", "=%05%00%00%00%00%00%00%00");
}

/* Though its first key looks like the first id. */
static void keys_are_known_without_their_index(void)
{
    static const uint8_t first[8] = {0};
    struct peer_ns ns;
    peer_ns_init(&ns, "default", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, (struct peer_key){first, 8}, "one", 3, 1);
    peer_set(&ns, peer_key("password"), "two", 3, 2);
    peer_set(&ns, peer_key("key"), "three", 5, 3);
    save(&ns);
    peer_ns_free(&ns);
    remove_index(1);
    server_start(&zdb, NULL);
    ask(1, "GET %00%00%00%00%00%00%00%00", "=one");
    ask(1, "GET password", "=two");
    ask(1, "GET key", "=three");
    ask(1, "SET other four", "=other");
}

/* The first data file has none, and the next one begins with no id that data alone would explain.
 */
static void an_index_says_of_which_mode_lost_data_was(void)
{
    struct peer_ns ns;
    make_ids(&ns);
    peer_cut(&ns.data[0], PEER_DATA_HEADER);
    save(&ns);
    peer_ns_free(&ns);
    server_start(&zdb, NULL);
    ask(1, "GET %02%00%00%00%00%00%00%00", "=two");
    ask(1, "GET %04%00%00%00%00%00%00%00", "=four");
    ask(1, "GET %01%00%00%00%00%00%00%00", "-Internal Error");
    ask(1, "SET '' five", "=%05%00%00%00%00%00%00%00");
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_client_s_bytes_are_no_entry_of_another_key),
        zdb_case(a_client_s_bytes_are_no_entry_of_another_id),
        zdb_case(a_new_key_without_its_payload_is_none),
        zdb_case(noughts_behind_an_empty_value_take_nothing_from_it),
        zdb_case(an_index_that_ends_in_noughts_is_mended_there),
        zdb_case(an_index_that_ends_in_other_bytes_is_mended_there),
        zdb_case(a_history_whose_copy_is_lost_ends),
        zdb_case(what_was_before_an_update_is_known_to_the_data),
        zdb_case(an_update_of_an_old_id_is_known_without_the_index),
        zdb_case(two_updates_without_data_are_taken_back),
        zdb_case(ids_are_known_without_their_index),
        zdb_case(keys_are_known_without_their_index),
        zdb_case(an_index_says_of_which_mode_lost_data_was),
    };
    return zdb_main(argc, argv, "zdb_torn", cases, array_length(cases));
}
