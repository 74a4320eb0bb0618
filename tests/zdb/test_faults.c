/*
 * Calls of the server that fail: a sync that fails is told to whoever waited for it, and what it
 * was for is not served as if it were there; a pair is compacted as a whole, or not.
 */
#include "faulty.h"
#include "script.h"

#include "base/clock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>

#define UNSYNCED "-Cannot sync right now, it may be lost|EOF"

/* --- syncs ----------------------------------------------------------------------------------- */

static void a_write_whose_sync_fails_is_not_acknowledged(void)
{
    faulty_start_with("--sync");
    ask(1, "SET key value", "=key");
    faulty_arm(BADCALL_SYNC, 0, 1, EIO);
    ask(1, "SET key other", UNSYNCED);
    assert_int_equal(bad->failed, 1);
    hangup(1);
    ask(1, "GET key", "=value");
    ask(1, "SET key third", "=key");
    faulty_restart((const char *const[]){"--sync", NULL});
    ask(1, "GET key", "=third");
}

static void an_id_whose_sync_fails_is_not_acknowledged(void)
{
    faulty_start_with("--sync", "--mode", "seq");
    ask(1, "SET '' value", "=%00%00%00%00%00%00%00%00");
    faulty_arm(BADCALL_SYNC, 0, 1, EIO);
    ask(1, "SET %00%00%00%00%00%00%00%00 other", UNSYNCED);
    hangup(1);
    ask(1, "GET %00%00%00%00%00%00%00%00", "=value");
    ask(1, "SET %00%00%00%00%00%00%00%00 third", "=%00%00%00%00%00%00%00%00");
    faulty_restart((const char *const[]){"--sync", "--mode", "seq", NULL});
    ask(1, "GET %00%00%00%00%00%00%00%00", "=third");
}

/* What was asked before the write is answered, and nothing behind it. */
static void a_pipeline_ends_where_its_sync_fails(void)
{
    faulty_start_with("--sync");
    ask(1, "SET a 1", "=a");
    faulty_arm(BADCALL_SYNC, 0, 1, EIO);
    static const char pipeline[] =
        "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n2"
        "\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n";
    assert_true(client_send(on(1), pipeline, sizeof pipeline - 1));
    ask(1, "", "=1");
    ask(1, "", UNSYNCED);
    ask(2, "GET b", "nil");
}

static void everybody_who_waits_is_told(void)
{
    faulty_start_with("--sync");
    ask(1, "SET a 1", "=a");
    faulty_arm(BADCALL_SYNC, 0, 1, EIO);
    for (unsigned i = 1; i < 9; i++) {
        char request[32];
        (void)snprintf(request, sizeof request, "SET key-%u value", i);
        ask(i, request, "");
    }
    unsigned refused = 0;
    for (unsigned i = 1; i < 9; i++) {
        size_t size;
        char expected[32], get[32];
        (void)snprintf(expected, sizeof expected, "=key-%u", i);
        (void)snprintf(get, sizeof get, "GET key-%u", i);
        const uint8_t *reply = client_reply(on(i), &size);
        assert_non_null(reply);
        bool done = reply_fits(reply, size, expected);
        if (!done)
            reply_match(reply, size, "-Cannot sync right now, it may be lost", get, __FILE__,
                        __LINE__);
        refused += !done;
        ask(9, get, done ? "=value" : "nil");
    }
    assert_in_range(refused, 1, 8);
}

static void while_no_sync_succeeds_nothing_is_served(void)
{
    faulty_start_with("--sync");
    ask(1, "SET key value", "=key");
    faulty_arm(BADCALL_SYNC, 0, 1000000, EIO);
    ask(1, "SET key other", UNSYNCED);
    hangup(1);
    ask(1, "GET key", "-Namespace is out of service, its files are damaged");
    ask(1, "RELOAD default", "-Namespace is out of service, its files are damaged");
    faulty_disarm();
    ask(1, "RELOAD default", "+OK");
    ask(1, "GET key", "=value");
    ask(1, "SET key other", "=key");
}

static void wait_until(_Atomic int *count, int n)
{
    uint64_t deadline = clock_monotonic_ms() + CLIENT_WAIT_MS;
    while (*count < n) {
        assert_true(clock_monotonic_ms() < deadline);
        (void)sched_yield();
    }
}

static void wait_until_read(const struct client *client)
{
    uint64_t deadline = clock_monotonic_ms() + CLIENT_WAIT_MS;
    for (int left = 1; left > 0;) {
        assert_int_equal(ioctl(client->fd, SIOCOUTQ, &left), 0);
        assert_true(clock_monotonic_ms() < deadline);
    }
}

/* A rotation waits for the batch under way; the end of that is not the end of the next one. */
static void a_write_behind_a_rotation_waits_for_its_own_sync(void)
{
    static const char pipeline[] =
        "*1\r\n$6\r\nNSJUMP\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n2\r\n";
    faulty_start_with("--sync", "--compact", "0");
    ask(2, "PING", "+PONG");
    ask(3, "PING", "+PONG");
    bad->waited = 0;
    bad->tickets = 0;
    ask(1, "SET a 1", "");
    wait_until(&bad->waited, 1);
    assert_true(client_send(on(2), pipeline, sizeof pipeline - 1));
    wait_until_read(on(2));
    bad->tickets = 2; /* data and index */
    wait_until(&bad->waited, 2);
    for (unsigned i = 0; i < 3; i++)
        ask(3, "PING", "+PONG");
    assert_int_equal(client_fill(on(2), 1, 0), 0);
    bad->tickets = -1;
    ask(1, "", "=a");
    ask(2, "", "+OK");
    ask(2, "", "=b");
}

/* Else a power cut might take the end of the one and leave the other. */
static void a_pair_is_begun_when_the_one_before_is_synced(void)
{
    faulty_start_with("--sync");
    faulty_arm(BADCALL_SYNC, 0, 1, EIO);
    static const char pipeline[] =
        "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$1\r\n2\r\n*1\r\n$6\r\nNSJUMP\r\n";
    assert_true(client_send(on(1), pipeline, sizeof pipeline - 1));
    ask(1, "", UNSYNCED);
    hangup(1);
    ask(1, "GET key", "nil");
}

/* Else the ids that the one has lost would be given again, before those that the other has. */
static void a_pair_of_ids_always_is(void)
{
    faulty_start_with("--mode", "seq", "--synctime", "1000");
    ask(1, "SET '' value", "=%00%00%00%00%00%00%00%00");
    faulty_arm(BADCALL_SYNC, 0, 1, EIO);
    ask(1, "NSJUMP", UNSYNCED);
    hangup(1);
    ask(1, "GET %00%00%00%00%00%00%00%00", "nil");
    ask(1, "SET '' other", "=%01%00%00%00%00%00%00%00");
    ask(1, "NSJUMP", "+OK");
    ask(1, "GET %01%00%00%00%00%00%00%00", "=other");
}

static void one_namespace_that_cannot_be_synced_stops_no_other(void)
{
    faulty_start_with("--sync");
    ask(1, "NSNEW other", "+OK");
    ask(2, "SELECT other", "+OK");
    ask(2, "SET key value", "=key");
    faulty_arm(BADCALL_SYNC, 0, 1, EIO);
    ask(1, "SET key value", UNSYNCED);
    ask(2, "GET key", "=value");
    ask(2, "SET key other", "=key");
}

/* --- compactions ----------------------------------------------------------------------------- */

static uint64_t compactions(void)
{
    return ask_info(1, "INFO", "compactions_done") + ask_info(1, "INFO", "compactions_failed");
}

static void check_compacted(void)
{
    ask(2, "GET key", "=third");
    ask(2, "GET other", "=value");
}

enum { POLLS = 20000 }; /* it may be over before it has begun */

/* True if such a call failed. The namespace is loaded again or not, and goes, either way. */
static bool compacts_though(enum badcall call, int error, int skip)
{
    ask(1, "NSNEW a", "+OK");
    ask(2, "SELECT a", "+OK");
    ask(2, "SET key first", "=key");
    ask(2, "SET other value", "=other");
    ask(2, "SET key second", "=key");
    ask(2, "NSJUMP", "+OK");
    ask(2, "SET key third", "=key");
    uint64_t before = compactions();
    faulty_arm(call, skip, 1, error);
    ask(2, "COMPACT", "+OK");
    for (unsigned i = 0; i < POLLS && compactions() == before; i++)
        ;
    bool failed = bad->failed > 0;
    faulty_disarm();
    hangup(2);
    ask(2, "SELECT a", "+OK");
    check_compacted();
    ask(1, "RELOAD a", "+OK");
    check_compacted();
    hangup(2);
    ask(1, "NSDEL a", "+OK");
    return failed;
}

static void a_compaction_may_fail_at_every_call(void)
{
    static const struct {
        enum badcall call;
        int error;
    } faults[] = {{BADCALL_OPEN, EMFILE},
                  {BADCALL_RENAME, EIO},
                  {BADCALL_SYNC, EIO},
                  {BADCALL_WRITE, ENOSPC}};
    faulty_start_with("--sync", "--compact", "0");
    for (size_t i = 0; i < array_length(faults); i++)
        for (int n = 0; compacts_though(faults[i].call, faults[i].error, n); n++)
            ;
}

static void wait_for_compactions(uint64_t n)
{
    uint64_t deadline = clock_monotonic_ms() + CLIENT_WAIT_MS;
    while (compactions() < n)
        assert_true(clock_monotonic_ms() < deadline);
}

/* Else the next one would take for durable what the kernel alone has, and punch the payloads. */
static void marks_of_a_compaction_that_cannot_be_synced_are_forgotten(void)
{
    faulty_start_with("--sync", "--compact", "0", "--mode", "seq");
    ask(2, "SET '' @9000", "=%00%00%00%00%00%00%00%00");
    ask(2, "SET %00%00%00%00%00%00%00%00 @9001", "=%00%00%00%00%00%00%00%00");
    ask(2, "NSJUMP", "+OK");
    bad->forgotten = 0;
    faulty_arm(BADCALL_SYNC, 0, 1, EIO);
    ask(2, "COMPACT", "+OK");
    wait_for_compactions(1);
    assert_int_equal(bad->failed, 1);
    assert_int_equal(ask_info(1, "INFO", "compactions_failed"), 1);
    assert_int_equal(bad->forgotten, 1);
    ask(2, "COMPACT", "+OK");
    wait_for_compactions(2);
    assert_int_equal(ask_info(1, "INFO", "compactions_done"), 1);
    ask(2, "LENGTH %00%00%00%00%00%00%00%00", ":9001");
}

/* --- a start --------------------------------------------------------------------------------- */

static void a_start_that_fails_at_any_write_leaves_the_rest_to_the_next(void)
{
    for (int skip = 0, failed = 1; failed > 0; skip++) {
        struct peer_ns ns;
        peer_ns_init(&ns, "default", PEER_SEQ, PEER_EMBEDDED);
        (void)peer_seq_add(&ns, "zero", 4, 1);
        size_t size = ns.data[0].size;
        peer_seq_update(&ns, 0, "one", 3, 2);
        (void)peer_seq_add(&ns, "two", 3, 3);
        peer_seq_update(&ns, 2, "three", 5, 4);
        peer_cut(&ns.data[0], size + 5);
        assert_true(peer_save(&ns, zdb.index, zdb.data));
        peer_ns_free(&ns);
        if (faulty_try_start(NULL, BADCALL_WRITE, skip, INT_MAX, EIO))
            server_kill(&zdb);
        failed = bad->failed;
        server_start(&zdb, NULL);
        ask(1, "GET %00%00%00%00%00%00%00%00", "=zero");
        ask(1, "GET %02%00%00%00%00%00%00%00", "nil");
        ask(1, "SET '' four", "=%04%00%00%00%00%00%00%00");
        hangup_all();
        server_stop(&zdb);
    }
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_write_whose_sync_fails_is_not_acknowledged),
        zdb_case(an_id_whose_sync_fails_is_not_acknowledged),
        zdb_case(a_pipeline_ends_where_its_sync_fails),
        zdb_case(everybody_who_waits_is_told),
        zdb_case(while_no_sync_succeeds_nothing_is_served),
        zdb_case(a_write_behind_a_rotation_waits_for_its_own_sync),
        zdb_case(a_pair_is_begun_when_the_one_before_is_synced),
        zdb_case(a_pair_of_ids_always_is),
        zdb_case(one_namespace_that_cannot_be_synced_stops_no_other),
        zdb_case(a_compaction_may_fail_at_every_call),
        zdb_case(a_start_that_fails_at_any_write_leaves_the_rest_to_the_next),
        zdb_case(marks_of_a_compaction_that_cannot_be_synced_are_forgotten),
    };
    return zdb_main(argc, argv, "zdb_faults", cases, array_length(cases));
}
