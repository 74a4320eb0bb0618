/*
 * 0-db processes, see the header. One that was launched is our child until it ends: libuv waits for
 * it, and until it has, the pid is nobody else's. One that was adopted has a pidfd.
 *
 * A launch is over when the launcher's end of the report pipe is closed: with a report it failed,
 * and without one there is the record that it wrote last. The callback that tells of the end comes
 * after that in any case, though the two arrive in any order.
 */
#include "process.h"

#include "base/cleanup.h"
#include "program.h"
#include "reporter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

enum { ARGUMENTS_MAX = 32 };
_Static_assert(LAUNCH_REPORT_FD == (int)REPORTER_FD, "the launcher reports there");

struct process {
    uv_loop_t *loop;
    struct process_callbacks callbacks;
    char *run_dir; /* of a launch */
    char pool[UUID_TEXT_SIZE];
    pid_t pid;
    int pidfd; /* of an adopted one */
    uv_poll_t poll;
    struct reporter launcher; /* of one that is ours */
    bool adopted, watched, closing;
    bool executed, ended; /* the 0-db ran; it has ended */
};

/* ---- arguments ------------------------------------------------------------------------------- */

static char *format_number(uint64_t value)
{
    char *text;
    return asprintf(&text, "%ju", (uintmax_t)value) < 0 ? NULL : text;
}

static char *format_run_dir(const struct settings *settings, const char *pool)
{
    char *path;
    return asprintf(&path, "%s/zdb/%s", settings->run_dir, pool) < 0 ? NULL : path;
}

static void free_arguments(char **arguments)
{
    for (size_t i = 0; arguments && arguments[i]; i++)
        free(arguments[i]);
    free(arguments);
}

/* Takes the text. */
static bool append(char **arguments, char *text)
{
    while (*arguments)
        arguments++;
    *arguments = text;
    return text;
}

/* Takes the value. */
static bool add(char **arguments, const char *flag, char *value)
{
    if (append(arguments, strdup(flag)))
        return append(arguments, value);
    free(value);
    return false;
}

char *process_binary(const struct settings *settings)
{
    return *settings->zdb_binary ? strdup(settings->zdb_binary) : program_beside("zdb");
}

char **process_arguments(const struct settings *settings, const struct process_home *home)
{
    char **arguments = calloc(ARGUMENTS_MAX, sizeof *arguments);
    if (!arguments || !(arguments[0] = program_beside("zdblaunch")))
        goto failed;
    if (!add(arguments, "--pool", strdup(home->pool)) ||
        !add(arguments, "--home", strdup(home->path)) ||
        !add(arguments, "--run", format_run_dir(settings, home->pool)) ||
        !add(arguments, "--uid", format_number(home->uid)) ||
        !add(arguments, "--gid", format_number(home->gid)) ||
        !add(arguments, "--listen", strdup(settings->zdb_listen)) ||
        !add(arguments, "--port", format_number(home->port)) ||
        !add(arguments, "--first-port", format_number(settings->zdb_ports.first)) ||
        !add(arguments, "--last-port", format_number(settings->zdb_ports.last)) ||
        !add(arguments, "--files", format_number(settings->zdb_files)) ||
        !add(arguments, "--memory", format_number(settings->zdb_memory_bytes)) ||
        !add(arguments, "--binary", process_binary(settings)))
        goto failed;
    if (*settings->zdb_binary && !append(arguments, strdup("--upstream")))
        goto failed;
    if (settings->zdb_sync && !append(arguments, strdup("--sync")))
        goto failed;
    return arguments;
failed:
    free_arguments(arguments);
    return NULL;
}

/* ---- what becomes of it ---------------------------------------------------------------------- */

static void format_end(const struct process *process, char *out_reason, size_t size)
{
    const struct reporter *launcher = &process->launcher;
    if (process->adopted)
        (void)snprintf(out_reason, size, "ended");
    else if (launcher->signal)
        (void)snprintf(out_reason, size, "signal %d (%s)", launcher->signal,
                       strsignal(launcher->signal));
    else
        (void)snprintf(out_reason, size, "exit %d", (int)launcher->status);
}

static bool has_report(const struct process *process)
{
    return process->launcher.size == sizeof(struct launch_report);
}

static void tell_end(struct process *process)
{
    char reason[64];
    struct launch_report report = {.failure = LAUNCH_OTHER};
    format_end(process, reason, sizeof reason);
    if (process->executed) {
        process->callbacks.ended(reason, process->callbacks.data);
        return;
    }
    if (has_report(process))
        memcpy(&report, process->launcher.bytes, sizeof report);
    else
        (void)snprintf(report.message, sizeof report.message, "the launcher ended early: %s",
                       reason);
    report.message[sizeof report.message - 1] = '\0';
    process->callbacks.failed(&report, process->callbacks.data);
}

static void find_launched(struct process *process)
{
    struct zdb_record record;
    autoclose int run = open(process->run_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (run < 0 || record_read(run, process->pool, &record, NULL) < 0 || record.pid != process->pid)
        return;
    process->executed = true;
    process->callbacks.launched(&record, process->callbacks.data);
}

static void on_launcher_ended(struct reporter *launcher)
{
    struct process *process = container_of(launcher, struct process, launcher);
    process->ended = true;
    if (launcher->told)
        tell_end(process);
}

static void on_launcher_told(struct reporter *launcher)
{
    struct process *process = container_of(launcher, struct process, launcher);
    if (!has_report(process))
        find_launched(process);
    if (process->ended && !process->closing)
        tell_end(process);
}

static void on_adopted_end(uv_poll_t *poll, int status, int events)
{
    struct process *process = container_of(poll, struct process, poll);
    (void)status, (void)events;
    (void)uv_poll_stop(poll);
    process->ended = true;
    tell_end(process);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static int no_memory(const char *pool, struct err *err)
{
    return err_errno(err, ENOMEM, pool, "cannot watch its 0-db");
}

static struct process *make(uv_loop_t *loop, const char *pool,
                            const struct process_callbacks *callbacks)
{
    struct process *process = calloc(1, sizeof *process);
    if (!process)
        return NULL;
    process->loop = loop;
    process->callbacks = *callbacks;
    process->pidfd = -1;
    (void)snprintf(process->pool, sizeof process->pool, "%s", pool);
    return process;
}

/* Its messages go where ours go, until it has its log. */
static int spawn(struct process *process, char **arguments, int gates_fd)
{
    process->launcher = (struct reporter){.most = sizeof(struct launch_report),
                                          .on_told = on_launcher_told,
                                          .on_ended = on_launcher_ended};
    int rc = reporter_spawn(&process->launcher, process->loop, arguments, gates_fd);
    process->pid = process->launcher.child.pid;
    return rc;
}

int process_launch(uv_loop_t *loop, const struct settings *settings,
                   const struct process_home *home, int gates_fd,
                   const struct process_callbacks *callbacks, struct process **out_process,
                   struct err *err)
{
    struct process *process = make(loop, home->pool, callbacks);
    char **arguments = process_arguments(settings, home);
    int rc = process && arguments ? 0 : -ENOMEM;
    if (rc == 0 && !(process->run_dir = format_run_dir(settings, home->pool)))
        rc = -ENOMEM;
    if (rc == 0)
        rc = spawn(process, arguments, gates_fd);
    if (rc < 0)
        rc = err_errno(err, -rc, home->pool, "cannot execute %s",
                       arguments ? arguments[0] : "the launcher");
    free_arguments(arguments);
    if (rc < 0)
        process_close(process);
    else
        *out_process = process;
    return rc;
}

int process_adopt(uv_loop_t *loop, const struct zdb_record *record, int pidfd,
                  const struct process_callbacks *callbacks, struct process **out_process,
                  struct err *err)
{
    struct process *process = make(loop, record->pool, callbacks);
    if (!process) {
        (void)close(pidfd);
        return no_memory(record->pool, err);
    }
    process->pidfd = pidfd;
    process->pid = record->pid;
    process->adopted = process->executed = true;
    int rc = uv_poll_init(loop, &process->poll, pidfd);
    if (rc == 0) {
        process->watched = true;
        rc = uv_poll_start(&process->poll, UV_READABLE, on_adopted_end);
    }
    if (rc < 0) {
        process_close(process);
        return err_errno(err, -rc, record->pool, "cannot watch its 0-db");
    }
    *out_process = process;
    return 0;
}

pid_t process_pid(const struct process *process)
{
    return process->pid;
}

void process_signal(struct process *process, int signal)
{
    if (process->ended)
        return;
    if (process->adopted)
        (void)pidfd_send_signal(process->pidfd, signal, NULL, 0);
    else
        (void)uv_process_kill(&process->launcher.child, signal);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void free_process(void *data)
{
    struct process *process = data;
    cleanup_fd(&process->pidfd);
    free(process->run_dir);
    free(process);
}

static void on_poll_closed(uv_handle_t *handle)
{
    free_process(container_of((uv_poll_t *)handle, struct process, poll));
}

/* A child that goes on is nobody's to wait for any more: when it ends before we do, it stays a
 * zombie until then. Whoever lets a 0-db live on is about to end. */
void process_close(struct process *process)
{
    if (!process || process->closing)
        return;
    process->closing = true;
    if (process->watched)
        uv_close((uv_handle_t *)&process->poll, on_poll_closed);
    else if (process->launcher.n_handles > 0)
        reporter_close(&process->launcher, free_process, process);
    else
        free_process(process);
}
