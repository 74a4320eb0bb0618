/* Namespaces that begin locked or frozen: before the first client, and until NSSET says otherwise.
 */
#include "script.h"

#include <stdio.h>

static char path[PATH_MAX];

static void write_gates(const char *lines)
{
    (void)snprintf(path, sizeof path, "%s/gates", zdb.dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(lines, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void gates_are_shut_before_the_first_client(void)
{
    static const struct row make[] = {
        {1, "NSNEW open", "+OK"},    {1, "NSNEW locked", "+OK"},   {1, "NSNEW frozen", "+OK"},
        {1, "SELECT locked", "+OK"}, {1, "SET key value", "=key"},
    };
    static const struct row shut[] = {
        {1, "SELECT open", "+OK"},
        {1, "SET key value", "=key"},
        {1, "SELECT locked", "+OK"},
        {1, "SET key other", "-Namespace is temporarily locked (read-only)"},
        {1, "GET key", "=value"},
        {1, "SELECT frozen", "+OK"},
        {1, "SET key other", "-Namespace is temporarily frozen (read-write disabled)"},
        {1, "GET key", "-Namespace is temporarily frozen (read-write disabled)"},
        {1, "NSSET frozen freeze 0", "+OK"},
        {1, "GET key", "nil"},
        {1, "NSSET locked lock 0", "+OK"},
        {1, "SELECT locked", "+OK"},
        {1, "SET key other", "=key"},
    };
    server_start(&zdb, NULL);
    script(make);
    hangup(1);
    server_stop(&zdb);
    write_gates("lock locked\nfreeze nowhere\nfreeze frozen");
    server_start_with(&zdb, "--gates", path);
    script(shut);
    hangup(1);
    server_stop(&zdb);

    write_gates("");
    server_start_with(&zdb, "--gates", path);
    ask(1, "SELECT frozen", "+OK");
    ask(1, "SET key value", "=key");
}

static void a_list_that_cannot_be_read_is_refused(void)
{
    write_gates("lock default\nopen default\n");
    assert_int_equal(server_start_refused(&zdb, (const char *const[]){"--gates", path, NULL}), 1);
    assert_int_equal(remove(path), 0);
    assert_int_equal(server_start_refused(&zdb, (const char *const[]){"--gates", path, NULL}), 1);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(gates_are_shut_before_the_first_client),
        zdb_case(a_list_that_cannot_be_read_is_refused),
    };
    return zdb_main(argc, argv, "zdb_gates", cases, array_length(cases));
}
