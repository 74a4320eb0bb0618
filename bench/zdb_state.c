/* What a million keys cost zdb: memory, a restart, a scan; what ids cost; what a compaction costs
 * those who read beside it. */
#include "suites.h"
#include "zdb_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MILLION = 1000000, VALUE = 64, RESTARTS = 9, SCANS = 3 };

/* --- a scan ---------------------------------------------------------------------------------- */

enum { CURSOR = 17, REPLY_ROOM = 1 << 20 };

static size_t read_more(int fd, char *reply, size_t have)
{
    assert_true(have < REPLY_ROOM - 1);
    ssize_t n = recv(fd, reply + have, REPLY_ROOM - 1 - have, 0);
    assert_true(n > 0);
    reply[have + (size_t)n] = '\0';
    return have + (size_t)n;
}

/* One SCAN from the cursor, which moves; how many entries, 0 at the end. All have one size. */
static unsigned long scan_once(int fd, char *reply, char cursor[CURSOR], bool first)
{
    static const char head[] = "*2\r\n$17\r\n", entry[] = "*3\r\n$16\r\n";
    char request[64] = "*1\r\n$4\r\nSCAN\r\n";
    size_t size = strlen(request), have = 0, at = sizeof head - 1 + CURSOR + 2;
    if (!first) {
        size = (size_t)snprintf(request, sizeof request, "*2\r\n$4\r\nSCAN\r\n$%d\r\n", CURSOR);
        memcpy(request + size, cursor, CURSOR);
        memcpy(request + size + CURSOR, "\r\n", 2);
        size += CURSOR + 2;
    }
    assert_int_equal(send(fd, request, size, MSG_NOSIGNAL), size);
    while (have == 0 || (reply[0] == '*' && have < at + 32))
        have = read_more(fd, reply, have);
    if (reply[0] == '-')
        return 0;
    assert_memory_equal(reply, head, sizeof head - 1);
    memcpy(cursor, reply + sizeof head - 1, CURSOR);
    char *end;
    unsigned long n = strtoul(reply + at + 1, &end, 10);
    size_t each = sizeof entry - 1 + LOAD_KEY_BYTES + 2 + strlen(":64\r\n:1700000000\r\n");
    size_t whole = (size_t)(end - reply) + 2 + n * each;
    while (have < whole)
        have = read_more(fd, reply, have);
    assert_int_equal(have, whole);
    return n;
}

/* Entries a second. */
static double scan_all(const struct kv_server *zdb)
{
    static char reply[REPLY_ROOM];
    char cursor[CURSOR];
    autoclose int fd = kv_connect(zdb);
    unsigned long n, sum = 0;
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    while ((n = scan_once(fd, reply, cursor, sum == 0)) > 0)
        sum += n;
    double ms = bench_ms_since(start);
    assert_int_equal(sum, MILLION);
    return (double)sum * 1e3 / ms;
}

/* --- a million keys -------------------------------------------------------------------------- */

/* The quickest: the goal is no ratio, so what else the machine does must not count. */
static void report_restart(struct kv_server *zdb, const char *name)
{
    struct samples restarts = {0};
    for (int i = 0; i < RESTARTS; i++) {
        kv_stop(zdb, false);
        samples_add(&restarts, kv_start(zdb));
    }
    report_row(name, samples_quantile(&restarts, 0), 250, "ms", "<=1");
    samples_free(&restarts);
}

void suite_zdb_million(void)
{
    struct kv_server zdb;
    struct samples scans = {0};
    kv_zdb(&zdb, kv_mount(), "zdb", NULL);
    (void)kv_start(&zdb);
    uint64_t before = kv_resident_bytes(&zdb);
    load_fill(&zdb, 'k', MILLION, VALUE);
    double each = (double)(kv_resident_bytes(&zdb) - before) / MILLION;
    report_row("zdb_memory_per_key_against_40", each - LOAD_KEY_BYTES, 40, "B", "<=1");
    for (int i = 0; i < SCANS; i++)
        samples_add(&scans, scan_all(&zdb));
    report_row("zdb_scan_against_million", samples_p50(&scans) / 1e6, 1, "M/s", ">=1");
    report_restart(&zdb, "zdb_restart_1000000_against_250_ms");
    samples_free(&scans);
    kv_stop(&zdb, true);
    kv_unmount();
}

/* --- a million entries, each second one a delete --------------------------------------------- */

enum { PAIRS_AT_ONCE = 500 };

/* SET and DEL of the key before it, by turns: between two values of the index there is always what
 * the data alone tells. */
static void set_and_delete(int fd, uint32_t from)
{
    static char requests[PAIRS_AT_ONCE * 256], replies[PAIRS_AT_ONCE * 32];
    char *at = requests;
    size_t expected = 0, got = 0;
    for (uint32_t i = from; i < from + PAIRS_AT_ONCE; i++) {
        at += sprintf(at, "*3\r\n$3\r\nSET\r\n$16\r\n%016u\r\n$%d\r\n%0*u\r\n", i, VALUE, VALUE, i);
        expected += strlen("$16\r\n\r\n") + 16;
        if (i > 0)
            at += sprintf(at, "*2\r\n$3\r\nDEL\r\n$16\r\n%016u\r\n", i - 1);
        expected += i > 0 ? strlen("+OK\r\n") : 0;
    }
    assert_int_equal(send(fd, requests, (size_t)(at - requests), MSG_NOSIGNAL), at - requests);
    for (ssize_t n; got < expected; got += (size_t)n) {
        n = recv(fd, replies, sizeof replies, 0);
        assert_true(n > 0);
    }
}

void suite_zdb_deletes(void)
{
    struct kv_server zdb;
    kv_zdb(&zdb, kv_mount(), "zdb", NULL);
    (void)kv_start(&zdb);
    int fd = kv_connect(&zdb);
    for (uint32_t i = 0; i < MILLION / 2; i += PAIRS_AT_ONCE)
        set_and_delete(fd, i);
    (void)close(fd);
    report_restart(&zdb, "zdb_restart_with_deletes_1000000_against_250_ms");
    kv_stop(&zdb, true);
    kv_unmount();
}

/* --- sequential ids -------------------------------------------------------------------------- */

static uint64_t resident_with_ids(const struct kv_server *zdb, uint32_t more)
{
    struct load load = {.server = zdb,
                        .set = true,
                        .sequential = true,
                        .clients = 4,
                        .pipeline = 10,
                        .value_bytes = VALUE,
                        .kind = 's',
                        .keys = more};
    (void)load_run(&load, NULL);
    return kv_resident_bytes(zdb);
}

void suite_zdb_sequential(void)
{
    static const char *const flags[] = {"--mode", "seq", NULL};
    struct kv_server zdb;
    kv_zdb(&zdb, kv_mount(), "zdb", flags);
    (void)kv_start(&zdb);
    double some = (double)resident_with_ids(&zdb, MILLION / 10);
    double many = (double)resident_with_ids(&zdb, MILLION - MILLION / 10);
    report_row("zdb_sequential_1000000_against_100000", many / MiB, some / MiB, "MiB", "<=1.1");
    kv_stop(&zdb, true);
    kv_unmount();
}

/* --- a compaction ---------------------------------------------------------------------------- */

enum { DEAD_ROUNDS = 6, DEAD_KEYS = 50000, DEAD_VALUE = 2048, WINDOW_MS = 200, WINDOWS = 8 };

static bool compacts(const struct kv_server *zdb)
{
    static char info[8192];
    kv_ask(zdb, "INFO", info, sizeof info);
    return strstr(info, "compaction_running: yes");
}

void suite_zdb_compaction(void)
{
    static const char *const flags[] = {"--datasize", "64M", NULL};
    struct kv_server zdb;
    struct samples without = {0}, beside = {0};
    char reply[64];
    unsigned windows = 0;
    kv_zdb(&zdb, kv_mount(), "zdb", flags);
    (void)kv_start(&zdb);
    for (int round = 0; round < DEAD_ROUNDS; round++)
        load_fill(&zdb, 'k', DEAD_KEYS, DEAD_VALUE);
    struct load load = {.server = &zdb,
                        .clients = 50,
                        .pipeline = 1,
                        .value_bytes = DEAD_VALUE,
                        .kind = 'k',
                        .keys = DEAD_KEYS,
                        .ms = WINDOW_MS};
    for (int i = 0; i < WINDOWS; i++)
        (void)load_run(&load, &without);
    kv_ask(&zdb, "COMPACT", reply, sizeof reply);
    assert_string_equal(reply, "+OK\r\n");
    for (; compacts(&zdb); windows++)
        (void)load_run(&load, &beside);
    if (windows < 2)
        fail_msg("the compaction ended too soon");
    for (int i = 0; i < WINDOWS; i++)
        (void)load_run(&load, &without);
    report_row("zdb_get_p99_beside_compaction", samples_quantile(&beside, 0.99) / 1e3,
               samples_quantile(&without, 0.99) / 1e3, "ms", "<=2");
    samples_free(&without);
    samples_free(&beside);
    kv_stop(&zdb, true);
    kv_unmount();
}
