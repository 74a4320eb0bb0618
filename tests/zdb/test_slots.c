/*
 * A slot that is written in place may lie on two pages, of which a power cut or a kill leaves one
 * new and one old. What replaced the old value is on the disk by then, so it must be found.
 */
#include "script.h"

#include <stdlib.h>

enum { IDS = 300, SLOT = 42, SECTOR = 512 };

static const char *index_path(void)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/default/i0", zdb.index);
    return path;
}

static void read_index(struct peer_bytes *out)
{
    *out = (struct peer_bytes){0};
    assert_true(peer_file_read(index_path(), out));
}

/* Of a length of the round; in the first one of them the longest. */
static void set_all(unsigned round, bool new_ids)
{
    for (unsigned id = 0; id < IDS; id++) {
        uint64_t key = id;
        char value[64];
        size_t size;
        (void)snprintf(value, sizeof value, "%u of %u%.*s", round, id,
                       round == 1 ? 40 : 3 + (int)(id % 7),
                       "................................................");
        const struct word words[] = {word("SET"), {&key, new_ids ? 0 : 8}, word(value)};
        assert_true(client_send_words(on(1), words, 3));
        const uint8_t *reply = client_reply(on(1), &size);
        assert_int_equal(size, 4 + 8 + 2);
        assert_memory_equal(reply + 4, &key, 8);
    }
}

static void check_all(unsigned round)
{
    for (unsigned id = 0; id < IDS; id++) {
        uint64_t key = id;
        size_t size;
        char expected[16];
        const struct word words[] = {word("GET"), {&key, 8}};
        assert_true(client_send_words(on(1), words, 2));
        const uint8_t *reply = client_reply(on(1), &size);
        (void)snprintf(expected, sizeof expected, "=^%u of %u", round, id);
        reply_match(reply, size, expected, "GET", __FILE__, __LINE__);
    }
}

static void start(void)
{
    server_start_with(&zdb, "--mode", "seq", "--compact", "0");
}

static void stop(void)
{
    hangup_all();
    server_stop(&zdb);
}

/* Each that lies on two sectors is cut where the second one begins. */
static void tear(const struct peer_bytes *front, const struct peer_bytes *back)
{
    assert_int_equal(front->size, back->size);
    struct peer_bytes torn = {0};
    peer_put(&torn, back->at, back->size);
    for (unsigned id = 0; id < IDS; id++) {
        size_t at = PEER_INDEX_HEADER + (size_t)id * SLOT;
        size_t end = at / SECTOR * SECTOR + SECTOR;
        if (end < at + SLOT)
            memcpy(torn.at + at, front->at + at, end - at);
        else
            memcpy(torn.at + at, front->at + at, SLOT);
    }
    assert_true(peer_file_write(index_path(), &torn));
    peer_bytes_free(&torn);
}

/* The values of `first`, and of `second` that replaced them, each in a pair of their own or not;
 * the slots lie in the first pair. */
static void torn_slots(bool apart, bool front_is_new)
{
    struct peer_bytes old, new;
    start();
    set_all(0, true);
    ask(1, "NSJUMP", "+OK");
    if (!apart)
        ask(1, "NSJUMP", "+OK");
    set_all(1, false);
    if (apart)
        ask(1, "NSJUMP", "+OK");
    stop();
    read_index(&old);
    start();
    set_all(2, false);
    stop();
    read_index(&new);
    if (front_is_new)
        tear(&new, &old);
    else
        tear(&old, &new);
    peer_bytes_free(&old);
    peer_bytes_free(&new);
    start();
    check_all(2);
    stop();
    struct peer_ns back;
    server_read_back(&zdb, "default", &back);
    peer_ns_free(&back);
}

static void new_in_front_and_its_value_in_another_pair(void)
{
    torn_slots(true, true);
}

static void old_in_front_and_its_value_in_another_pair(void)
{
    torn_slots(true, false);
}

static void new_in_front_and_its_value_in_the_same_pair(void)
{
    torn_slots(false, true);
}

static void old_in_front_and_its_value_in_the_same_pair(void)
{
    torn_slots(false, false);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(new_in_front_and_its_value_in_another_pair),
        zdb_case(old_in_front_and_its_value_in_another_pair),
        zdb_case(new_in_front_and_its_value_in_the_same_pair),
        zdb_case(old_in_front_and_its_value_in_the_same_pair),
    };
    return zdb_main(argc, argv, "zdb_slots", cases, array_length(cases));
}
