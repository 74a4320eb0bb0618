/* Namespaces: their life, their properties, and who may do what in them. */
#include "script.h"

#include <stdlib.h>
#include <sys/stat.h>

static void start_with_admin(void)
{
    server_start_with(&zdb, "--admin", "master");
    ask(1, "AUTH master", "+OK");
}

static void namespaces_come_and_go(void)
{
    static const struct row rows[] = {
        {1, "NSNEW a", "+OK"},
        {1, "NSNEW a", "-This namespace is not available"},
        {1, "NSNEW default", "-This name is not allowed"},
        {1, "NSNEW .", "-This name is not allowed"},
        {1, "NSNEW ..", "-This name is not allowed"},
        {1, "NSNEW x/y", "-This name is not allowed"},
        {1, "NSNEW /", "-This name is not allowed"},
        {1, "NSNEW @129", "-Namespace too long"},
        {1, "NSNEW ''", "-Invalid argument"},
        {1, "NSNEW", "-Unexpected arguments"},
        {1, "NSNEW @128", "+OK"},
        {1, "NSDEL @128", "+OK"},
        {1, "NSLIST", "*2|=default|=a"},
        {1, "SELECT nope", "-Namespace not found"},
        {1, "NSINFO nope", "-Namespace not found"},
        {1, "RELOAD nope", "-Namespace not found"},
        {1, "NSDEL nope", "-This namespace doesn't exists"},
        {1, "NSDEL default", "-Cannot remove default namespace"},
        {1, "SELECT a", "+OK"},
        {1, "SET key value", "=key"},
        {1, "NSDEL a", "-Cannot remove namespace you're currently using."},
        {2, "GET key", "nil"},
        {2, "SELECT a", "+OK"},
        {2, "GET key", "=value"},
        {1, "RELOAD a", "+OK"},
        {2, "GET key", "=value"},
        {1, "SELECT default", "+OK"},
        {1, "NSDEL a", "+OK"},
        {2, "GET key", "-Your active namespace is not available anymore (probably removed).|EOF"},
        {1, "NSNEW a", "+OK"},
        {1, "SELECT a", "+OK"},
        {1, "GET key", "nil"},
    };
    server_start(&zdb, NULL);
    script(rows);
}

static void what_is_deleted_is_gone_from_the_disk(void)
{
    char path[PATH_MAX];
    server_start(&zdb, NULL);
    ask(1, "NSNEW a", "+OK");
    (void)snprintf(path, sizeof path, "%s/a/d0", zdb.data);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    (void)snprintf(path, sizeof path, "%s/a", zdb.data);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    ask(1, "NSDEL a", "+OK");
    removals_end(1);
    assert_int_not_equal(stat(path, &status), 0);
    (void)snprintf(path, sizeof path, "%s/a", zdb.index);
    assert_int_not_equal(stat(path, &status), 0);
}

static void properties_are_checked(void)
{
    static const struct row rows[] = {
        {1, "NSNEW a", "+OK"},
        {1, "NSSET nope maxsize 1", "-Namespace not found"},
        {1, "NSSET a nope 1", "-Invalid property"},
        {1, "NSSET a MAXSIZE 1", "-Invalid property"},
        {1, "NSSET a password @64", "-Argument too long"},
        {1, "NSSET a password @63", "+OK"},
        {1, "NSSET a maxsize", "-Unexpected arguments"},
        {1, "NSSET a maxsize ''", "-Invalid argument"},
        {1, "NSSET default maxsize 1", "-Cannot update default namespace"},
        {1, "NSSET default password x", "-Cannot update default namespace"},
        {1, "NSSET default public 0", "-Cannot update default namespace"},
        {1, "NSSET default worm 1", "-Cannot update default namespace"},
        {1, "NSSET default lock 1", "+OK"},
        {1, "NSSET default freeze 0", "+OK"},
    };
    server_start(&zdb, NULL);
    script(rows);
}

static void passwords_open_private_and_public_namespaces(void)
{
    static const struct row rows[] = {
        {1, "NSNEW a", "+OK"},
        {2, "SELECT a", "+OK"}, /* no password */
        {2, "SET before value", "=before"},
        {3, "SELECT a ignored", "+OK"},
        {3, "SET ignored value", "=ignored"},
        {1, "NSSET a password secret", "+OK"},
        {1, "NSSET a public 0", "+OK"},
        {2, "SET inside value", "=inside"}, /* who is in stays in */
        {4, "SELECT a", "-Namespace protected and private"},
        {4, "SELECT a wrong", "-Access denied"},
        {4, "SELECT a secre", "-Access denied"},
        {4, "SELECT a secrets", "-Access denied"},
        {4, "SELECT a @256", "-Password too long"},
        {4, "SELECT a SECURE 1 2", "-Too many arguments"},
        {4, "GET inside", "nil"},                            /* still in default */
        {1, "SELECT a", "-Namespace protected and private"}, /* an admin too */
        {4, "SELECT a secret", "+OK"},
        {4, "GET inside", "=value"},
        {4, "SET key value", "=key"},
        {1, "NSSET a public 1", "+OK"},
        {5, "SELECT a", "+OK"},
        {5, "GET key", "=value"},
        {5, "SET key other", "-Namespace is in read-only mode"},
        {5, "DEL key", "-Namespace is in read-only mode"},
        {5, "SET @256 other", "-Key too large"},
        {5, "SELECT a secret", "+OK"},
        {5, "SET key other", "=key"},
        {1, "NSSET a password *", "+OK"},
        {6, "SELECT a", "+OK"},
        {6, "SET key third", "=key"},
    };
    start_with_admin();
    script(rows);
}

static void worm_keeps_what_is_written(void)
{
    static const struct row rows[] = {
        {1, "NSNEW a", "+OK"},
        {1, "SELECT a", "+OK"},
        {1, "SET before value", "=before"},
        {1, "NSSET a worm 1", "+OK"},
        {1, "SET key value", "=key"},
        {1, "SET key other", "-Namespace is protected by worm mode"},
        {1, "SET key value", "-Namespace is protected by worm mode"},
        {1, "SET before other", "-Namespace is protected by worm mode"},
        {1, "DEL key", "-Cannot delete a key when namespace is in worm mode"},
        {1, "GET key", "=value"},
        {1, "NSSET a worm 0", "+OK"},
        {1, "SET key other", "=key"},
        {1, "DEL key", "+OK"},
    };
    server_start(&zdb, NULL);
    script(rows);
}

#define LOCKED "-Namespace is temporarily locked (read-only)"
#define FROZEN "-Namespace is temporarily frozen (read-write disabled)"

static void a_lock_stops_writing_and_a_freeze_reading_too(void)
{
    static const struct row rows[] = {
        {1, "NSNEW a", "+OK"},
        {1, "SELECT a", "+OK"},
        {1, "SET key value", "=key"},
        {1, "NSSET a lock 1", "+OK"},
        {1, "SET key other", LOCKED},
        {1, "DEL key", LOCKED},
        {1, "GET key", "=value"},
        {2, "SELECT a", "+OK"},
        {2, "SET key other", LOCKED},
        {2, "SCAN", "*2|=?17|*1|*3|=key|:5|:#"},
        {1, "NSSET a freeze 1", "+OK"},
        {1, "SET key other", FROZEN},
        {1, "DEL key", FROZEN},
        {1, "GET key", FROZEN},
        {1, "MGET key", FROZEN},
        {1, "EXISTS key", FROZEN},
        {1, "CHECK key", FROZEN},
        {1, "LENGTH key", FROZEN},
        {1, "KEYTIME key", FROZEN},
        {1, "KEYCUR key", FROZEN},
        {1, "SCAN", FROZEN},
        {1, "SCANX", FROZEN},
        {1, "RSCAN", FROZEN},
        {1, "HISTORY key", FROZEN},
        {1, "DBSIZE", ":1"},
        {1, "PING", "+PONG"},
        {1, "TIME", "*2|=#|=#"},
        {1, "INFO", "=~"},
        {1, "NSINFO a", "=~"},
        {3, "GET key", "nil"},
        {3, "SET key value", "=key"},
        {1, "NSSET a lock 0", "+OK"}, /* the last word counts */
        {1, "GET key", "=value"},
        {1, "SET key other", "=key"},
    };
    server_start(&zdb, NULL);
    script(rows);
    ask(1, "NSSET a freeze 1", "+OK");
    hangup_all();
    server_stop(&zdb);
    server_start(&zdb, NULL); /* not kept */
    ask(1, "SELECT a", "+OK");
    ask(1, "SET key again", "=key");
}

static void a_limit_counts_live_payload(void)
{
    static const struct row rows[] = {
        {1, "NSNEW a", "+OK"},
        {1, "SELECT a", "+OK"},
        {1, "NSSET a maxsize 10", "+OK"},
        {1, "SET long-key-long-key-long-key 12345", "=long-key-long-key-long-key"},
        {1, "SET b 123456", "-No space left on this namespace"},
        {1, "SET b 12345", "=b"},
        {1, "SET b 54321", "=b"}, /* in place of the old one */
        {1, "SET b 543210", "-No space left on this namespace"},
        {1, "GET b", "=54321"},
        {1, "SET c ''", "=c"},
        {1, "SET c 1", "-No space left on this namespace"},
        {1, "DEL b", "+OK"},
        {1, "SET c 12345", "=c"},
        {1, "NSSET a maxsize 0", "+OK"},
        {1, "SET d 123456789012345678901234567890", "=d"},
        {1, "NSSET a maxsize 1", "+OK"},
        {1, "SET d 12345678901234567890123456789", "-No space left on this namespace"},
        {1, "NSSET a maxsize word", "+OK"}, /* none */
        {1, "SET d 12345", "=d"},
        {1, "NSSET a maxsize -1", "+OK"}, /* huge */
        {1, "SET e 12345", "=e"},
    };
    server_start(&zdb, NULL);
    script(rows);
}

static void a_limit_of_default_comes_from_the_flag(void)
{
    server_start_with(&zdb, "--maxsize", "10");
    ask(1, "SET a 1234567890", "=a");
    ask(1, "SET b 1", "-No space left on this namespace");
    hangup_all();
    server_stop(&zdb);
    server_start(&zdb, NULL);
    ask(1, "SET b 1", "=b");
}

/* It stands in no descriptor. */
static void the_limit_of_default_outlives_a_reload(void)
{
    server_start_with(&zdb, "--maxsize", "10");
    ask(1, "RELOAD default", "+OK");
    ask(1, "SET key 12345678901", "-No space left on this namespace");
}

static void a_flush_empties_a_private_namespace(void)
{
    static const struct row rows[] = {
        {1, "FLUSH", "-Flushing public namespace denied"},
        {1, "NSNEW a", "+OK"},
        {1, "NSSET a password secret", "+OK"},
        {1, "NSSET a public 1", "+OK"},
        {1, "SELECT a secret", "+OK"},
        {1, "SET key value", "=key"},
        {1, "NSJUMP", "+OK"},
        {1, "SET other value", "=other"},
        {1, "FLUSH", "-Flushing public namespace denied"},
        {1, "NSSET a public 0", "+OK"},
        {1, "FLUSH", "+OK"},
        {1, "DBSIZE", ":0"},
        {1, "GET key", "nil"},
        {1, "SCAN", "-No more data"},
        {1, "SET new value", "=new"},
        {1, "GET new", "=value"},
    };
    server_start(&zdb, NULL);
    script(rows);
    hangup_all();
    server_stop(&zdb);
    server_start(&zdb, NULL);
    ask(1, "SELECT a secret", "+OK");
    ask(1, "DBSIZE", ":1");
    ask(1, "GET new", "=value");
    ask(1, "GET key", "nil");
}

static void properties_outlive_the_server(void)
{
    static const struct row rows[] = {
        {1, "NSNEW a", "+OK"},          {1, "NSSET a maxsize 5", "+OK"},
        {1, "NSSET a worm 1", "+OK"},   {1, "NSSET a password secret", "+OK"},
        {1, "NSSET a public 0", "+OK"},
    };
    static const struct row later[] = {
        {2, "SELECT a", "-Namespace protected and private"},       {2, "SELECT a secret", "+OK"},
        {2, "SET key 123456", "-No space left on this namespace"}, {2, "SET key 12345", "=key"},
        {2, "SET key 1", "-Namespace is protected by worm mode"},
    };
    server_start(&zdb, NULL);
    script(rows);
    hangup_all();
    server_kill(&zdb);
    server_start(&zdb, NULL);
    script(later);
}

/* --- NSINFO ---------------------------------------------------------------------------------- */

static void assert_has(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("no \"%s\" in:\n%s", line, text);
}

static void assert_tells(const char *request, const char *line)
{
    autofree char *text = ask_bulk(1, request, NULL);
    if (!strstr(text, line))
        fail_msg("%s: no \"%s\" in:\n%s", request, line, text);
}

/* Whoever lost it, and however often the server starts: without its descriptor nobody gets in. */
static void a_lost_descriptor_closes_its_namespace(void)
{
    static const struct row before[] = {
        {1, "NSNEW lost", "+OK"},         {1, "NSSET lost password secret", "+OK"},
        {1, "SELECT lost secret", "+OK"}, {1, "SET key value", "=key"},
        {1, "NSNEW torn", "+OK"},         {1, "SELECT torn", "+OK"},
        {1, "SET key value", "=key"},     {1, "NSNEW unused", "+OK"},
    };
    static const struct row closed[] = {
        {1, "SELECT lost", "-Namespace is closed, its descriptor is lost"},
        {1, "SELECT lost secret", "-Namespace is closed, its descriptor is lost"},
        {1, "SELECT torn", "-Namespace is closed, its descriptor is lost"},
        {1, "NSSET torn public 1", "-?"},
        {1, "NSSET lost worm 0", "-?"},
        {1, "RELOAD lost", "+OK"},
        {1, "SELECT lost", "-Namespace is closed, its descriptor is lost"},
        {1, "SELECT unused", "+OK"},
    };
    static const struct row opened[] = {
        {1, "NSSET lost password other", "+OK"},
        {1, "SELECT lost", "-Namespace protected and private"},
        {1, "SELECT lost other", "+OK"},
        {1, "GET key", "=value"},
        {1, "NSSET torn password *", "+OK"},
        {1, "SELECT torn", "+OK"},
        {1, "GET key", "=value"},
    };
    static const struct peer_bytes torn = {.at = (uint8_t *)(uintptr_t) "\x01", .size = 1};
    char path[PATH_MAX];
    server_start(&zdb, NULL);
    script(before);
    hangup_all();
    server_stop(&zdb);
    (void)snprintf(path, sizeof path, "%s/lost/zdb-namespace", zdb.index);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/unused/zdb-namespace", zdb.index);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/torn/zdb-namespace", zdb.index);
    assert_true(peer_file_write(path, &torn));
    for (unsigned i = 0; i < 2; i++) {
        server_start(&zdb, NULL);
        script(closed);
        assert_tells("NSINFO lost", "\nclosed: ");
        assert_tells("NSINFO torn", "\npublic: no\n");
        assert_tells("INFO", "\nnamespaces_closed: 2\n");
        hangup_all();
        server_stop(&zdb);
    }
    server_start(&zdb, NULL);
    script(opened);
    assert_tells("INFO", "\nnamespaces_closed: 0\n");
    hangup_all();
    server_stop(&zdb);
    server_start(&zdb, NULL);
    ask(1, "SELECT lost", "-Namespace protected and private");
}

static void a_namespace_describes_itself(void)
{
    static const struct row rows[] = {
        {1, "NSNEW a", "+OK"},          {1, "NSSET a maxsize 4096", "+OK"},
        {1, "NSSET a worm 1", "+OK"},   {1, "NSSET a password secret", "+OK"},
        {1, "SELECT a secret", "+OK"},  {1, "SET key value", "=key"},
        {1, "NSSET a public 0", "+OK"},
    };
    static const char *const lines[] = {
        "# namespace\n",
        "name: a\n",
        "entries: 1\n",
        "public: no\n",
        "worm: yes\n",
        "locked: no\n",
        "password: yes\n",
        "data_size_bytes: 5\n",
        "data_size_mb: ",
        "data_limits_bytes: 4096\n",
        "index_size_bytes: ",
        "index_size_kb: ",
        "next_internal_id: ",
        "mode: userkey\n",
        "stats_index_io_errors: 0\n",
        "stats_index_io_error_last: 0\n",
        "stats_index_faults: 0\n",
        "stats_data_io_errors: 0\n",
        "stats_data_io_error_last: 0\n",
        "stats_data_faults: 0\n",
        "space_available: 4091\n",
        "index_disk_freespace_bytes: ",
        "index_disk_freespace_mb: ",
        "data_disk_freespace_bytes: ",
        "data_disk_freespace_mb: ",
    };
    start_with_admin();
    script(rows);
    autofree char *info = ask_bulk(2, "NSINFO a", NULL);
    const char *at = info;
    for (size_t i = 0; i < array_length(lines); i++) {
        const char *line = strstr(at, lines[i]);
        if (!line)
            fail_msg("no \"%s\" at its place in:\n%s", lines[i], info);
        at = line;
    }
    assert_null(strstr(info, "data_path"));
    assert_null(strstr(info, "password_raw"));
    autofree char *more = ask_bulk(1, "NSINFO a", NULL);
    assert_has(more, "\ndata_path: ");
    assert_has(more, "\ndata_active: ");
    assert_has(more, "\nindex_path: ");
    assert_has(more, "\nindex_active: ");
    assert_has(more, "\ndata_current_id: 0\n");
    assert_has(more, "\ndata_current_offset: ");
    assert_null(strstr(more, "password_raw"));
    ask(1, "NSSET a lock 1", "+OK");
    autofree char *locked = ask_bulk(2, "NSINFO a", NULL);
    assert_has(locked, "\nlocked: yes\n");
    autofree char *unlimited = ask_bulk(2, "NSINFO default", NULL);
    assert_null(strstr(unlimited, "space_available"));
    assert_has(unlimited, "\npassword: no\n");
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(namespaces_come_and_go),
        zdb_case(what_is_deleted_is_gone_from_the_disk),
        zdb_case(properties_are_checked),
        zdb_case(passwords_open_private_and_public_namespaces),
        zdb_case(worm_keeps_what_is_written),
        zdb_case(a_lock_stops_writing_and_a_freeze_reading_too),
        zdb_case(a_limit_counts_live_payload),
        zdb_case(a_limit_of_default_comes_from_the_flag),
        zdb_case(the_limit_of_default_outlives_a_reload),
        zdb_case(a_flush_empties_a_private_namespace),
        zdb_case(properties_outlive_the_server),
        zdb_case(a_lost_descriptor_closes_its_namespace),
        zdb_case(a_namespace_describes_itself),
    };
    return zdb_main(argc, argv, "zdb_namespace", cases, array_length(cases));
}
