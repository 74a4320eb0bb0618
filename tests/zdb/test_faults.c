/*
 * Calls of the server that fail: a sync that fails is told to whoever waited for it, and what it
 * was for is not served as if it were there; no failure of any call loses what was acknowledged
 * before.
 */
#include "badcalls.h"
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#define UNSYNCED "-Cannot sync right now, it may be lost|EOF"

static struct badcalls *bad;
static char page_path[PATH_MAX], sanitizer[PATH_MAX];
static const char *const environment[] = {"LD_PRELOAD=" BADCALLS_LIBRARY, page_path, sanitizer,
                                          NULL};

/* A server into which the library is loaded, in the running test. */
static void start(const char *const *flags)
{
    const char *options = getenv("ASAN_OPTIONS");
    (void)snprintf(sanitizer, sizeof sanitizer, "ASAN_OPTIONS=%s%sverify_asan_link_order=0",
                   options ? options : "", options ? ":" : "");
    (void)snprintf(page_path, sizeof page_path, "BADCALLS=%s/badcalls", zdb.dir);
    autoclose int fd = open(strchr(page_path, '=') + 1, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, sizeof *bad) == 0);
    if (bad)
        (void)munmap(bad, sizeof *bad);
    bad = mmap(NULL, sizeof *bad, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(bad != MAP_FAILED);
    bad->call = BADCALL_NONE;
    zdb.environment = environment;
    server_start(&zdb, flags);
    zdb.environment = NULL;
}
#define start_with(...) start((const char *const[]){__VA_ARGS__, NULL})

static void arm(enum badcall call, int skip, int fail, int error)
{
    bad->call = BADCALL_NONE;
    bad->skip = skip;
    bad->fail = fail;
    bad->error = error;
    bad->failed = 0;
    bad->call = (int)call;
}

static void restart(const char *const *flags)
{
    hangup_all();
    server_kill(&zdb);
    start(flags);
}

/* --- syncs ----------------------------------------------------------------------------------- */

static void a_write_whose_sync_fails_is_not_acknowledged(void)
{
    start_with("--sync");
    ask(1, "SET key value", "=key");
    arm(BADCALL_SYNC, 0, 1, EIO);
    ask(1, "SET key other", UNSYNCED);
    assert_int_equal(bad->failed, 1);
    hangup(1);
    ask(1, "GET key", "=value");
    ask(1, "SET key third", "=key");
    restart((const char *const[]){"--sync", NULL});
    ask(1, "GET key", "=third");
}

static void an_id_whose_sync_fails_is_not_acknowledged(void)
{
    start_with("--sync", "--mode", "seq");
    ask(1, "SET '' value", "=%00%00%00%00%00%00%00%00");
    arm(BADCALL_SYNC, 0, 1, EIO);
    ask(1, "SET %00%00%00%00%00%00%00%00 other", UNSYNCED);
    hangup(1);
    ask(1, "GET %00%00%00%00%00%00%00%00", "=value");
    ask(1, "SET %00%00%00%00%00%00%00%00 third", "=%00%00%00%00%00%00%00%00");
    restart((const char *const[]){"--sync", "--mode", "seq", NULL});
    ask(1, "GET %00%00%00%00%00%00%00%00", "=third");
}

/* What was asked before the write is answered, and nothing behind it. */
static void a_pipeline_ends_where_its_sync_fails(void)
{
    start_with("--sync");
    ask(1, "SET a 1", "=a");
    arm(BADCALL_SYNC, 0, 1, EIO);
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
    start_with("--sync");
    ask(1, "SET a 1", "=a");
    arm(BADCALL_SYNC, 0, 1, EIO);
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
    start_with("--sync");
    ask(1, "SET key value", "=key");
    arm(BADCALL_SYNC, 0, 1000000, EIO);
    ask(1, "SET key other", UNSYNCED);
    hangup(1);
    ask(1, "GET key", "-Namespace is out of service, its files are damaged");
    ask(1, "RELOAD default", "-Namespace is out of service, its files are damaged");
    arm(BADCALL_NONE, 0, 0, 0);
    ask(1, "RELOAD default", "+OK");
    ask(1, "GET key", "=value");
    ask(1, "SET key other", "=key");
}

static void one_namespace_that_cannot_be_synced_stops_no_other(void)
{
    start_with("--sync");
    ask(1, "NSNEW other", "+OK");
    ask(2, "SELECT other", "+OK");
    ask(2, "SET key value", "=key");
    arm(BADCALL_SYNC, 0, 1, EIO);
    ask(1, "SET key value", UNSYNCED);
    ask(2, "GET key", "=value");
    ask(2, "SET key other", "=key");
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_write_whose_sync_fails_is_not_acknowledged),
        zdb_case(an_id_whose_sync_fails_is_not_acknowledged),
        zdb_case(a_pipeline_ends_where_its_sync_fails),
        zdb_case(everybody_who_waits_is_told),
        zdb_case(while_no_sync_succeeds_nothing_is_served),
        zdb_case(one_namespace_that_cannot_be_synced_stops_no_other),
    };
    return zdb_main(argc, argv, "zdb_faults", cases, array_length(cases));
}
