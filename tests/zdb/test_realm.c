/* Directories that are no namespaces, or only half of one: what a cut left, or somebody put there.
 */
#include "script.h"

#include <errno.h>
#include <sys/stat.h>

static char path_of[PATH_MAX];

static const char *path(const char *root, const char *name)
{
    (void)snprintf(path_of, sizeof path_of, "%s/%s", root, name);
    return path_of;
}

static void make_dir(const char *root, const char *name)
{
    assert_true(mkdir(root, 0700) == 0 || errno == EEXIST);
    assert_int_equal(mkdir(path(root, name), 0700), 0);
}

static void make_file(const char *root, const char *name)
{
    const struct peer_bytes bytes = {.at = (uint8_t *)(uintptr_t) "bytes", .size = 5};
    assert_true(peer_file_write(path(root, name), &bytes));
}

static bool exists(const char *root, const char *name)
{
    struct stat status;
    return lstat(path(root, name), &status) == 0;
}

static void save(const char *name, const char *value)
{
    struct peer_ns ns;
    peer_ns_init(&ns, name, PEER_USER, PEER_EMBEDDED);
    peer_set(&ns, peer_key("key"), value, (uint32_t)strlen(value), 1);
    assert_true(peer_save(&ns, zdb.index, zdb.data));
    peer_ns_free(&ns);
}

static void empty_directories_are_no_namespace(void)
{
    make_dir(zdb.index, "shell");
    make_dir(zdb.data, "shell");
    make_dir(zdb.index, "half");
    server_start(&zdb, NULL);
    ask(1, "NSLIST", "*1|=default");
    assert_false(exists(zdb.index, "shell") || exists(zdb.data, "shell"));
    assert_false(exists(zdb.index, "half"));
    ask(1, "NSNEW shell", "+OK");
}

/* As somebody does who has a namespace from elsewhere. */
static void what_was_put_there_meanwhile_is_loaded_when_asked(void)
{
    server_start(&zdb, NULL);
    ask(1, "RELOAD moved", "-Namespace not found");
    save("moved", "value");
    ask(1, "SELECT moved", "-Namespace not found");
    ask(1, "RELOAD moved", "+OK");
    ask(1, "SELECT moved", "+OK");
    ask(1, "GET key", "=value");
    ask(2, "RELOAD ../index/moved", "-Namespace not found");
    ask(2, "RELOAD default", "+OK");
    save("wrong", "value");
    assert_int_equal(unlink(path(zdb.data, "wrong/d0")), 0);
    ask(2, "RELOAD wrong", "-Namespace is out of service, its files are damaged");
    ask(2, "RELOAD absent", "-Namespace not found");
    ask(2, "NSLIST", "*2|=default|=moved");
}

/* Wherever it was cut off: the mark is there to the end. */
static void a_removal_goes_on_at_the_next_start(void)
{
    save("whole", "value");
    save("indexed", "value");
    for (size_t i = 0; i < 2; i++) {
        char from[PATH_MAX];
        const char *name = i ? "whole/zdb-deleted" : "indexed/zdb-deleted";
        (void)snprintf(from, sizeof from, "%s/%s/zdb-namespace", zdb.index,
                       i ? "whole" : "indexed");
        assert_int_equal(rename(from, path(zdb.index, name)), 0);
    }
    assert_int_equal(unlink(path(zdb.data, "indexed/d0")), 0);
    assert_int_equal(rmdir(path(zdb.data, "indexed")), 0);
    server_start(&zdb, NULL);
    ask(1, "NSLIST", "*1|=default");
    assert_false(exists(zdb.index, "whole") || exists(zdb.data, "whole"));
    assert_false(exists(zdb.index, "indexed"));
    removals_end(1);
    assert_false(exists(zdb.index, ".zdb-deleted-0") || exists(zdb.data, ".zdb-deleted-0"));
    assert_false(exists(zdb.index, ".zdb-deleted-1") || exists(zdb.data, ".zdb-deleted-1"));
}

/* It was cut off when the data's directory was out of the way, and that of the index was not. */
static void data_that_was_put_aside_goes_by_itself(void)
{
    char from[PATH_MAX];
    save(".zdb-deleted-0", "value");
    make_dir(zdb.data, ".zdb-deleted-2x");
    save("half", "value");
    (void)snprintf(from, sizeof from, "%s/half/zdb-namespace", zdb.index);
    assert_int_equal(rename(from, path(zdb.index, "half/zdb-deleted")), 0);
    (void)snprintf(from, sizeof from, "%s/half", zdb.data);
    assert_int_equal(rename(from, path(zdb.data, ".zdb-deleted-1")), 0);
    server_start(&zdb, NULL);
    removals_end(1);
    assert_false(exists(zdb.index, "half") || exists(zdb.data, ".zdb-deleted-1"));
    ask(1, "NSLIST", "*2|=default|=.zdb-deleted-0"); /* that one is somebody's */
    assert_true(exists(zdb.data, ".zdb-deleted-2x"));
}

static void the_default_namespace_is_never_removed(void)
{
    char from[PATH_MAX];
    save("default", "value");
    (void)snprintf(from, sizeof from, "%s/default/zdb-namespace", zdb.index);
    assert_int_equal(rename(from, path(zdb.index, "default/zdb-deleted")), 0);
    server_start(&zdb, NULL);
    ask(1, "GET key", "=value");
}

static void a_new_namespace_takes_no_old_files(void)
{
    save("orphan", "value");
    assert_int_equal(unlink(path(zdb.index, "orphan/i0")), 0);
    assert_int_equal(unlink(path(zdb.index, "orphan/zdb-namespace")), 0);
    assert_int_equal(rmdir(path(zdb.index, "orphan")), 0);
    server_start(&zdb, NULL);
    ask(1, "NSNEW orphan", "-Could not create namespace");
    assert_true(exists(zdb.data, "orphan/d0"));
    assert_false(exists(zdb.index, "orphan"));
    ask(1, "PING", "+PONG");
}

/* Put right, it serves after a RELOAD. */
static void what_is_no_directory_is_out_of_service_by_itself(void)
{
    char aside[PATH_MAX];
    static const char damaged[] = "-Namespace is out of service, its files are damaged";
    save("bent", "value");
    (void)snprintf(aside, sizeof aside, "%s/aside", zdb.dir);
    assert_int_equal(rename(path(zdb.data, "bent"), aside), 0);
    make_file(zdb.data, "bent");
    server_start(&zdb, NULL);
    ask(1, "SET key value", "=key");
    ask(2, "SELECT bent", damaged);
    ask(1, "RELOAD bent", damaged);
    assert_int_equal(unlink(path(zdb.data, "bent")), 0);
    assert_int_equal(rename(aside, path(zdb.data, "bent")), 0);
    ask(1, "RELOAD bent", "+OK");
    ask(2, "SELECT bent", "+OK");
    ask(2, "GET key", "=value");
}

static void a_default_namespace_that_is_no_directory_stops_nobody(void)
{
    save("other", "value");
    make_file(zdb.index, "default");
    server_start(&zdb, NULL);
    ask(1, "GET key", "-Namespace is out of service, its files are damaged");
    ask(1, "SELECT other", "+OK");
    ask(1, "GET key", "=value");
}

/* As whoever brings a backup does. */
static void a_reload_finds_directories_that_were_put_in_place(void)
{
    char aside[PATH_MAX];
    save("other", "old");
    server_start(&zdb, NULL);
    ask(1, "SELECT other", "+OK");
    ask(1, "GET key", "=old");
    (void)snprintf(aside, sizeof aside, "%s/index-aside", zdb.dir);
    assert_int_equal(rename(path(zdb.index, "other"), aside), 0);
    (void)snprintf(aside, sizeof aside, "%s/data-aside", zdb.dir);
    assert_int_equal(rename(path(zdb.data, "other"), aside), 0);
    ask(2, "RELOAD other", "-Namespace is out of service, its files are damaged");
    save("other", "new");
    ask(2, "RELOAD other", "+OK");
    ask(1, "GET key", "=new");
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(empty_directories_are_no_namespace),
        zdb_case(what_was_put_there_meanwhile_is_loaded_when_asked),
        zdb_case(a_removal_goes_on_at_the_next_start),
        zdb_case(data_that_was_put_aside_goes_by_itself),
        zdb_case(the_default_namespace_is_never_removed),
        zdb_case(a_new_namespace_takes_no_old_files),
        zdb_case(what_is_no_directory_is_out_of_service_by_itself),
        zdb_case(a_default_namespace_that_is_no_directory_stops_nobody),
        zdb_case(a_reload_finds_directories_that_were_put_in_place),
    };
    return zdb_main(argc, argv, "zdb_realm", cases, array_length(cases));
}
