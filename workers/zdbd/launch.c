/*
 * The launcher, see launch.h: its stages as a table, and what it becomes.
 *
 * One thread, and nothing is kept but the home's lock. A kill at any moment leaves at most a file
 * named `*.new`, which the next launch puts out of its way.
 */
#include "launch_private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The home can be far down, or where its owner cannot walk: it is named by its descriptor. */
#define DATA_PATH  "/proc/self/fd/0/data"
#define INDEX_PATH "/proc/self/fd/0/index"

enum { ARGUMENTS_MAX = 24 };

/* ---- the binary ------------------------------------------------------------------------------ */

static int find_binary(struct launch *launch, struct err *err)
{
    struct stat status;
    launch->binary_fd = open(launch->binary, O_PATH | O_CLOEXEC);
    if (launch->binary_fd < 0 || fstat(launch->binary_fd, &status) < 0)
        return err_errno(err, errno, launch->binary, "cannot open the 0-db's program");
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, launch->binary, "is no program");
    launch->record.binary_dev = status.st_dev;
    launch->record.binary_ino = status.st_ino;
    launch->record.binary_mtime_ns =
        (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return 0;
}

static int write_record(struct launch *launch, struct err *err)
{
    int rc = record_describe_self(&launch->record, err);
    return rc < 0 ? rc : record_write(launch->run_fd, &launch->record, err);
}

/* Without the admin's password everybody could write to the namespace `default`, without limit:
 * --protect has that need it. */
static void list_arguments(struct launch *launch, char port[8], const char **arguments)
{
    size_t n = 0;
    (void)snprintf(port, 8, "%u", launch->record.port);
    const char *const always[] = {"zdb",      "--data", DATA_PATH,  "--index", INDEX_PATH,
                                  "--listen", NULL,     "--port",   port,      "--dualnet",
                                  "--socket", "socket", "--protect"};
    for (size_t i = 0; i < array_length(always); i++)
        arguments[n++] = always[i] ? always[i] : launch->listen;
    arguments[n++] = launch->upstream ? "--admin" : "--password-file";
    arguments[n++] = launch->upstream ? launch->password : "password";
    if (!launch->upstream) {
        arguments[n++] = "--gates";
        arguments[n++] = LAUNCH_GATES;
    }
    if (launch->sync)
        arguments[n++] = "--sync";
    arguments[n] = NULL;
}

/* A binary below a directory that its owner may not enter is executed by its descriptor; not in
 * the first place, since a script cannot be. */
static int execute(struct launch *launch, struct err *err)
{
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    const char *arguments[ARGUMENTS_MAX];
    char port[8];
    list_arguments(launch, port, arguments);
    char *const *argv = (char *const *)(uintptr_t)arguments;
    step();
    (void)execve(launch->binary, argv, environment);
    int os_errno = errno;
    if (os_errno == EACCES)
        (void)execveat(launch->binary_fd, "", argv, environment, AT_EMPTY_PATH);
    return err_errno(err, os_errno, launch->binary, "cannot execute the 0-db's program");
}

/* ---- the stages ------------------------------------------------------------------------------ */

static const struct stage {
    enum launch_failure failure; /* of what fails in it, unless it knows better */
    bool as_owner;
    int (*run)(struct launch *launch, struct err *err);
} stages[] = {
    {LAUNCH_OTHER, false, launch_begin},
    {LAUNCH_HOME, false, launch_take_home},
    {LAUNCH_OTHER, false, launch_make_run_dir},
    {LAUNCH_OTHER, true, launch_open_log},
    {LAUNCH_EXEC, false, find_binary},
    {LAUNCH_HOME, true, launch_keep_instance},
    {LAUNCH_HOME, true, launch_make_places},
    {LAUNCH_OTHER, true, launch_write_gates},
    {LAUNCH_OTHER, true, launch_write_password},
    {LAUNCH_OTHER, false, launch_confine},
    {LAUNCH_OTHER, false, write_record},
    {LAUNCH_OTHER, false, launch_drop},
    {LAUNCH_EXEC, false, execute},
};

static int run_stage(const struct stage *stage, struct launch *launch, struct err *err)
{
    launch->failure = stage->failure;
    if (!stage->as_owner)
        return stage->run(launch, err);
    int rc = launch_be_owner(launch, err);
    if (rc == 0)
        rc = stage->run(launch, err);
    int back = launch_be_root(rc == 0 ? err : NULL);
    return rc < 0 ? rc : back;
}

static void report(enum launch_failure failure, const struct err *err)
{
    struct launch_report report = {.failure = failure};
    (void)snprintf(report.message, sizeof report.message, "%s: %s", err->object, err->message);
    (void)!write(LAUNCH_REPORT_FD, &report, sizeof report);
}

int main(int argc, char **argv)
{
    struct launch launch = {.run_fd = -1, .binary_fd = -1, .gates_fd = -1, .failure = LAUNCH_OTHER};
    struct err err = {0};
    log_init("zdblaunch", LOG_INFO);
    int rc = launch_parse_options(&launch, argc, argv, &err);
    for (size_t i = 0; rc == 0 && i < array_length(stages); i++)
        rc = run_stage(&stages[i], &launch, &err);
    report(launch.failure, &err);
    _exit(EXIT_FAILURE);
}
