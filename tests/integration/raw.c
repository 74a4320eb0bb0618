/* See the header. One thread, whose credentials alone change when it connects as somebody else. */
#include "raw.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

enum { HEADER_BYTES = 9, NUMBER_BYTES = 4, FRAME_MAX = 2 << 20 };

const char *const raw_door_names[DOORS] = {
    [DOOR_DISKD] = "diskd.sock",          [DOOR_POOLD] = "poold.sock",
    [DOOR_DISKD_EVENTS] = "diskd.events", [DOOR_POOLD_EVENTS] = "poold.events",
    [DOOR_CONTROL] = "control.sock",
};

/* Of this thread alone: glibc's calls would change all of them. */
static void become(uid_t uid, gid_t gid)
{
    bool to_root = uid == 0;
    long rc = to_root ? syscall(SYS_setresuid, -1, uid, -1) : 0;
    if (rc == 0)
        rc = syscall(SYS_setresgid, -1, gid, -1);
    if (rc == 0 && !to_root)
        rc = syscall(SYS_setresuid, -1, uid, -1);
    if (rc != 0)
        fail_msg("cannot become uid %u: %s", uid, strerror(errno));
}

int raw_connect(const struct node *node, enum raw_door door, uid_t uid, gid_t gid)
{
    const struct timeval patience = {.tv_sec = RAW_WAIT_MS / 1000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", node->run_dir,
                   raw_door_names[door]);
    int type = door == DOOR_CONTROL ? SOCK_SEQPACKET : SOCK_STREAM;
    autoclose int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (uid != 0)
        become(uid, gid);
    int rc = connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    if (uid != 0)
        become(0, 0);
    return rc < 0 ? rc : take_fd(&fd);
}

int raw_enter(const struct node *node, enum raw_door door)
{
    int fd = raw_connect(node, door, 0, 0);
    if (fd < 0)
        fail_msg("%s: %s", raw_door_names[door], strerror(-fd));
    return fd;
}

bool raw_send(int fd, const void *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = send(fd, (const char *)bytes + done, length - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EPIPE && errno != ECONNRESET)
            fail_msg("cannot send: %s", strerror(errno));
        if (n < 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* Reads so many bytes; false when it was closed before. */
static bool read_all(int fd, void *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = recv(fd, (char *)bytes + done, length - done, 0);
        if (n < 0 && errno != ECONNRESET)
            fail_msg("neither an answer nor a closed connection: %s", strerror(errno));
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

bool raw_greet(int fd, unsigned protocol)
{
    uint8_t greeting[8] = {0, 'S', 'P', 0, 0, (uint8_t)protocol, 0, 0};
    return raw_send(fd, greeting, sizeof greeting) && read_all(fd, greeting, sizeof greeting);
}

bool raw_send_request(int fd, const void *body, size_t length)
{
    static uint32_t number;
    uint8_t header[HEADER_BYTES + NUMBER_BYTES] = {1};
    uint64_t frame_length = htobe64(length + NUMBER_BYTES);
    uint32_t marked = htobe32(UINT32_C(0x80000000) | ++number);
    memcpy(header + 1, &frame_length, sizeof frame_length);
    memcpy(header + HEADER_BYTES, &marked, sizeof marked);
    return raw_send(fd, header, sizeof header) && raw_send(fd, body, length);
}

Storage__V1__Reply *raw_receive_reply(int fd)
{
    uint8_t header[HEADER_BYTES];
    uint64_t length;
    if (!read_all(fd, header, sizeof header))
        return NULL;
    memcpy(&length, header + 1, sizeof length);
    length = be64toh(length);
    assert_in_range(length, NUMBER_BYTES, FRAME_MAX);
    autofree uint8_t *body = malloc(length);
    assert_non_null(body);
    if (!read_all(fd, body, length))
        return NULL;
    Storage__V1__Reply *reply =
        storage__v1__reply__unpack(NULL, length - NUMBER_BYTES, body + NUMBER_BYTES);
    assert_non_null(reply);
    assert_non_null(reply->status);
    return reply;
}

Storage__V1__ControlReply *raw_receive_packet(int fd)
{
    static uint8_t packet[64 * 1024];
    ssize_t n = recv(fd, packet, sizeof packet, 0);
    if (n < 0 && errno != ECONNRESET)
        fail_msg("neither an answer nor a closed connection: %s", strerror(errno));
    if (n <= 0)
        return NULL;
    Storage__V1__ControlReply *reply = storage__v1__control_reply__unpack(NULL, (size_t)n, packet);
    assert_non_null(reply);
    assert_non_null(reply->status);
    return reply;
}

void raw_wait_closed(int fd, const char *what)
{
    static char drain[64 * 1024];
    ssize_t n;
    while ((n = recv(fd, drain, sizeof drain, 0)) > 0)
        ;
    if (n < 0 && errno != ECONNRESET)
        fail_msg("%s: the connection stays: %s", what, strerror(errno));
}
