/* Who is let in: as many as leave the files their descriptors, and the others are told. */
#include "script.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

enum { FILES = 128, MANY = 2 * FILES, RESERVED = 32 };

static struct client *many[MANY];

static bool answers(struct client *client, const char *request, const char *reply)
{
    size_t size;
    uint8_t *bytes = request_parse(request, &size);
    (void)client_send(client, bytes, size); /* it may be refused already */
    free(bytes);
    const uint8_t *got = client_reply(client, &size);
    return got && reply_fits(got, size, reply);
}

static size_t connect_many(void)
{
    size_t n = 0;
    for (size_t i = 0; i < MANY; i++) {
        many[i] = server_connect(&zdb);
        if (answers(many[i], "PING", "+PONG"))
            n++;
        else
            assert_true(client_ends(many[i]));
    }
    return n;
}

static void close_many(void)
{
    for (size_t i = 0; i < MANY; i++)
        client_close(many[i]);
}

/* A full house reads and writes as before: rotations, namespaces and compactions open files. */
static void too_many_clients_are_told_so_and_files_are_opened(void)
{
    zdb.files_most = FILES;
    server_start_with(&zdb, "--datasize", "512K");
    ask(1, "NSNEW a", "+OK");
    size_t n = connect_many();
    assert_in_range(n, RESERVED, FILES - RESERVED);
    ask(2, "", "-Too many clients|EOF");
    char value[100001];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (unsigned i = 0; i < 200; i++) { /* some 40 pairs */
        char key[16];
        (void)snprintf(key, sizeof key, "key%u", i);
        const struct word words[] = {word("SET"), word(key), word(value)};
        assert_true(client_send_words(on(1), words, 3));
        char reply[32];
        (void)snprintf(reply, sizeof reply, "=%s", key);
        ask(1, "", reply);
    }
    for (unsigned i = 0; i < 200; i += 5) {
        char request[32];
        (void)snprintf(request, sizeof request, "GET key%u", i);
        ask(1, request, "=^vvv");
    }
    ask(1, "NSNEW b", "+OK");
    close_many();
    hangup(2);
    /* The places of those that left are free again, at once or a moment later. */
    while (!answers(on(2), "PING", "+PONG"))
        hangup(2);
}

static void make_namespaces(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char request[32];
        (void)snprintf(request, sizeof request, "NSNEW ns%03u", i);
        ask(1, request, "+OK");
        (void)snprintf(request, sizeof request, "SELECT ns%03u", i);
        ask(1, request, "+OK");
        ask(1, "SET key value", "=key");
    }
}

/* More namespaces than it can have: the first of them are served, and the others keep what is
 * theirs. */
static void too_many_namespaces_leave_place_for_clients(void)
{
    enum { NAMESPACES = 60 };
    server_start(&zdb, NULL);
    make_namespaces(NAMESPACES);
    hangup_all();
    server_stop(&zdb);
    zdb.files_most = FILES;
    server_start(&zdb, NULL);
    ask(1, "SELECT ns000", "+OK");
    ask(1, "GET key", "=value");
    ask(1, "SET key other", "=key");
    ask(1, "SELECT ns059", "-Namespace is out of service, its files are damaged");
    autofree char *info = ask_bulk(1, "NSINFO ns059", NULL);
    assert_non_null(strstr(info, "out_of_service: too few descriptors"));
    for (unsigned i = 30; i < NAMESPACES; i++) { /* as many as leave some places for clients */
        char request[32];
        (void)snprintf(request, sizeof request, i % 2 ? "RELOAD ns%03u" : "NSNEW more%u", i);
        (void)answers(on(1), request, "+OK");
    }
    for (unsigned i = 2; i < 7; i++)
        ask(i, "PING", "+PONG");
    hangup_all();
    server_stop(&zdb);
    zdb.files_most = 0;
    server_start(&zdb, NULL);
    ask(1, "SELECT ns059", "+OK");
    ask(1, "GET key", "=value");
    ask(1, "SELECT ns000", "+OK");
    ask(1, "GET key", "=other");
}

static void limit_files(rlim_t n)
{
    struct rlimit files = {n, FILES * 4};
    assert_int_equal(prlimit(zdb.pid, RLIMIT_NOFILE, &files, NULL), 0);
}

/* As many as NSNEW makes, and no more, the next start has descriptors for. */
static void what_was_made_is_loaded_again(void)
{
    char request[32];
    unsigned n = 0;
    zdb.files_most = 4 * FILES;
    server_start(&zdb, NULL);
    do {
        (void)snprintf(request, sizeof request, "NSNEW ns%03u", n++);
    } while (answers(on(1), request, "+OK"));
    assert_in_range(--n, 4 * FILES / 8, FILES);
    hangup_all();
    server_stop(&zdb);
    server_start(&zdb, NULL);
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(request, sizeof request, "SELECT ns%03u", i);
        ask(1, request, "+OK");
    }
}

/* Nobody leaves, and yet it goes on when there are descriptors again. */
static void it_accepts_again_when_descriptors_are_back(void)
{
    zdb.files_most = FILES * 4;
    server_start(&zdb, NULL);
    ask(1, "SET key value", "=key");
    limit_files(4); /* every new one is beyond it, even with the spare one given up */
    struct client *waits = server_connect(&zdb);
    ask(1, "PING", "+PONG");
    assert_true(client_silent(waits, 100));
    limit_files(FILES * 4);
    assert_true(answers(waits, "GET key", "=value"));
    client_close(waits);
}

/* The state and the timer of the server's end of a connection, in the kernel's table. */
static bool is_kept_alive(uint16_t port)
{
    unsigned local, state, timer;
    bool found = false;
    char line[512];
    FILE *table = fopen("/proc/net/tcp", "re");
    assert_non_null(table);
    while (!found && fgets(line, sizeof line, table))
        if (sscanf(line, " %*u: %*x:%x %*x:%*x %x %*x:%*x %x:", &local, &state, &timer) == 3)
            found = local == port && state == 1 && timer == 2;
    (void)fclose(table);
    return found;
}

static void peers_that_are_gone_without_a_word_are_noticed(void)
{
    char port[8];
    zdb.port = port_free();
    (void)snprintf(port, sizeof port, "%u", zdb.port);
    server_start_with(&zdb, "--dualnet", "--listen", "127.0.0.1", "--port", port);
    (void)on_tcp(1);
    ask(1, "PING", "+PONG");
    uint64_t deadline = clock_monotonic_ms() + 5000;
    while (!is_kept_alive(zdb.port)) { /* the reply's own timer comes first */
        assert_true(clock_monotonic_ms() < deadline);
        (void)client_silent(on(1), 10);
    }
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(too_many_clients_are_told_so_and_files_are_opened),
        zdb_case(too_many_namespaces_leave_place_for_clients),
        zdb_case(what_was_made_is_loaded_again),
        zdb_case(it_accepts_again_when_descriptors_are_back),
        zdb_case(peers_that_are_gone_without_a_word_are_noticed),
    };
    return zdb_main(argc, argv, "zdb_connect", cases, array_length(cases));
}
