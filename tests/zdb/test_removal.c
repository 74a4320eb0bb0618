/*
 * A namespace is made, removed and emptied as a whole, or not, whatever call of the server fails;
 * and nobody waits until its files are gone.
 */
#include "faulty.h"
#include "script.h"

#include <errno.h>

static bool is_there(const char *root, const char *name)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    return access(path, F_OK) == 0;
}

static unsigned count_directories(const char *root)
{
    unsigned n = 0;
    autodir DIR *stream = opendir(root);
    assert_non_null(stream);
    for (const struct dirent *entry; (entry = readdir(stream));)
        n += entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
             strcmp(entry->d_name, "..") != 0;
    return n;
}

/* Nor does anybody wait until they are. */
static void a_name_is_free_before_its_files_are_gone(void)
{
    faulty_start(NULL);
    ask(1, "NSNEW a", "+OK");
    ask(2, "SELECT a", "+OK");
    ask(2, "SET key value", "=key");
    hangup(2);
    bad->unlinks_held = 1;
    ask(1, "NSDEL a", "+OK");
    ask(1, "NSNEW a", "+OK");
    ask(1, "NSNEW .zdb-deleted-0", "-This name is not allowed");
    ask(2, "SELECT a", "+OK");
    ask(2, "GET key", "nil");
    ask(2, "SET key other", "=key");
    assert_true(is_there(zdb.data, ".zdb-deleted-0/d0"));
    assert_true(is_there(zdb.index, ".zdb-deleted-0/i0"));
    faulty_restart(NULL);
    ask(1, "NSLIST", "*2|=default|=a");
    ask(2, "SELECT a", "+OK");
    ask(2, "GET key", "=other");
    removals_end(1);
    assert_false(is_there(zdb.data, ".zdb-deleted-0"));
    assert_false(is_there(zdb.index, ".zdb-deleted-0"));
}

static void what_is_left_of_a_removed_namespace_does_not_come_back(void)
{
    faulty_start(NULL);
    for (int n = 0, failed = 1; failed; n++) {
        ask(1, "NSNEW other", "+OK");
        ask(2, "SELECT other", "+OK");
        ask(2, "GET key", "nil");
        ask(2, "SET key value", "=key");
        ask(2, "NSJUMP", "+OK");
        ask(2, "SET key other", "=key");
        hangup(2);
        faulty_arm(BADCALL_UNLINK, n, 1000, EIO);
        ask(1, "NSDEL other", "+OK");
        removals_end(1);
        failed = bad->failed;
        faulty_disarm();
        ask(1, "SELECT other", "-Namespace not found");
        if (n % 2)
            faulty_restart(NULL);
    }
    faulty_restart(NULL);
    ask(1, "NSLIST", "*1|=default");
    removals_end(1);
    assert_int_equal(count_directories(zdb.data), 1);
    assert_int_equal(count_directories(zdb.index), 1);
}

static unsigned count_files_of_a(const char *root, const char *prefix)
{
    unsigned n = 0;
    autofree char *path = NULL;
    assert_true(asprintf(&path, "%s/a", root) > 0);
    autodir DIR *stream = opendir(path);
    assert_non_null(stream);
    for (const struct dirent *entry; (entry = readdir(stream));)
        n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    return n;
}

/* Nor does anybody wait for the files of a namespace that is emptied. */
static void a_namespace_is_empty_before_its_files_are_gone(void)
{
    faulty_start(NULL);
    ask(1, "NSNEW a", "+OK");
    ask(1, "NSSET a password secret", "+OK");
    ask(1, "NSSET a public 0", "+OK");
    ask(2, "SELECT a secret", "+OK");
    ask(2, "SET key value", "=key");
    ask(2, "NSJUMP", "+OK");
    bad->unlinks_held = 1;
    ask(2, "FLUSH", "+OK");
    ask(2, "GET key", "nil");
    ask(2, "SET key other", "=key");
    assert_int_equal(count_files_of_a(zdb.data, "zdb-gone-"), 2);
    assert_int_equal(count_files_of_a(zdb.index, "zdb-gone-"), 2);
    assert_int_equal(count_files_of_a(zdb.data, "d"), 1);
    faulty_restart(NULL);
    removals_end(1);
    assert_int_equal(count_files_of_a(zdb.data, "zdb-gone-"), 0);
    assert_int_equal(count_files_of_a(zdb.index, "zdb-gone-"), 0);
    ask(2, "SELECT a secret", "+OK");
    ask(2, "GET key", "=other");
    ask(2, "FLUSH", "+OK");
    removals_end(1);
    assert_int_equal(count_files_of_a(zdb.data, "zdb-gone-"), 0);
}

/* The blocks are wanted all the more. */
static void what_has_no_room_for_another_name_goes_at_once(void)
{
    faulty_start(NULL);
    for (int n = 1; n < 5; n++) {
        ask(1, "NSNEW a", "+OK");
        ask(1, "NSSET a password secret", "+OK");
        ask(1, "NSSET a public 0", "+OK");
        ask(2, "SELECT a secret", "+OK");
        ask(2, "SET key value", "=key");
        faulty_arm(BADCALL_RENAME, n, 1, ENOSPC); /* the mark is made */
        ask(2, "FLUSH", "+OK");
        assert_int_equal(bad->failed, n < 3);
        removals_end(1);
        assert_int_equal(count_files_of_a(zdb.data, "zdb-gone-"), 0);
        assert_int_equal(count_files_of_a(zdb.index, "zdb-gone-"), 0);
        hangup(2);
        faulty_arm(BADCALL_RENAME, n, 1, ENOSPC);
        ask(1, "NSDEL a", "+OK");
        assert_int_equal(bad->failed, n < 3);
        faulty_disarm();
        removals_end(1);
        assert_int_equal(count_directories(zdb.data), 1);
        assert_int_equal(count_directories(zdb.index), 1);
    }
}

/* What cannot be marked as removed is not. */
static void a_namespace_that_cannot_be_removed_stays(void)
{
    faulty_start(NULL);
    ask(1, "NSNEW other", "+OK");
    ask(2, "SELECT other", "+OK");
    ask(2, "SET key value", "=key");
    faulty_arm(BADCALL_RENAME, 0, 1, EIO);
    ask(1, "NSDEL other", "-Could not delete this namespace");
    ask(2, "GET key", "=value");
    ask(1, "NSDEL other", "+OK");
    ask(1, "SELECT other", "-Namespace not found");
}

/* The syncs of two roots, two files, two directories, a descriptor. */
static void a_namespace_that_is_not_on_the_disk_is_not_made(void)
{
    faulty_start(NULL);
    for (int n = 0, failed = 1; failed; n++) {
        faulty_arm(BADCALL_SYNC, n, 1, EIO);
        ask(1, "NSNEW other", "");
        size_t size;
        const uint8_t *reply = client_reply(on(1), &size);
        assert_non_null(reply);
        failed = bad->failed;
        faulty_disarm();
        if (!failed)
            break;
        assert_true(n < 20);
        reply_match(reply, size, "-Could not create namespace", "NSNEW", __FILE__, __LINE__);
        ask(1, "SELECT other", "-Namespace not found");
        faulty_restart(NULL);
        ask(1, "SELECT other", "-Namespace not found");
    }
    ask(2, "SELECT other", "+OK");
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_name_is_free_before_its_files_are_gone),
        zdb_case(a_namespace_that_cannot_be_removed_stays),
        zdb_case(a_namespace_is_empty_before_its_files_are_gone),
        zdb_case(what_has_no_room_for_another_name_goes_at_once),
        zdb_case(what_is_left_of_a_removed_namespace_does_not_come_back),
        zdb_case(a_namespace_that_is_not_on_the_disk_is_not_made),
    };
    return zdb_main(argc, argv, "zdb_removal", cases, array_length(cases));
}
