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

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

enum { ARGUMENTS_MAX = 32 };

struct process {
    uv_loop_t *loop;
    struct process_callbacks callbacks;
    char *run_dir; /* of a launch */
    char pool[UUID_TEXT_SIZE];
    pid_t pid;
    int pidfd; /* of an adopted one */
    uv_process_t child;
    uv_pipe_t pipe;
    uv_poll_t poll;
    unsigned n_handles; /* that are not closed yet */
    bool adopted, closing;
    bool told, executed, ended; /* the pipe was closed; the 0-db ran; it has ended */
    struct launch_report report;
    size_t n_report; /* bytes of it that came */
    int status, signal;
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
    if (process->adopted)
        (void)snprintf(out_reason, size, "ended");
    else if (process->signal)
        (void)snprintf(out_reason, size, "signal %d (%s)", process->signal,
                       strsignal(process->signal));
    else
        (void)snprintf(out_reason, size, "exit %d", process->status);
}

static void tell_end(struct process *process)
{
    char reason[64];
    format_end(process, reason, sizeof reason);
    if (process->executed) {
        process->callbacks.ended(reason, process->callbacks.data);
        return;
    }
    if (process->n_report < sizeof process->report) {
        process->report = (struct launch_report){.failure = LAUNCH_OTHER};
        (void)snprintf(process->report.message, sizeof process->report.message,
                       "the launcher ended early: %s", reason);
    }
    process->report.message[sizeof process->report.message - 1] = '\0';
    process->callbacks.failed(&process->report, process->callbacks.data);
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

static void on_end(uv_process_t *child, int64_t status, int signal)
{
    struct process *process = container_of(child, struct process, child);
    process->ended = true;
    process->status = (int)status;
    process->signal = signal;
    if (process->told && !process->closing)
        tell_end(process);
}

static void on_told(struct process *process)
{
    process->told = true;
    if (process->n_report < sizeof process->report)
        find_launched(process);
    if (process->ended && !process->closing)
        tell_end(process);
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct process *process = container_of((uv_pipe_t *)handle, struct process, pipe);
    (void)suggested;
    *out = uv_buf_init((char *)&process->report + process->n_report,
                       (unsigned)(sizeof process->report - process->n_report));
}

/* More than a report is an error of the pipe's, UV_ENOBUFS: there is no room for it. */
static void on_report(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct process *process = container_of((uv_pipe_t *)stream, struct process, pipe);
    (void)buffer;
    if (n > 0)
        process->n_report += (size_t)n;
    if (n >= 0)
        return;
    (void)uv_read_stop(stream);
    on_told(process);
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
    uv_stdio_container_t descriptors[] = {
        {.flags = gates_fd < 0 ? UV_IGNORE : UV_INHERIT_FD, .data.fd = gates_fd},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        [LAUNCH_REPORT_FD] = {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
                              .data.stream = (uv_stream_t *)&process->pipe},
    };
    const uv_process_options_t options = {
        .exit_cb = on_end,
        .file = arguments[0],
        .args = arguments,
        .stdio = descriptors,
        .stdio_count = (int)array_length(descriptors),
    };
    (void)uv_pipe_init(process->loop, &process->pipe, 0);
    int rc = uv_spawn(process->loop, &process->child, &options);
    process->n_handles = 2;
    if (rc == 0)
        rc = uv_read_start((uv_stream_t *)&process->pipe, give_room, on_report);
    process->pid = process->child.pid;
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
    process->adopted = process->told = process->executed = true;
    int rc = uv_poll_init(loop, &process->poll, pidfd);
    if (rc == 0) {
        process->n_handles = 1;
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
        (void)uv_process_kill(&process->child, signal);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void free_process(struct process *process)
{
    cleanup_fd(&process->pidfd);
    free(process->run_dir);
    free(process);
}

static void on_closed(uv_handle_t *handle)
{
    struct process *process = handle->data;
    if (--process->n_handles == 0)
        free_process(process);
}

static void close_handle(struct process *process, uv_handle_t *handle)
{
    handle->data = process;
    uv_close(handle, on_closed);
}

/* A child that goes on is nobody's to wait for any more: when it ends before we do, it stays a
 * zombie until then. Whoever lets a 0-db live on is about to end. */
void process_close(struct process *process)
{
    if (!process || process->closing)
        return;
    process->closing = true;
    if (process->n_handles == 0) {
        free_process(process);
    } else if (process->adopted) {
        close_handle(process, (uv_handle_t *)&process->poll);
    } else {
        close_handle(process, (uv_handle_t *)&process->child);
        close_handle(process, (uv_handle_t *)&process->pipe);
    }
}
