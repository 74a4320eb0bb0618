/*
 * Files that are damaged in more than one place, or where a checksum does not reach. Whatever the
 * server makes of one at its first start, it must make of it at each later one, with what was
 * written since.
 */
#include "script.h"

#include <string.h>

/* Of an entry of a data file, and of one of an index file. */
enum {
    AT_KEY_SIZE = 0,
    AT_PREVIOUS = 5,
    AT_CRC = 9,
    AT_FLAGS = 13,
    AT_ID = PEER_DATA_ENTRY,
    AT_INDEX_FLAGS = 13
};

/* Where the nth entry of a data file begins. */
static uint8_t *data_entry(const struct peer_bytes *file, unsigned n)
{
    struct peer_data_entry entry;
    uint32_t offset = PEER_DATA_HEADER, start = 0;
    for (unsigned i = 0; i <= n; i++) {
        start = offset;
        assert_int_equal(peer_data_next(file, &offset, &entry), 1);
    }
    return file->at + start;
}

static void save(struct peer_ns *ns)
{
    assert_true(peer_save(ns, zdb.index, zdb.data));
    peer_ns_free(ns);
}

static void begin_life(void)
{
    server_start(&zdb, NULL);
    ask(1, "SELECT damaged", "+OK");
}

static void end_life(void)
{
    hangup_all();
    server_stop(&zdb);
}

static void remove_index(uint32_t id)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/damaged/i%u", zdb.index, id);
    assert_int_equal(unlink(path), 0);
}

/* --- user mode ------------------------------------------------------------------------------- */

/* What a damaged head says of its key reaches beyond the end, so the head is left out. No file may
 * grow to where it makes sense - the checksum of a NUL is 0 - and swallows what is behind it. */
static void what_was_left_out_swallows_nothing_later(void)
{
    static const char nuls[] =
        "SET third %00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00";
    static const uint8_t head[PEER_DATA_ENTRY] = {[0] = 30 /* the key */, [1] = 1 /* the value */};
    struct peer_ns ns;
    peer_ns_init(&ns, "damaged", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("first"), "value", 5, 1);
    peer_set(&ns, peer_key("second"), "value", 5, 2);
    memcpy(data_entry(&ns.data[0], 0), head, sizeof head);
    save(&ns);
    for (unsigned life = 0; life < 3; life++) {
        remove_index(0); /* so that all is read from the data */
        begin_life();
        ask(1, "GET first", "nil");
        ask(1, "GET second", "=value");
        ask(1, "GET third", life > 0 ? "=?19" : "nil");
        ask(1, nuls, life > 0 ? "nil" : "=third");
        end_life();
    }
}

/* The last entry has no payload, so no checksum speaks for it, and its key is said to be longer
 * than it is: it must not take its second byte from what is written next. */
static void a_key_that_grew_swallows_nothing(bool without_index)
{
    struct peer_ns ns;
    peer_ns_init(&ns, "damaged", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("a"), "one", 3, 1);
    peer_set(&ns, peer_key("a"), "", 0, 2);
    data_entry(&ns.data[0], 1)[AT_KEY_SIZE] = 2;
    save(&ns);
    begin_life();
    ask(1, "SET new value", "=new");
    end_life();
    for (unsigned life = 0; life < 2; life++) {
        if (without_index)
            remove_index(0);
        begin_life();
        ask(1, "GET new", "=value");
        end_life();
    }
}

static void a_key_that_grew_swallows_nothing_with_an_index(void)
{
    a_key_that_grew_swallows_nothing(false);
}

static void a_key_that_grew_swallows_nothing_without_one(void)
{
    a_key_that_grew_swallows_nothing(true);
}

/* As above, where the entry behind was there before the damage came. */
static void a_key_that_grew_has_swallowed_nothing(void)
{
    struct peer_ns ns;
    peer_ns_init(&ns, "damaged", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("a"), "", 0, 1);
    peer_set(&ns, peer_key("b"), "value", 5, 2);
    data_entry(&ns.data[0], 0)[AT_KEY_SIZE] = 2;
    save(&ns);
    for (unsigned life = 0; life < 2; life++) {
        remove_index(0);
        begin_life();
        ask(1, "GET b", "=value");
        end_life();
    }
}

/* The index is cut before the first entry, so the second one's older value is not there to be
 * taken up again: what is added in its place must not be marked for it. */
static void what_is_cut_is_not_revived(void)
{
    struct peer_ns ns;
    peer_ns_init(&ns, "damaged", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("a"), "one", 3, 1);
    peer_set(&ns, peer_key("a"), "three", 5, 2);
    data_entry(&ns.data[0], 0)[AT_CRC] ^= 1;
    ns.index[0].at[PEER_INDEX_HEADER + AT_INDEX_FLAGS] |= 0x40;
    save(&ns);
    for (unsigned life = 0; life < 3; life++) {
        begin_life();
        ask(1, "GET a", "=three");
        end_life();
    }
}

/* Beside what is damaged, nothing vouches for the delete: it is left out with the rest. It counts
 * as little when the next start has an index that was made without it. */
static void a_delete_that_was_left_out_does_not_come_later(void)
{
    struct peer_ns ns;
    peer_ns_init(&ns, "damaged", PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("a"), "one", 3, 1);
    peer_set(&ns, peer_key("b"), "two", 3, 2);
    peer_set(&ns, peer_key("a"), "three", 5, 3);
    peer_delete(&ns, peer_key("b"), 4);
    peer_set(&ns, peer_key("c"), "four", 4, 5);
    data_entry(&ns.data[0], 2)[AT_CRC] ^= 1;
    data_entry(&ns.data[0], 4)[AT_PREVIOUS] ^= 2;
    save(&ns);
    remove_index(0);
    for (unsigned life = 0; life < 3; life++) {
        begin_life();
        ask(1, "GET b", "=two");
        ask(1, "GET c", "=four");
        end_life();
    }
}

/* --- sequential mode ------------------------------------------------------------------------- */

/* An update that is left out, with what is around it, is left out as well once its file is closed
 * and its payloads are not looked at any more. */
static void an_id_keeps_the_value_it_had_after_the_damage(void)
{
    struct peer_ns ns;
    peer_ns_init(&ns, "damaged", PEER_SEQ, PEER_EMBEDDED);
    (void)peer_seq_add(&ns, "one", 3, 1);
    peer_rotate(&ns);
    (void)peer_seq_add(&ns, "four", 4, 2);
    peer_seq_update(&ns, 0, "", 0, 3);
    (void)peer_seq_add(&ns, "six", 3, 4);
    data_entry(&ns.data[1], 0)[AT_CRC] ^= 1;
    data_entry(&ns.data[1], 2)[AT_PREVIOUS] ^= 2;
    data_entry(&ns.data[1], 2)[AT_ID + 7] ^= 1;
    save(&ns);
    for (unsigned life = 0; life < 4; life++) {
        begin_life();
        ask(1, "GET %00%00%00%00%00%00%00%00", "=one");
        if (life == 1)
            ask(1, "SET '' new", "=?8"); /* begins a pair, and closes the damaged one */
        end_life();
    }
}

/* The data says that the id was deleted where the index has an update, which is taken back then:
 * the value from before is not there either, and not at the first start alone. */
static void a_delete_counts_for_the_value_before_a_lost_update(void)
{
    struct peer_ns ns;
    peer_ns_init(&ns, "damaged", PEER_SEQ, PEER_EMBEDDED);
    (void)peer_seq_add(&ns, "one", 3, 1);
    peer_rotate(&ns);
    (void)peer_seq_add(&ns, "four", 4, 2);
    peer_seq_update(&ns, 0, "", 0, 3);
    data_entry(&ns.data[1], 1)[AT_FLAGS] = PEER_TOMBSTONE;
    save(&ns);
    for (unsigned life = 0; life < 3; life++) {
        begin_life();
        ask(1, "GET %00%00%00%00%00%00%00%00", "nil");
        end_life();
    }
}

/* An update of the id that a copy took the place of: nobody was given that id. */
static void the_place_of_a_copy_is_no_id(void)
{
    struct peer_ns ns;
    peer_ns_init(&ns, "damaged", PEER_SEQ, PEER_EMBEDDED);
    (void)peer_seq_add(&ns, "one", 3, 1);
    peer_seq_update(&ns, 0, "three", 5, 2); /* takes 1 */
    peer_rotate(&ns);
    (void)peer_seq_add(&ns, "four", 4, 3);
    peer_seq_update(&ns, 0, "five", 4, 4);
    data_entry(&ns.data[1], 0)[AT_ID] = 1;
    save(&ns);
    remove_index(0);
    remove_index(1);
    for (unsigned life = 0; life < 3; life++) {
        begin_life();
        ask(1, "GET %00%00%00%00%00%00%00%00", "=five");
        ask(1, "GET %01%00%00%00%00%00%00%00", "nil");
        end_life();
    }
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(what_was_left_out_swallows_nothing_later),
        zdb_case(a_key_that_grew_swallows_nothing_with_an_index),
        zdb_case(a_key_that_grew_swallows_nothing_without_one),
        zdb_case(a_key_that_grew_has_swallowed_nothing),
        zdb_case(what_is_cut_is_not_revived),
        zdb_case(a_delete_that_was_left_out_does_not_come_later),
        zdb_case(an_id_keeps_the_value_it_had_after_the_damage),
        zdb_case(a_delete_counts_for_the_value_before_a_lost_update),
        zdb_case(the_place_of_a_copy_is_no_id),
    };
    return zdb_main(argc, argv, "zdb_damage", cases, array_length(cases));
}
