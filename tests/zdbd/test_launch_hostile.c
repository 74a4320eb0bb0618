/*
 * Home and run directory belong to a uid that may have been taken over: whatever its owner lays
 * there, the launcher touches nothing of anybody else's, and either launches or says why not.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static struct launcher one;
static char victim[HARNESS_PATH_MAX], folder[HARNESS_PATH_MAX];

#define SECRET "root's own\n"

enum trap { SYMLINK, DANGLING, HARDLINK, FOLDER_LINK, FIFO, SOCKET, FOLDER, EMPTY, ROOTS };

static void make_victim(void)
{
    (void)snprintf(victim, sizeof victim, "%s/victim", harness_dir());
    (void)snprintf(folder, sizeof folder, "%s/folder", harness_dir());
    file_write(victim, SECRET, strlen(SECRET));
    assert_int_equal(chown(victim, 0, 0), 0);
    assert_int_equal(chmod(victim, 0600), 0);
    assert_true(mkdir(folder, 0700) == 0 || errno == EEXIST);
}

static void lay(enum trap trap, const char *path)
{
    int rc = 0;
    switch (trap) {
    case SYMLINK:
        rc = symlink(victim, path);
        break;
    case DANGLING:
        rc = symlink(launcher_run(&one, "../../made-by-root"), path);
        break;
    case HARDLINK:
        rc = link(victim, path);
        break;
    case FOLDER_LINK:
        rc = symlink(folder, path);
        break;
    case FIFO:
        rc = mkfifo(path, 0600);
        break;
    case SOCKET:
        rc = mknod(path, S_IFSOCK | 0600, 0);
        break;
    case FOLDER:
        owned_dir(path);
        break;
    case EMPTY:
        owned_file(path, "");
        break;
    case ROOTS:
        file_write(path, SECRET, strlen(SECRET));
        break;
    }
    assert_int_equal(rc, 0);
    if (trap == FIFO || trap == SOCKET)
        assert_int_equal(chown(path, LAUNCHER_UID, LAUNCHER_GID), 0);
}

static void assert_victim_is_well(void)
{
    struct stat status;
    autofree char *text = file_read(victim, NULL);
    autofree char *made = path_format("%s/../../made-by-root", one.run);
    assert_string_equal(text, SECRET);
    assert_int_equal(stat(victim, &status), 0);
    assert_int_equal(status.st_uid, 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(rmdir(folder), 0); /* empty */
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(access(made, F_OK), -1);
}

/* A home and a run directory in which each thing of the 0-db's lies before. */
static void lay_in(const char *(*place)(const struct launcher *, const char *), const char *name,
                   enum trap trap)
{
    char path[2 * HARNESS_PATH_MAX];
    launcher_init(&one);
    make_victim();
    autofree char *parent = path_format("%.*s", (int)(strrchr(one.run, '/') - one.run), one.run);
    assert_int_equal(mkdir(parent, 0711), 0);
    owned_dir(one.run);
    (void)snprintf(path, sizeof path, "%s", place(&one, name));
    lay(trap, path);
}

/* Launched, or refused for a reason of this kind; never hanging, for the report has come. */
static bool launches(enum launch_failure refusal)
{
    struct launch_report report = launcher_try(&one);
    bool launched = report.failure == 0;
    if (launched)
        (void)launcher_end(&one); /* it may have found a trap of its own, and ended */
    else if (report.failure != refusal)
        fail_msg("failure %d, not %d: %s", report.failure, refusal, report.message);
    assert_victim_is_well();
    return launched;
}

struct row {
    const char *name;
    enum trap trap;
    bool launches;
};

static void try_rows(const char *(*place)(const struct launcher *, const char *),
                     const struct row *rows, size_t n, enum launch_failure refusal)
{
    for (size_t i = 0; i < n; i++) {
        lay_in(place, rows[i].name, rows[i].trap);
        if (launches(refusal) != rows[i].launches)
            fail_msg("trap %d at %s: %s", rows[i].trap, rows[i].name,
                     rows[i].launches ? "is not launched" : "is launched");
    }
}

static void a_home_with_traps(void)
{
    static const struct row rows[] = {
        {"instance", SYMLINK, false},    {"instance", DANGLING, false},
        {"instance", HARDLINK, false},   {"instance", FIFO, false},
        {"instance", SOCKET, false},     {"instance", FOLDER, false},
        {"instance", EMPTY, false},      {"instance", ROOTS, false},
        {"instance.new", SYMLINK, true}, {"instance.new", DANGLING, true},
        {"instance.new", FIFO, true},    {"instance.new", EMPTY, true},
        {"instance.new", ROOTS, true},   {"instance.new", FOLDER, false},
        {"data", SYMLINK, false},        {"data", FOLDER_LINK, false},
        {"data", DANGLING, false},       {"data", EMPTY, false},
        {"index", FOLDER_LINK, false},   {"index", FIFO, false},
        {"index", FOLDER, true},
    };
    try_rows(launcher_home, rows, array_length(rows), LAUNCH_HOME);
}

static void a_run_directory_with_traps(void)
{
    static const struct row rows[] = {
        {"log", SYMLINK, true},
        {"log", DANGLING, true},
        {"log", HARDLINK, true},
        {"log", FIFO, true},
        {"log", SOCKET, true},
        {"log", FOLDER, false},
        {"log", ROOTS, true},
        {"password", SYMLINK, true},
        {"password", HARDLINK, true},
        {"password", FIFO, true},
        {"password", FOLDER, false},
        {"password.new", SYMLINK, true},
        {"password.new", DANGLING, true},
        {"password.new", FOLDER, false},
        {"gates", SYMLINK, true},
        {"gates", FIFO, true},
        {"gates", FOLDER, false},
        {"gates.new", SYMLINK, true},
        {"gates.new", FOLDER, false},
        {"socket", SYMLINK, true},
        {"socket", FOLDER, true},
        {"record", SYMLINK, true},
        {"record", HARDLINK, true},
        {"record", FIFO, true},
        {"record", FOLDER, false},
        {"record.new", SYMLINK, true},
        {"record.new", DANGLING, true},
        {"record.new", HARDLINK, true},
        {"record.new", FOLDER, false},
    };
    try_rows(launcher_run, rows, array_length(rows), LAUNCH_OTHER);
}

static void an_instance_that_reads_otherwise_is_left(void)
{
    static const char *const texts[] = {
        "port=9911\n",
        "port=9911\npassword=\n",
        "port=9911\npassword=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n",
        "port=9911\npassword=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeF\n",
        "port=9911\npassword=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "port=9911\npassword=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\n",
        "port=9911\npassword=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0\n",
        "port=0\npassword=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
        "port=09911\npassword=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
        "port=75447\npassword=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
        "port=-1\npassword=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
    };
    for (size_t i = 0; i < array_length(texts); i++) {
        launcher_init(&one);
        owned_file(launcher_home(&one, "instance"), texts[i]);
        struct launch_report report = launcher_try(&one);
        assert_int_equal(report.failure, LAUNCH_HOME);
        assert_non_null(strstr(report.message, "instance"));
        autofree char *after = file_read(launcher_home(&one, "instance"), NULL);
        assert_string_equal(after, texts[i]);
    }
}

/* A port below 1024 would be a service of the node's. */
static void a_port_of_the_systems_is_refused(void)
{
    launcher_init(&one);
    owned_file(launcher_home(&one, "instance"),
               "port=997\n"
               "password=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n");
    struct launch_report report = launcher_try(&one);
    assert_int_equal(report.failure, LAUNCH_OTHER);
    assert_non_null(strstr(report.message, "Permission denied"));
}

/* Modes that its owner has changed. */
static void a_run_directory_that_is_open_is_closed(void)
{
    struct stat status;
    launcher_init(&one);
    launcher_start(&one);
    launcher_end(&one);
    assert_int_equal(chmod(one.run, 0777), 0);
    assert_int_equal(chown(one.run, 4711, 4711), 0);
    launcher_start(&one);
    assert_int_equal(stat(one.run, &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0700);
    assert_int_equal(status.st_uid, LAUNCHER_UID);
    assert_int_equal(status.st_gid, LAUNCHER_GID);
    launcher_end(&one);
}

static void a_long_log_is_put_aside(void)
{
    struct stat status;
    launcher_init(&one);
    launcher_start(&one);
    launcher_end(&one);
    assert_int_equal(truncate(launcher_run(&one, "log"), LAUNCH_LOG_MAX_BYTES + 1), 0);
    launcher_start(&one);
    assert_int_equal(stat(launcher_run(&one, "log.old"), &status), 0);
    assert_int_equal(status.st_size, LAUNCH_LOG_MAX_BYTES + 1);
    assert_int_equal(stat(launcher_run(&one, "log"), &status), 0);
    assert_true(status.st_size < 65536);
    launcher_end(&one);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(a_home_with_traps),
        harness_case(a_run_directory_with_traps),
        harness_case(an_instance_that_reads_otherwise_is_left),
        harness_case(a_port_of_the_systems_is_refused),
        harness_case(a_run_directory_that_is_open_is_closed),
        harness_case(a_long_log_is_put_aside),
    };
    return harness_main(argc, argv, "zdbd_launch_hostile", cases, array_length(cases));
}
