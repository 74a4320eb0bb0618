/* What is said about the server, what one session hears of others, and the flags. */
#include "script.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

static void assert_in_order(const char *text, const char *const *lines, size_t n)
{
    const char *at = text;
    for (size_t i = 0; i < n; i++) {
        const char *line = strstr(at, lines[i]);
        if (!line)
            fail_msg("no \"%s\" at its place in:\n%s", lines[i], text);
        at = line;
    }
}

static void the_server_describes_itself(void)
{
    static const char *const lines[] = {
        "# server\n",
        "server_name: 0-db (embedded)\n",
        "server_revision: ",
        "engine_revision: ",
        "instance_id: ",
        "boot_time: ",
        "uptime: ",
        "# clients\n",
        "clients_lifetime: ",
        "# internals\n",
        "sequential_key_size: 8\n",
        "data_version: 3\n",
        "index_version: 4\n",
        "# stats\n",
        "commands_executed: ",
        "commands_failed: ",
        "commands_unauthorized: ",
        "index_disk_read_failed: 0\n",
        "index_disk_write_failed: 0\n",
        "data_disk_read_failed: 0\n",
        "data_disk_write_failed: 0\n",
        "index_disk_read_bytes: ",
        "index_disk_read_mb: ",
        "index_disk_write_bytes: ",
        "index_disk_write_mb: ",
        "data_disk_read_bytes: ",
        "data_disk_read_mb: ",
        "data_disk_write_bytes: ",
        "data_disk_write_mb: ",
        "network_rx_bytes: ",
        "network_rx_mb: ",
        "network_tx_bytes: ",
        "network_tx_mb: ",
    };
    server_start(&zdb, NULL);
    autofree char *info = ask_bulk(1, "INFO", NULL);
    for (size_t i = 0; i < array_length(lines); i++)
        if (!strstr(info, lines[i]))
            fail_msg("no \"%s\" in:\n%s", lines[i], info);
    static const char *const sections[] = {"# server\n", "# clients\n", "# internals\n",
                                           "# stats\n"};
    assert_in_order(info, sections, array_length(sections));
}

/* --- WAIT, MIRROR, MASTER -------------------------------------------------------------------- */

static void a_wait_hears_of_others_in_its_namespace(void)
{
    static const struct row rows[] = {
        {1, "WAIT", "-Invalid arguments"},
        {1, "WAIT SET 99", "-Invalid timeout"},
        {1, "WAIT SET 1800001", "-Invalid timeout"},
        {1, "WAIT NOPE", "-Unknown command to watch"},
        {1, "WAIT SET 1800000", ""},
        {2, "GET key", "nil"},
        {2, "SET key value", "=key"},
        {1, "", "+SET"},
        {1, "WAIT set 10000", ""},
        {2, "SET key other", "=key"},
        {1, "", "+SET"},
        {1, "WAIT * 10000", ""},
        {2, "GET key", "=other"},
        {1, "", "+GET"},
        {1, "WAIT DEL 10000", ""},
        {1, "GET key", "=other"}, /* meanwhile */
        {2, "DEL nope", "-Key not found"},
        {2, "DEL key", "+OK"},
        {1, "", "+DEL"},
    };
    server_start(&zdb, NULL);
    script(rows);
}

static void a_wait_does_not_hear_of_failures_and_of_other_namespaces(void)
{
    static const struct row rows[] = {
        {1, "NSNEW a", "+OK"},        {3, "SELECT a", "+OK"},
        {1, "WAIT DEL 300", ""},      {2, "DEL nope", "-Key not found"},
        {3, "SET key value", "=key"}, {3, "DEL key", "+OK"},
        {1, "", "-Timeout"},
    };
    server_start(&zdb, NULL);
    uint64_t start = clock_monotonic_ms();
    script(rows);
    assert_in_range(clock_monotonic_ms() - start, 300, 10000);
    ask(1, "PING", "+PONG");
}

static void a_mirror_sees_every_command_of_others(void)
{
    server_start(&zdb, NULL);
    ask(1, "NSNEW a", "+OK");
    ask(1, "MIRROR", "+Starting mirroring");
    ask(2, "SET key value", "=key");
    ask(1, "", "*6|:#|=default|:#|=SET|=key|=value");
    ask(3, "SELECT a", "+OK");
    ask(3, "SET other %00", "=other");
    ask(2, "DEL key", "+OK");
    for (;;) { /* a SELECT may be told of as well, or not */
        size_t size;
        const uint8_t *reply = client_reply(on(1), &size);
        assert_non_null(reply);
        if (memmem(reply, size, "SELECT", 6))
            continue;
        reply_match(reply, size, "*6|:#|=a|:#|=SET|=other|=%00", "MIRROR", __FILE__, __LINE__);
        break;
    }
    ask(1, "", "*5|:#|=default|:#|=DEL|=key");
}

static void a_master_names_an_owner_with_each_command(void)
{
    static const struct row rows[] = {
        {1, "NSNEW a", "+OK"},
        {1, "NSSET a password secret", "+OK"},
        {1, "MASTER", "+Hello, master"},
        {1, "SET key value 42", "=key"},
        {1, "GET key 42", "=value"},
        {1, "PING 42", "+PONG"},
        {1, "GET key", "-?"},
        {2, "GET key", "=value"},
        {2, "GET key 42", "-Unexpected arguments"},
    };
    server_start(&zdb, NULL);
    script(rows);
    autofree char *info = ask_bulk(1, "NSINFO a 42", NULL);
    assert_non_null(strstr(info, "password_raw: secret\n"));
}

static void dirty_index_files_are_listed(void)
{
    size_t size;
    server_start(&zdb, NULL);
    ask(1, "INDEX DIRTY RESET", "+OK");
    ask(1, "INDEX DIRTY", "*0");
    ask(1, "SET key value", "=key");
    ask(1, "NSJUMP", "+OK");
    ask(1, "SET key other", "=key"); /* marks the old entry in file 0, writes to file 1 */
    ask(1, "INDEX DIRTY", "");
    const uint8_t *reply = client_reply(on(1), &size);
    assert_memory_equal(reply, "*2\r\n", 4);
    ask(1, "INDEX DIRTY RESET", "+OK");
    ask(1, "INDEX DIRTY", "*0");
    ask(1, "HOOKS", "*0");
}

/* --- flags ----------------------------------------------------------------------------------- */

static bool log_has(const char *text)
{
    struct peer_bytes log = {0};
    assert_true(peer_file_read(zdb.log, &log));
    bool has = memmem(log.at, log.size, text, strlen(text)) != NULL;
    peer_bytes_free(&log);
    return has;
}

#define refused(...) server_start_refused(&zdb, (const char *const[]){__VA_ARGS__, NULL})

static void the_help_names_every_flag(void)
{
    static const char *const flags[] = {
        "--data",   "--index",    "--mode",    "--datasize", "--listen",     "--port",
        "--socket", "--dualnet",  "--hook",    "--admin",    "--protect",    "--maxsize",
        "--sync",   "--synctime", "--secure",  "--rotate",   "--background", "--logfile",
        "--dump",   "--verbose",  "--version", "--help",
    };
    assert_int_equal(refused("--help"), 1);
    for (size_t i = 0; i < array_length(flags); i++)
        if (!log_has(flags[i]))
            fail_msg("--help does not name %s", flags[i]);
}

static void wrong_flags_are_refused(void)
{
    assert_int_not_equal(refused("--nope"), 0);
    assert_int_not_equal(refused("--mode", "nope"), 0);
    assert_int_not_equal(refused("--datasize", "524287"), 0);
    assert_int_not_equal(refused("--datasize", "4294967295"), 0);
    assert_int_not_equal(refused("--datasize", "4G"), 0);
    assert_int_not_equal(refused("--data", zdb.index), 0);
    assert_int_not_equal(refused("--protect"), 0);
}

static void flags_may_be_shortened(void)
{
    server_start_with(&zdb, "--datas", "512k", "--maxs", "10", "--mo", "direct", "--verb");
    ask(1, "SET '' 1234567890", "=?8");
    ask(1, "SET '' 1", "-No space left on this namespace");
}

static void a_second_server_keeps_away(void)
{
    server_start(&zdb, NULL);
    ask(1, "SET key value", "=key");
    struct server second;
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s/second", zdb.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    server_init(&second, dir);
    const char *const same[] = {"--index", zdb.index, "--data", zdb.data, NULL};
    assert_int_equal(server_start_refused(&second, same), 1);
    ask(1, "GET key", "=value");
}

static void an_old_format_is_refused(void)
{
    char path[PATH_MAX];
    const struct peer_bytes nothing = {0};
    struct peer_ns ns;
    peer_ns_init(&ns, "default", PEER_USER, PEER_UPSTREAM);
    assert_true(peer_save(&ns, zdb.index, zdb.data));
    peer_ns_free(&ns);
    (void)snprintf(path, sizeof path, "%s/default/zdb-index-00000", zdb.index);
    assert_true(peer_file_write(path, &nothing));
    assert_int_not_equal(server_start_refused(&zdb, NULL), 0);
}

/* What a descriptor of the server's is open on. */
static void assert_opened(int fd, const char *path)
{
    char link[64], target[PATH_MAX] = "";
    (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)zdb.pid, fd);
    assert_true(readlink(link, target, sizeof target - 1) > 0);
    assert_string_equal(target, path);
}

/* The process that was started ends; the one that serves becomes ours, by its socket's word. */
static void adopt_server(void)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    assert_int_equal(getsockopt(on(1)->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
    zdb.pid = peer.pid;
    zdb.pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
    assert_true(zdb.pidfd >= 0);
}

static void in_the_background_it_logs_to_its_file(void)
{
    char path[PATH_MAX];
    const struct peer_bytes old = {.at = (uint8_t *)(uintptr_t) "old words", .size = 9};
    (void)snprintf(path, sizeof path, "%s/own.log", zdb.dir);
    assert_true(peer_file_write(path, &old));
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(refused("--background", "--logfile", path), 0);
    adopt_server();
    assert_opened(STDIN_FILENO, "/dev/null");
    assert_opened(STDOUT_FILENO, path);
    assert_opened(STDERR_FILENO, path);
    /* A second one has to end, and leaves the log of the first alone. */
    ask(1, "SELECT default", "+OK");
    struct server first = zdb;
    zdb.pid = 0;
    assert_int_equal(refused("--background", "--logfile", path), 1);
    zdb = first;
    server_stop(&zdb);
    struct peer_bytes log = {0};
    assert_true(peer_file_read(path, &log));
    assert_null(memmem(log.at, log.size, "old words", 9));
    assert_non_null(memmem(log.at, log.size, "ready", 5));
    peer_bytes_free(&log);
}

static void without_its_log_it_does_not_start(void)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/nowhere/own.log", zdb.dir);
    assert_int_equal(refused("--background", "--logfile", path), 1);
    assert_true(log_has("nowhere"));
}

static void a_dump_prints_and_ends(void)
{
    server_start(&zdb, NULL);
    ask(1, "SET key-in-the-dump value", "=key-in-the-dump");
    hangup_all();
    server_stop(&zdb);
    assert_int_equal(refused("--dump"), 0);
    assert_true(log_has("key-in-the-dump"));
}

static void tcp_is_off_beside_a_unix_socket_unless_asked_for(void)
{
    char port[8];
    zdb.port = port_free();
    (void)snprintf(port, sizeof port, "%u", zdb.port);
    server_start_with(&zdb, "--port", port);
    assert_null(client_try_tcp(zdb.port));
    server_stop(&zdb);
    server_start_with(&zdb, "--port", port, "--dualnet");
    (void)on_tcp(1);
    ask(1, "PING", "+PONG");
}

static void what_stands_in_place_of_the_socket_is_replaced(void)
{
    server_start(&zdb, NULL);
    server_kill(&zdb);
    assert_int_equal(access(zdb.socket, F_OK), 0);
    server_start(&zdb, NULL);
    ask(1, "PING", "+PONG");
}

static void a_namespace_rotates_by_its_age(void)
{
    char path[PATH_MAX];
    struct stat status;
    server_start_with(&zdb, "--rotate", "1");
    (void)snprintf(path, sizeof path, "%s/default/d1", zdb.data);
    ask(1, "SET key 0", "=key");
    uint64_t deadline = clock_monotonic_ms() + 10000;
    for (unsigned i = 1; stat(path, &status) != 0; i++) {
        char request[32];
        assert_true(clock_monotonic_ms() < deadline);
        (void)snprintf(request, sizeof request, "SET key %u", i);
        ask(1, request, "=key");
        (void)client_silent(on(1), 100);
    }
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(the_server_describes_itself),
        zdb_case(a_wait_hears_of_others_in_its_namespace),
        zdb_case(a_wait_does_not_hear_of_failures_and_of_other_namespaces),
        zdb_case(a_mirror_sees_every_command_of_others),
        zdb_case(a_master_names_an_owner_with_each_command),
        zdb_case(dirty_index_files_are_listed),
        zdb_case(the_help_names_every_flag),
        zdb_case(wrong_flags_are_refused),
        zdb_case(flags_may_be_shortened),
        zdb_case(a_second_server_keeps_away),
        zdb_case(an_old_format_is_refused),
        zdb_case(in_the_background_it_logs_to_its_file),
        zdb_case(without_its_log_it_does_not_start),
        zdb_case(a_dump_prints_and_ends),
        zdb_case(tcp_is_off_beside_a_unix_socket_unless_asked_for),
        zdb_case(what_stands_in_place_of_the_socket_is_replaced),
        zdb_case(a_namespace_rotates_by_its_age),
    };
    return zdb_main(argc, argv, "zdb_other", cases, array_length(cases));
}
