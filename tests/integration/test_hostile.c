/* Bad input at the sockets costs nobody else anything. */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SSD STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD

enum { ROUNDS = 20, IDLERS = 100, GARBAGE_BYTES = 100000 };

static const struct {
    const char *name;
    int type;
} doors[] = {
    {"control.sock", SOCK_SEQPACKET}, {"diskd.sock", SOCK_STREAM},   {"diskd.events", SOCK_STREAM},
    {"poold.sock", SOCK_STREAM},      {"poold.events", SOCK_STREAM},
};

static struct node *start_node(void)
{
    struct node *node = node_create(disk_create(2 * GiB, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

/* A connection, or -1 when there is no room for one more. */
static int knock(struct node *node, size_t door)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", node->run_dir,
                   doors[door].name);
    autoclose int fd = socket(AF_UNIX, doors[door].type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EAGAIN)
        fail_msg("%s: %s", address.sun_path, strerror(errno));
    return take_fd(&fd);
}

static void is_unimpressed(struct node *node)
{
    autoreply Storage__V1__Space *space = must_reserve(node, "good", SSD, 16 * MiB);
    must_release(node, space->id);
    autoerr struct err err = {0};
    autoreply Storage__V1__DiskListReply *disks = NULL;
    assert_ok(call_disks(node->storage, &disks, &err), &err);
    assert_int_equal(node_worker(node, "diskd").restarts, 0);
    assert_int_equal(node_worker(node, "poold").restarts, 0);
}

static void garbage_is_ignored(void)
{
    struct node *node = start_node();
    autofree char *garbage = malloc(GARBAGE_BYTES);
    for (int round = 0; round < ROUNDS; round++) {
        assert_int_equal(getrandom(garbage, 256, 0), 256);
        for (size_t door = 0; door < array_length(doors); door++) {
            autoclose int fd = knock(node, door);
            (void)send(fd, garbage, round % 2 ? GARBAGE_BYTES : 64, MSG_NOSIGNAL);
        }
    }
    is_unimpressed(node);
}

/* The header of nng's ipc transport is right, what follows is a flood of half messages. */
static void half_messages_are_ignored(void)
{
    static const unsigned char half_a_request[] = {
        0,    'S', 'P', 0, 0,    0x30, 0,    0,     /* hello, I am a REQ socket */
        1,    0,   0,   0, 0,    0,    0,    0, 64, /* a message of 64 bytes follows */
        0x80, 0,   0,   1, 0xff, 0xff, 0xff,        /* but only these do */
    };
    struct node *node = start_node();
    int fds[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        fds[i] = knock(node, i % 2 ? 1 : 3);
        (void)send(fds[i], half_a_request, sizeof half_a_request, MSG_NOSIGNAL);
    }
    is_unimpressed(node);
    for (int i = 0; i < ROUNDS; i++)
        (void)close(fds[i]);
    is_unimpressed(node);
}

static void idlers_take_nobodys_place(void)
{
    struct node *node = start_node();
    int fds[array_length(doors)][IDLERS];
    for (size_t door = 0; door < array_length(doors); door++)
        for (int i = 0; i < IDLERS; i++)
            fds[door][i] = knock(node, door);
    is_unimpressed(node);
    for (size_t door = 0; door < array_length(doors); door++)
        for (int i = 0; i < IDLERS; i++)
            (void)close(fds[door][i]);
    is_unimpressed(node);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(garbage_is_ignored),
        harness_case(half_messages_are_ignored),
        harness_case(idlers_take_nobodys_place),
    };
    return harness_main(argc, argv, "hostile", cases, array_length(cases));
}
