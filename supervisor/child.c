/*
 * One incarnation, see the header. Owns the process handle, the channel's near end, the reading end
 * of the stderr pipe, and one timer for the patience of the present phase.
 *
 * The supervisor may have slept itself (SIGSTOP, a suspended machine, a starved CPU): so a patience
 * that runs out counts only after everything that waits in the channel was heard, and a timer that
 * fires late starts anew, since the worker may have been blocked on a pipe that nobody read.
 */
#include "child.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PACKETS_AT_ONCE = 64,  /* per turn of the loop */
    PACKETS_QUEUED = 4096, /* more than a socket buffer holds */
    READS_AT_ONCE = 4,     /* of stderr, per turn of the loop */
    READS_QUEUED = 64,     /* more than a pipe holds */
    READ_SIZE = 16 * 1024, /* of one */
    ARGS_OWN = 6,          /* program, --channel-fd N --epoch N, NULL */
    HANDLES = 4,
};

enum child_phase {
    CHILD_STARTING,
    CHILD_READY,
    CHILD_STOPPING,
    CHILD_ABORTED,
    CHILD_KILLED,
    CHILD_STUCK,
    CHILD_GONE,
};

struct child {
    uv_process_t process;
    uv_poll_t channel;
    uv_poll_t output;
    uv_timer_t patience;
    int open_handles;

    const struct settings *settings;
    struct tail *tail;
    struct child_callbacks callbacks;
    void *data;

    enum child_phase phase;
    uint64_t epoch;
    uint64_t patience_over_ms;
    bool beat_heard; /* since the patience began */
    int channel_fd;
    int output_fd;
    int exit_code;
    char status[CHANNEL_TEXT_MAX];
    char left[CHANNEL_TEXT_MAX];
    char where[CHILD_WHERE_MAX];
    char reason[CHILD_REASON_MAX];
};

static void on_patience_over(uv_timer_t *timer);

/* How long the present phase may last. */
static uint64_t patience_ms(const struct child *child)
{
    const struct settings *settings = child->settings;
    const uint64_t table[] = {
        [CHILD_STARTING] = settings->ready_ms,
        [CHILD_READY] = (uint64_t)settings->beat_ms * settings->beats_missed,
        [CHILD_STOPPING] = settings->stop_ms,
        [CHILD_ABORTED] = settings->abort_grace_ms,
        [CHILD_KILLED] = settings->kill_grace_ms,
    };
    return table[child->phase];
}

static void enter(struct child *child, enum child_phase phase)
{
    child->phase = phase;
    child->beat_heard = false;
    if (phase >= CHILD_STUCK) {
        (void)uv_timer_stop(&child->patience);
        return;
    }
    uint64_t ms = patience_ms(child);
    child->patience_over_ms = clock_monotonic_ms() + ms;
    uv_update_time(child->patience.loop);
    (void)uv_timer_start(&child->patience, on_patience_over, ms, 0);
}

/* ---- what it says ---- */

static void hear_ready(struct child *child, const Storage__V1__ChannelMessage *message)
{
    (void)message;
    if (child->phase != CHILD_STARTING)
        return;
    enter(child, CHILD_READY);
    child->callbacks.ready(child, child->data);
}

/* A beat puts the patience off; the timer is set once for many beats. */
static void hear_beat(struct child *child, const Storage__V1__ChannelMessage *message)
{
    (void)message;
    if (child->phase == CHILD_READY)
        enter(child, CHILD_READY);
    child->beat_heard = true;
}

static void hear_status(struct child *child, const Storage__V1__ChannelMessage *message)
{
    size_t used = 0;
    char where[CHILD_WHERE_MAX] = "";
    for (size_t i = 0; i < message->n_busy && used < sizeof where; i++)
        used += (size_t)snprintf(where + used, sizeof where - used, "%s%s", i ? ", " : "",
                                 message->busy[i]);
    text_copy(child->where, sizeof child->where, where, strlen(where));
    text_copy(child->status, sizeof child->status, message->text, strlen(message->text));
}

static void hear_stopping(struct child *child, const Storage__V1__ChannelMessage *message)
{
    text_copy(child->left, sizeof child->left, message->text, strlen(message->text));
}

static void hear(struct child *child, const Storage__V1__ChannelMessage *message)
{
    static void (*const table[])(struct child *, const Storage__V1__ChannelMessage *) = {
        [STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_READY] = hear_ready,
        [STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_BEAT] = hear_beat,
        [STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_STATUS] = hear_status,
        [STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_STOPPING] = hear_stopping,
    };
    size_t type = (size_t)message->type;
    if (type < array_length(table) && table[type])
        table[type](child, message);
}

/* Hears at most `most` packets. A closed channel is watched no more: the exit tells the rest. */
static void hear_channel(struct child *child, int most)
{
    while (most-- > 0) {
        Storage__V1__ChannelMessage *message;
        switch (channel_receive(child->channel_fd, &message)) {
        case CHANNEL_DONE:
            hear(child, message);
            storage__v1__channel_message__free_unpacked(message, NULL);
            break;
        case CHANNEL_GARBAGE:
            log_warning("a worker sent a packet that is no message", "pid",
                        log_i64(child->process.pid));
            break;
        case CHANNEL_LATER:
            return;
        case CHANNEL_CLOSED:
            (void)uv_poll_stop(&child->channel);
            return;
        }
    }
}

static void on_channel(uv_poll_t *poll, int status, int events)
{
    (void)status; /* an error shows in the read */
    (void)events;
    hear_channel(poll->data, PACKETS_AT_ONCE);
}

static void read_output(struct child *child, int most)
{
    while (most-- > 0) {
        char bytes[READ_SIZE];
        ssize_t length = read(child->output_fd, bytes, sizeof bytes);
        if (length > 0) {
            tail_feed(child->tail, bytes, (size_t)length);
            continue;
        }
        if (length == 0 || (errno != EAGAIN && errno != EINTR))
            (void)uv_poll_stop(&child->output);
        return;
    }
}

static void on_output(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    read_output(poll->data, READS_AT_ONCE);
}

/* ---- its end ---- */

static void abort_hung(struct child *child)
{
    static const char *const verdicts[] = {
        [CHILD_STARTING] = "hung: not READY after",
        [CHILD_READY] = "hung: no beat for",
        [CHILD_STOPPING] = "hung: did not stop within",
    };
    (void)snprintf(child->reason, sizeof child->reason, "%s %" PRIu64 " ms", verdicts[child->phase],
                   patience_ms(child));
    (void)uv_process_kill(&child->process, SIGABRT);
    enter(child, CHILD_ABORTED);
    child->callbacks.hung(child, child->data);
}

static void give_up(struct child *child)
{
    enter(child, CHILD_STUCK);
    child->callbacks.stuck(child, child->data);
}

static void on_patience_over(uv_timer_t *timer)
{
    struct child *child = timer->data;
    enum child_phase phase = child->phase;
    bool we_slept = clock_monotonic_ms() > child->patience_over_ms + child->settings->beat_ms;

    child->beat_heard = false;
    hear_channel(child, PACKETS_QUEUED);
    if (child->phase != phase || (phase == CHILD_READY && child->beat_heard))
        return;
    if (we_slept) {
        read_output(child, READS_QUEUED);
        enter(child, phase);
    } else if (phase == CHILD_ABORTED) {
        (void)uv_process_kill(&child->process, SIGKILL);
        enter(child, CHILD_KILLED);
    } else if (phase == CHILD_KILLED) {
        give_up(child);
    } else {
        abort_hung(child);
    }
}

static void describe_end(struct child *child, int64_t exit_code, int signal_number)
{
    char end[96];
    if (signal_number)
        (void)snprintf(end, sizeof end, "signal %d (%s)", signal_number, strsignal(signal_number));
    else
        (void)snprintf(end, sizeof end, "exit %d", (int)exit_code);
    size_t used = strlen(child->reason);
    (void)snprintf(child->reason + used, sizeof child->reason - used, "%s%s",
                   used ? ", ended by " : "", end);
}

static void on_exit_seen(uv_process_t *process, int64_t exit_code, int signal_number)
{
    struct child *child = process->data;
    hear_channel(child, PACKETS_QUEUED);
    read_output(child, READS_QUEUED);
    tail_finish(child->tail);
    describe_end(child, exit_code, signal_number);
    child->exit_code = signal_number ? -1 : (int)exit_code;
    enter(child, CHILD_GONE);
    child->callbacks.gone(child, child->data);
}

void child_drain(struct child *child)
{
    if (child->phase < CHILD_STOPPING)
        (void)channel_say(child->channel_fd, STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_DRAIN, NULL);
}

bool child_stop(struct child *child, bool shutdown)
{
    if (child->phase >= CHILD_STOPPING)
        return false;
    (void)channel_say(child->channel_fd,
                      shutdown ? STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_SHUTDOWN
                               : STORAGE__V1__CHANNEL_TYPE__CHANNEL_TYPE_STOP,
                      NULL);
    enter(child, CHILD_STOPPING);
    return true;
}

/* ---- its beginning ---- */

static void on_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;
    if (--child->open_handles > 0)
        return;
    (void)close(child->channel_fd);
    (void)close(child->output_fd);
    free(child);
}

void child_free(struct child *child)
{
    uv_handle_t *handles[HANDLES] = {
        (uv_handle_t *)&child->process,
        (uv_handle_t *)&child->channel,
        (uv_handle_t *)&child->output,
        (uv_handle_t *)&child->patience,
    };
    child->open_handles = HANDLES;
    for (int i = 0; i < HANDLES; i++) {
        handles[i]->data = child;
        uv_close(handles[i], on_closed);
    }
}

/* In a session of its own, with null for input and output, the pipe as stderr, the channel as 3. */
static int spawn_process(struct child *child, const struct child_options *options, int channel_fd,
                         int stderr_fd)
{
    char fd_text[16], epoch_text[24];
    char *args[ARGS_OWN + CHILD_ARGS_MAX];
    size_t n = 0;
    (void)snprintf(fd_text, sizeof fd_text, "%d", CHANNEL_FD);
    (void)snprintf(epoch_text, sizeof epoch_text, "%" PRIu64, options->epoch);
    args[n++] = (char *)(uintptr_t)options->path;
    args[n++] = (char[]){"--channel-fd"};
    args[n++] = fd_text;
    args[n++] = (char[]){"--epoch"};
    args[n++] = epoch_text;
    for (char *const *arg = options->args; *arg && n < array_length(args) - 1; arg++)
        args[n++] = *arg;
    args[n] = NULL;

    uv_stdio_container_t stdio[CHANNEL_FD + 1] = {
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = stderr_fd},
        {.flags = UV_INHERIT_FD, .data.fd = channel_fd},
    };
    const uv_process_options_t process = {
        .file = options->path,
        .args = args,
        .flags = UV_PROCESS_DETACHED,
        .stdio = stdio,
        .stdio_count = CHANNEL_FD + 1,
        .exit_cb = on_exit_seen,
    };
    return uv_spawn(options->loop, &child->process, &process);
}

int child_spawn(const struct child_options *options, struct child **out_child, struct err *err)
{
    autoclose int far_end = -1;
    autoclose int output_end = -1;
    int ends[2], pipe_ends[2];
    struct child *child = calloc(1, sizeof *child);
    if (!child)
        return err_errno(err, ENOMEM, options->name, "cannot start");
    if (channel_open_pair(ends, err) < 0)
        goto no_channel;
    child->channel_fd = ends[0];
    far_end = ends[1];
    if (pipe2(pipe_ends, O_CLOEXEC) < 0)
        goto no_pipe;
    child->output_fd = pipe_ends[0];
    output_end = pipe_ends[1];
    (void)fcntl(child->output_fd, F_SETFL, O_NONBLOCK);

    child->settings = options->settings;
    child->tail = options->tail;
    child->callbacks = options->callbacks;
    child->data = options->data;
    child->epoch = options->epoch;
    child->exit_code = -1;
    (void)uv_poll_init(options->loop, &child->channel, child->channel_fd);
    (void)uv_poll_init(options->loop, &child->output, child->output_fd);
    (void)uv_timer_init(options->loop, &child->patience);
    child->process.data = child->channel.data = child->output.data = child->patience.data = child;
    int rc = spawn_process(child, options, far_end, output_end);
    if (rc < 0) {
        child_free(child);
        return err_errno(err, -rc, options->path, "cannot execute %s", options->path);
    }
    (void)uv_poll_start(&child->channel, UV_READABLE, on_channel);
    (void)uv_poll_start(&child->output, UV_READABLE, on_output);
    enter(child, CHILD_STARTING);
    *out_child = child;
    return 0;

no_pipe:
    (void)err_errno(err, errno, options->name, "cannot make a pipe");
    (void)close(child->channel_fd);
no_channel:
    free(child);
    return -ERR_RESOURCE_EXHAUSTED;
}

/* ---- what is known of it ---- */

int child_pid(const struct child *child)
{
    return child->process.pid;
}

uint64_t child_epoch(const struct child *child)
{
    return child->epoch;
}

const char *child_status(const struct child *child)
{
    return child->status;
}

const char *child_where(const struct child *child)
{
    return child->where;
}

const char *child_left(const struct child *child)
{
    return child->left;
}

const char *child_reason(const struct child *child)
{
    return child->reason;
}

int child_exit_code(const struct child *child)
{
    return child->exit_code;
}
