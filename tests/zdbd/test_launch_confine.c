/* What the process that becomes the 0-db has and is: as the kernel tells of it, and as it finds
 * itself. */
#include "launcher.h"

#include "worker/confine.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct launcher one;

static char *proc_text(const char *name, size_t *out_size)
{
    autofree char *path = path_format("/proc/%d/%s", one.pid, name);
    return file_read(path, out_size);
}

/* Launches what stops by itself, and waits until it has. */
static void start_probe_with(uint32_t files, bool upstream)
{
    int status;
    launcher_init(&one);
    one.files = files;
    (void)snprintf(one.binary, sizeof one.binary, "%s/zdbprobe", STORAGED_BIN_DIR);
    one.upstream = upstream;
    struct launch_report report = launcher_try(&one);
    if (report.failure)
        fail_msg("launch failed: %s", report.message);
    assert_int_equal(waitpid(one.pid, &status, WUNTRACED), one.pid);
    assert_true(WIFSTOPPED(status));
}

static void start_probe(bool upstream)
{
    start_probe_with(777, upstream);
}

static void must_have_line(const char *text, const char *line)
{
    const char *at = strstr(text, line);
    if (!at || (at != text && at[-1] != '\n') || at[strlen(line)] != '\n')
        fail_msg("no line \"%s\" in\n%s", line, text);
}

static void its_status_is_that_of_nobody(void)
{
    start_probe(false);
    autofree char *status = proc_text("status", NULL);
    autofree char *uids =
        path_format("Uid:\t%d\t%d\t%d\t%d", LAUNCHER_UID, LAUNCHER_UID, LAUNCHER_UID, LAUNCHER_UID);
    autofree char *gids =
        path_format("Gid:\t%d\t%d\t%d\t%d", LAUNCHER_GID, LAUNCHER_GID, LAUNCHER_GID, LAUNCHER_GID);
    must_have_line(status, uids);
    must_have_line(status, gids);
    static const char *const lines[] = {
        "Groups:\t ",
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "SigBlk:\t0000000000000000",
        "SigIgn:\t0000000000000000",
        "Umask:\t0077",
    };
    for (size_t i = 0; i < array_length(lines); i++)
        must_have_line(status, lines[i]);
    launcher_end(&one);
}

static void it_leads_a_session_of_its_own(void)
{
    start_probe(false);
    assert_int_equal(getsid(one.pid), one.pid);
    assert_int_equal(getpgid(one.pid), one.pid);
    launcher_end(&one);
}

/* The value in bytes of a row of /proc/<pid>/limits, where soft and hard are the same. */
static uint64_t limit_of(const char *limits, const char *name)
{
    uint64_t soft, hard;
    const char *at = strstr(limits, name);
    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(name), "%" SCNu64 " %" SCNu64, &soft, &hard), 2);
    assert_int_equal(soft, hard);
    return soft;
}

static void it_has_its_limits(void)
{
    start_probe(false);
    autofree char *limits = proc_text("limits", NULL);
    uint64_t memory = limit_of(limits, "Max data size");
    assert_int_equal(limit_of(limits, "Max open files"), 777);
    assert_int_equal(limit_of(limits, "Max core file size"), 0);
    autofree char *log = file_read(launcher_run(&one, "log"), NULL);
#ifdef __SANITIZE_ADDRESS__ /* there is room for the sanitizer's shadow as well */
    assert_int_equal(memory, 512 * MiB + (UINT64_C(1) << 46));
    must_have_line(log, "take a gigabyte: done");
#else
    assert_int_equal(memory, 512 * MiB);
    must_have_line(log, "take a gigabyte: ENOMEM");
#endif
    launcher_end(&one);
}

/* Who may not raise a limit has a stricter one, and says so. */
static void a_limit_that_cannot_be_raised_stays(void)
{
    start_probe_with(CONFINE_FILES_MAX + 1000, false);
    autofree char *limits = proc_text("limits", NULL);
    autofree char *log = file_read(launcher_run(&one, "log"), NULL);
    assert_in_range(limit_of(limits, "Max open files"), 1024, CONFINE_FILES_MAX);
    assert_non_null(strstr(log, "RLIMIT_NOFILE"));
    launcher_end(&one);
}

static void must_link(const char *name, const char *target)
{
    char found[HARNESS_PATH_MAX] = "";
    autofree char *path = path_format("/proc/%d/%s", one.pid, name);
    assert_true(readlink(path, found, sizeof found - 1) > 0);
    assert_string_equal(found, target);
}

static void it_has_three_descriptors_and_its_place(void)
{
    start_probe(false);
    must_link("cwd", one.run);
    must_link("root", "/");
    must_link("fd/0", one.home);
    must_link("fd/1", launcher_run(&one, "log"));
    must_link("fd/2", launcher_run(&one, "log"));
    autofree char *log = file_read(launcher_run(&one, "log"), NULL);
    must_have_line(log, "first descriptor that is free: 3");
    launcher_end(&one);
}

static void it_finds_itself_alone(void)
{
    bool landlock = access("/sys/kernel/security/landlock", F_OK) == 0;
    start_probe(false);
    autofree char *log = file_read(launcher_run(&one, "log"), NULL);
    must_have_line(log, "death signal: 0");
    must_have_line(log, "write in home: done");
    must_have_line(log, "write in run directory: done");
    must_have_line(log, "read elsewhere: done");
    must_have_line(log, "read data: done");
    must_have_line(log, "become root: EPERM");
    /* What the kernel lacks is in the record. */
    struct zdb_record record = launcher_record(&one);
    landlock = landlock || !strstr(record.missing, "landlock");
    must_have_line(log, landlock ? "write elsewhere: EACCES" : "write elsewhere: done");
    assert_int_equal(!landlock, strstr(record.missing, "landlock") != NULL);
    launcher_end(&one);
}

static void its_environment_is_a_path(void)
{
    start_probe(false);
    size_t size;
    autofree char *environment = proc_text("environ", &size);
    assert_string_equal(environment, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    assert_int_equal(size, strlen(environment) + 1);
    launcher_end(&one);
}

/* --- the password ----------------------------------------------------------------------------- */

static bool mentions(const char *name, const char *text)
{
    size_t size;
    autofree char *all = proc_text(name, &size);
    return memmem(all, size, text, strlen(text)) != NULL;
}

static void our_own_0_db_does_not_show_the_password(void)
{
    launcher_init(&one);
    launcher_start(&one);
    autofree char *password = launcher_password(&one);
    assert_true(mentions("cmdline", "--password-file"));
    assert_false(mentions("cmdline", password));
    assert_false(mentions("environ", password));
    autofree char *log = file_read(launcher_run(&one, "log"), NULL);
    assert_null(strstr(log, password));
    launcher_end(&one);
}

static void upstreams_is_given_it_as_a_flag(void)
{
    start_probe(true);
    autofree char *log = file_read(launcher_run(&one, "log"), NULL);
    autofree char *password = launcher_password(&one);
    autofree char *line = path_format(
        "arguments: zdb --data /proc/self/fd/0/data --index /proc/self/fd/0/index --listen "
        "127.0.0.1 --port %u --dualnet --socket socket --protect --admin %s .",
        one.port, password);
    must_have_line(log, line);
    launcher_end(&one);
    /* The server of ours understands it as well, and wipes it. */
    (void)snprintf(one.binary, sizeof one.binary, "%s/zdb", STORAGED_BIN_DIR);
    launcher_start(&one);
    assert_false(mentions("cmdline", password));
    launcher_end(&one);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(its_status_is_that_of_nobody),
        harness_case(it_leads_a_session_of_its_own),
        harness_case(it_has_its_limits),
        harness_case(a_limit_that_cannot_be_raised_stays),
        harness_case(it_has_three_descriptors_and_its_place),
        harness_case(it_finds_itself_alone),
        harness_case(its_environment_is_a_path),
        harness_case(our_own_0_db_does_not_show_the_password),
        harness_case(upstreams_is_given_it_as_a_flag),
    };
    return harness_main(argc, argv, "zdbd_launch_confine", cases, array_length(cases));
}
