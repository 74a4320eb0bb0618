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

/* Or the next start would take it for one that is on the disk. */
static void a_root_that_is_not_on_the_disk_is_not_made(void)
{
    assert_int_equal(faulty_start_refused(BADCALL_SYNC, 0, 1, EIO), 1);
    assert_int_equal(bad->failed, 1);
    assert_int_not_equal(access(zdb.data, F_OK), 0);
    faulty_start(NULL);
    ask(1, "SET key value", "=key");
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

/* Nor is its name taken by what is left of it, where not even that could be marked. */
static void a_namespace_that_there_is_no_room_for_leaves_nothing(void)
{
    faulty_start(NULL);
    for (int n = 0, failed = 1; failed; n++) {
        size_t size;
        faulty_arm(BADCALL_OPEN, n, 3, ENOSPC);
        ask(1, "NSNEW other", "");
        const uint8_t *reply = client_reply(on(1), &size);
        assert_non_null(reply);
        bool made = reply_fits(reply, size, "+OK");
        failed = bad->failed;
        faulty_disarm();
        ask(1, "NSNEW other", made ? "-This namespace is not available" : "+OK");
        ask(1, "NSDEL other", "+OK");
        removals_end(1);
    }
}

/* --- marks that are not on the disk ---------------------------------------------------------- */

#define REFUSED "-Could not delete this namespace"
#define CLOSED  "-Namespace is out of service, its files are damaged"

/* One with a key, and nothing else that is to be synced soon. */
static void start_with_other(void)
{
    faulty_start_with("--synctime", "1000");
    ask(1, "NSNEW other", "+OK");
    ask(2, "SELECT other", "+OK");
    ask(2, "SET key value", "=key");
}

static void check_over_restart(const char *get, const char *reply)
{
    ask(2, get, reply);
    faulty_restart(NULL);
    ask(2, "SELECT other", "+OK");
    ask(2, get, reply);
}

/* Or the next start would take what was written since. */
static void a_mark_that_cannot_be_synced_is_taken_back(void)
{
    start_with_other();
    faulty_arm(BADCALL_SYNC, 0, 1, EIO);
    ask(1, "NSDEL other", REFUSED);
    assert_int_equal(bad->failed, 1);
    ask(2, "SET key second", "=key");
    check_over_restart("GET key", "=second");
    ask(1, "NSDEL other", "+OK");
}

static void so_is_one_that_was_no_descriptor(void)
{
    char path[PATH_MAX];
    start_with_other();
    (void)snprintf(path, sizeof path, "%s/other/zdb-namespace", zdb.index);
    assert_int_equal(unlink(path), 0);
    faulty_arm(BADCALL_SYNC, 0, 1, EIO);
    ask(1, "NSDEL other", REFUSED);
    assert_int_equal(bad->failed, 1);
    assert_false(is_there(zdb.index, "other/zdb-deleted"));
    ask(2, "SET key second", "=key");
    faulty_restart(NULL);
    ask(1, "NSSET other password secret", "+OK");
    ask(2, "SELECT other secret", "+OK");
    ask(2, "GET key", "=second");
}

/* The mark may be there or not: nothing is written that it would take. */
static void while_a_mark_cannot_be_taken_back_nothing_is_served(void)
{
    start_with_other();
    faulty_arm_two(BADCALL_SYNC, BADCALL_RENAME, 1, 1000000, EIO); /* the mark is made */
    ask(1, "NSDEL other", REFUSED);
    ask(2, "GET key", CLOSED);
    ask(1, "RELOAD other", CLOSED);
    faulty_disarm();
    assert_true(is_there(zdb.index, "other/zdb-deleted"));
    ask(1, "RELOAD other", "+OK");
    ask(2, "SET key second", "=key");
    check_over_restart("GET key", "=second");
}

static void nor_while_that_cannot_be_synced(void)
{
    start_with_other();
    faulty_arm(BADCALL_SYNC, 0, 1000000, EIO);
    ask(1, "NSDEL other", REFUSED);
    ask(2, "SET key second", CLOSED);
    faulty_disarm();
    ask(1, "RELOAD other", "+OK");
    check_over_restart("GET key", "=value");
}

/* By itself, as soon as the disk allows. */
static void what_could_be_taken_back_later_is_served_again(void)
{
    start_with_other();
    faulty_arm_two(BADCALL_SYNC, BADCALL_RENAME, 1, 2, EIO);
    ask(1, "NSDEL other", REFUSED);
    assert_int_equal(bad->failed, 2);
    ask(2, "SET key second", "=key");
    check_over_restart("GET key", "=second");
}

static void a_removal_that_was_marked_may_be_asked_for_again(void)
{
    start_with_other();
    faulty_arm_two(BADCALL_SYNC, BADCALL_RENAME, 1, 1000000, EIO);
    ask(1, "NSDEL other", REFUSED);
    faulty_disarm();
    ask(1, "NSDEL other", "+OK");
    faulty_restart(NULL);
    ask(1, "NSLIST", "*1|=default");
}

/* The mark of an emptying: the sync of what it is, then its rename, then that of the directory. */
static void a_flush_that_cannot_begin_changes_nothing(void)
{
    static const struct {
        enum badcall call;
        int skip;
    } faults[] = {{BADCALL_WRITE, 0}, {BADCALL_SYNC, 0}, {BADCALL_RENAME, 0}, {BADCALL_SYNC, 1}};
    start_with_other();
    ask(1, "NSSET other password secret", "+OK");
    ask(1, "NSSET other public 0", "+OK");
    for (size_t i = 0; i < array_length(faults); i++) {
        faulty_arm(faults[i].call, faults[i].skip, 1, ENOSPC);
        ask(2, "FLUSH", "-Cannot write data right now");
        assert_int_equal(bad->failed, 1);
        ask(2, "GET key", "=value");
    }
    faulty_restart((const char *const[]){"--synctime", "1000", NULL});
    ask(2, "SELECT other secret", "+OK");
    ask(2, "GET key", "=value");
}

/* The mark and what follows it, or the mark and then nothing. */
static void a_flush_that_has_begun_ends(void)
{
    size_t size;
    start_with_other();
    ask(1, "NSSET other password secret", "+OK");
    ask(1, "NSSET other public 0", "+OK");
    for (int n = 2, failed = 1; failed; n++) {
        faulty_arm(BADCALL_SYNC, n, 1, EIO);
        ask(2, "FLUSH", "");
        assert_non_null(client_reply(on(2), &size));
        failed = bad->failed;
        faulty_disarm();
        hangup(2);
        ask(1, "RELOAD other", "+OK");
        ask(2, "SELECT other secret", "+OK");
        ask(2, "GET key", "nil");
        ask(2, "SET key value", "=key");
        faulty_restart((const char *const[]){"--synctime", "1000", NULL});
        ask(2, "SELECT other secret", "+OK");
        ask(2, "GET key", "=value");
    }
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_name_is_free_before_its_files_are_gone),
        zdb_case(a_namespace_that_cannot_be_removed_stays),
        zdb_case(a_namespace_is_empty_before_its_files_are_gone),
        zdb_case(what_has_no_room_for_another_name_goes_at_once),
        zdb_case(what_is_left_of_a_removed_namespace_does_not_come_back),
        zdb_case(a_root_that_is_not_on_the_disk_is_not_made),
        zdb_case(a_namespace_that_is_not_on_the_disk_is_not_made),
        zdb_case(a_namespace_that_there_is_no_room_for_leaves_nothing),
        zdb_case(a_mark_that_cannot_be_synced_is_taken_back),
        zdb_case(so_is_one_that_was_no_descriptor),
        zdb_case(while_a_mark_cannot_be_taken_back_nothing_is_served),
        zdb_case(nor_while_that_cannot_be_synced),
        zdb_case(what_could_be_taken_back_later_is_served_again),
        zdb_case(a_removal_that_was_marked_may_be_asked_for_again),
        zdb_case(a_flush_that_cannot_begin_changes_nothing),
        zdb_case(a_flush_that_has_begun_ends),
    };
    return zdb_main(argc, argv, "zdb_removal", cases, array_length(cases));
}
