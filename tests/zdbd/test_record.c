/* The record of a 0-db process: what is written is read, anything else is refused; and the process
 * it names is found while it runs, and no other. */
#include "record.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define POOL  "0b6a9a0c-4f2e-4d0c-9d53-0d1f7b2c9e11"
#define OTHER "1b6a9a0c-4f2e-4d0c-9d53-0d1f7b2c9e11"

static char dir[] = "/tmp/zdbd-record.XXXXXX";
static int run = -1;

static int make_dir(void **state)
{
    (void)state;
    (void)memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    run = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return run < 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(path);
}

static int remove_dir(void **state)
{
    (void)state;
    (void)close(run);
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct zdb_record some_record(void)
{
    struct zdb_record record = {
        .pool = POOL,
        .uid = 860001,
        .port = 9901,
        .binary_dev = UINT64_MAX,
        .binary_ino = 12345678901,
        .binary_mtime_ns = -17,
        .missing = "landlock io.weight",
    };
    assert_int_equal(record_describe_self(&record, NULL), 0);
    return record;
}

static char text[RECORD_FILE_MAX * 2];

static size_t load_text(void)
{
    autoclose int fd = openat(run, "record", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, text, sizeof text - 1);
    assert_true(length > 0);
    text[length] = '\0';
    return (size_t)length;
}

static void store_text(const char *bytes, size_t length)
{
    autoclose int fd = openat(run, "record", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, length), length);
}

static void assert_refused(enum err_code code)
{
    struct zdb_record record = {.port = 4711}, before = record;
    assert_int_equal(record_read(run, POOL, &record, NULL), -(int)code);
    assert_memory_equal(&record, &before, sizeof record); /* untouched */
}

/* ---- the file -------------------------------------------------------------------------------- */

static void what_is_written_is_read(void **state)
{
    struct zdb_record record = some_record(), again = {0};
    (void)state;
    assert_int_equal(record_write(run, &record, NULL), 0);
    assert_int_equal(record_read(run, POOL, &again, NULL), 0);
    assert_memory_equal(&record, &again, sizeof record);
    record.port = 9902;
    record.missing[0] = '\0';
    assert_int_equal(record_write(run, &record, NULL), 0);
    assert_int_equal(record_read(run, POOL, &again, NULL), 0);
    assert_int_equal(again.port, 9902);
    assert_string_equal(again.missing, "");
}

static void it_is_for_our_eyes_alone(void **state)
{
    struct zdb_record record = some_record();
    struct stat status;
    (void)state;
    assert_int_equal(record_write(run, &record, NULL), 0);
    assert_int_equal(fstatat(run, "record", &status, 0), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(faccessat(run, "record.new", F_OK, 0), -1);
}

static void none_is_not_found(void **state)
{
    (void)state;
    assert_refused(ERR_NOT_FOUND);
}

static void a_part_of_it_is_refused(void **state)
{
    struct zdb_record record = some_record();
    (void)state;
    assert_int_equal(record_write(run, &record, NULL), 0);
    size_t length = load_text();
    for (size_t i = 0; i < length; i++) {
        store_text(text, i);
        assert_refused(ERR_DATA_LOSS);
    }
}

static void garbage_is_refused(void **state)
{
    static const char *const changes[][2] = {
        {"pid=", "pid=-"},
        {"pid=", "pid=4294967297"},
        {"pid=", "pid=0\npid="},
        {"port=", "port=99999"},
        {"port=", "port=x"},
        {"port=", "harbour="},
        {"uid=", "uid= "},
        {"boot_id=", "boot_id=x"},
        {"missing=", "missing"},
        {"missing=", "\n"},
        {"start_ticks=", "start_ticks=99999999999999999999"},
    };
    struct zdb_record record = some_record();
    (void)state;
    assert_int_equal(record_write(run, &record, NULL), 0);
    (void)load_text();
    for (size_t i = 0; i < array_length(changes); i++) {
        char changed[sizeof text];
        const char *at = strstr(text, changes[i][0]);
        int n = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, changes[i][1],
                         at + strlen(changes[i][0]));
        store_text(changed, (size_t)n);
        assert_refused(ERR_DATA_LOSS);
    }
    memset(text, 'x', sizeof text);
    store_text(text, sizeof text);
    assert_refused(ERR_DATA_LOSS);
    memset(text, 0, sizeof text);
    store_text(text, 64);
    assert_refused(ERR_DATA_LOSS);
}

static void what_a_later_version_adds_is_passed_over(void **state)
{
    struct zdb_record record = some_record(), again;
    (void)state;
    assert_int_equal(record_write(run, &record, NULL), 0);
    size_t length = load_text();
    length += (size_t)snprintf(text + length, 64, "colour=blue\n");
    store_text(text, length);
    assert_int_equal(record_read(run, POOL, &again, NULL), 0);
}

static void another_pool_is_refused(void **state)
{
    struct zdb_record record = some_record();
    (void)state;
    (void)snprintf(record.pool, sizeof record.pool, OTHER);
    assert_int_equal(record_write(run, &record, NULL), 0);
    assert_refused(ERR_DATA_LOSS);
}

static void what_is_no_file_of_ours_is_refused(void **state)
{
    struct zdb_record record = some_record();
    (void)state;
    assert_int_equal(record_write(run, &record, NULL), 0);
    assert_int_equal(renameat(run, "record", run, "elsewhere"), 0);
    assert_int_equal(symlinkat("elsewhere", run, "record"), 0);
    assert_refused(ERR_DATA_LOSS);
    assert_int_equal(unlinkat(run, "record", 0), 0);
    assert_int_equal(mkfifoat(run, "record", 0600), 0);
    assert_refused(ERR_DATA_LOSS);
    assert_int_equal(unlinkat(run, "record", 0), 0);
    assert_int_equal(mkdirat(run, "record", 0700), 0);
    assert_refused(ERR_DATA_LOSS);
    assert_int_equal(unlinkat(run, "record", AT_REMOVEDIR), 0);
    assert_int_equal(renameat(run, "elsewhere", run, "record"), 0);
    assert_int_equal(fchmodat(run, "record", 0666, 0), 0);
    assert_refused(ERR_DATA_LOSS);
    assert_int_equal(fchmodat(run, "record", 0600, 0), 0);
    if (geteuid() != 0)
        return;
    assert_int_equal(fchownat(run, "record", 860001, 0, 0), 0);
    assert_refused(ERR_DATA_LOSS);
}

/* Of a writer that was killed, or a trap. */
static void what_lies_in_the_way_goes(void **state)
{
    struct zdb_record record = some_record(), again;
    struct stat status;
    (void)state;
    assert_int_equal(symlinkat("/tmp/zdbd-record-trap", run, "record.new"), 0);
    assert_int_equal(symlinkat("/tmp/zdbd-record-trap", run, "record"), 0);
    assert_int_equal(record_write(run, &record, NULL), 0);
    assert_int_equal(record_read(run, POOL, &again, NULL), 0);
    assert_int_equal(lstat("/tmp/zdbd-record-trap", &status), -1);
}

/* ---- the process ----------------------------------------------------------------------------- */

static pid_t spawn_sleeper(struct zdb_record *record, int *out_keep)
{
    int told[2], keep[2];
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    assert_int_equal(pipe2(keep, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(keep[1]);
        int rc = record_describe_self(record, NULL);
        bool sent = rc == 0 && write(told[1], record, sizeof *record) == sizeof *record;
        char byte;
        _exit(sent && read(keep[0], &byte, 1) == 0 ? 0 : 1);
    }
    assert_int_equal(read(told[0], record, sizeof *record), sizeof *record);
    (void)close(told[0]);
    (void)close(told[1]);
    (void)close(keep[0]);
    *out_keep = keep[1];
    return pid;
}

static void assert_gone(const struct zdb_record *record)
{
    int pidfd = -1;
    assert_int_equal(record_find_process(record, &pidfd, NULL), -ERR_NOT_FOUND);
    assert_int_equal(pidfd, -1);
}

static void a_process_that_runs_is_found_until_it_ends(void **state)
{
    struct zdb_record record = {.pool = POOL};
    int keep, pidfd = -1;
    (void)state;
    pid_t pid = spawn_sleeper(&record, &keep);
    assert_int_equal(record.pid, pid);
    assert_int_equal(record_find_process(&record, &pidfd, NULL), 0);
    assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    (void)close(pidfd);
    (void)close(keep);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_gone(&record); /* ended, though nobody has waited for it */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_gone(&record);
}

static void another_one_with_its_pid_is_not_it(void **state)
{
    struct zdb_record record = some_record();
    int pidfd = -1;
    (void)state;
    assert_int_equal(record_find_process(&record, &pidfd, NULL), 0);
    (void)close(pidfd);
    pidfd = -1;
    record.start_ticks++;
    assert_gone(&record);
    record.start_ticks--;
    memcpy(record.boot_id, OTHER, sizeof record.boot_id);
    assert_gone(&record);
}

int main(void)
{
#define with_dir(function) cmocka_unit_test_setup_teardown(function, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        with_dir(what_is_written_is_read),
        with_dir(it_is_for_our_eyes_alone),
        with_dir(none_is_not_found),
        with_dir(a_part_of_it_is_refused),
        with_dir(garbage_is_refused),
        with_dir(what_a_later_version_adds_is_passed_over),
        with_dir(another_pool_is_refused),
        with_dir(what_is_no_file_of_ours_is_refused),
        with_dir(what_lies_in_the_way_goes),
        cmocka_unit_test(a_process_that_runs_is_found_until_it_ends),
        cmocka_unit_test(another_one_with_its_pid_is_not_it),
    };
    return cmocka_run_group_tests_name("zdbd_record", tests, NULL, NULL);
}
