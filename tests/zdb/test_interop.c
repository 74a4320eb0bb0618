/* Directories made from the format are served, and what the server writes is the format's. */
#include "script.h"
#include "twin.h"

#include <stdlib.h>

#define ID(n) "%0" #n "%00%00%00%00%00%00%00"

static struct twin twin;

static void twin_begin(const char *name, enum peer_mode mode, uint64_t datasize)
{
    twin_free(&twin);
    memset(&twin, 0, sizeof twin);
    twin.datasize = datasize;
    peer_ns_init(&twin.ns, name, mode, PEER_EMBEDDED);
}

static void save(struct peer_ns *ns)
{
    char why[PEER_WHY_MAX];
    bool verified = peer_verify(ns, why);
    if (!verified)
        fail_msg("the test's own files: %s", why);
    assert_true(peer_save(ns, zdb.index, zdb.data));
}

/* That serving alone changed nothing. */
static void assert_untouched(const struct peer_ns *ns)
{
    struct peer_ns now;
    server_read_back(&zdb, ns->name, &now);
    assert_int_equal(now.n_files, ns->n_files);
    for (uint32_t i = 0; i < ns->n_files; i++) {
        assert_int_equal(now.data[i].size, ns->data[i].size);
        assert_memory_equal(now.data[i].at, ns->data[i].at, ns->data[i].size);
        assert_int_equal(now.index[i].size, ns->index[i].size);
        assert_memory_equal(now.index[i].at, ns->index[i].at, ns->index[i].size);
    }
    assert_string_equal(now.password, ns->password);
    assert_int_equal(now.maxsize, ns->maxsize);
    assert_int_equal(now.is_public, ns->is_public);
    assert_int_equal(now.worm, ns->worm);
    peer_ns_free(&now);
}

/* --- what others wrote ----------------------------------------------------------------------- */

/* Three files; overwritten in the same and in a later file, deleted, deleted and set again. */
static void fill_user(struct peer_ns *ns)
{
    peer_set(ns, peer_key("kept"), "first", 5, 100);
    peer_set(ns, peer_key("same"), "one", 3, 101);
    peer_set(ns, peer_key("same"), "two", 3, 102);
    peer_set(ns, peer_key("later"), "one", 3, 103);
    peer_set(ns, peer_key("gone"), "gone", 4, 104);
    peer_set(ns, peer_key("back"), "one", 3, 105);
    peer_delete(ns, peer_key("back"), 106);
    peer_rotate(ns);
    peer_set(ns, peer_key("back"), "again", 5, 107);
    peer_delete(ns, peer_key("gone"), 108);
    peer_set(ns, peer_key("later"), "two", 3, 109);
    peer_set(ns, peer_key("second"), "", 0, 110);
    peer_rotate(ns);
    peer_set(ns, peer_key("later"), "three", 5, 111);
    peer_set(ns, peer_key("\0\xff\r\n"), "binary\0", 7, 112);
}

static void user_files_of_upstream_are_served(void)
{
    static const struct row rows[] = {
        {1, "GET kept", "=first"},
        {1, "KEYTIME kept", ":100"},
        {1, "GET same", "=two"},
        {1, "GET later", "=three"},
        {1, "GET gone", "nil"},
        {1, "GET back", "=again"},
        {1, "GET second", "="},
        {1, "EXISTS second", ":1"},
        {1, "GET %00%ff%0d%0a", "=binary%00"},
        {1, "DBSIZE", ":6"},
        {1, "CHECK later", ":1"},
        {1, "HISTORY back", "*3|nil|=107|=again"},
        {1, "HISTORY later", "*3|=?8|=111|=three"},
        {1, "HISTORY later %01%00%00%00%43%00%00%00", "*3|=?8|=109|=two"},
        {1, "HISTORY later %00%00%00%00%8f%00%00%00", "*3|nil|=103|=one"},
        {1, "DATA RAW 0 28", "*6|=kept|:0|=^0x|:0|:100|=first"},
    };
    struct peer_ns ns;
    peer_ns_init(&ns, "default", PEER_USER, PEER_UPSTREAM);
    fill_user(&ns);
    save(&ns);
    server_start(&zdb, NULL);
    script(rows);
    hangup_all();
    server_stop(&zdb);
    assert_untouched(&ns);
    server_start_with(&zdb, "--mode", "user");
    script(rows);
    peer_ns_free(&ns);
}

static void sequential_files_of_upstream_are_served(void)
{
    static const struct row rows[] = {
        {1, "SELECT seq", "+OK"},    {1, "GET " ID(0), "=zero-again"},
        {1, "GET " ID(1), "nil"},    {1, "GET " ID(2), "=two-again"},
        {1, "GET " ID(3), "nil"},    {1, "GET " ID(4), "=four"},
        {1, "GET " ID(5), "nil"},    {1, "GET " ID(6), "=six"},
        {1, "GET " ID(7), "nil"},    {1, "DBSIZE", ":4"},
        {1, "KEYTIME " ID(0), ":4"}, {1, "HISTORY " ID(2), "*3|=?8|=6|=two-again"},
    };
    struct peer_ns ns;
    peer_ns_init(&ns, "seq", PEER_SEQ, PEER_UPSTREAM);
    (void)peer_seq_add(&ns, "zero", 4, 1);
    (void)peer_seq_add(&ns, "one", 3, 2);
    (void)peer_seq_add(&ns, "two", 3, 3);
    peer_seq_update(&ns, 0, "zero-again", 10, 4); /* takes 3 */
    (void)peer_seq_add(&ns, "four", 4, 5);
    peer_rotate(&ns);
    peer_seq_update(&ns, 2, "two-again", 9, 6); /* takes 5 */
    (void)peer_seq_add(&ns, "six", 3, 7);
    peer_seq_delete(&ns, 1, 8);
    save(&ns);
    server_start(&zdb, NULL);
    script(rows);
    hangup_all();
    server_stop(&zdb);
    assert_untouched(&ns);
    server_start(&zdb, NULL);
    script(rows);
    ask(1, "SET '' seven", "=" ID(7));
    ask(1, "GET " ID(7), "=seven");
    peer_ns_free(&ns);
}

static void properties_of_upstream_hold(void)
{
    static const struct row rows[] = {
        {1, "SELECT locked-up", "-Namespace protected and private"},
        {1, "SELECT locked-up secret", "+OK"},
        {1, "GET kept", "=first"},
        {1, "SET kept other", "-Namespace is protected by worm mode"},
        {1, "SET new 12345678901234567890", "-No space left on this namespace"},
        {1, "SET new 1", "=new"},
        {2, "SELECT open secret", "+OK"},
        {2, "SET kept other", "=kept"},
        {3, "SELECT open", "+OK"},
        {3, "SET kept other", "-Namespace is in read-only mode"},
    };
    struct peer_ns ns;
    peer_ns_init(&ns, "locked-up", PEER_USER, PEER_UPSTREAM);
    fill_user(&ns);
    (void)snprintf(ns.password, sizeof ns.password, "secret");
    ns.is_public = false;
    ns.worm = true;
    ns.maxsize = peer_live_bytes(&ns) + 10;
    save(&ns);
    (void)snprintf(ns.name, sizeof ns.name, "open");
    ns.is_public = true;
    ns.worm = false;
    ns.maxsize = 0;
    save(&ns);
    peer_ns_free(&ns);
    server_start(&zdb, NULL);
    script(rows);
}

/* A compaction of upstream's took the payload of what was dead, and left the entry. */
static void truncated_entries_are_no_values(void)
{
    static const struct row rows[] = {
        {1, "SELECT a", "+OK"}, {1, "GET key", "=live"},  {1, "GET gone", "nil"},
        {1, "DBSIZE", ":2"},    {1, "GET next", "=next"},
    };
    struct peer_ns ns;
    peer_ns_init(&ns, "a", PEER_USER, PEER_UPSTREAM);
    const struct peer_data_entry cut[] = {
        {.key_size = 3, .flags = PEER_TRUNCATED, .time = 1, .key = (const uint8_t *)"key"},
        {.key_size = 4,
         .previous = PEER_DATA_HEADER,
         .flags = PEER_TRUNCATED,
         .time = 2,
         .key = (const uint8_t *)"gone"},
    };
    for (size_t i = 0; i < array_length(cut); i++) {
        struct peer_index_entry dead = {
            .key_size = cut[i].key_size,
            .data_offset = (uint32_t)ns.data[0].size,
            .size = 7,
            .previous = ns.last_index,
            .flags = PEER_DEAD,
            .time = cut[i].time,
            .crc = 0x1234,
            .key = cut[i].key,
        };
        ns.last_data = (uint32_t)ns.data[0].size;
        ns.last_index = (uint32_t)ns.index[0].size;
        peer_data_append(&ns.data[0], &cut[i]);
        peer_index_append(&ns.index[0], &dead);
    }
    peer_set(&ns, peer_key("key"), "live", 4, 3);
    peer_set(&ns, peer_key("next"), "next", 4, 4);
    save(&ns);
    server_start(&zdb, NULL);
    script(rows);
    ask(1, "DATA RAW 0 28", "*6|=key|:0|=0x00000000|:2|:1|=");
    hangup_all();
    server_stop(&zdb);
    assert_untouched(&ns);
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/a/i0", zdb.index);
    assert_int_equal(unlink(path), 0);
    server_start(&zdb, NULL);
    script(rows);
    peer_ns_free(&ns);
}

/* --- what the server writes ------------------------------------------------------------------ */

static void restart(const char *const *flags)
{
    hangup_all();
    server_stop(&zdb);
    server_start(&zdb, flags);
}

static void every_kind_of_change_is_written_as_upstream_does(void)
{
    twin_begin("default", PEER_USER, 256 << 20);
    server_start(&zdb, NULL);
    twin_set(&twin, 1, 1, 10, 1);
    twin_set(&twin, 1, 1, 10, 1); /* the same */
    twin_set(&twin, 1, 1, 0, 2);
    twin_set(&twin, 1, 2, 10, 3);
    twin_delete(&twin, 1, 1);
    twin_set(&twin, 1, 1, 5, 4);
    twin_jump(&twin, 1);
    twin_set(&twin, 1, 2, 5, 5);
    twin_delete(&twin, 1, 1);
    twin_set(&twin, 1, 3, 5, 6);
    hangup_all();
    server_stop(&zdb);
    twin_compare(&twin, &zdb);
}

static void a_workload_is_written_as_upstream_does(enum peer_mode mode)
{
    static const char *const small[] = {"--datasize", "512K", "--compact", "0", NULL};
    static const char *const small_seq[] = {"--datasize", "512K", "--mode", "seq",
                                            "--compact",  "0",    NULL};
    const char *const *flags = mode == PEER_SEQ ? small_seq : small;
    twin_begin("default", mode, 512 << 10);
    server_start(&zdb, flags);
    twin_random(&twin, 1, 200, 100, 1);
    restart(flags);
    twin_random(&twin, 1, 120, 40000, 2);
    hangup_all();
    server_kill(&zdb); /* what was answered is written, if not synced */
    server_start(&zdb, flags);
    twin_set(&twin, 1, mode == PEER_SEQ ? UINT64_MAX : 7, 600000, 3); /* more than a file */
    twin_random(&twin, 1, 200, 100, 4);
    hangup_all();
    server_stop(&zdb);
    twin_compare(&twin, &zdb);
    assert_in_range(twin.ns.n_files, 4, PEER_FILES_MAX);
}

static void a_user_workload_is_written_as_upstream_does(void)
{
    a_workload_is_written_as_upstream_does(PEER_USER);
}

static void a_sequential_workload_is_written_as_upstream_does(void)
{
    a_workload_is_written_as_upstream_does(PEER_SEQ);
}

static void upstreams_files_are_continued(void)
{
    twin_begin("default", PEER_USER, 256 << 20);
    twin.ns.style = PEER_UPSTREAM;
    fill_user(&twin.ns);
    peer_set(&twin.ns, peer_key("k1"), "old", 3, 200);
    save(&twin.ns);
    twin.ns.style = PEER_EMBEDDED;
    server_start(&zdb, NULL);
    twin_set(&twin, 1, 1, 10, 1);
    twin_set(&twin, 1, 2, 10, 2);
    twin_delete(&twin, 1, 1);
    twin_random(&twin, 1, 50, 50, 3);
    hangup_all();
    server_stop(&zdb);
    twin_compare(&twin, &zdb);
}

static void descriptors_are_written_as_upstream_does(void)
{
    static const struct {
        const char *request;
        struct peer_ns expected;
    } steps[] = {
        {"NSSET a maxsize 81985529216486895",
         {.name = "a", .maxsize = 0x0123456789abcdef, .is_public = true}},
        {"NSSET a password a-long-one",
         {"a", "a-long-one", .maxsize = 0x0123456789abcdef, .is_public = true}},
        {"NSSET a worm 1",
         {"a", "a-long-one", .maxsize = 0x0123456789abcdef, .is_public = true, .worm = true}},
        {"NSSET a public 0", {"a", "a-long-one", .maxsize = 0x0123456789abcdef, .worm = true}},
        {"NSSET a password short", {"a", "short", .maxsize = 0x0123456789abcdef, .worm = true}},
        {"NSSET a maxsize 0", {"a", "short", .worm = true}},
        {"NSSET a password *", {"a", "", .worm = true}},
    };
    char path[PATH_MAX];
    server_start(&zdb, NULL);
    ask(1, "NSNEW a", "+OK");
    ask(1, "NSSET a public 1", "+OK");
    (void)snprintf(path, sizeof path, "%s/a/zdb-namespace", zdb.index);
    for (size_t i = 0; i < array_length(steps); i++) {
        struct peer_bytes expected = {0}, got = {0};
        ask(1, steps[i].request, "+OK");
        peer_descriptor(&steps[i].expected, &expected);
        assert_true(peer_file_read(path, &got));
        /* Upstream leaves what a longer one had behind it; a new file need not. */
        assert_in_range(got.size, expected.size, expected.size + PEER_PASSWORD_MAX);
        assert_memory_equal(got.at, expected.at, expected.size);
        peer_bytes_free(&expected);
        peer_bytes_free(&got);
    }
}

/* --- what is lost comes back ----------------------------------------------------------------- */

static void an_index_that_is_gone_is_made_again(void)
{
    struct peer_ns ns, back;
    char path[PATH_MAX];
    peer_ns_init(&ns, "default", PEER_USER, PEER_UPSTREAM);
    fill_user(&ns);
    save(&ns);
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/default/i%u", zdb.index, i);
        assert_int_equal(unlink(path), 0);
        server_start(&zdb, NULL);
        ask(1, "GET later", "=three");
        ask(1, "GET gone", "nil");
        ask(1, "GET back", "=again");
        ask(1, "GET kept", "=first");
        ask(1, "DBSIZE", ":6");
        hangup_all();
        server_stop(&zdb);
        server_read_back(&zdb, "default", &back);
        assert_int_equal(peer_count(&back), peer_count(&ns));
        peer_ns_free(&back);
    }
    peer_ns_free(&ns);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(user_files_of_upstream_are_served),
        zdb_case(sequential_files_of_upstream_are_served),
        zdb_case(properties_of_upstream_hold),
        zdb_case(truncated_entries_are_no_values),
        zdb_case(every_kind_of_change_is_written_as_upstream_does),
        zdb_case(a_user_workload_is_written_as_upstream_does),
        zdb_case(a_sequential_workload_is_written_as_upstream_does),
        zdb_case(upstreams_files_are_continued),
        zdb_case(descriptors_are_written_as_upstream_does),
        zdb_case(an_index_that_is_gone_is_made_again),
    };
    return zdb_main(argc, argv, "zdb_interop", cases, array_length(cases));
}
