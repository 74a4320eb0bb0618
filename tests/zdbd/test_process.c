/* Processes as zdbd holds them: launched, adopted, ended and left. */
#include "launcher.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* What was called back. */
static struct {
    unsigned launched, failed, ended;
    struct zdb_record record;
    struct launch_report report;
    char reason[64];
} heard;

static struct launcher one;
static struct settings *settings;
static struct process *process;
static uv_loop_t loop;
static bool close_when_called;

static void on_called(void)
{
    if (close_when_called)
        process_close(process);
}

static void on_launched(const struct zdb_record *record, void *data)
{
    assert_ptr_equal(data, &heard);
    heard.launched++;
    heard.record = *record;
    on_called();
}

static void on_failed(const struct launch_report *report, void *data)
{
    (void)data;
    heard.failed++;
    heard.report = *report;
    on_called();
}

static void on_ended(const char *reason, void *data)
{
    (void)data;
    heard.ended++;
    (void)snprintf(heard.reason, sizeof heard.reason, "%s", reason);
    on_called();
}

static const struct process_callbacks callbacks = {on_launched, on_failed, on_ended, &heard};

/* ---- the bed --------------------------------------------------------------------------------- */

static struct settings *load_settings(const char *binary)
{
    autoerr struct err err = {0};
    struct settings *loaded;
    autofree char *run =
        path_format("storaged.run_dir=%.*s", (int)(strstr(one.run, "/zdb/") - one.run), one.run);
    autofree char *ports = path_format("zdb.ports=%u-%u", one.port, one.port + 10);
    autofree char *program = path_format("zdb.binary=%s", binary);
    autofree char *config = path_format("%s/storaged.conf", harness_dir());
    file_write(config, "", 0);
    char *argv[] = {"zdbd",  "--config", config,  "--set", run,
                    "--set", ports,      "--set", program, NULL};
    int argc = 9;
    assert_ok(settings_load(&argc, argv, &loaded, &err), &err);
    return loaded;
}

static void begin(const char *binary)
{
    memset(&heard, 0, sizeof heard);
    process = NULL;
    close_when_called = false;
    launcher_init(&one);
    settings = load_settings(binary);
    assert_int_equal(uv_loop_init(&loop), 0);
}

static void end(void)
{
    if (process && !close_when_called)
        process_close(process);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    settings_free(settings);
}

static void launch(void)
{
    autoerr struct err err = {0};
    const struct process_home home = {LAUNCHER_POOL, one.home, LAUNCHER_UID, LAUNCHER_GID,
                                      one.port};
    assert_ok(process_launch(&loop, settings, &home, -1, &callbacks, &process, &err), &err);
    assert_int_equal(heard.launched + heard.failed + heard.ended, 0);
}

static void wait_for(const unsigned *count)
{
    while (*count == 0 && uv_run(&loop, UV_RUN_ONCE) != 0)
        ;
    assert_int_equal(*count, 1);
}

/* ---- launched -------------------------------------------------------------------------------- */

static void a_launched_one_is_told_of_and_so_is_its_end(void)
{
    begin("");
    launch();
    wait_for(&heard.launched);
    assert_int_equal(heard.record.pid, process_pid(process));
    assert_int_equal(heard.record.port, one.port);
    assert_int_equal(heard.record.uid, LAUNCHER_UID);
    process_signal(process, SIGKILL);
    wait_for(&heard.ended);
    assert_string_equal(heard.reason, "signal 9 (Killed)");
    process_signal(process, SIGKILL); /* nobody is there */
    assert_int_equal(heard.failed, 0);
    end();
}

static void one_that_exits_is_told_of_with_its_status(void)
{
    begin("/bin/false");
    launch();
    wait_for(&heard.ended);
    assert_int_equal(heard.launched, 1);
    assert_string_equal(heard.reason, "exit 1");
    end();
}

static void a_launch_that_fails_says_why(void)
{
    begin("");
    assert_int_equal(rmdir(one.home), 0);
    launch();
    wait_for(&heard.failed);
    assert_int_equal(heard.report.failure, LAUNCH_HOME);
    assert_non_null(strstr(heard.report.message, one.home));
    assert_int_equal(heard.launched + heard.ended, 0);
    end();

    begin("");
    launcher_start(&one);
    launch();
    wait_for(&heard.failed);
    assert_int_equal(heard.report.failure, LAUNCH_LOCKED);
    launcher_end(&one);
    end();

    begin("/nowhere/zdb");
    launch();
    wait_for(&heard.failed);
    assert_int_equal(heard.report.failure, LAUNCH_EXEC);
    end();
}

#ifdef STORAGED_SEAMS
/* Killed at its tenth step, before it can report anything. */
static void a_launcher_that_is_killed_is_told_of(void)
{
    begin("");
    autofree char *path = path_format("%s/steps", harness_dir());
    autofree char *text = path_format("zdblaunch:%s", path);
    long left = 10;
    file_write(path, &left, sizeof left);
    assert_int_equal(setenv("STORAGED_STEPS", text, 1), 0);
    launch();
    wait_for(&heard.failed);
    assert_int_equal(unsetenv("STORAGED_STEPS"), 0);
    assert_int_equal(heard.report.failure, LAUNCH_OTHER);
    assert_non_null(strstr(heard.report.message, "signal 9"));
    end();
}
#endif

/* ---- adopted --------------------------------------------------------------------------------- */

static void an_adopted_one_is_watched_and_signalled(void)
{
    autoerr struct err err = {0};
    int pidfd;
    begin("");
    launcher_start(&one);
    struct zdb_record record = launcher_record(&one);
    assert_ok(record_find_process(&record, &pidfd, &err), &err);
    assert_ok(process_adopt(&loop, &record, pidfd, &callbacks, &process, &err), &err);
    assert_int_equal(process_pid(process), one.pid);
    process_signal(process, SIGTERM);
    wait_for(&heard.ended);
    assert_string_equal(heard.reason, "ended");
    assert_int_equal(child_wait(one.pid), 128 + SIGTERM);
    process_signal(process, SIGKILL);
    assert_int_equal(heard.launched + heard.failed, 0);
    end();
}

/* ---- closed ---------------------------------------------------------------------------------- */

static void one_that_is_let_go_runs_on(void)
{
    autoerr struct err err = {0};
    begin("");
    launch();
    wait_for(&heard.launched);
    end();
    autoclose int pidfd = -1;
    struct zdb_record record = launcher_record(&one);
    assert_ok(record_find_process(&record, &pidfd, &err), &err);
    (void)kill(record.pid, SIGKILL);
    assert_int_equal(child_wait(record.pid), 128 + SIGKILL);
    assert_int_equal(heard.ended, 0);
}

static void a_launch_that_is_let_go_goes_on(void)
{
    begin("");
    launch();
    pid_t pid = process_pid(process);
    end();
    assert_int_equal(heard.launched, 0);
    one.pid = pid;
    for (char *found = NULL; !found;) {
        found = file_try_read(launcher_run(&one, "record"), NULL);
        free(found);
        if (waitpid(pid, NULL, WNOHANG) == pid)
            fail_msg("the launch did not go on");
    }
    assert_int_equal(launcher_end(&one), 128 + SIGKILL);
}

static void it_may_be_closed_whenever_it_calls(void)
{
    begin("/bin/false");
    close_when_called = true;
    launch();
    end();
    assert_int_equal(heard.launched, 1);
    assert_int_equal(heard.ended, 0);

    begin("/nowhere/zdb");
    close_when_called = true;
    launch();
    end();
    assert_int_equal(heard.failed, 1);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static bool has(char **arguments, const char *flag, const char *value)
{
    for (; *arguments; arguments++)
        if (strcmp(*arguments, flag) == 0)
            return !value || (arguments[1] && strcmp(arguments[1], value) == 0);
    return false;
}

static void free_arguments(char **arguments)
{
    for (size_t i = 0; arguments[i]; i++)
        free(arguments[i]);
    free(arguments);
}

static void its_arguments_follow_from_the_settings(void)
{
    const struct process_home home = {LAUNCHER_POOL, "/mnt/x/zdb/data", 860001, 860002, 9955};
    begin("");
    char **ours = process_arguments(settings, &home);
    assert_string_equal(ours[0], STORAGED_BIN_DIR "/zdblaunch");
    assert_true(has(ours, "--pool", LAUNCHER_POOL) && has(ours, "--home", home.path));
    assert_true(has(ours, "--run", one.run) && has(ours, "--binary", STORAGED_BIN_DIR "/zdb"));
    assert_true(has(ours, "--uid", "860001") && has(ours, "--gid", "860002"));
    assert_true(has(ours, "--port", "9955") && has(ours, "--listen", "127.0.0.1"));
    assert_true(has(ours, "--files", "16384") && has(ours, "--memory", "4294967296"));
    assert_false(has(ours, "--upstream", NULL) || has(ours, "--sync", NULL));
    free_arguments(ours);
    end();

    begin("/opt/zdb");
    settings->zdb_sync = true;
    char **theirs = process_arguments(settings, &home);
    assert_true(has(theirs, "--binary", "/opt/zdb") && has(theirs, "--upstream", NULL));
    assert_true(has(theirs, "--sync", NULL));
    free_arguments(theirs);
    end();
}

static void write_log(size_t size, char fill)
{
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, fill, size);
    text[size - 1] = '\n';
    file_write(launcher_run(&one, "log"), text, size);
    free(text);
}

static off_t size_of(const char *name)
{
    struct stat status;
    return stat(launcher_run(&one, name), &status) < 0 ? -1 : status.st_size;
}

static void a_long_log_is_cut(void)
{
    autoerr struct err err = {0};
    begin("");
    assert_int_equal(process_trim_log(settings, LAUNCHER_POOL, LAUNCHER_UID, &err), 0);
    launcher_start(&one);
    autofree char *pong = launcher_ask(&one, 0, "PING", NULL); /* it has said that it is ready */
    assert_string_equal(pong, "+PONG\r\n");
    assert_true(size_of("log") > 0);
    assert_int_equal(process_trim_log(settings, LAUNCHER_POOL, LAUNCHER_UID, &err), 0);
    assert_true(size_of("log") > 0);
    write_log(LAUNCH_LOG_MAX_BYTES + 100000, 'x');
    assert_int_equal(process_trim_log(settings, LAUNCHER_POOL, LAUNCHER_UID, &err), 0);
    assert_int_equal(size_of("log"), 0);
    assert_int_equal(size_of("log.old"), LAUNCH_LOG_MAX_BYTES);
    (void)kill(one.pid, SIGTERM); /* what it still says comes at the beginning of the file */
    assert_int_equal(child_wait(one.pid), 128 + SIGTERM);
    assert_true(size_of("log") >= 0 && size_of("log") < 65536);
    /* Not through a link to what somebody else's is. */
    autofree char *victim = path_format("%s/victim", harness_dir());
    write_log(LAUNCH_LOG_MAX_BYTES + 1, 'x');
    assert_int_equal(rename(launcher_run(&one, "log"), victim), 0);
    assert_int_equal(chown(victim, 0, 0), 0);
    for (int hard = 0; hard < 2; hard++) {
        const char *log = launcher_run(&one, "log");
        assert_int_equal(hard ? link(victim, log) : symlink(victim, log), 0);
        assert_int_equal(process_trim_log(settings, LAUNCHER_POOL, LAUNCHER_UID, &err), 0);
        assert_int_equal(size_of("log"), LAUNCH_LOG_MAX_BYTES + 1);
        assert_int_equal(unlink(log), 0);
    }
    end();
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(a_launched_one_is_told_of_and_so_is_its_end),
        harness_case(one_that_exits_is_told_of_with_its_status),
        harness_case(a_launch_that_fails_says_why),
#ifdef STORAGED_SEAMS
        harness_case(a_launcher_that_is_killed_is_told_of),
#endif
        harness_case(an_adopted_one_is_watched_and_signalled),
        harness_case(one_that_is_let_go_runs_on),
        harness_case(a_launch_that_is_let_go_goes_on),
        harness_case(it_may_be_closed_whenever_it_calls),
        harness_case(its_arguments_follow_from_the_settings),
        harness_case(a_long_log_is_cut),
    };
    return harness_main(argc, argv, "zdbd_process", cases, array_length(cases));
}
