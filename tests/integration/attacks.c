/*
 * See the header. A letter is one request, or a packet to the control socket, with one thing wrong;
 * a visit is a connection that breaks the transport's own rules; the rest are manners.
 */
#include "attacks.h"

#include "rpc/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define CODE(name) STORAGE__V1__CODE__##name

/* What is expected beside a status. */
enum { CLOSED = -1 };

/* The bytes of a row, with their length; or a pattern that is repeated. */
struct bytes {
    const char *at;
    size_t length;
    size_t fill_bytes; /* 0: once */
};
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1, 0                                                                  \
    }
#define FILL(pattern, fill)                                                                        \
    {                                                                                              \
        pattern, sizeof(pattern) - 1, fill                                                         \
    }

static uint8_t *bytes_make(const struct bytes *bytes, size_t *out_length)
{
    *out_length = bytes->fill_bytes ? bytes->fill_bytes : bytes->length;
    uint8_t *made = malloc(*out_length + 1);
    assert_non_null(made);
    for (size_t i = 0; i < *out_length; i++)
        made[i] = (uint8_t)bytes->at[i % bytes->length];
    return made;
}

enum attack_kind attack_kind_of(enum raw_door door)
{
    if (door == DOOR_CONTROL)
        return ATTACK_CONTROL;
    return door == DOOR_DISKD || door == DOOR_POOLD ? ATTACK_REQUESTS : ATTACK_EVENTS;
}

/* --- letters --------------------------------------------------------------------------------- */

enum verb { GET, LIST, CHANGE };

static const char *const methods[][3] = {
    [DOOR_DISKD] = {[GET] = "storage.v1.DiskService/Get",
                    [LIST] = "storage.v1.DiskService/List",
                    [CHANGE] = "storage.v1.DiskService/Prepare"},
    [DOOR_POOLD] = {[GET] = "storage.v1.SpaceService/Get",
                    [LIST] = "storage.v1.SpaceService/List",
                    [CHANGE] = "storage.v1.SpaceService/Reserve"},
};

struct letter {
    enum verb verb;
    const char *method;     /* instead of the verb's */
    const char *request_id; /* NULL: a new one */
    uint32_t deadline_ms;
    uint32_t version; /* 0: the right one */
    struct bytes input;
    struct bytes frame; /* instead of all that */
    uid_t uid;
    int expected; /* a code, or CLOSED */
};

static uint8_t *letter_write(const struct letter *letter, enum raw_door door, size_t *out_length)
{
    static unsigned n_written;
    if (letter->frame.at)
        return bytes_make(&letter->frame, out_length);
    char request_id[32];
    (void)snprintf(request_id, sizeof request_id, "letter-%u", n_written++);
    size_t length;
    autofree uint8_t *input = bytes_make(&letter->input, &length);
    Storage__V1__Call call = STORAGE__V1__CALL__INIT;
    call.version = letter->version ? letter->version : 1;
    call.request_id =
        letter->request_id ? (char *)(uintptr_t)letter->request_id : (char *)request_id;
    call.deadline_ms = letter->deadline_ms;
    call.method =
        (char *)(uintptr_t)(letter->method ? letter->method : methods[door][letter->verb]);
    call.input = (ProtobufCBinaryData){.len = length, .data = input};
    uint8_t *frame = malloc(storage__v1__call__get_packed_size(&call));
    assert_non_null(frame);
    *out_length = storage__v1__call__pack(&call, frame);
    return frame;
}

static int enter_as(const struct node *node, enum raw_door door, uid_t uid)
{
    int fd = raw_connect(node, door, uid, HARNESS_GID);
    if (fd < 0)
        fail_msg("%s, as uid %u: %s", raw_door_names[door], uid, strerror(-fd));
    return fd;
}

static void post(const struct node *node, enum raw_door door, const void *detail)
{
    const struct letter *letter = detail;
    size_t length;
    autofree uint8_t *frame = letter_write(letter, door, &length);
    autoclose int fd = enter_as(node, door, letter->uid);
    assert_true(raw_greet(fd, RAW_REQ));
    bool sent = raw_send_request(fd, frame, length);
    if (letter->expected == CLOSED) {
        raw_wait_closed(fd, "a letter");
        return;
    }
    assert_true(sent);
    autoreply Storage__V1__Reply *reply = raw_receive_reply(fd);
    assert_non_null(reply);
    assert_int_equal(reply->status->code, letter->expected);
    if (letter->expected != CODE(OK))
        assert_true(*reply->status->message && reply->status->details);
}

/* The same for the control socket: one packet, its status. */
static void hand_in(const struct node *node, enum raw_door door, const void *detail)
{
    const struct letter *letter = detail;
    size_t length;
    autofree uint8_t *packet = bytes_make(&letter->frame, &length);
    autoclose int fd = enter_as(node, door, letter->uid);
    assert_int_equal(send(fd, packet, length, MSG_NOSIGNAL), length);
    autoreply Storage__V1__ControlReply *reply = raw_receive_packet(fd);
    if (letter->expected == CLOSED) {
        assert_null(reply);
        return;
    }
    assert_non_null(reply);
    assert_int_equal(reply->status->code, letter->expected);
}

/* --- visits ---------------------------------------------------------------------------------- */

struct visit {
    unsigned protocol; /* greets with it; 0: not at all */
    struct bytes says;
    bool leaves; /* without waiting to be shown the door */
};

static void call_on(const struct node *node, enum raw_door door, const void *detail)
{
    const struct visit *visit = detail;
    size_t length;
    autofree uint8_t *says = bytes_make(&visit->says, &length);
    autoclose int fd = raw_enter(node, door);
    if (visit->protocol)
        assert_true(raw_greet(fd, visit->protocol));
    (void)raw_send(fd, says, length);
    if (!visit->leaves)
        raw_wait_closed(fd, "a visit");
}

/* --- manners --------------------------------------------------------------------------------- */

/* A question to which the answer is OK. */
static void ask(int fd, enum raw_door door)
{
    static const struct letter list = {.verb = LIST};
    size_t length;
    autofree uint8_t *frame = letter_write(&list, door, &length);
    (void)raw_send_request(fd, frame, length);
}

static void ask_control(int fd)
{
    static const char list[] = "\x08\x01\x12\0";
    (void)raw_send(fd, list, sizeof list - 1);
}

/* Whether the answer is OK; false when there is none, for he was shown the door. */
static bool hears_ok(int fd, enum raw_door door)
{
    if (door == DOOR_CONTROL) {
        autoreply Storage__V1__ControlReply *packet = raw_receive_packet(fd);
        return packet && packet->status->code == CODE(OK);
    }
    autoreply Storage__V1__Reply *reply = raw_receive_reply(fd);
    return reply && reply->status->code == CODE(OK);
}

/* Asks and is gone, with the answer still on its way. */
static void vanish(const struct node *node, enum raw_door door, const void *detail)
{
    (void)detail;
    autoclose int fd = raw_enter(node, door);
    if (door == DOOR_CONTROL) {
        ask_control(fd);
        return;
    }
    assert_true(raw_greet(fd, RAW_REQ));
    ask(fd, door);
}

/* Asks on and on, and reads nothing, until it is shown the door. */
static void never_read(const struct node *node, enum raw_door door, const void *detail)
{
    (void)detail;
    autoclose int fd = raw_enter(node, door);
    if (door != DOOR_CONTROL)
        assert_true(raw_greet(fd, RAW_REQ));
    uint64_t deadline = clock_monotonic_ms() + RAW_WAIT_MS;
    struct pollfd gone = {.fd = fd, .events = POLLOUT};
    for (;;) {
        int left = (int)(deadline - clock_monotonic_ms());
        if (left <= 0 || poll(&gone, 1, left) == 0)
            fail_msg("%s: who never reads stays", raw_door_names[door]);
        if (gone.revents & (POLLHUP | POLLERR))
            return;
        if (door == DOOR_CONTROL)
            ask_control(fd);
        else
            ask(fd, door);
    }
}

/* All at once, each with a question: everybody is answered; at the control socket, where 64 have
 * room, answered or sent away. */
static void crowd(const struct node *node, enum raw_door door, const void *detail)
{
    static int fds[ATTACK_CROWD];
    enum attack_kind kind = attack_kind_of(door);
    unsigned answered = 0;
    (void)detail;
    for (int i = 0; i < ATTACK_CROWD; i++)
        fds[i] = raw_enter(node, door);
    for (int i = 0; i < ATTACK_CROWD; i++) {
        if (kind == ATTACK_CONTROL)
            ask_control(fds[i]);
        else
            assert_true(raw_greet(fds[i], kind == ATTACK_REQUESTS ? RAW_REQ : RAW_SUB));
        if (kind == ATTACK_REQUESTS)
            ask(fds[i], door);
    }
    for (int i = 0; i < ATTACK_CROWD; i++) {
        autoclose int fd = fds[i];
        if (kind != ATTACK_EVENTS)
            answered += hears_ok(fd, door);
    }
    if (kind == ATTACK_REQUESTS)
        assert_int_equal(answered, ATTACK_CROWD);
    else if (kind == ATTACK_CONTROL)
        assert_true(answered > 0);
}

static void be_a_stranger(const struct node *node, enum raw_door door, const void *detail)
{
    (void)detail;
    assert_int_equal(raw_connect(node, door, ATTACK_STRANGER, ATTACK_STRANGER), -EACCES);
}

void attack_once(const struct node *node, enum raw_door door, const struct attack *attack)
{
    attack->run(node, door, attack->detail);
    autoclose int fd = raw_enter(node, door);
    switch (attack->kind) {
    case ATTACK_REQUESTS:
        assert_true(raw_greet(fd, RAW_REQ));
        ask(fd, door);
        assert_true(hears_ok(fd, door));
        break;
    case ATTACK_EVENTS:
        assert_true(raw_greet(fd, RAW_SUB));
        break;
    case ATTACK_CONTROL:
        ask_control(fd);
        assert_true(hears_ok(fd, door));
        break;
    }
}

/* --- the table ------------------------------------------------------------------------------- */

#define LETTER(what, ...)                                                                          \
    {                                                                                              \
        .name = (what), .kind = ATTACK_REQUESTS, .run = post, .detail = &(const struct letter)     \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define PACKET(what, ...)                                                                          \
    {                                                                                              \
        .name = (what), .kind = ATTACK_CONTROL, .run = hand_in, .detail = &(const struct letter)   \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define VISIT(what, kind_of_door, ...)                                                             \
    {                                                                                              \
        .name = (what), .kind = (kind_of_door), .run = call_on, .detail = &(const struct visit)    \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define MANNER(what, kind_of_door, how)                                                            \
    {                                                                                              \
        .name = (what), .kind = (kind_of_door), .run = (how), .slow = true                         \
    }

const struct attack attacks[] = {
    LETTER("garbage", .frame = BYTES("\xff\xff\xff\xff"), .expected = CODE(INVALID_ARGUMENT)),
    LETTER("64 KiB of garbage", .frame = FILL("\xff", RPC_REQUEST_MAX_BYTES),
           .expected = CODE(INVALID_ARGUMENT)),
    LETTER("nothing", .frame = BYTES(""), .expected = CODE(INVALID_ARGUMENT)),
    LETTER("a call cut short", .frame = BYTES("\x08\x01\x22\x10storage"),
           .expected = CODE(INVALID_ARGUMENT)),
    LETTER("the next version", .version = 2, .expected = CODE(INVALID_ARGUMENT)),
    LETTER("an unknown method", .method = "storage.v1.EventLog/Nope",
           .expected = CODE(UNIMPLEMENTED)),
    LETTER("an unknown service", .method = "storage.v1.Nope/List", .expected = CODE(UNIMPLEMENTED)),
    LETTER("no method", .method = "", .expected = CODE(UNIMPLEMENTED)),
    LETTER("a NUL in the method",
           .frame = BYTES("\x08\x01\x22\x03"
                          "a\0b"),
           .expected = CODE(INVALID_ARGUMENT)),
    LETTER("bad UTF-8 in the method", .frame = BYTES("\x08\x01\x22\x02\xc3\x28"),
           .expected = CODE(INVALID_ARGUMENT)),
    LETTER("a NUL in a string",
           .input = BYTES("\x0a\x03"
                          "a\0b"),
           .expected = CODE(INVALID_ARGUMENT)),
    LETTER("bad UTF-8 in a string", .input = BYTES("\x0a\x02\xc3\x28"),
           .expected = CODE(INVALID_ARGUMENT)),
    LETTER("a surrogate in a string", .input = BYTES("\x0a\x03\xed\xa0\x80"),
           .expected = CODE(INVALID_ARGUMENT)),
    LETTER("an input cut short", .input = BYTES("\x0a\x7fx"), .expected = CODE(INVALID_ARGUMENT)),
    LETTER("a group without an end", .input = BYTES("\x0b"), .expected = CODE(INVALID_ARGUMENT)),
    LETTER("an unknown enum", .verb = CHANGE, .input = BYTES("\x08\x63"),
           .expected = CODE(INVALID_ARGUMENT)),
    LETTER("an enum that says nothing", .verb = CHANGE, .expected = CODE(INVALID_ARGUMENT)),
    LETTER("a change without an id", .verb = CHANGE, .request_id = "",
           .expected = CODE(INVALID_ARGUMENT)),
    LETTER("a change by a reader", .verb = CHANGE, .uid = ATTACK_READER,
           .expected = CODE(PERMISSION_DENIED)),
    LETTER("a deadline in ages", .deadline_ms = UINT32_MAX, .expected = CODE(INVALID_ARGUMENT)),
    LETTER("an input of 64 KiB and 1", .verb = LIST,
           .input = FILL("\x7a\0", RPC_REQUEST_MAX_BYTES + 1), .expected = CODE(INVALID_ARGUMENT)),
    LETTER("64 KiB of empty submessages", .verb = LIST,
           .input = FILL("\x7a\0", RPC_REQUEST_MAX_BYTES), .expected = CODE(OK)),
    LETTER("64 KiB of empty strings", .verb = CHANGE,
           .input = FILL("\x12\0", RPC_REQUEST_MAX_BYTES), .expected = CODE(INVALID_ARGUMENT)),
    LETTER("a frame of 66 KiB", .frame = FILL("\x7a\0", RPC_REQUEST_MAX_BYTES + 2048),
           .expected = CLOSED),
    LETTER("1 MiB of empty submessages", .frame = FILL("\x7a\0", MiB), .expected = CLOSED),

    VISIT("another language", ATTACK_REQUESTS, .says = BYTES("GET / HTTP/1.1\r\n\r\n")),
    VISIT("another protocol", ATTACK_REQUESTS, .says = BYTES("\0SP\0\0\x10\0\0")),
    VISIT("a hello", ATTACK_REQUESTS, .leaves = true),
    VISIT("half a greeting", ATTACK_REQUESTS, .says = BYTES("\0SP"), .leaves = true),
    VISIT("half a frame's head", ATTACK_REQUESTS, .protocol = RAW_REQ, .says = BYTES("\1\0\0"),
          .leaves = true),
    VISIT("half a frame", ATTACK_REQUESTS, .protocol = RAW_REQ,
          .says = BYTES("\1\0\0\0\0\0\0\0\x40\x80\0\0\1\xff\xff\xff"), .leaves = true),
    VISIT("a frame of 2^63 bytes", ATTACK_REQUESTS, .protocol = RAW_REQ,
          .says = BYTES("\1\x80\0\0\0\0\0\0\0\0")),
    VISIT("a frame of another type", ATTACK_REQUESTS, .protocol = RAW_REQ,
          .says = BYTES("\x09\0\0\0\0\0\0\0\4\x80\0\0\1")),
    VISIT("a frame without a number", ATTACK_REQUESTS, .protocol = RAW_REQ,
          .says = BYTES("\1\0\0\0\0\0\0\0\2\0\0")),
    {.name = "a read, and gone", .kind = ATTACK_REQUESTS, .run = vanish},
    MANNER("who never reads", ATTACK_REQUESTS, never_read),
    MANNER("a thousand", ATTACK_REQUESTS, crowd),
    MANNER("a stranger", ATTACK_REQUESTS, be_a_stranger),

    VISIT("another language", ATTACK_EVENTS, .says = BYTES("GET / HTTP/1.1\r\n\r\n")),
    VISIT("another protocol", ATTACK_EVENTS, .says = BYTES("\0SP\0\0\x30\0\0")),
    VISIT("half a greeting", ATTACK_EVENTS, .says = BYTES("\0SP"), .leaves = true),
    VISIT("a subscriber who talks", ATTACK_EVENTS, .protocol = RAW_SUB,
          .says = BYTES("\1\0\0\0\0\0\0\0\4\x80\0\0\1")),
    VISIT("a subscriber who talks much", ATTACK_EVENTS, .protocol = RAW_SUB,
          .says = FILL("\1\0\0\0\0\0\0\x40\0", 64 * 1024)),
    VISIT("a subscriber who is gone", ATTACK_EVENTS, .protocol = RAW_SUB, .leaves = true),
    MANNER("a thousand", ATTACK_EVENTS, crowd),
    MANNER("a stranger", ATTACK_EVENTS, be_a_stranger),

    PACKET("garbage", .frame = BYTES("\xff\xff\xff\xff"), .expected = CODE(INVALID_ARGUMENT)),
    PACKET("64 KiB of garbage", .frame = FILL("\xff", 64 * 1024),
           .expected = CODE(INVALID_ARGUMENT)),
    PACKET("64 KiB and 1", .frame = FILL("\x12\0", 64 * 1024 + 1),
           .expected = CODE(INVALID_ARGUMENT)),
    PACKET("64 KiB of empty submessages", .frame = FILL("\x12\0", 64 * 1024),
           .expected = CODE(INVALID_ARGUMENT)),
    PACKET("nothing", .frame = BYTES(""), .expected = CLOSED),
    PACKET("a request cut short", .frame = BYTES("\x08\x01\x1a\x10\x0a"),
           .expected = CODE(INVALID_ARGUMENT)),
    PACKET("no version", .frame = BYTES("\x12\0"), .expected = CODE(INVALID_ARGUMENT)),
    PACKET("the next version", .frame = BYTES("\x08\x02\x12\0"),
           .expected = CODE(INVALID_ARGUMENT)),
    PACKET("no verb", .frame = BYTES("\x08\x01"), .expected = CODE(INVALID_ARGUMENT)),
    PACKET("an unknown verb", .frame = BYTES("\x08\x01\x7a\0"), .expected = CODE(INVALID_ARGUMENT)),
    PACKET("a NUL in a name",
           .frame = BYTES("\x08\x01\x1a\x05\x0a\x03"
                          "a\0b"),
           .expected = CODE(INVALID_ARGUMENT)),
    PACKET("bad UTF-8 in a name", .frame = BYTES("\x08\x01\x1a\x04\x0a\x02\xc3\x28"),
           .expected = CODE(INVALID_ARGUMENT)),
    PACKET("nobody's name", .frame = BYTES("\x08\x01\x1a\x03\x0a\x01?"),
           .expected = CODE(NOT_FOUND)),
    PACKET("a restart by a reader", .frame = BYTES("\x08\x01\x1a\x07\x0a\x05poold"),
           .uid = ATTACK_READER, .expected = CODE(PERMISSION_DENIED)),
    PACKET("a shutdown by a reader", .frame = BYTES("\x08\x01\x2a\0"), .uid = ATTACK_READER,
           .expected = CODE(PERMISSION_DENIED)),
    {.name = "a list, and gone", .kind = ATTACK_CONTROL, .run = vanish},
    MANNER("who never reads", ATTACK_CONTROL, never_read),
    MANNER("a thousand", ATTACK_CONTROL, crowd),
    MANNER("a stranger", ATTACK_CONTROL, be_a_stranger),
};
const size_t n_attacks = array_length(attacks);
