/* Compaction while clients go on: nothing changes for them, and the room comes back. */
#include "script.h"

#include "base/clock.h"

#include <sys/stat.h>

enum { KEYS = 600, SIZE = 9000, FILES = 10, WAIT_MS = 60000 };

static const char *const small_files[] = {"--datasize", "512K", "--compact", "0", NULL};
static const char *const small_seq[] = {"--datasize", "512K", "--compact", "0",
                                        "--mode",     "seq",  NULL};

/* What each key has: 0 is nothing. */
static uint32_t seeds[KEYS];
static uint8_t ids[KEYS][8];
static bool sequential;

static uint32_t size_of(uint32_t seed)
{
    return SIZE + seed % 100;
}

static void fill(uint8_t *out, uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 1;
    for (uint32_t i = 0; i < size_of(seed); i++) {
        state = state * 1664525u + 1013904223u;
        out[i] = (uint8_t)(state >> 24);
    }
}

static struct word key_of(unsigned i, char text[16])
{
    if (sequential)
        return (struct word){ids[i], 8};
    (void)snprintf(text, 16, "key-%u", i);
    return (struct word){text, strlen(text)};
}

static const uint8_t *request(const struct word *words, size_t n, size_t *out_size)
{
    assert_true(client_send_words(on(1), words, n));
    const uint8_t *reply = client_reply(on(1), out_size);
    if (!reply) {
        server_print_log(&zdb);
        fail_msg("the connection ended at %s", (const char *)words[0].at);
    }
    return reply;
}

static void set(unsigned i, uint32_t seed)
{
    static uint8_t value[SIZE + 100];
    char text[16];
    size_t size;
    bool is_new = sequential && seeds[i] == 0;
    fill(value, seed);
    const struct word words[] = {
        word("SET"), is_new ? word("") : key_of(i, text), {value, size_of(seed)}};
    const uint8_t *reply = request(words, 3, &size);
    if (reply[0] != '$' || size < 6)
        fail_msg("SET: %.*s", (int)size, (const char *)reply);
    if (is_new)
        memcpy(ids[i], reply + 4, 8);
    seeds[i] = seed;
}

static void delete (unsigned i)
{
    char text[16];
    size_t size;
    const struct word words[] = {word("DEL"), key_of(i, text)};
    const uint8_t *reply = request(words, 2, &size);
    reply_match(reply, size, seeds[i] ? "+OK" : "-Key not found", "DEL", __FILE__, __LINE__);
    seeds[i] = 0;
}

static void check(unsigned i)
{
    static uint8_t value[SIZE + 100];
    char text[16], head[16];
    size_t size;
    const struct word words[] = {word("GET"), key_of(i, text)};
    const uint8_t *reply = request(words, 2, &size);
    size_t n = (size_t)snprintf(head, sizeof head, "$%u\r\n", size_of(seeds[i]));
    fill(value, seeds[i]);
    bool right = seeds[i] == 0 ? size == 5 && memcmp(reply, "$-1\r\n", 5) == 0
                               : size == n + size_of(seeds[i]) + 2 && memcmp(reply, head, n) == 0 &&
                                     memcmp(reply + n, value, size_of(seeds[i])) == 0;
    if (!right) {
        server_print_log(&zdb);
        fail_msg("key %u, of seed %u: %.*s", i, seeds[i], size < 60 ? (int)size : 60,
                 (const char *)reply);
    }
}

static void check_all(void)
{
    for (unsigned i = 0; i < KEYS; i++)
        check(i);
}

static bool is_running(void)
{
    autofree char *text = ask_bulk(2, "INFO", NULL);
    assert_non_null(strstr(text, "# compaction\n"));
    return strstr(text, "compaction_running: yes") != NULL;
}

/* What the first data files take. */
static uint64_t blocks(unsigned n_files)
{
    uint64_t sum = 0;
    for (unsigned id = 0; id < n_files; id++) {
        char path[PATH_MAX];
        struct stat status;
        (void)snprintf(path, sizeof path, "%s/default/d%u", zdb.data, id);
        assert_int_equal(stat(path, &status), 0);
        sum += (uint64_t)status.st_blocks * 512;
    }
    return sum;
}

/* Two thirds of what is in the closed files is dead afterwards. */
static void make_garbage(void)
{
    memset(seeds, 0, sizeof seeds);
    for (uint32_t turn = 0; turn < 3; turn++)
        for (unsigned i = 0; i < KEYS; i++)
            set(i, turn * KEYS + i + 1);
    ask(1, "NSJUMP", "+OK");
}

/* Reads, overwrites and deletes until it is over; a few more overwrites show that it goes on. */
static void work_until_done(uint64_t done_before)
{
    uint64_t deadline = clock_monotonic_ms() + WAIT_MS;
    uint32_t state = 1;
    for (unsigned n = 0;; n++) {
        state = state * 1664525u + 1013904223u;
        unsigned i = (state >> 8) % KEYS;
        if (n % 16 == 3)
            set(i, 100000 + n);
        else if (n % 64 == 9 && !sequential)
            delete (i);
        else if (!(sequential && seeds[i] == 0))
            check(i);
        if (n % 50 != 49)
            continue;
        if (!is_running() && ask_info(2, "INFO", "compactions_done") > done_before)
            return;
        if (clock_monotonic_ms() > deadline)
            fail_msg("a compaction does not end");
    }
}

static void stop_and_verify(void)
{
    struct peer_ns back;
    hangup_all();
    server_stop(&zdb);
    server_read_back(&zdb, "default", &back);
    peer_ns_free(&back);
}

static void compacts(const char *const *flags)
{
    server_start(&zdb, flags);
    make_garbage();
    uint64_t before = blocks(FILES);
    ask(1, "COMPACT", "+OK");
    work_until_done(0);
    check_all();
    assert_in_range(blocks(FILES), 1, before / 2); /* in them nearly all is dead */
    hangup_all();
    server_kill(&zdb);
    server_start(&zdb, flags);
    check_all();
    stop_and_verify();
    server_start(&zdb, flags);
    check_all();
    for (unsigned i = 0; i < KEYS; i += 7)
        set(i, 200000 + i);
    check_all();
    stop_and_verify();
}

static void a_user_namespace_is_compacted_under_its_clients(void)
{
    sequential = false;
    compacts(small_files);
}

static void a_sequential_namespace_is_compacted_under_its_clients(void)
{
    sequential = true;
    compacts(small_seq);
}

static void killed_at_any_moment_it_loses_nothing(void)
{
    sequential = false;
    server_start(&zdb, small_files);
    make_garbage();
    for (unsigned life = 0; life < 12; life++) {
        ask(1, "COMPACT", "+OK");
        for (unsigned i = 0; i < life * 40; i++)
            check(i % KEYS);
        set(life, 300000 + life);
        hangup_all();
        server_kill(&zdb);
        server_start(&zdb, small_files);
        check_all();
    }
    stop_and_verify();
}

/* What a file has behind its header was not synced, and goes with a power cut. */
static void forget_unsynced(const char *root, const char *name, size_t header)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/default/%s", root, name);
    assert_int_equal(truncate(path, (off_t)header), 0);
}

/* An overwrite may be lost, and then its old value lives: also in a pair that was compacted between
 * the two. */
static void what_is_not_synced_kills_nothing(void)
{
    static const char *const flags[] = {"--datasize", "64M",  "--compact", "0",
                                        "--synctime", "3600", NULL};
    sequential = false;
    server_start(&zdb, flags);
    make_garbage();
    ask(1, "COMPACT", "+OK");
    while (!is_running() && ask_info(2, "INFO", "compactions_done") == 0)
        ;
    uint32_t old = seeds[KEYS - 1];
    set(KEYS - 1, 400000);
    while (ask_info(2, "INFO", "compactions_done") == 0)
        ;
    hangup_all();
    server_kill(&zdb);
    forget_unsynced(zdb.data, "d1", PEER_DATA_HEADER);
    forget_unsynced(zdb.index, "i1", PEER_INDEX_HEADER);
    seeds[KEYS - 1] = old;
    server_start(&zdb, flags);
    check_all();
    stop_and_verify();
}

static void what_a_cut_off_compaction_left_is_removed(void)
{
    char made[PATH_MAX];
    const struct peer_bytes bytes = {.at = (uint8_t *)(uintptr_t) "DAT0", .size = 4};
    server_start(&zdb, NULL);
    ask(1, "SET key value", "=key");
    hangup_all();
    server_kill(&zdb);
    (void)snprintf(made, sizeof made, "%s/default/d0.compact", zdb.data);
    assert_true(peer_file_write(made, &bytes));
    server_start(&zdb, NULL);
    ask(1, "GET key", "=value");
    assert_int_equal(access(made, F_OK), -1);
}

static void it_begins_by_itself_past_a_ratio(void)
{
    static const char *const flags[] = {"--datasize", "512K", "--compact", "30", NULL};
    uint64_t deadline = clock_monotonic_ms() + WAIT_MS;
    sequential = false;
    server_start(&zdb, flags);
    make_garbage();
    while (ask_info(2, "INFO", "compaction_freed_bytes") <= 512 << 10) {
        assert_true(clock_monotonic_ms() < deadline);
        (void)client_silent(on(1), 50);
    }
    check_all();
    stop_and_verify();
}

static void history_ends_where_the_payload_was_taken(void)
{
    sequential = false;
    server_start(&zdb, small_files);
    ask(1, "SET key one 1", "=key");
    ask(1, "SET key two 2", "=key");
    ask(1, "NSJUMP", "+OK");
    ask(1, "SET key three 3", "=key");
    uint64_t deadline = clock_monotonic_ms() + WAIT_MS;
    for (bool over = false; !over;) { /* what died last is marked after a sync alone */
        size_t size;
        assert_true(clock_monotonic_ms() < deadline);
        ask(1, "COMPACT", "+OK");
        (void)client_silent(on(1), 20);
        ask(1, "HISTORY key %00%00%00%00%42%00%00%00", ""); /* i0, the second entry */
        const uint8_t *reply = client_reply(on(1), &size);
        over = reply_fits(reply, size, "-No more history");
    }
    ask(1, "GET key", "=three");
    ask(1, "HISTORY key", "*3|=?8|=3|=three");
    ask(1, "DATA RAW 0 28", "*6|=key|:0|=0x00000000|:2|:1|=");
}

/* What is taken away under a compaction takes nothing else with it. */
static void a_namespace_may_go_meanwhile(void)
{
    static const char *const ends[] = {"NSDEL a", "RELOAD a", "FLUSH"};
    sequential = false;
    server_start(&zdb, small_files);
    for (size_t i = 0; i < array_length(ends); i++) {
        bool flush = strcmp(ends[i], "FLUSH") == 0;
        ask(3, i == 0 || strcmp(ends[i - 1], "NSDEL a") == 0 ? "NSNEW a" : "PING",
            i == 0 || strcmp(ends[i - 1], "NSDEL a") == 0 ? "+OK" : "+PONG");
        ask(1, "NSSET a password pw", "+OK");
        ask(1, "NSSET a public 0", "+OK");
        ask(1, "SELECT a pw", "+OK");
        if (i < 2)
            make_garbage();
        ask(1, "COMPACT", "+OK");
        check(7);
        if (!flush)
            ask(1, "SELECT default", "+OK");
        ask(1, ends[i], "+OK");
        ask(1, flush ? "DBSIZE" : "PING", flush ? ":0" : "+PONG");
    }
    ask(3, "SET key value", "=key");
    ask(3, "GET key", "=value");
    stop_and_verify();
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_user_namespace_is_compacted_under_its_clients),
        zdb_case(a_sequential_namespace_is_compacted_under_its_clients),
        zdb_case(killed_at_any_moment_it_loses_nothing),
        zdb_case(what_is_not_synced_kills_nothing),
        zdb_case(what_a_cut_off_compaction_left_is_removed),
        zdb_case(it_begins_by_itself_past_a_ratio),
        zdb_case(history_ends_where_the_payload_was_taken),
        zdb_case(a_namespace_may_go_meanwhile),
    };
    return zdb_main(argc, argv, "zdb_compact", cases, array_length(cases));
}
