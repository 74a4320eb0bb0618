/* A thousand namespaces: soon there, listed in order, and within what they may cost. */
#include "script.h"

#include <dirent.h>
#include <stdlib.h>

#include "base/clock.h"

#define MiB (UINT64_C(1) << 20)

enum {
    NAMESPACES = 1000,
    USED = 50,
    EACH_DESCRIPTORS = 4,
    OTHER_DESCRIPTORS = 64,
    START_MS = 10000
};

static const char *const plain_memory[] = {"ASAN_OPTIONS=quarantine_size_mb=1", NULL};

static void ask_namespace(const char *verb, unsigned i, const char *reply)
{
    char request[64];
    (void)snprintf(request, sizeof request, "%s ns%04u", verb, i);
    ask(1, request, reply);
}

static unsigned count_descriptors(void)
{
    char path[64];
    unsigned n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)zdb.pid);
    autodir DIR *fds = opendir(path);
    assert_non_null(fds);
    while (readdir(fds))
        n++;
    return n;
}

static void expect_list(void)
{
    size_t size;
    char head[16];
    ask(1, "NSLIST", "");
    const uint8_t *at = client_reply(on(1), &size);
    (void)snprintf(head, sizeof head, "*%d\r\n", NAMESPACES + 1);
    assert_memory_equal(at, head, strlen(head));
    at += strlen(head);
    assert_memory_equal(at, "$7\r\ndefault\r\n", 13);
    at += 13;
    for (unsigned i = 0; i < NAMESPACES; i++, at += 12) {
        char name[16];
        (void)snprintf(name, sizeof name, "$6\r\nns%04u\r\n", i);
        assert_memory_equal(at, name, 12);
    }
}

static void write_all(void)
{
    for (unsigned i = 0; i < NAMESPACES; i++) {
        ask_namespace("SELECT", i, "+OK");
        ask(1, "SET key value", "=key");
    }
}

static void check_some(void)
{
    for (unsigned i = 0; i < NAMESPACES; i += NAMESPACES / USED) {
        ask_namespace("SELECT", i, "+OK");
        ask(1, "GET key", "=value");
    }
}

static void a_thousand_namespaces_are_served(void)
{
    zdb.environment = plain_memory;
    server_start(&zdb, NULL);
    for (unsigned i = 0; i < NAMESPACES; i++)
        ask_namespace("NSNEW", i, "+OK");
    expect_list();
    write_all();
    check_some();
    unsigned n_descriptors = count_descriptors();
    uint64_t written = server_rss_bytes(&zdb);
    hangup_all();
    server_stop(&zdb);
    uint64_t begin = clock_monotonic_ms();
    server_start(&zdb, NULL);
    uint64_t took = clock_monotonic_ms() - begin;
    expect_list();
    check_some();
    print_message("            started in %ju ms; %u descriptors; %ju MiB, when all were written "
                  "%ju MiB\n",
                  (uintmax_t)took, n_descriptors, (uintmax_t)(server_rss_bytes(&zdb) / MiB),
                  (uintmax_t)(written / MiB));
    assert_in_range(took, 0, START_MS);
    assert_in_range(n_descriptors, 0, NAMESPACES * EACH_DESCRIPTORS + OTHER_DESCRIPTORS);
    for (unsigned i = 0; i < NAMESPACES; i += 2)
        ask_namespace("NSDEL", i, i == (NAMESPACES - NAMESPACES / USED) ? "-?" : "+OK");
    assert_in_range(count_descriptors(), 0, n_descriptors / 2 + OTHER_DESCRIPTORS);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_thousand_namespaces_are_served),
    };
    return zdb_main(argc, argv, "zdb_many", cases, array_length(cases));
}
