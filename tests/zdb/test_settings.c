/*
 * Properties of namespaces that change together are written together; nobody is told of one that is
 * not on the disk, and none is served.
 */
#include "faulty.h"
#include "script.h"

#include <errno.h>
#include <stdlib.h>

/* Two roots, two files, two directories, a descriptor and its directory. */
enum { SYNCS_OF_NSNEW = 8, SYNCS_OF_DESCRIPTOR = 2 };

/* These requests in one write. */
static void send_together(unsigned number, const char *const *requests, size_t n)
{
    struct peer_bytes all = {0};
    for (size_t i = 0; i < n; i++) {
        size_t size;
        autofree uint8_t *request = request_parse(requests[i], &size);
        peer_put(&all, request, size);
    }
    assert_true(client_send(on(number), all.at, all.size));
    peer_bytes_free(&all);
}

#define together(number, ...)                                                                      \
    send_together(number, (const char *const[]){__VA_ARGS__},                                      \
                  array_length(((const char *const[]){__VA_ARGS__})))

static void expect_info(const char *line)
{
    autofree char *text = ask_bulk(2, "NSINFO a", NULL);
    if (!strstr(text, line))
        fail_msg("NSINFO does not say %s:\n%s", line, text);
}

static void settings_that_come_together_are_synced_together(void)
{
    faulty_start(NULL);
    ask(1, "PING", "+PONG");
    bad->synced = 0;
    together(1, "NSNEW a", "NSSET a maxsize 5000", "NSSET a worm 1", "NSSET a password secret",
             "NSSET a public 0", "PING");
    for (unsigned i = 0; i < 5; i++)
        ask(1, "", "+OK");
    ask(1, "", "+PONG");
    assert_in_range(bad->synced, 1, SYNCS_OF_NSNEW + SYNCS_OF_DESCRIPTOR);
    faulty_restart(NULL);
    expect_info("public: no\nworm: yes");
    expect_info("data_limits_bytes: 5000");
    ask(1, "SELECT a", "-Namespace protected and private");
    ask(1, "SELECT a secret", "+OK");
}

static void a_setting_that_cannot_be_written_is_as_it_was(void)
{
    faulty_start(NULL);
    ask(1, "NSNEW a", "+OK");
    ask(1, "NSSET a maxsize 5000", "+OK");
    faulty_arm(BADCALL_RENAME, 0, 1, ENOSPC);
    ask(1, "NSSET a maxsize 6000", "-Cannot write data right now");
    expect_info("data_limits_bytes: 5000");
    ask(1, "NSSET a maxsize 7000", "+OK");
    faulty_restart(NULL);
    expect_info("data_limits_bytes: 7000");
}

/* Each is told so in its place, and all else goes on. */
static void none_of_several_that_cannot_be_written_is_acknowledged(void)
{
    faulty_start(NULL);
    ask(1, "NSNEW a", "+OK");
    ask(3, "SET key value", "=key");
    faulty_arm(BADCALL_RENAME, 0, 1, ENOSPC);
    together(1, "PING", "NSSET a maxsize 6000", "NSSET a mode seq", "NSSET a public 0", "PING");
    ask(1, "", "+PONG");
    ask(1, "", "-Cannot write data right now");
    ask(1, "", "+OK");
    ask(1, "", "-Cannot write data right now");
    ask(1, "", "+PONG");
    expect_info("public: yes\n");
    expect_info("data_limits_bytes: 0\n");
    ask(3, "SET key other", "=key");
}

static void more_than_are_written_at_once_are_written(void)
{
    enum { MANY = 150 };
    const char *requests[MANY];
    faulty_start(NULL);
    ask(1, "NSNEW a", "+OK");
    for (unsigned i = 0; i < MANY; i++)
        requests[i] = i % 2 ? "NSSET a maxsize 6000" : "NSSET a nonsense 1";
    faulty_arm(BADCALL_RENAME, 1, 1, ENOSPC);
    send_together(1, requests, MANY);
    for (unsigned i = 0; i < MANY; i++)
        ask(1, "",
            i % 2 == 0 ? "-Invalid property"
            : i < 128  ? "+OK"
                       : "-Cannot write data right now");
    expect_info("data_limits_bytes: 6000\n");
}

/* Whoever is let in by a password is let in by one that stays. */
static void a_session_begins_with_what_is_on_the_disk(void)
{
    faulty_start(NULL);
    ask(1, "NSNEW a", "+OK");
    ask(1, "NSSET a password secret", "+OK");
    ask(1, "NSSET a public 0", "+OK");
    faulty_arm(BADCALL_RENAME, 0, 1, ENOSPC);
    together(1, "NSSET a password *", "SELECT a");
    ask(1, "", "-Cannot write data right now");
    ask(1, "", "-Namespace protected and private");
}

/* What is loaded again has what was just said of it. */
static void a_setting_outlives_a_reload_behind_it(void)
{
    faulty_start(NULL);
    ask(1, "NSNEW a", "+OK");
    together(1, "NSSET a maxsize 6000", "RELOAD a", "NSSET a worm 1");
    for (unsigned i = 0; i < 3; i++)
        ask(1, "", "+OK");
    expect_info("worm: yes\n");
    expect_info("data_limits_bytes: 6000\n");
    faulty_restart(NULL);
    expect_info("worm: yes\n");
    expect_info("data_limits_bytes: 6000\n");
}

static void a_removed_namespace_is_not_described(void)
{
    faulty_start(NULL);
    together(1, "NSNEW a", "NSSET a maxsize 6000", "NSDEL a", "NSNEW a", "PING");
    for (unsigned i = 0; i < 4; i++)
        ask(1, "", "+OK");
    ask(1, "", "+PONG");
    expect_info("data_limits_bytes: 0\n");
    ask(1, "NSSET a maxsize 7000", "+OK");
    expect_info("data_limits_bytes: 7000\n");
}

/* --- what is not on the disk ----------------------------------------------------------------- */

#define UNWRITTEN "-Cannot write data right now"

/* A namespace with a limit, and nothing that is to be synced soon. */
static void start_with_a(void)
{
    faulty_start_with("--synctime", "1000");
    ask(1, "NSNEW a", "+OK");
    ask(1, "NSSET a maxsize 5000", "+OK");
}

/* The descriptor's own sync succeeds, and that of its directory does not. */
static void a_setting_that_cannot_be_synced_is_taken_back(void)
{
    start_with_a();
    faulty_arm(BADCALL_SYNC, 1, 1, EIO);
    ask(1, "NSSET a maxsize 6000", UNWRITTEN);
    assert_int_equal(bad->failed, 1);
    expect_info("data_limits_bytes: 5000\n");
    faulty_restart(NULL);
    expect_info("data_limits_bytes: 5000\n");
}

/* Then what is served is what the next start finds. */
static void one_that_cannot_be_taken_back_is_as_on_the_disk(void)
{
    start_with_a();
    ask(2, "SELECT a", "+OK");
    faulty_arm_two(BADCALL_SYNC, BADCALL_RENAME, 2, 1000000, EIO);
    ask(1, "NSSET a maxsize 6000", UNWRITTEN);
    ask(2, "SET key value", "-Namespace is out of service, its files are damaged");
    faulty_disarm();
    ask(1, "RELOAD a", "+OK");
    expect_info("data_limits_bytes: 6000\n");
    faulty_restart(NULL);
    expect_info("data_limits_bytes: 6000\n");
}

/* Memory has no password of it to put back, and anybody would be let in. */
static void the_password_of_a_closed_one_is_as_on_the_disk(void)
{
    char path[PATH_MAX];
    start_with_a();
    ask(2, "SELECT a", "+OK");
    ask(2, "SET key value", "=key");
    (void)snprintf(path, sizeof path, "%s/a/zdb-namespace", zdb.index);
    assert_int_equal(unlink(path), 0);
    faulty_restart((const char *const[]){"--synctime", "1000", NULL});
    faulty_arm(BADCALL_SYNC, 1, 1, EIO);
    ask(1, "NSSET a password secret", UNWRITTEN);
    assert_int_equal(bad->failed, 1);
    ask(2, "SELECT a", "-Namespace protected and private");
    ask(2, "SELECT a secret", "+OK");
    faulty_restart(NULL);
    ask(2, "SELECT a secret", "+OK");
    ask(2, "GET key", "=value");
}

/* Or what is written next is of one mode, and its files say that it is of the other. */
static void a_mode_that_cannot_be_synced_is_taken_back(void)
{
    static const struct {
        enum badcall call;
        int fail;
    } faults[] = {{BADCALL_WRITE, 1}, {BADCALL_SYNC, 1}, {BADCALL_SYNC, 2}};
    for (size_t i = 0; i < array_length(faults); i++) {
        start_with_a();
        faulty_arm(faults[i].call, 0, faults[i].fail, EIO);
        ask(1, "NSSET a mode seq", "-Cannot write index right now");
        assert_int_equal(bad->failed, faults[i].fail);
        ask(2, "SELECT a", "+OK");
        ask(2, "SET eightkey value", "=eightkey"); /* it may be an id */
        faulty_restart(NULL);
        ask(2, "SELECT a", "+OK");
        ask(2, "GET eightkey", "=value");
        hangup(2);
        ask(1, "NSDEL a", "+OK");
        hangup_all();
        server_stop(&zdb);
    }
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(settings_that_come_together_are_synced_together),
        zdb_case(a_setting_that_cannot_be_written_is_as_it_was),
        zdb_case(none_of_several_that_cannot_be_written_is_acknowledged),
        zdb_case(more_than_are_written_at_once_are_written),
        zdb_case(a_session_begins_with_what_is_on_the_disk),
        zdb_case(a_setting_outlives_a_reload_behind_it),
        zdb_case(a_removed_namespace_is_not_described),
        zdb_case(a_setting_that_cannot_be_synced_is_taken_back),
        zdb_case(one_that_cannot_be_taken_back_is_as_on_the_disk),
        zdb_case(the_password_of_a_closed_one_is_as_on_the_disk),
        zdb_case(a_mode_that_cannot_be_synced_is_taken_back),
    };
    return zdb_main(argc, argv, "zdb_settings", cases, array_length(cases));
}
