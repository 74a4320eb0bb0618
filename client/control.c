/*
 * The control socket: connect, one packet out, one packet back, all within one deadline. Blocking
 * calls with the kernel's own socket timeouts; a unix socket's connect() obeys SO_SNDTIMEO while
 * the supervisor's backlog is full.
 */
#include "handle.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "rpc/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

enum { CONTROL_VERSION = 1 };

struct exchange {
    const char *path;
    int fd;
    uint64_t deadline_ms;
};

static int fail_connect(const struct exchange *exchange, int os_errno, struct err *err)
{
    bool absent = os_errno == ENOENT || os_errno == ECONNREFUSED;
    if (!absent && os_errno != EACCES && os_errno != EAGAIN)
        return err_errno(err, os_errno, exchange->path, "cannot ask storaged at %s",
                         exchange->path);
    if (os_errno == EACCES) {
        int rc = err_set(err, ERR_PERMISSION_DENIED, os_errno, exchange->path,
                         "you may not connect to %s", exchange->path);
        err_hint(err, "be root, or a member of the socket's group");
        return rc;
    }
    int rc = err_set(err, ERR_UNAVAILABLE, os_errno, exchange->path,
                     absent ? "storaged does not run here: nobody listens at %s"
                            : "storaged is too busy to answer at %s",
                     exchange->path);
    if (absent)
        err_hint(err, "start storaged, or name its run directory (STORAGED_RUN_DIR)");
    err_retryable(err, 0);
    return rc;
}

static int fail_late(const struct exchange *exchange, struct err *err)
{
    int rc = err_set(err, ERR_DEADLINE_EXCEEDED, EAGAIN, exchange->path,
                     "storaged did not answer at %s in time", exchange->path);
    err_retryable(err, 0);
    return rc;
}

/* The next operation may take what is left until the deadline. */
static int set_timeout(const struct exchange *exchange, int option, struct err *err)
{
    uint64_t now = clock_monotonic_ms();
    if (now >= exchange->deadline_ms)
        return fail_late(exchange, err);
    uint64_t left = exchange->deadline_ms - now;
    struct timeval timeout = {.tv_sec = (time_t)(left / 1000),
                              .tv_usec = (suseconds_t)(left % 1000 * 1000)};
    if (setsockopt(exchange->fd, SOL_SOCKET, option, &timeout, sizeof timeout) < 0)
        return err_errno(err, errno, exchange->path, "cannot set a timeout");
    return 0;
}

static int connect_to(const struct exchange *exchange, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(exchange->path) >= sizeof address.sun_path)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, exchange->path,
                       "the run directory's name is too long for a socket in it");
    memcpy(address.sun_path, exchange->path, strlen(exchange->path) + 1);
    int rc = set_timeout(exchange, SO_SNDTIMEO, err);
    if (rc < 0)
        return rc;
    while (connect(exchange->fd, (struct sockaddr *)&address, sizeof address) < 0)
        if (errno != EINTR)
            return fail_connect(exchange, errno, err);
    return 0;
}

static int send_request(const struct exchange *exchange, Storage__V1__ControlRequest *request,
                        struct err *err)
{
    request->version = CONTROL_VERSION;
    size_t length = storage__v1__control_request__get_packed_size(request);
    if (length > CONTROL_PACKET_MAX_BYTES)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "request", "the request is too large");
    autofree uint8_t *packet = malloc(length);
    if (!packet)
        return err_errno(err, ENOMEM, exchange->path, "cannot ask storaged");
    (void)storage__v1__control_request__pack(request, packet);
    int rc = set_timeout(exchange, SO_SNDTIMEO, err);
    if (rc < 0)
        return rc;
    while (send(exchange->fd, packet, length, MSG_NOSIGNAL) < 0) {
        if (errno == EAGAIN)
            return fail_late(exchange, err);
        if (errno != EINTR)
            return err_errno(err, errno, exchange->path, "cannot ask storaged at %s",
                             exchange->path);
    }
    return 0;
}

static int receive_reply(const struct exchange *exchange, Storage__V1__ControlReply **out_reply,
                         struct err *err)
{
    autofree uint8_t *packet = malloc(CONTROL_PACKET_MAX_BYTES);
    if (!packet)
        return err_errno(err, ENOMEM, exchange->path, "cannot hear storaged");
    ssize_t length;
    do {
        int rc = set_timeout(exchange, SO_RCVTIMEO, err);
        if (rc < 0)
            return rc;
        length = recv(exchange->fd, packet, CONTROL_PACKET_MAX_BYTES, 0);
    } while (length < 0 && errno == EINTR);
    if (length < 0 && errno == EAGAIN)
        return fail_late(exchange, err);
    if (length < 0)
        return err_errno(err, errno, exchange->path, "storaged went at %s", exchange->path);
    if (length == 0)
        return err_set(err, ERR_UNAVAILABLE, 0, exchange->path,
                       "storaged hung up without an answer at %s", exchange->path);
    Storage__V1__ControlReply *reply =
        storage__v1__control_reply__unpack(NULL, (size_t)length, packet);
    if (!reply || !reply->status) {
        storage_free(reply);
        return err_set(err, ERR_INTERNAL, 0, exchange->path, "what answers at %s is not storaged",
                       exchange->path);
    }
    *out_reply = reply;
    return 0;
}

int control_ask(const char *run_dir, Storage__V1__ControlRequest *request, uint32_t timeout_ms,
                Storage__V1__ControlReply **out_reply, struct err *err)
{
    autofree char *path = NULL;
    if (asprintf(&path, "%s/control.sock", run_dir) < 0)
        return err_errno(err, ENOMEM, run_dir, "cannot ask storaged");
    autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, path, "cannot make a socket");
    struct exchange exchange = {
        .path = path, .fd = fd, .deadline_ms = clock_monotonic_ms() + timeout_ms};
    Storage__V1__ControlReply *reply = NULL;
    int rc = connect_to(&exchange, err);
    if (rc == 0)
        rc = send_request(&exchange, request, err);
    if (rc == 0)
        rc = receive_reply(&exchange, &reply, err);
    if (rc == 0 && reply->status->code != STORAGE__V1__CODE__OK)
        rc = wire_read_status(reply->status, err);
    if (rc < 0) {
        storage_free(reply);
        return rc;
    }
    *out_reply = reply;
    return 0;
}
