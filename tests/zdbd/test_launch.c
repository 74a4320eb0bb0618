/* What becomes of a launch: the 0-db on its home, or the reason why not. */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct launcher one;

static void must_fail(struct launcher *launcher, enum launch_failure failure, const char *text)
{
    struct launch_report report = launcher_try(launcher);
    if (report.failure != failure || !strstr(report.message, text))
        fail_msg("failure %d, not %d with \"%s\": %s", report.failure, failure, text,
                 report.message);
}

static void must_answer(const struct launcher *launcher)
{
    autofree char *named = launcher_ask(launcher, 0, "NSNEW", "hello");
    autofree char *reply = launcher_ask(launcher, launcher_record(launcher).port, "PING", NULL);
    assert_non_null(named);
    assert_non_null(reply);
    assert_string_equal(reply, "+PONG\r\n");
}

static void must_be(const char *path, mode_t mode, uid_t uid)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    if (status.st_mode != mode || status.st_uid != uid)
        fail_msg("%s: mode %o, uid %u", path, status.st_mode, status.st_uid);
}

/* --- what it leaves --------------------------------------------------------------------------- */

static void it_becomes_the_0_db_and_leaves_its_record(void)
{
    autoerr struct err err = {0};
    struct stat status;
    launcher_init(&one);
    launcher_start(&one);
    must_answer(&one);

    struct zdb_record record = launcher_record(&one);
    assert_int_equal(stat(one.binary, &status), 0);
    assert_int_equal(record.pid, one.pid);
    assert_int_equal(record.uid, LAUNCHER_UID);
    assert_int_equal(record.port, one.port);
    assert_int_equal(record.binary_ino, status.st_ino);
    assert_int_equal(record.binary_dev, status.st_dev);
    autoclose int pidfd = -1;
    assert_ok(record_find_process(&record, &pidfd, &err), &err);

    must_be(launcher_home(&one, "instance"), S_IFREG | 0600, LAUNCHER_UID);
    must_be(launcher_home(&one, "data"), S_IFDIR | 0700, LAUNCHER_UID);
    must_be(launcher_home(&one, "index"), S_IFDIR | 0700, LAUNCHER_UID);
    must_be(one.run, S_IFDIR | 0700, LAUNCHER_UID);
    must_be(launcher_run(&one, ".."), S_IFDIR | 0711, 0);
    must_be(launcher_run(&one, "record"), S_IFREG | 0600, 0);
    must_be(launcher_run(&one, "password"), S_IFREG | 0400, LAUNCHER_UID);
    must_be(launcher_run(&one, "gates"), S_IFREG | 0400, LAUNCHER_UID);
    must_be(launcher_run(&one, "log"), S_IFREG | 0600, LAUNCHER_UID);
    launcher_end(&one);
    assert_int_equal(record_find_process(&record, &pidfd, &err), -ERR_NOT_FOUND);
}

/* Whoever connects without the password has a namespace `default`, and may not write there. */
static void a_stranger_may_not_write(void)
{
    launcher_init(&one);
    launcher_start(&one);
    autofree char *reply = launcher_ask(&one, one.port, "SET", "key");
    autofree char *made = launcher_ask(&one, one.port, "NSNEW", "mine");
    assert_string_equal(made, "-Permission denied\r\n");
    assert_int_equal(reply[0], '-');
    struct client *client = client_open_tcp(one.port);
    const struct word words[] = {word("SET"), word("key"), word("value")};
    size_t size;
    assert_true(client_send_words(client, words, 3));
    const uint8_t *answer = client_reply(client, &size);
    assert_memory_equal(answer, "-Namespace is in read-only mode", 31);
    client_close(client);
    launcher_end(&one);
}

static void port_and_password_stay(void)
{
    launcher_init(&one);
    launcher_start(&one);
    autofree char *password = launcher_password(&one);
    uint16_t port = one.port;
    assert_int_equal(strlen(password), 64);
    launcher_end(&one);
    one.port = port_find();
    launcher_start(&one);
    autofree char *again = launcher_password(&one);
    assert_string_equal(password, again);
    assert_int_equal(launcher_record(&one).port, port);
    must_answer(&one);
    launcher_end(&one);
}

static void two_homes_have_two_passwords(void)
{
    struct launcher two;
    launcher_init(&one);
    launcher_init(&two);
    launcher_start(&one);
    launcher_start(&two);
    autofree char *first = launcher_password(&one);
    autofree char *second = launcher_password(&two);
    assert_string_not_equal(first, second);
    launcher_end(&one);
    launcher_end(&two);
}

/* --- one on a home ---------------------------------------------------------------------------- */

static void a_second_one_is_refused(void)
{
    launcher_init(&one);
    launcher_start(&one);
    struct zdb_record record = launcher_record(&one);
    struct launcher second = one;
    second.port = port_find();
    must_fail(&second, LAUNCH_LOCKED, "lock");
    /* And did no harm: neither to the record nor to the socket. */
    struct zdb_record after = launcher_record(&one);
    assert_memory_equal(&record, &after, sizeof record);
    must_answer(&one);
    launcher_end(&one);
    launcher_start(&second);
    launcher_end(&second);
}

static void it_outlives_who_launched_it(void)
{
    autoerr struct err err = {0};
    launcher_init(&one);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        struct launch_report report = launcher_try(&one);
        (void)kill(getpid(), report.failure ? SIGABRT : SIGKILL);
    }
    assert_int_equal(child_wait(parent), 128 + SIGKILL);
    struct zdb_record record = launcher_record(&one);
    autoclose int pidfd = -1;
    assert_ok(record_find_process(&record, &pidfd, &err), &err);
    struct launcher second = one;
    must_fail(&second, LAUNCH_LOCKED, "lock");
    assert_int_equal(kill(record.pid, SIGKILL), 0);
    process_wait_gone(record.pid);
    assert_int_equal(record_find_process(&record, &(int){-1}, &err), -ERR_NOT_FOUND);
}

/* --- ports ------------------------------------------------------------------------------------ */

static void a_proposed_port_that_is_taken_is_told(void)
{
    for (int listening = 0; listening < 2; listening++) {
        launcher_init(&one);
        int holder = port_hold(one.port, listening);
        must_fail(&one, LAUNCH_PORT_BUSY, "port");
        assert_int_equal(access(launcher_home(&one, "instance"), F_OK), -1);
        one.port = port_find();
        launcher_start(&one);
        launcher_end(&one);
        (void)close(holder);
    }
}

static void a_kept_port_that_is_taken_is_told(void)
{
    launcher_init(&one);
    launcher_start(&one);
    struct client *client = client_open_tcp(one.port);
    launcher_end(&one); /* which leaves a connection behind, as each end does */
    uint16_t kept = one.port;
    int holder = port_hold(kept, true);
    one.port = port_find();
    must_fail(&one, LAUNCH_PORT_TAKEN, "port");
    (void)close(holder);
    launcher_start(&one);
    assert_int_equal(launcher_record(&one).port, kept);
    launcher_end(&one);
    client_close(client);
}

static void a_port_beyond_the_range_is_kept(void)
{
    launcher_init(&one);
    launcher_start(&one);
    launcher_end(&one);
    uint16_t kept = one.port;
    one.port = (uint16_t)(kept > 20000 ? kept - 10000 : kept + 10000);
    launcher_start(&one);
    assert_int_equal(launcher_record(&one).port, kept);
    autofree char *log = file_read(launcher_run(&one, "log"), NULL);
    assert_non_null(strstr(log, "outside of the configured range"));
    launcher_end(&one);
}

/* --- homes and binaries that cannot be -------------------------------------------------------- */

static void a_home_that_is_none_is_refused(void)
{
    launcher_init(&one);
    assert_int_equal(rmdir(one.home), 0);
    must_fail(&one, LAUNCH_HOME, "No such file");
    assert_int_equal(symlink("/tmp", one.home), 0);
    must_fail(&one, LAUNCH_HOME, "cannot open");
    assert_int_equal(unlink(one.home), 0);
    owned_file(one.home, "");
    must_fail(&one, LAUNCH_HOME, "cannot open");
    assert_int_equal(unlink(one.home), 0);
    assert_int_equal(mkdir(one.home, 0700), 0);
    must_fail(&one, LAUNCH_HOME, "belongs to uid 0");
}

/* Not one byte more fits. */
static void fill_home(void)
{
    static const char bytes[4096];
    autoclose int fd =
        open(launcher_home(&one, "fill"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, bytes, sizeof bytes) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
}

/* What has an instance already is launched on a full home all the same. */
static void a_full_home_is_refused_at_first(void)
{
    launcher_init(&one);
    assert_int_equal(mount("tmpfs", one.home, "tmpfs", 0, "mode=0700,size=64k,uid=861234"), 0);
    fill_home();
    must_fail(&one, LAUNCH_HOME, "No space left");
    assert_int_equal(access(launcher_home(&one, "instance"), F_OK), -1);
    assert_int_equal(access(launcher_home(&one, "instance.new"), F_OK), -1);
    assert_int_equal(truncate(launcher_home(&one, "fill"), 4096), 0);
    assert_int_equal(launcher_try(&one).failure, 0);
    (void)launcher_end(&one);
    assert_int_equal(access(launcher_home(&one, "instance"), F_OK), 0);
    fill_home();
    assert_int_equal(launcher_try(&one).failure, 0);
    (void)launcher_end(&one);
    assert_int_equal(umount2(one.home, MNT_DETACH), 0);
}

static void a_binary_that_is_none_is_refused(void)
{
    launcher_init(&one);
    (void)snprintf(one.binary, sizeof one.binary, "/nowhere/zdb");
    must_fail(&one, LAUNCH_EXEC, "No such file");
    (void)snprintf(one.binary, sizeof one.binary, "/tmp");
    must_fail(&one, LAUNCH_EXEC, "no program");
    (void)snprintf(one.binary, sizeof one.binary, "/etc/passwd");
    must_fail(&one, LAUNCH_EXEC, "cannot execute");
}

/* --- on the filesystem that it is for --------------------------------------------------------- */

static void a_subvolume_is_a_home(void)
{
    struct disk *disk = disk_create(256 * MiB, DISK_SSD);
    launcher_init(&one);
    autofree char *mounted = path_format("%s/btrfs", harness_dir());
    (void)snprintf(one.home, sizeof one.home, "%s/data", mounted);
    command_ok("mkfs.btrfs", "-q", disk->path);
    assert_int_equal(mkdir(mounted, 0711), 0);
    assert_int_equal(mount(disk->path, mounted, "btrfs", MS_NOSUID | MS_NODEV, NULL), 0);
    command_ok("btrfs", "-q", "subvolume", "create", one.home);
    owned_dir(one.home);
    launcher_start(&one);
    must_answer(&one);
    struct launcher second = one;
    must_fail(&second, LAUNCH_LOCKED, "lock");
    launcher_end(&one);
    assert_int_equal(umount(mounted), 0);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(it_becomes_the_0_db_and_leaves_its_record),
        harness_case(a_stranger_may_not_write),
        harness_case(port_and_password_stay),
        harness_case(two_homes_have_two_passwords),
        harness_case(a_second_one_is_refused),
        harness_case(it_outlives_who_launched_it),
        harness_case(a_proposed_port_that_is_taken_is_told),
        harness_case(a_kept_port_that_is_taken_is_told),
        harness_case(a_port_beyond_the_range_is_kept),
        harness_case(a_home_that_is_none_is_refused),
        harness_case(a_full_home_is_refused_at_first),
        harness_case(a_binary_that_is_none_is_refused),
        harness_case(a_subvolume_is_a_home),
    };
    return harness_main(argc, argv, "zdbd_launch", cases, array_length(cases));
}
