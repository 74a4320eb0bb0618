/* Nobody holds the loop: what takes long is done a part at a time, and others have their turn. */
#include "script.h"

#include "base/clock.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { CHECKS = 200, LONG_VALUE = 8 << 20, DEAD = 70000, BATCH = 1000, MANY = 200 };

/* When it stands still, and not when it has been told to. */
static void stop_server(void)
{
    siginfo_t stopped;
    assert_int_equal(kill(zdb.pid, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)zdb.pid, &stopped, WSTOPPED), 0);
}

static void set_long_value(void)
{
    uint8_t *value = calloc(1, LONG_VALUE);
    assert_non_null(value);
    const struct word words[] = {word("SET"), word("key"), {value, LONG_VALUE}};
    assert_true(client_send_words(on(1), words, 3));
    free(value);
    ask(1, "", "=key");
}

static void send_checks(void)
{
    size_t size;
    autofree uint8_t *check = request_parse("CHECK key", &size);
    autofree uint8_t *all = malloc(CHECKS * size);
    assert_non_null(all);
    for (unsigned i = 0; i < CHECKS; i++)
        memcpy(all + i * size, check, size);
    assert_true(client_send(on(1), all, CHECKS * size));
}

/* Both have spoken when the server hears them. */
static void a_long_pipeline_lets_others_in_between(void)
{
    server_start(&zdb, NULL);
    set_long_value();
    ask(2, "PING", "+PONG");
    stop_server();
    send_checks();
    assert_int_equal(shutdown(on(1)->fd, SHUT_WR), 0); /* it is answered all the same */
    ask(2, "INFO", "");
    assert_int_equal(kill(zdb.pid, SIGCONT), 0);
    assert_in_range(ask_info(2, "", "commands_executed"), 1, CHECKS / 2);
    for (unsigned i = 0; i < CHECKS; i++)
        ask(1, "", ":1");
    assert_true(client_ends(on(1)));
}

static void many_who_come_at_once_let_others_in_between(void)
{
    static struct client *many[MANY];
    server_start(&zdb, NULL);
    ask(1, "PING", "+PONG");
    stop_server();
    for (unsigned i = 0; i < MANY; i++)
        many[i] = server_connect(&zdb);
    ask(1, "INFO", "");
    assert_int_equal(kill(zdb.pid, SIGCONT), 0);
    assert_in_range(ask_info(1, "", "clients_lifetime"), 1, MANY / 2);
    for (unsigned i = 0; i < MANY; i++) {
        size_t size;
        const struct word ping[] = {word("PING")};
        assert_true(client_send_words(many[i], ping, 1));
        const uint8_t *reply = client_reply(many[i], &size);
        assert_true(reply && reply_fits(reply, size, "+PONG"));
        client_close(many[i]);
    }
}

static void overwrite(unsigned times)
{
    char request[64];
    for (unsigned i = 0; i < times; i++) {
        (void)snprintf(request, sizeof request, "SET key %u", i);
        ask(1, request, "");
        if (i % BATCH == BATCH - 1 || i + 1 == times)
            for (unsigned n = i % BATCH + 1; n > 0; n--)
                ask(1, "", "=key");
    }
}

/* An answer may have no entries, and be none of the end. */
static void a_scan_of_what_is_dead_is_answered_in_parts(void)
{
    size_t size;
    server_start(&zdb, NULL);
    overwrite(DEAD);
    const struct word first[] = {word("SCAN")};
    assert_true(client_send_words(on(1), first, 1));
    const uint8_t *reply = client_reply(on(1), &size);
    assert_non_null(reply);
    assert_true(size > 26 && memcmp(reply, "*2\r\n$17\r\n", 9) == 0);
    unsigned parts = 1, entries = 0;
    for (; reply[0] == '*'; parts++) {
        uint8_t cursor[17];
        memcpy(cursor, reply + 9, sizeof cursor);
        entries += memmem(reply, size, "*1\r\n", 4) != NULL;
        const struct word next[] = {word("SCAN"), {cursor, sizeof cursor}};
        assert_true(client_send_words(on(1), next, 2));
        reply = client_reply(on(1), &size);
        assert_non_null(reply);
    }
    assert_true(reply_fits(reply, size, "-No more data"));
    assert_int_equal(entries, 1);
    assert_true(parts > 2);
}

/* Each comes when the batch before it is about to end. What is tried again for other reasons is
 * tried after a second; a machine may take as long for one or two of them, but not for many. */
static void a_synced_write_waits_for_no_timer(void)
{
    enum { WRITES = 3000, TIMER_MS = 900, SLOW_MAX = 4 };
    unsigned n_slow = 0;
    server_start_with(&zdb, "--sync");
    for (unsigned i = 0; i < WRITES; i++) {
        char request[64];
        uint64_t begun_ms = clock_monotonic_ms();
        (void)snprintf(request, sizeof request, "SET key value-%u", i);
        ask(1, request, "=key");
        n_slow += clock_monotonic_ms() - begun_ms >= TIMER_MS;
    }
    assert_in_range(n_slow, 0, SLOW_MAX);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_long_pipeline_lets_others_in_between),
        zdb_case(many_who_come_at_once_let_others_in_between),
        zdb_case(a_scan_of_what_is_dead_is_answered_in_parts),
        zdb_case(a_synced_write_waits_for_no_timer),
    };
    return zdb_main(argc, argv, "zdb_turns", cases, array_length(cases));
}
