/* Cursors that are kept for long: the files under them are rewritten, and a scan goes on. */
#include "script.h"

#include <stdlib.h>

#include "base/clock.h"

enum { KEYS = 300, SIZE = 9000, CURSOR = 17, WAIT_MS = 60000 };

struct item {
    uint8_t key[16], cursor[CURSOR];
    size_t key_size;
    bool deleted;
};

static struct item items[KEYS];

static const uint8_t *request(const struct word *words, size_t n, size_t *out_size)
{
    assert_true(client_send_words(on(1), words, n));
    const uint8_t *reply = client_reply(on(1), out_size);
    assert_non_null(reply);
    return reply;
}

/* The first item behind the cursor: false at the end. */
static bool scan_next(const char *command, const uint8_t *cursor, struct item *out)
{
    size_t size;
    const struct word words[] = {word(command), {cursor, CURSOR}};
    const uint8_t *reply = request(words, cursor ? 2 : 1, &size);
    if (reply_fits(reply, size, "-No more data"))
        return false;
    const uint8_t *at = memmem(reply + 9 + CURSOR, size - 9 - CURSOR, "*3\r\n$", 5);
    if (memcmp(reply, "*2\r\n$17\r\n", 9) != 0 || !at)
        fail_msg("%s: %.*s", command, (int)size, (const char *)reply);
    out->key_size = strtoul((const char *)at + 5, NULL, 10);
    assert_in_range(out->key_size, 1, sizeof out->key);
    memcpy(out->key, (const uint8_t *)memchr(at + 5, '\n', size) + 1, out->key_size);
    return true;
}

static void ask_cursor(struct item *item)
{
    size_t size;
    const struct word words[] = {word("KEYCUR"), {item->key, item->key_size}};
    const uint8_t *reply = request(words, 2, &size);
    assert_int_equal(size, 5 + CURSOR + 2);
    memcpy(item->cursor, reply + 5, CURSOR);
}

/* Each has been overwritten, so that there is something to compact, and none is in the last pair.
 */
static void fill(bool sequential)
{
    static uint8_t value[SIZE];
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < KEYS; i++) {
            size_t size;
            char name[16];
            value[0] = (uint8_t)round;
            (void)snprintf(name, sizeof name, "key-%u", i);
            struct word words[] = {word("SET"), word(name), {value, SIZE}};
            if (sequential)
                words[1] = round == 0 ? word("") : (struct word){items[i].key, 8};
            const uint8_t *reply = request(words, 3, &size);
            assert_int_equal(reply[0], '$');
            if (sequential && round == 0)
                memcpy(items[i].key, reply + 4, items[i].key_size = 8);
        }
    ask(1, "NSJUMP", "+OK");
}

static void list_all(void)
{
    const uint8_t *cursor = NULL;
    for (unsigned i = 0; i < KEYS; i++) {
        items[i] = (struct item){0};
        assert_true(scan_next("SCAN", cursor, &items[i]));
        ask_cursor(&items[i]);
        cursor = items[i].cursor;
    }
    struct item none;
    assert_false(scan_next("SCAN", cursor, &none));
}

static void delete_some(void)
{
    for (unsigned i = 0; i < KEYS; i++) {
        if (i % 3 != 1 && i % 7 != 2)
            continue;
        size_t size;
        const struct word words[] = {word("DEL"), {items[i].key, items[i].key_size}};
        const uint8_t *reply = request(words, 2, &size);
        reply_match(reply, size, "+OK", "DEL", __FILE__, __LINE__);
        items[i].deleted = true;
    }
}

static bool is_over(void)
{
    autofree char *text = ask_bulk(2, "INFO", NULL);
    const char *done = strstr(text, "compactions_done: ");
    assert_non_null(done);
    return !strstr(text, "compaction_running: yes") && strtoul(done + 18, NULL, 10) > 0;
}

static void compact(void)
{
    uint64_t deadline = clock_monotonic_ms() + WAIT_MS;
    ask(1, "COMPACT", "+OK");
    while (!is_over()) {
        assert_true(clock_monotonic_ms() < deadline);
        (void)client_silent(on(2), 10);
    }
}

/* From every cursor of before, in either direction, to what is there yet. */
static void check_cursors(void)
{
    struct item next;
    for (int i = 0; i < KEYS; i++) {
        int forth = i + 1, back = i - 1;
        while (forth < KEYS && items[forth].deleted)
            forth++;
        while (back >= 0 && items[back].deleted)
            back--;
        assert_int_equal(scan_next("SCAN", items[i].cursor, &next), forth < KEYS);
        if (forth < KEYS)
            assert_memory_equal(next.key, items[forth].key, items[forth].key_size);
        assert_int_equal(scan_next("RSCAN", items[i].cursor, &next), back >= 0);
        if (back >= 0)
            assert_memory_equal(next.key, items[back].key, items[back].key_size);
    }
}

static void goes_on(bool sequential)
{
    server_start_with(&zdb, "--datasize", "512K", "--compact", "0", "--mode",
                      sequential ? "seq" : "user");
    fill(sequential);
    list_all();
    check_cursors();
    compact();
    check_cursors();
    delete_some();
    check_cursors();
    compact();
    check_cursors();
    hangup_all();
    server_stop(&zdb);
    server_start(&zdb, (const char *const[]){"--mode", sequential ? "seq" : "user", NULL});
    check_cursors();
}

static void a_scan_of_keys_goes_on_after_a_compaction(void)
{
    goes_on(false);
}

static void a_scan_of_ids_goes_on_after_a_compaction(void)
{
    goes_on(true);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_scan_of_keys_goes_on_after_a_compaction),
        zdb_case(a_scan_of_ids_goes_on_after_a_compaction),
    };
    return zdb_main(argc, argv, "zdb_scan", cases, array_length(cases));
}
