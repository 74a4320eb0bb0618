/*
 * What a flood at a worker's socket costs somebody else who asks there, against a bare nng echo
 * that bears the same flood. The flooder is a process of its own and another user, one who may
 * read; the one who is measured asks once in a millisecond.
 */
#include "suites.h"

#include <endian.h>
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
    READER = 4712,
    PEERS_MAX = 1000,
    ECHO_BYTES = 200,
    SLICES = 4,
    SLICE_MS = 2000,
    WARM_MS = 300,
    PACE_MS = 1,
    GOAL_MS = 10,
    DESCRIPTORS = 8192,
};

/* --- the flooder ----------------------------------------------------------------------------- */

static const struct flood {
    const char *name;
    unsigned n_peers;
    unsigned bytes; /* of a request, behind its number */
    bool waits;     /* for the answer before it sends the next one */
    bool leaves;    /* after an answer, and comes back */
} floods[] = {
    {"garbage", 64, 4, false, false},
    {"large", 64, 64 * 1024, false, false},
    {"thousand", PEERS_MAX, 4, true, false},
    {"comers", PEERS_MAX, 4, true, true},
};

/* nng's greeting; the head of a request is a 1, its length, and its number. */
static const char greeting[8] = "\0SP\0\0\x30\0";
enum { HEAD_BYTES = 13, NUMBER_BYTES = 4, REQUESTS_BYTES = 128 * 1024 };

struct flooder {
    const struct flood *flood;
    const char *path;
    struct pollfd fds[PEERS_MAX];
    bool asks[PEERS_MAX];
    size_t sent[PEERS_MAX]; /* modulo all the bytes there are */
    char bytes[REQUESTS_BYTES];
    size_t n_bytes, request_bytes;
};

/* As many requests as there is room for: empty submessages, which take long to unpack. */
static void write_requests(struct flooder *flooder)
{
    uint32_t length = htobe32(NUMBER_BYTES + flooder->flood->bytes);
    size_t n = HEAD_BYTES + flooder->flood->bytes;
    flooder->request_bytes = n;
    for (char *at = flooder->bytes; flooder->n_bytes + n <= sizeof flooder->bytes; at += n) {
        at[0] = 1;
        memcpy(at + 5, &length, sizeof length);
        memcpy(at + 9, "\x80\0\0\1", NUMBER_BYTES);
        for (size_t i = HEAD_BYTES; i < n; i += 2)
            at[i] = '\x7a';
        flooder->n_bytes += n;
    }
}

static void leave(struct flooder *flooder, unsigned i)
{
    if (flooder->fds[i].fd >= 0)
        (void)close(flooder->fds[i].fd);
    flooder->fds[i].fd = -1;
}

static void come(struct flooder *flooder, unsigned i)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", flooder->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    flooder->fds[i] = (struct pollfd){.fd = fd, .events = POLLIN | POLLOUT};
    flooder->asks[i] = true;
    flooder->sent[i] = 0;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        send(fd, greeting, sizeof greeting, MSG_NOSIGNAL) < 0)
        leave(flooder, i);
}

static void hear(struct flooder *flooder, unsigned i)
{
    char heard[16 * 1024];
    ssize_t n = recv(flooder->fds[i].fd, heard, sizeof heard, MSG_DONTWAIT);
    bool greeted = n > 0 && n <= (ssize_t)sizeof greeting;
    bool closed = n == 0 || (n < 0 && errno != EAGAIN);
    if (closed || (flooder->flood->leaves && n > 0 && !greeted))
        leave(flooder, i);
    else if (n > 0 && !greeted)
        flooder->asks[i] = true;
}

static void ask(struct flooder *flooder, unsigned i)
{
    bool waits = flooder->flood->waits;
    size_t from = waits ? 0 : flooder->sent[i];
    size_t n = waits ? flooder->request_bytes : flooder->n_bytes - from;
    ssize_t sent = send(flooder->fds[i].fd, flooder->bytes + from, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN)
        leave(flooder, i);
    else if (sent > 0)
        flooder->sent[i] = (from + (size_t)sent) % flooder->n_bytes;
    flooder->asks[i] = !waits;
}

int flood_main(const char *name, const char *path)
{
    static struct flooder flooder;
    (void)setsid();
    flooder.path = path;
    for (size_t i = 0; i < array_length(floods); i++)
        if (strcmp(floods[i].name, name) == 0)
            flooder.flood = &floods[i];
    if (!flooder.flood)
        return 1;
    write_requests(&flooder);
    for (unsigned i = 0; i < flooder.flood->n_peers; i++)
        come(&flooder, i);
    for (;;) {
        for (unsigned i = 0; i < flooder.flood->n_peers; i++) {
            if (flooder.fds[i].fd < 0 && flooder.flood->leaves)
                come(&flooder, i);
            flooder.fds[i].events = (short)(POLLIN | (flooder.asks[i] ? POLLOUT : 0));
        }
        (void)poll(flooder.fds, flooder.flood->n_peers, -1);
        for (unsigned i = 0; i < flooder.flood->n_peers; i++) {
            if (flooder.fds[i].fd >= 0 && flooder.fds[i].revents & ~POLLOUT)
                hear(&flooder, i);
            if (flooder.fds[i].fd >= 0 && flooder.fds[i].revents & POLLOUT)
                ask(&flooder, i);
        }
    }
}

/* The floor, in a session of its own as a worker is: the kernel shares the processors out among
 * sessions. */
int flood_echo_main(const char *url)
{
    (void)setsid();
    return echo_main(url);
}

/* --- who is measured ------------------------------------------------------------------------- */

static void must(int rv, const char *what)
{
    if (rv != 0)
        fail_msg("%s: %s", what, nng_strerror(rv));
}

/* Asks both by the same means: what is measured is the server. */
struct asker {
    char *path;
    nng_socket socket;
    uint8_t request[ECHO_BYTES];
    size_t length;
    struct samples samples;
};

static void asker_open(struct asker *asker, const struct node *node, const char *name)
{
    autofree char *url = path_format("ipc://%s/%s", node->run_dir, name);
    asker->path = path_format("%s/%s", node->run_dir, name);
    must(nng_req0_open(&asker->socket), "open");
    must(nng_dial(asker->socket, url, NULL, NNG_FLAG_NONBLOCK), "dial");
}

static void asker_close(struct asker *asker)
{
    (void)nng_close(asker->socket);
    free(asker->path);
}

static void write_get(struct asker *asker, const char *id)
{
    uint8_t input[64];
    Storage__V1__SpaceGetRequest get = STORAGE__V1__SPACE_GET_REQUEST__INIT;
    Storage__V1__Call call = STORAGE__V1__CALL__INIT;
    get.id = (char *)(uintptr_t)id;
    assert_true(storage__v1__space_get_request__get_packed_size(&get) <= sizeof input);
    call.version = 1;
    call.method = (char *)(uintptr_t) "storage.v1.SpaceService/Get";
    call.input = (ProtobufCBinaryData){.len = storage__v1__space_get_request__pack(&get, input),
                                       .data = input};
    assert_true(storage__v1__call__get_packed_size(&call) <= sizeof asker->request);
    asker->length = storage__v1__call__pack(&call, asker->request);
}

static double ask_once(struct asker *asker)
{
    nng_msg *msg;
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    must(nng_msg_alloc(&msg, asker->length), "message");
    memcpy(nng_msg_body(msg), asker->request, asker->length);
    must(nng_sendmsg(asker->socket, msg, 0), "send");
    must(nng_recvmsg(asker->socket, &msg, 0), "receive");
    double ms = bench_ms_since(start);
    assert_true(nng_msg_len(msg) >= asker->length); /* a Space or an echo, no short refusal */
    nng_msg_free(msg);
    return ms;
}

/* For a while, beside the flood. */
static void sample(struct asker *asker, const struct flood *flood)
{
    const struct command command = {.argv = {"/proc/self/exe", "--flood", flood->name, asker->path},
                                    .uid = READER,
                                    .gid = HARNESS_GID};
    pid_t flooder = command_spawn(&command, STDOUT_FILENO, STDERR_FILENO);
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    while (bench_ms_since(start) < SLICE_MS) {
        double ms = ask_once(asker);
        if (bench_ms_since(start) > WARM_MS)
            samples_add(&asker->samples, ms);
        (void)poll(NULL, 0, PACE_MS);
    }
    (void)kill(flooder, SIGKILL);
    (void)child_wait(flooder);
}

/* The floor is the echo's, or what was promised: 10 ms. */
static void measure(struct asker *ours, struct asker *echo, const struct flood *flood)
{
    autofree char *name = path_format("answer_beside_flood_%s", flood->name);
    if (!report_wants(name))
        return;
    for (int i = 0; i < SLICES; i++) {
        sample(ours, flood);
        sample(echo, flood);
    }
    double floor = samples_quantile(&echo->samples, 0.99);
    report_row(name, samples_quantile(&ours->samples, 0.99), floor > GOAL_MS ? floor : GOAL_MS,
               "ms", "<=1");
    samples_free(&ours->samples);
    samples_free(&echo->samples);
}

void suite_flood(void)
{
    const struct rlimit descriptors = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};
    (void)setrlimit(RLIMIT_NOFILE, &descriptors); /* for the flooder, and the echo */
    struct node *node = bench_node(disk_create(4 * GiB, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__Space *space =
        must_reserve(node, "one", STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD, MiB);
    struct asker ours = {0}, echo = {.length = ECHO_BYTES};
    asker_open(&ours, node, "poold.sock");
    write_get(&ours, space->id);
    autofree char *url = path_format("ipc://%s/echo", node->run_dir);
    const struct command command = {.argv = {"/proc/self/exe", "--flood-echo", url}};
    pid_t server = command_spawn(&command, STDOUT_FILENO, STDERR_FILENO);
    asker_open(&echo, node, "echo");
    (void)ask_once(&echo); /* it listens, and so has made its socket */
    assert_int_equal(chmod(echo.path, 0660), 0);
    for (size_t i = 0; i < array_length(floods); i++)
        measure(&ours, &echo, &floods[i]);
    asker_close(&ours);
    asker_close(&echo);
    (void)kill(server, SIGKILL);
    (void)child_wait(server);
}
