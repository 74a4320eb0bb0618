/* Data commands, their replies and every refusal of theirs, in user, sequential and mixed mode. */
#include "script.h"

#include <stdlib.h>

#define ID(n) "%0" #n "%00%00%00%00%00%00%00"
#define NO_ID "%09%00%00%00%00%00%00%00"

static void names_are_prefixes_of_any_case(void)
{
    static const struct row rows[] = {
        {1, "PING", "+PONG"},
        {1, "ping", "+PONG"},
        {1, "pInG", "+PONG"},
        {1, "P", "+PONG"},
        {1, "S key value", "=key"},
        {1, "SETX key other", "=key"},
        {1, "G key", "=other"},
        {1, "MG key", "*1|=other"},
        {1, "E key", ":1"},
        {1, "C key", ":1"},
        {1, "L key", ":5"},
        {1, "T", "*2|=#|=#"},
        {1, "DB", ":1"},
        {1, "D", "-Missing arguments"},
        {1, "DE key", "+OK"},
        {1, "NSL", "*1|=default"},
        {1, "M", "+Starting mirroring"},
        {2, "''", "-This is not a valid command"},
        {2, "*", "-This is not a valid command"},
        {2, "PINGS", "-Command not supported"},
        {2, "NOPE a b", "-Command not supported"},
        {2, "SETXX key value", "-Command not supported"},
        {2, "@300", "-Command not supported"},
    };
    server_start(&zdb, NULL);
    script(rows);
}

static void keys_are_set_read_and_deleted(void)
{
    static const struct row rows[] = {
        {1, "GET key", "nil"},
        {1, "SET key value", "=key"},
        {1, "SET key value", "nil"}, /* the same again */
        {1, "GET key", "=value"},
        {2, "GET key", "=value"},
        {1, "SET key ''", "=key"},
        {1, "GET key", "="},
        {1, "SET key ''", "nil"},
        {1, "LENGTH key", ":0"},
        {1, "EXISTS key", ":1"},
        {1, "CHECK key", ":1"},
        {1, "KEYTIME key", ":#"},
        {1, "SET %00%ff%0d%0a *1%0d%0a$4%0d%0aPING%0d%0a", "=%00%ff%0d%0a"},
        {1, "GET %00%ff%0d%0a", "=*1%0d%0a$4%0d%0aPING%0d%0a"},
        {1, "SET k one", "=k"},
        {1, "SET kk two", "=kk"},
        {1, "MGET k no kk", "*3|=one|nil|=two"},
        {1, "DBSIZE", ":4"},
        {1, "DEL k", "+OK"},
        {1, "DEL k", "-Key not found"},
        {1, "GET k", "nil"},
        {1, "EXISTS k", ":0"},
        {1, "LENGTH k", "nil"},
        {1, "KEYTIME k", "nil"},
        {1, "CHECK k", "nil"},
        {1, "KEYCUR k", "-Key not found"},
        {1, "HISTORY k", "-Key not found"},
        {1, "DBSIZE", ":3"},
        {1, "SET k one", "=k"}, /* as new */
        {1, "GET k", "=one"},
    };
    server_start(&zdb, NULL);
    script(rows);
}

static void wrong_arguments_are_refused(void)
{
    static const struct row rows[] = {
        {1, "GET", "-Unexpected arguments"},
        {1, "GET a b", "-Unexpected arguments"},
        {1, "EXISTS", "-Unexpected arguments"},
        {1, "LENGTH a b", "-Unexpected arguments"},
        {1, "CHECK", "-Unexpected arguments"},
        {1, "KEYTIME", "-Unexpected arguments"},
        {1, "KEYCUR a b", "-Unexpected arguments"},
        {1, "SET", "-?"},
        {1, "SET key", "-?"},
        {1, "SET a b 1 2", "-?"},
        {1, "DEL", "-?"},
        {1, "DEL a 1 2", "-?"},
        {1, "MGET", "-Invalid arguments"},
        {1, "HISTORY", "-Invalid arguments"},
        {1, "GET ''", "-Invalid argument"},
        {1, "DEL ''", "-Invalid argument"},
        {1, "EXISTS ''", "-Invalid argument"},
        {1, "LENGTH ''", "-Invalid argument"},
        {1, "KEYTIME ''", "-Invalid argument"},
        {1, "CHECK ''", "-Invalid argument"},
        {1, "SET '' value", "-Invalid argument, key needed"},
        {1, "SET @256 value", "-Key too large"},
        {1, "SET @255 value", "=^kkkk"},
        {1, "GET @255", "=value"},
        {1, "GET @256", "-Invalid key"},
        {1, "SCAN short", "-Invalid key format"},
        {1, "RSCAN 12345678901234567", "-Invalid key format"},
        {1, "INDEX", "-Missing arguments"},
        {1, "INDEX NOPE", "-Unknown INDEX subcommand"},
        {1, "INDEX DIRTY NOPE", "-Unknown INDEX DIRTY subcommand"},
        {1, "DATA", "-Missing arguments"},
        {1, "DATA NOPE 0 28", "-Unknown DATA subcommand"},
        {1, "DATA RAW 0 1000000", "-EOF"},
        {1, "STOP", "-Unauthorized"},
        {1, "PING", "+PONG"},
    };
    server_start(&zdb, NULL);
    script(rows);
}

static void times_are_given_and_kept(void)
{
    static const struct row rows[] = {
        {1, "SET key one 1000", "=key"},
        {1, "KEYTIME key", ":1000"},
        {1, "SET key two NX", "=key"},
        {1, "KEYTIME key", ":0"},
        {1, "SET key three 4294967295", "=key"},
        {1, "KEYTIME key", ":4294967295"},
        {1, "DATA RAW 0 28", "*6|=key|:0|=^0x|:0|:1000|=one"},
        {1, "DATA RAW 0 52", "*6|=key|:28|=^0x|:0|:0|=two"},
        {1, "DEL key 7", "+OK"},
        {1, "DATA RAW 0 102", "-Unexpected Internal Error"}, /* the tombstone */
        {1, "SET crc 123456789 1", "=crc"},
        {1, "DATA RAW 0 123", "*6|=crc|:102|=0x58e3fa20|:0|:1|=123456789"},
    };
    server_start(&zdb, NULL);
    script(rows);
}

/* The 8 bytes in front of a history's time; "*3\r\n$8\r\n" precedes them. */
static void history_next(const char *key, uint8_t token[8], const char *reply)
{
    size_t size;
    const struct word words[] = {word("HISTORY"), word(key), {token, 8}};
    size_t n = peer_u64(token) == UINT64_MAX ? 2 : 3;
    assert_true(client_send_words(on(1), words, n));
    const uint8_t *bytes = client_reply(on(1), &size);
    reply_match(bytes, size, reply, "HISTORY", __FILE__, __LINE__);
    if (size > 16 && memcmp(bytes, "*3\r\n$8\r\n", 8) == 0)
        memcpy(token, bytes + 8, 8);
}

static void history_goes_back_to_the_first_or_the_delete(void)
{
    static const struct row rows[] = {
        {1, "SET key gone 5", "=key"},
        {1, "DEL key", "+OK"},
        {1, "SET key one 10", "=key"},
        {1, "SET key two 20", "=key"},
        {1, "NSJUMP", "+OK"},
        {1, "SET late four 40", "=late"},
        {1, "SET key three 30", "=key"},
        {1, "SET late five 50", "=late"},
    };
    uint8_t token[8], zero[8] = {0};
    server_start(&zdb, NULL);
    script(rows);
    memset(token, 0xff, 8);
    history_next("key", token, "*3|=?8|=30|=three");
    history_next("key", token, "*3|=?8|=20|=two");
    history_next("key", token, "*3|nil|=10|=one");
    memset(token, 0xff, 8);
    history_next("late", token, "*3|=?8|=50|=five");
    history_next("late", token, "*3|nil|=40|=four"); /* upstream looks in the wrong file */
    history_next("late", zero, "-No more history");
}

/* Follows the cursors of one direction; the keys that came, joined. */
static void scan_all(const char *command, char *keys, size_t room)
{
    uint8_t cursor[17];
    size_t n_words = 1, used = 0, size;
    keys[0] = '\0';
    for (int turns = 0; turns < 1000; turns++) {
        const struct word words[] = {word(command), {cursor, sizeof cursor}};
        assert_true(client_send_words(on(1), words, n_words));
        const uint8_t *bytes = client_reply(on(1), &size);
        if (bytes[0] == '-') {
            reply_match(bytes, size, "-No more data", command, __FILE__, __LINE__);
            return;
        }
        assert_memory_equal(bytes, "*2\r\n$17\r\n", 9);
        memcpy(cursor, bytes + 9, sizeof cursor);
        n_words = 2;
        size_t at = 9 + 17 + 2; /* the head of the list, which may look like that of an entry */
        for (at = (size_t)((uint8_t *)memchr(bytes + at, '\n', size - at) - bytes) + 1;
             at < size;) {
            if (memcmp(bytes + at, "*3\r\n", 4) == 0) { /* key of one letter */
                assert_memory_equal(bytes + at + 4, "$1\r\n", 4);
                assert_true(used + 1 < room);
                keys[used++] = (char)bytes[at + 8];
                keys[used] = '\0';
                at += 4;
            }
            at += (size_t)((uint8_t *)memchr(bytes + at, '\n', size - at) - (bytes + at)) + 1;
        }
    }
    fail_msg("%s goes on for ever", command);
}

static void scans_walk_what_lives_in_the_order_of_the_index(void)
{
    static const struct row rows[] = {
        {1, "SCAN", "-No more data"},
        {1, "RSCAN", "-No more data"},
        {1, "SET a one 10", "=a"},
        {1, "SCAN", "*2|=?17|*1|*3|=a|:3|:10"},
        {1, "RSCAN", "*2|=?17|*1|*3|=a|:3|:10"},
        {1, "SET b two", "=b"},
        {1, "SET c three", "=c"},
        {1, "NSJUMP", "+OK"},
        {1, "SET d four", "=d"},
        {1, "SET a again", "=a"},
        {1, "DEL b", "+OK"},
    };
    char keys[64];
    server_start(&zdb, NULL);
    script(rows);
    scan_all("SCAN", keys, sizeof keys);
    assert_string_equal(keys, "cda");
    scan_all("SCANX", keys, sizeof keys);
    assert_string_equal(keys, "cda");
    scan_all("RSCAN", keys, sizeof keys);
    assert_string_equal(keys, "adc");
}

static void a_cursor_outlives_its_key(void)
{
    size_t size;
    uint8_t cursor[17];
    server_start(&zdb, NULL);
    ask(1, "SET a one", "=a");
    ask(1, "SET b two", "=b");
    ask(1, "KEYCUR a", "");
    const uint8_t *bytes = client_reply(on(1), &size);
    assert_memory_equal(bytes, "$17\r\n", 5);
    memcpy(cursor, bytes + 5, sizeof cursor);
    ask(1, "DEL a", "+OK");
    const struct word words[] = {word("SCAN"), {cursor, sizeof cursor}};
    assert_true(client_send_words(on(1), words, 2));
    bytes = client_reply(on(1), &size);
    reply_match(bytes, size, "*2|=?17|*1|*3|=b|:3|:#", "SCAN", __FILE__, __LINE__);
    /* u8 id length, u32 file, u32 length, u32 offset, u32 crc: the last two are held against it */
    assert_int_equal(cursor[0], 1);
    assert_int_equal(peer_u32(cursor + 1), 0);
    assert_int_equal(peer_u32(cursor + 5), 3);
    assert_int_equal(peer_u32(cursor + 9), PEER_INDEX_HEADER);
    assert_int_equal(peer_u32(cursor + 13), peer_crc("one", 3));
    cursor[13] ^= 1;
    assert_true(client_send_words(on(1), words, 2));
    bytes = client_reply(on(1), &size);
    reply_match(bytes, size, "-Invalid key format", "SCAN", __FILE__, __LINE__);
}

static void sequential_ids_are_given(void)
{
    static const struct row rows[] = {
        {1, "SET '' zero", "=" ID(0)},
        {1, "SET '' one", "=" ID(1)},
        {1, "GET " ID(0), "=zero"},
        {1, "GET " ID(1), "=one"},
        {1, "GET " NO_ID, "nil"},
        {1, "SET " ID(0) " again", "=" ID(0)},
        {1, "GET " ID(0), "=again"},
        {1, "SET " ID(0) " again", "nil"},
        {1, "GET " ID(2), "nil"}, /* the update took it */
        {1, "SET '' three", "=" ID(3)},
        {1, "DEL " ID(1), "+OK"},
        {1, "DEL " ID(1), "-Key not found"},
        {1, "GET " ID(1), "nil"},
        {1, "EXISTS " ID(1), ":0"},
        {1, "EXISTS " ID(3), ":1"},
        {1, "LENGTH " ID(3), ":5"},
        {1, "CHECK " ID(3), ":1"},
        {1, "MGET " ID(0) " " ID(1) " " ID(3), "*3|=again|nil|=three"},
        {1, "SET '' four", "=" ID(4)},
        {1, "SET " NO_ID " value", "-Invalid key, only update authorized"},
        {1, "SET key value", "-Invalid key, only update authorized"},
        {1, "DBSIZE", ":3"},
        {1, "NSJUMP", "+OK"},
        {1, "NSJUMP", "+OK"},
        {1, "SET '' five", "=" ID(5)},
        {1, "GET " ID(5), "=five"}, /* upstream: only after a reload */
        {1, "SET " ID(3) " over-files", "=" ID(3)},
        {1, "GET " ID(3), "=over-files"},
        {1, "GET " ID(4), "=four"},
        {1, "KSCAN key", "-?"},
    };
    server_start_with(&zdb, "--mode", "seq");
    script(rows);
}

static void a_namespace_of_either_mode_lives_beside_the_other(void)
{
    static const struct row rows[] = {
        {1, "NSNEW seq", "+OK"},
        {1, "NSSET seq mode nope", "-Invalid property value (expected: user, seq)"},
        {1, "NSSET seq mode seq", "+OK"},
        {1, "SELECT seq", "+OK"},
        {1, "SET '' zero", "=" ID(0)},
        {1, "NSSET seq mode user", "-Cannot change mode of used namespace"},
        {2, "SET key value", "=key"},
        {2, "SET '' value", "-Invalid argument, key needed"},
        {1, "GET " ID(0), "=zero"},
        {1, "NSNEW both", "+OK"},
        {1, "NSSET both mode seq", "+OK"},
        {1, "NSSET both mode user", "+OK"},
        {1, "SELECT both", "+OK"},
        {1, "SET key value", "=key"},
    };
    server_start(&zdb, NULL);
    script(rows);
    autofree char *info = ask_bulk(1, "NSINFO seq", NULL);
    assert_non_null(strstr(info, "mode: sequential\n"));
    hangup_all();
    server_stop(&zdb);
    server_start(&zdb, NULL);
    ask(1, "SELECT seq", "+OK");
    ask(1, "SET '' one", "=" ID(1));
    ask(1, "GET " ID(0), "=zero");
}

static void the_default_namespace_can_be_sequential(void)
{
    server_start(&zdb, NULL);
    ask(1, "NSSET default mode seq", "+OK");
    ask(1, "SET '' zero", "=" ID(0));
    hangup_all();
    server_stop(&zdb);
    server_start(&zdb, NULL);
    ask(1, "GET " ID(0), "=zero");
    hangup_all();
    server_stop(&zdb);
    assert_int_equal(server_start_refused(&zdb, (const char *const[]){"--mode", "user", NULL}), 1);
}

static void one_mode_for_all_when_the_server_says_so(void)
{
    server_start_with(&zdb, "--mode", "user");
    ask(1, "NSNEW a", "+OK");
    ask(1, "NSSET a mode seq", "-This server instance is configured to use a single runtime mode");
    hangup_all();
    server_stop(&zdb);
    assert_int_equal(server_start_refused(&zdb, (const char *const[]){"--mode", "seq", NULL}), 1);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(names_are_prefixes_of_any_case),
        zdb_case(keys_are_set_read_and_deleted),
        zdb_case(wrong_arguments_are_refused),
        zdb_case(times_are_given_and_kept),
        zdb_case(history_goes_back_to_the_first_or_the_delete),
        zdb_case(scans_walk_what_lives_in_the_order_of_the_index),
        zdb_case(a_cursor_outlives_its_key),
        zdb_case(sequential_ids_are_given),
        zdb_case(a_namespace_of_either_mode_lives_beside_the_other),
        zdb_case(the_default_namespace_can_be_sequential),
        zdb_case(one_mode_for_all_when_the_server_says_so),
    };
    return zdb_main(argc, argv, "zdb_data", cases, array_length(cases));
}
