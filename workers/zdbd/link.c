/*
 * Of hiredis this uses what makes commands and parses replies, on a descriptor of our own: its
 * asynchronous half (0.14) makes sockets that a child inherits, says nothing of a poll that fails,
 * and cannot be told who is at the other end before it is spoken to.
 *
 * WAITING for somebody to listen, ENTERING until AUTH is answered, READY, then LOST or CLOSING. The
 * one timer serves them all: the next try to connect, later the next look at what is unanswered.
 * Callbacks may close the link, whose memory stays until libuv has let go of its handles; so each
 * loop that calls back looks at the state again.
 *
 * The other side is not trusted: a reply has a most length, an array a most number of elements, and
 * a reply that nobody asked for ends the link.
 */
#include "link.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "link_buffer.h"
#include "link_private.h"
#include "link_socket.h"

#include <assert.h>
#include <errno.h>
#include <hiredis/sds.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    RETRY_LEAST_MS = 5, /* a 0-db binds, and listens a moment later, which nothing tells */
    RETRY_MOST_MS = 250,
    INPUT_BYTES = 16 * 1024, /* read in one turn */
    REPLY_MAX_BYTES = 16 * 1024 * 1024,
    ELEMENTS_MAX = 64 * 1024,
    COMMAND_NAME_MAX = 16,
};

enum link_state { LINK_WAITING, LINK_ENTERING, LINK_READY, LINK_LOST, LINK_CLOSING };

struct command {
    struct command *next;
    char name[COMMAND_NAME_MAX];
    uint64_t sent_ms;
    link_done done;
    void *data;
};

struct link {
    uv_loop_t *loop;
    char *dir;
    char *pool;
    pid_t pid;
    struct link_callbacks callbacks;
    enum link_state state;
    unsigned n_handles;
    uv_timer_t timer;
    uv_fs_event_t directory;
    uv_prepare_t gathered; /* runs when a turn is over, while there is something to send */
    uv_poll_t poll;        /* while fd >= 0 */
    int fd;
    uint64_t opened_ms, full_ms; /* full: since when it lets nobody in; 0: it does */
    uint32_t retry_ms;

    redisReader *reader;
    redisReplyObjectFunctions functions;
    void *(*create_array)(const redisReadTask *task, int elements); /* hiredis' own */
    size_t fed_bytes;                                               /* since the last whole reply */
    sds out;
    size_t n_sent;
    struct command *first, **end;
    size_t n_pending;
    uint64_t sent_ms, heard_ms; /* the last command, the last reply */
    bool late; /* the answer is overdue; what has come is read before that counts */
};

static struct link_times times = {LINK_PING_MS, LINK_ANSWER_MS, LINK_START_MS};

void link_set_times(const struct link_times *ours)
{
    times = *ours;
}

/* --- commands that are unanswered ------------------------------------------------------------ */

static struct command *take_first(struct link *link)
{
    struct command *command = link->first;
    link->first = command->next;
    if (!link->first)
        link->end = &link->first;
    link->n_pending--;
    return command;
}

static void fail_all(struct link *link, const char *reason)
{
    autoerr struct err err = {0};
    (void)err_set(&err, ERR_UNAVAILABLE, 0, link->pool, "the 0-db was not heard: %s", reason);
    err_retryable(&err, 0);
    while (link->first) {
        struct command *command = take_first(link);
        command->done(NULL, &err, command->data);
        free(command);
    }
}

static void stop_all(struct link *link)
{
    (void)uv_timer_stop(&link->timer);
    (void)uv_fs_event_stop(&link->directory);
    (void)uv_prepare_stop(&link->gathered);
    if (link->fd >= 0)
        (void)uv_poll_stop(&link->poll);
}

__attribute__((format(printf, 3, 4))) static void lose(struct link *link, enum link_loss loss,
                                                       const char *fmt, ...)
{
    char reason[ERR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    link->state = LINK_LOST;
    stop_all(link);
    fail_all(link, reason);
    if (link->state != LINK_CLOSING)
        link->callbacks.lost(loss, reason, link->callbacks.data);
}

/* --- sending --------------------------------------------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events);

static void on_gathered(uv_prepare_t *gathered)
{
    struct link *link = gathered->data;
    size_t left = sdslen(link->out) - link->n_sent;
    ssize_t n = send(link->fd, link->out + link->n_sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        lose(link, LINK_CLOSED, "it cannot be written to: %s", strerror(errno));
        return;
    }
    link->n_sent += n > 0 ? (size_t)n : 0;
    (void)uv_prepare_stop(gathered);
    if (link->n_sent == sdslen(link->out)) {
        link_buffer_clear(&link->out);
        link->n_sent = 0;
        (void)uv_poll_start(&link->poll, UV_READABLE, on_ready);
    } else {
        (void)uv_poll_start(&link->poll, UV_READABLE | UV_WRITABLE, on_ready);
    }
}

static bool gather(struct link *link, int n_arguments, const char *const *arguments,
                   const size_t *lengths)
{
    sds text = NULL;
    int size =
        redisFormatSdsCommandArgv(&text, n_arguments, (const char **)(uintptr_t)arguments, lengths);
    sds out = size > 0 ? sdscatsds(link->out, text) : NULL;
    sdsfree(text);
    if (out)
        link->out = out;
    return out;
}

static int enqueue(struct link *link, int n_arguments, const char *const *arguments,
                   const size_t *lengths, link_done done, void *data, struct err *err)
{
    assert(n_arguments > 0);
    struct command *command = calloc(1, sizeof *command);
    if (!command || !gather(link, n_arguments, arguments, lengths)) {
        free(command);
        return err_errno(err, ENOMEM, link->pool, "cannot speak to the 0-db");
    }
    int length = lengths && lengths[0] < COMMAND_NAME_MAX ? (int)lengths[0] : COMMAND_NAME_MAX - 1;
    (void)snprintf(command->name, sizeof command->name, "%.*s", length, arguments[0]);
    command->sent_ms = link->sent_ms = clock_monotonic_ms();
    command->done = done;
    command->data = data;
    *link->end = command;
    link->end = &command->next;
    link->n_pending++;
    if (link->n_sent == 0)
        (void)uv_prepare_start(&link->gathered, on_gathered);
    return 0;
}

int link_send(struct link *link, int n_arguments, const char *const *arguments,
              const size_t *lengths, link_done done, void *data, struct err *err)
{
    if (link->state != LINK_READY) {
        int rc = err_set(err, ERR_UNAVAILABLE, 0, link->pool, "the 0-db is not connected");
        err_retryable(err, 0);
        return rc;
    }
    if (link->n_pending >= LINK_PENDING_MAX) {
        int rc = err_set(err, ERR_RESOURCE_EXHAUSTED, 0, link->pool,
                         "the 0-db has %d commands to answer", LINK_PENDING_MAX);
        err_retryable(err, 0);
        return rc;
    }
    return enqueue(link, n_arguments, arguments, lengths, done, data, err);
}

/* --- deadlines ------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void on_pong(const redisReply *reply, const struct err *err, void *data)
{
    (void)reply;
    (void)err;
    (void)data;
}

static uint64_t answer_due_ms(const struct link *link)
{
    uint64_t since = link->first->sent_ms > link->heard_ms ? link->first->sent_ms : link->heard_ms;
    return since + times.answer_ms;
}

/* A loop that did not turn for long runs its timers first and reads then: the second look counts.
 */
static void look(struct link *link)
{
    static const char *const ping[] = {"PING"};
    uint64_t now = clock_monotonic_ms(), next_ms = times.ping_ms;
    if (link->first && now >= answer_due_ms(link) && link->late) {
        lose(link, LINK_HUNG, "%s was not answered within %" PRIu32 " ms", link->first->name,
             times.answer_ms);
        return;
    }
    link->late = link->first && now >= answer_due_ms(link);
    if (link->state == LINK_READY && now - link->sent_ms >= times.ping_ms)
        (void)enqueue(link, 1, ping, NULL, on_pong, NULL, NULL);
    if (link->late)
        next_ms = 1;
    else if (link->first && answer_due_ms(link) - now < next_ms)
        next_ms = answer_due_ms(link) - now;
    (void)uv_timer_start(&link->timer, on_timer, next_ms, 0);
}

/* --- replies --------------------------------------------------------------------------------- */

static void *create_array(const redisReadTask *task, int elements)
{
    const struct link *link = task->privdata;
    return elements > ELEMENTS_MAX ? NULL : link->create_array(task, elements);
}

/* False when there is no whole reply, or the link is at its end. */
static bool answer_one(struct link *link)
{
    void *reply = NULL;
    if (redisReaderGetReply(link->reader, &reply) != REDIS_OK) {
        lose(link, LINK_LIES, "what it says is no RESP: %s", link->reader->errstr);
        return false;
    }
    if (!reply)
        return false;
    if (!link->first) {
        freeReplyObject(reply);
        lose(link, LINK_LIES, "it answers what nobody asked");
        return false;
    }
    struct command *command = take_first(link);
    link->heard_ms = clock_monotonic_ms();
    link->late = false;
    link->fed_bytes = 0;
    command->done(reply, NULL, command->data);
    free(command);
    freeReplyObject(reply);
    return link->state == LINK_ENTERING || link->state == LINK_READY;
}

static void read_some(struct link *link)
{
    char input[INPUT_BYTES];
    ssize_t n = recv(link->fd, input, sizeof input, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        lose(link, LINK_CLOSED, "%s",
             n == 0 ? "it closed the connection" : "it broke the connection");
        return;
    }
    link->fed_bytes += (size_t)n;
    if (redisReaderFeed(link->reader, input, (size_t)n) != REDIS_OK) {
        lose(link, LINK_CLOSED, "there is no memory for its reply");
        return;
    }
    while (answer_one(link))
        ;
    link_buffer_drop_read(link->reader);
    if (link->fed_bytes > REPLY_MAX_BYTES && link->state <= LINK_READY)
        lose(link, LINK_LIES, "it answers without end");
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct link *link = poll->data;
    if (status < 0)
        lose(link, LINK_CLOSED, "the connection is broken");
    else if (events & UV_READABLE)
        read_some(link);
    if (events & UV_WRITABLE && link->state <= LINK_READY)
        on_gathered(&link->gathered);
}

/* --- coming up ------------------------------------------------------------------------------- */

static void on_entered(const redisReply *reply, const struct err *err, void *data)
{
    struct link *link = data;
    if (err)
        return; /* lost or closed, which is told by itself */
    if (reply->type != REDIS_REPLY_STATUS || strcmp(reply->str, "OK") != 0) {
        lose(link, LINK_LIES, "it does not take the admin's password");
        return;
    }
    link->state = LINK_READY;
    link->callbacks.up(link->callbacks.data);
}

/* Whoever reads the password here is the process that is expected. */
static void enter(struct link *link)
{
    autoerr struct err err = {0};
    char password[LINK_PASSWORD_LENGTH + 1];
    const char *const auth[] = {"AUTH", password};
    int rc = link_socket_read_password(link->dir, password, &err);
    if (rc < 0) {
        lose(link, LINK_LIES, "%s: %s", err.object, err.message);
        return;
    }
    link->state = LINK_ENTERING;
    (void)uv_fs_event_stop(&link->directory);
    (void)uv_poll_start(&link->poll, UV_READABLE, on_ready);
    rc = enqueue(link, 2, auth, NULL, on_entered, link, &err);
    explicit_bzero(password, sizeof password);
    if (rc < 0)
        lose(link, LINK_CLOSED, "%s", err.message);
    else
        look(link);
}

static void wait_on(struct link *link, const struct err *err)
{
    uint64_t now = clock_monotonic_ms();
    if (err->os_errno != EAGAIN)
        link->full_ms = 0;
    else if (link->full_ms == 0)
        link->full_ms = now;
    if (link->full_ms > 0 && now - link->full_ms >= times.answer_ms) {
        lose(link, LINK_HUNG, "it lets nobody in for %" PRIu32 " ms", times.answer_ms);
    } else if (now - link->opened_ms >= times.start_ms) {
        lose(link, LINK_CLOSED, "%s after %" PRIu32 " ms", err->message, times.start_ms);
    } else {
        (void)uv_timer_start(&link->timer, on_timer, link->retry_ms, 0);
        link->retry_ms = link->retry_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : link->retry_ms * 2;
    }
}

static void try_connect(struct link *link)
{
    autoerr struct err err = {0};
    autoclose int fd = -1;
    int rc = link_socket_connect(link->dir, link->pid, &fd, &err);
    if (rc < 0 && err.os_errno != 0) {
        wait_on(link, &err);
    } else if (rc < 0) {
        lose(link, LINK_LIES, "%s: %s", err.object, err.message);
    } else if (uv_poll_init(link->loop, &link->poll, fd) < 0) {
        lose(link, LINK_CLOSED, "its connection cannot be watched");
    } else {
        link->fd = take_fd(&fd);
        link->n_handles++;
        link->poll.data = link;
        enter(link);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct link *link = timer->data;
    if (link->state == LINK_WAITING)
        try_connect(link);
    else
        look(link);
}

static void on_directory_changed(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct link *link = handle->data;
    if (status < 0 || !(events & UV_RENAME) || !name || strcmp(name, "socket") != 0)
        return;
    link->retry_ms = RETRY_LEAST_MS;
    (void)uv_timer_start(&link->timer, on_timer, 0, 0);
}

/* --- life ------------------------------------------------------------------------------------ */

static void link_free(struct link *link)
{
    fail_all(link, "its connection was closed");
    if (link->fd >= 0)
        (void)close(link->fd);
    if (link->reader)
        redisReaderFree(link->reader);
    sdsfree(link->out);
    free(link->dir);
    free(link->pool);
    free(link);
}

static void on_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;
    if (--link->n_handles == 0)
        link_free(link);
}

static bool make_parts(struct link *link, const char *run_dir, const char *pool)
{
    link->end = &link->first;
    link->out = sdsempty();
    link->reader = redisReaderCreate();
    link->pool = strdup(pool);
    if (asprintf(&link->dir, "%s/zdb/%s", run_dir, pool) < 0)
        link->dir = NULL;
    if (!link->out || !link->reader || !link->pool || !link->dir)
        return false;
    link->functions = *link->reader->fn;
    link->create_array = link->functions.createArray;
    link->functions.createArray = create_array;
    link->reader->fn = &link->functions;
    link->reader->privdata = link;
    return true;
}

int link_open(uv_loop_t *loop, const char *run_dir, const char *pool, pid_t pid,
              const struct link_callbacks *callbacks, struct link **out_link, struct err *err)
{
    struct link *link = calloc(1, sizeof *link);
    if (link)
        *link = (struct link){.loop = loop, .pid = pid, .callbacks = *callbacks, .fd = -1};
    if (!link || !make_parts(link, run_dir, pool)) {
        if (link)
            link_free(link);
        return err_errno(err, ENOMEM, pool, "cannot connect to the 0-db");
    }
    link->opened_ms = clock_monotonic_ms();
    link->retry_ms = RETRY_LEAST_MS;
    (void)uv_timer_init(loop, &link->timer);
    (void)uv_fs_event_init(loop, &link->directory);
    (void)uv_prepare_init(loop, &link->gathered);
    link->n_handles = 3;
    link->timer.data = link->directory.data = link->gathered.data = link;
    /* Without it, or before there is such a directory, the timer alone tries. */
    (void)uv_fs_event_start(&link->directory, on_directory_changed, link->dir, 0);
    (void)uv_timer_start(&link->timer, on_timer, 0, 0);
    *out_link = link;
    return 0;
}

bool link_is_up(const struct link *link)
{
    return link->state == LINK_READY;
}

void link_close(struct link *link)
{
    assert(link->state != LINK_CLOSING);
    link->state = LINK_CLOSING;
    stop_all(link);
    uv_close((uv_handle_t *)&link->timer, on_closed);
    uv_close((uv_handle_t *)&link->directory, on_closed);
    uv_close((uv_handle_t *)&link->gathered, on_closed);
    if (link->fd >= 0)
        uv_close((uv_handle_t *)&link->poll, on_closed);
}
