/*
 * The control socket's clients and packets, see the header; what the verbs do is in verbs.c. Owns
 * the listening socket and every client's. A client is read one packet a turn of the loop, and
 * answered at once or, for a shutdown, at its end.
 */
#include "control.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "stop.h"
#include "verbs.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct client {
    struct control *control;
    uv_poll_t poll;
    int fd; /* -1: the place is free */
    struct ucred who;
    uint64_t heard_ms;
    bool closing;
    bool awaits_shutdown;
};

struct control {
    struct supervisor *supervisor;
    uv_poll_t poll;
    int fd;
    char *path;
    int open_handles;
    struct client clients[CONTROL_CLIENTS_MAX];
};

static void release(struct control *control)
{
    if (--control->open_handles > 0)
        return;
    free(control->path);
    free(control);
}

/* ---- clients ---- */

static void on_connect(uv_poll_t *poll, int status, int events);

static void on_client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    (void)close(client->fd);
    client->fd = -1;
    if (!uv_is_closing((uv_handle_t *)&client->control->poll))
        (void)uv_poll_start(&client->control->poll, UV_READABLE, on_connect);
    release(client->control);
}

static void drop(struct client *client)
{
    if (client->fd < 0 || client->closing)
        return;
    client->closing = true;
    uv_close((uv_handle_t *)&client->poll, on_client_closed);
}

/* Packs and sends, or drops the client: one that does not read its answers has no use for more. */
static void answer(struct client *client, const Storage__V1__ControlReply *reply)
{
    size_t length = storage__v1__control_reply__get_packed_size(reply);
    autofree uint8_t *packet = length <= CONTROL_PACKET_MAX ? malloc(length) : NULL;
    if (!packet) {
        log_warning("control reply dropped", "size_bytes", log_u64(length));
        drop(client);
        return;
    }
    (void)storage__v1__control_reply__pack(reply, packet);
    if (send(client->fd, packet, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        drop(client);
}

static void answer_with(struct client *client, const struct err *err)
{
    struct verbs_reply reply;
    verbs_fill_reply(client->control->supervisor, err, &reply);
    answer(client, &reply.message);
}

static void serve(struct client *client, const uint8_t *packet, size_t length)
{
    autoerr struct err err = {0};
    struct verbs_request request = {.packet = packet, .length = length, .uid = client->who.uid};
    int rc = verbs_run(client->control->supervisor, &request, &err);
    client->awaits_shutdown = rc == VERBS_LATER;
    if (rc == VERBS_LATER && client->control->supervisor->stopped)
        control_answer_shutdown(client->control);
    else if (rc != VERBS_LATER)
        answer_with(client, &err);
}

static void on_client(uv_poll_t *poll, int status, int events)
{
    /* The loop's one thread reads one packet at a time. */
    static uint8_t packet[CONTROL_PACKET_MAX];
    struct client *client = poll->data;
    (void)events;
    ssize_t length =
        status < 0 ? 0 : recv(client->fd, packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        drop(client);
        return;
    }
    client->heard_ms = clock_monotonic_ms();
    /* What was cut is no message; an empty one is none either. */
    serve(client, packet, (size_t)length <= sizeof packet ? (size_t)length : 0);
}

/* Whether it has said something that was not read yet. */
static bool has_spoken(const struct client *client)
{
    char byte;
    return recv(client->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/*
 * A free place; else the longest silent client is dropped, and nobody is listened for until that is
 * done. Who has spoken is not silent: he is read in this turn of the loop, and the one who knocks
 * is looked at again in the next.
 */
static struct client *find_place(struct control *control)
{
    struct client *silent = NULL;
    bool spoken = false;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        if (client->fd < 0)
            return client;
        if (client->closing || client->awaits_shutdown)
            continue;
        if (has_spoken(client))
            spoken = true;
        else if (!silent || client->heard_ms < silent->heard_ms)
            silent = client;
    }
    if (silent)
        drop(silent);
    if (silent || !spoken)
        (void)uv_poll_stop(&control->poll);
    return NULL;
}

static void admit(struct client *client, struct control *control, int fd)
{
    socklen_t length = sizeof client->who;
    *client = (struct client){.control = control, .fd = fd, .heard_ms = clock_monotonic_ms()};
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &client->who, &length) == 0;
    if (!known || uv_poll_init(control->supervisor->loop, &client->poll, fd) < 0) {
        (void)close(fd);
        client->fd = -1;
        return;
    }
    control->open_handles++;
    client->poll.data = client;
    (void)uv_poll_start(&client->poll, UV_READABLE, on_client);
}

/* One a turn of the loop. */
static void on_connect(uv_poll_t *poll, int status, int events)
{
    struct control *control = poll->data;
    (void)status;
    (void)events;
    struct client *place = find_place(control);
    if (!place)
        return;
    /* cppcheck-suppress nullPointer ; accept(2) allows it */
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        admit(place, control, fd);
}

void control_answer_shutdown(struct control *control)
{
    autoerr struct err err = {0};
    (void)stop_result(control->supervisor, &err);
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        if (client->fd >= 0 && !client->closing && client->awaits_shutdown)
            answer_with(client, &err);
    }
}

/* ---- the listening socket ---- */

static int bind_socket(const struct control *control, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(control->path) >= sizeof address.sun_path)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, control->path,
                       "the path is too long for a socket (%zu bytes at most)",
                       sizeof address.sun_path - 1);
    memcpy(address.sun_path, control->path, strlen(control->path) + 1);
    if (unlink(control->path) < 0 && errno != ENOENT)
        return err_errno(err, errno, control->path, "cannot remove the old socket");
    /* Nobody connects before owner and mode are right. */
    mode_t before = umask(0777);
    int rc = bind(control->fd, (struct sockaddr *)&address, sizeof address);
    (void)umask(before);
    if (rc < 0)
        return err_errno(err, errno, control->path, "cannot bind the control socket");
    if (chown(control->path, 0, control->supervisor->gid) < 0 || chmod(control->path, 0660) < 0)
        return err_errno(err, errno, control->path, "cannot set owner and mode");
    if (listen(control->fd, CONTROL_CLIENTS_MAX) < 0)
        return err_errno(err, errno, control->path, "cannot listen");
    return 0;
}

int control_open(struct supervisor *supervisor, struct control **out_control, struct err *err)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return err_errno(err, ENOMEM, "control", "cannot open the control socket");
    control->supervisor = supervisor;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        control->clients[i].fd = -1;
    control->path = settings_run_path(supervisor->settings, "control", ".sock");
    control->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = control->path && control->fd >= 0
                 ? bind_socket(control, err)
                 : err_errno(err, control->path ? errno : ENOMEM, "control", "no socket");
    if (rc == 0 && (rc = uv_poll_init(supervisor->loop, &control->poll, control->fd)) < 0)
        rc = err_errno(err, -rc, control->path, "cannot watch the control socket");
    if (rc < 0) {
        cleanup_fd(&control->fd);
        free(control->path);
        free(control);
        return rc;
    }
    control->open_handles = 1;
    control->poll.data = control;
    (void)uv_poll_start(&control->poll, UV_READABLE, on_connect);
    *out_control = control;
    return 0;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct control *control = handle->data;
    (void)close(control->fd);
    release(control);
}

void control_close(struct control *control)
{
    if (!control)
        return;
    (void)unlink(control->path);
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        drop(&control->clients[i]);
    uv_close((uv_handle_t *)&control->poll, on_listener_closed);
}
