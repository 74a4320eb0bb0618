/*
 * storaged: starts the workers, watches them, and ends them. In the foreground, one thread, one
 * loop.
 *
 * What the workers do is not known here: no message of a client is parsed but those of the control
 * socket, and no nng is linked. When this process dies its workers die with it; mounts and 0-db
 * stay, and the next storaged takes them over.
 *
 * It must stay single-threaded: PDEATHSIG kills a worker when the *thread* that forked it ends.
 */
#include "base/cleanup.h"
#include "confwatch.h"
#include "control.h"
#include "rundir.h"
#include "startup.h"
#include "stop.h"
#include "supervisor.h"
#include "worker/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

static const char usage[] =
    "usage: storaged [--config FILE] [--set SECTION.KEY=VALUE]... [--check | --help | --version]\n"
    "\n"
    "Runs the storage of this node in the foreground.\n"
    "\n"
    "  --config FILE             instead of /etc/storaged/storaged.conf\n"
    "  --set SECTION.KEY=VALUE   wins over the file; may be repeated\n"
    "  --check                   print the effective config, and exit with 78 if it is wrong\n"
    "\n"
    "SIGTERM, SIGINT: end the workers, leave mounts as they are. `storagectl shutdown` unmounts.\n"
    "SIGHUP: workers that wait for the config to change try again.\n"
    "\n"
    "Exit: 0 stopped, 78 the config is wrong, 64 the command line is, 1 anything else.\n";

/* In static memory, so that what a stuck process keeps alive is still reachable at the end. */
static struct supervisor supervisor;
static struct confwatch confwatch;
static uv_signal_t signals[3];

struct ward *supervisor_find(struct supervisor *self, const char *name)
{
    for (size_t i = 0; i < self->n_wards; i++)
        if (strcmp(self->wards[i].name, name) == 0)
            return &self->wards[i];
    return NULL;
}

/* ---- what reaches us from outside ---- */

static void on_config_changed(void *data)
{
    (void)data;
    for (size_t i = 0; i < supervisor.n_wards; i++)
        ward_config_changed(&supervisor.wards[i]);
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
    (void)handle;
    log_info("signal", "name", strsignal(signal_number));
    if (signal_number == SIGHUP)
        on_config_changed(NULL);
    else
        stop_begin(&supervisor, false);
}

static void watch_signals(uv_loop_t *loop)
{
    static const int watched[array_length(signals)] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < array_length(watched); i++) {
        (void)uv_signal_init(loop, &signals[i]);
        (void)uv_signal_start(&signals[i], on_signal, watched[i]);
    }
}

/*
 * A stderr that breaks must not end us, and one that nobody reads must not stop the loop. A pipe is
 * opened once more, so that only our end does not block: log lines that do not fit are lost. Files
 * and terminals stay as they are.
 */
static void loosen_stderr(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct stat stat;
    (void)sigaction(SIGPIPE, &ignore, NULL);
    if (fstat(STDERR_FILENO, &stat) < 0 || !S_ISFIFO(stat.st_mode))
        return;
    autoclose int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        (void)dup2(fd, STDERR_FILENO);
}

/* ---- the life of the supervisor ---- */

static int check_workers(const struct settings *settings, struct err *err)
{
    size_t n = 0;
    for (; settings->workers[n]; n++) {
        const char *name = settings->workers[n];
        if (!*name || strchr(name, '/'))
            return err_set(err, ERR_INVALID_ARGUMENT, 0, "supervisor.workers",
                           "\"%s\" is no name of a worker", name);
        for (size_t i = 0; i < n; i++)
            if (strcmp(settings->workers[i], name) == 0)
                return err_set(err, ERR_INVALID_ARGUMENT, 0, "supervisor.workers",
                               "%s is named twice", name);
    }
    if (n == 0 || n > SUPERVISOR_WORKERS_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "supervisor.workers",
                       "%zu workers are named; 1 to %d are possible", n, SUPERVISOR_WORKERS_MAX);
    return 0;
}

static int take_instance(const struct settings *settings, int *out_lock, struct err *err)
{
    int rc = rundir_prepare(settings, &supervisor.gid, err);
    if (rc < 0)
        return rc;
    autofree char *path = settings_run_path(settings, "storaged", ".lock");
    if (!path)
        return err_errno(err, ENOMEM, settings->run_dir, "cannot take the lock");
    rc = lock_take(path, 0, out_lock, err);
    if (rc == -ERR_FAILED_PRECONDITION)
        err_hint(err, "another storaged runs on this run directory");
    return rc;
}

static int begin(uv_loop_t *loop, const struct settings *settings, char *const *args,
                 struct err *err)
{
    supervisor.loop = loop;
    supervisor.settings = settings;
    int rc = control_open(&supervisor, &supervisor.control, err);
    if (rc < 0)
        return rc;
    watch_signals(loop);
    confwatch_open(&confwatch, loop, settings->path, on_config_changed, NULL);
    for (char **name = settings->workers; *name; name++)
        (void)ward_open(&supervisor.wards[supervisor.n_wards++], loop, settings, *name, args,
                        startup_next, stop_next, &supervisor);
    startup_begin(&supervisor);
    return 0;
}

static void end(uv_loop_t *loop)
{
    control_close(supervisor.control);
    startup_close(&supervisor);
    confwatch_close(&confwatch);
    for (size_t i = 0; i < array_length(signals); i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    for (size_t i = 0; i < supervisor.n_wards; i++)
        ward_close(&supervisor.wards[i]);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(loop);
}

static int run(const struct settings *settings, char *const *args)
{
    static uv_loop_t loop;
    autoerr struct err err = {0};
    autoclose int lock = -1;

    int rc = take_instance(settings, &lock, &err);
    if (rc == 0 && (rc = uv_loop_init(&loop)) < 0)
        rc = err_errno(&err, -rc, "storaged", "cannot make a loop");
    if (rc == 0)
        rc = begin(&loop, settings, args, &err);
    if (rc < 0) {
        log_err(LOG_ERROR, "cannot start", &err);
        return EXIT_FAILURE;
    }
    log_info("storaged runs", "pid", log_i64(getpid()), "run_dir", settings->run_dir, "version",
             STORAGED_VERSION);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    end(&loop);
    log_info("storaged ends");
    return EXIT_SUCCESS;
}

/* ---- the command line ---- */

enum mode { MODE_RUN = 1, MODE_CHECK, MODE_HELP, MODE_VERSION, MODE_WRONG };

static enum mode parse_mode(int argc, char **argv)
{
    static const struct option flags[] = {
        {"check", no_argument, NULL, MODE_CHECK},
        {"help", no_argument, NULL, MODE_HELP},
        {"version", no_argument, NULL, MODE_VERSION},
        {0},
    };
    enum mode mode = MODE_RUN;
    int flag;
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1)
        mode = flag == '?' ? MODE_WRONG : (enum mode)flag;
    return optind < argc ? MODE_WRONG : mode;
}

static int act(enum mode mode, const struct settings *settings, char *const *args)
{
    switch (mode) {
    case MODE_RUN:
        if (geteuid() == 0)
            return run(settings, args);
        log_error("storaged must run as root");
        return EXIT_FAILURE;
    case MODE_CHECK:
        settings_print(settings, stdout);
        return EXIT_SUCCESS;
    case MODE_HELP:
        (void)fputs(usage, stdout);
        return EXIT_SUCCESS;
    case MODE_VERSION:
        (void)puts("storaged " STORAGED_VERSION);
        return EXIT_SUCCESS;
    case MODE_WRONG:
        break;
    }
    (void)fputs(usage, stderr);
    return EX_USAGE;
}

/* The arguments as they were given: without the program's own, all of them are the workers' too. */
static char **copy_args(int argc, char **argv)
{
    char **copy = calloc((size_t)argc + 1, sizeof *copy);
    for (int i = 1; copy && i < argc; i++)
        copy[i - 1] = argv[i];
    return copy;
}

int main(int argc, char **argv)
{
    autoerr struct err err = {0};
    struct settings *settings = NULL;
    autofree char **args = copy_args(argc, argv);

    log_init("storaged", LOG_INFO);
    loosen_stderr();
    /* What we were started with is nothing to the workers. */
    (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    if (!args || argc > CHILD_ARGS_MAX) {
        log_error("too many arguments", "most", log_i64(CHILD_ARGS_MAX));
        return EX_USAGE;
    }
    int rc = settings_load(&argc, argv, &settings, &err);
    enum mode mode = parse_mode(argc, argv);
    if (mode == MODE_HELP || mode == MODE_VERSION || mode == MODE_WRONG)
        rc = 0;
    else if (rc == 0)
        rc = check_workers(settings, &err);
    if (rc < 0)
        log_err(LOG_ERROR, "the config is wrong", &err);
    else if (settings)
        log_init("storaged", settings->log_level);
    rc = rc < 0 ? EX_CONFIG : act(mode, settings, args);
    settings_free(settings);
    return rc;
}
