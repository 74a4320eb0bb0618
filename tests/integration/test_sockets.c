/*
 * Every attack of the table at every socket of a node: the sender gets a status or a closed
 * connection, a neighbour at all three processes goes on being answered, and when it is over no
 * process is larger than it was.
 */
#include "attacks.h"
#include "gauge.h"
#include "slowfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

#define SSD STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD

enum {
    NEIGHBOUR_ROUNDS = 8, /* of reads while one attack is repeated */
    TRIES = 3,            /* a busy machine is slow once, a blocked loop each time */
    DESCRIPTORS = 8192,
    BUDGET_MS = 100,
};

static struct node *start_node(struct disk *disk)
{
    struct rlimit limit = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* for the crowd */
    struct node *node = node_create(disk);
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

/* One attack; the next begins when all its connections are gone. */
static void attack(struct node *node, enum raw_door door, const struct attack *attack,
                   const struct gauge *before)
{
    attack_once(node, door, attack);
    if (attack->slow)
        gauge_wait_descriptors(node, before);
}

/* Runs it until the neighbour has been around so often; whether he was served well meanwhile. */
static bool neighbour_bears(struct neighbour *neighbour, struct node *node, enum raw_door door,
                            const struct attack *what, const struct gauge *before)
{
    autofree char *text = path_format("%s at %s", what->name, raw_door_names[door]);
    neighbour_mark(neighbour);
    do
        attack(node, door, what, before);
    while (neighbour_rounds(neighbour) < NEIGHBOUR_ROUNDS);
    return neighbour_is_well(neighbour, text);
}

static void try_attack(struct neighbour *neighbour, struct node *node, enum raw_door door,
                       const struct attack *what, const struct gauge *before)
{
    for (int tries = 0; tries < TRIES; tries++)
        if (neighbour_bears(neighbour, node, door, what, before))
            return;
    fail_msg("%s at %s holds others up", what->name, raw_door_names[door]);
}

static void an_attack_costs_the_neighbour_nothing(void)
{
    struct disk *disk = disk_create(2 * GiB, DISK_SSD);
    struct node *node = start_node(disk);
    autoreply Storage__V1__Space *space = must_reserve(node, "known", SSD, 16 * MiB);
    struct gauge before = gauge_read(node);
    struct neighbour *neighbour = neighbour_start(node, disk->path, space->id);
    for (unsigned door = 0; door < DOORS; door++)
        for (size_t i = 0; i < n_attacks; i++)
            if (attacks[i].kind == attack_kind_of(door))
                try_attack(neighbour, node, door, &attacks[i], &before);
    neighbour_stop(neighbour);
    gauge_wait_descriptors(node, &before);
    node_stop(node);
}

static void attack_all(struct node *node, unsigned times, const struct gauge *before)
{
    for (unsigned door = 0; door < DOORS; door++)
        for (size_t i = 0; i < n_attacks; i++)
            for (unsigned n = 0; attacks[i].kind == attack_kind_of(door) && n < times; n++) {
                attack(node, door, &attacks[i], before);
                if (attacks[i].slow)
                    break;
            }
}

/* And two who subscribe and never read an event. The allocator's own tables grow by a step now and
 * then, so what counts is that growth ends. */
static void memory_stays_flat(void)
{
    enum { TIMES = 10, FLAT_ROUNDS = 4, ROUNDS_MAX = 16 };
    struct node *node = start_node(disk_create(2 * GiB, DISK_SSD));
    autoclose int deaf_to_diskd = raw_enter(node, DOOR_DISKD_EVENTS);
    autoclose int deaf_to_poold = raw_enter(node, DOOR_POOLD_EVENTS);
    assert_true(raw_greet(deaf_to_diskd, RAW_SUB) && raw_greet(deaf_to_poold, RAW_SUB));
    const struct gauge idle = gauge_read(node);
    struct gauge grown = idle, now = idle;
    for (unsigned n = 0, flat = 0; flat < FLAT_ROUNDS; n++) {
        assert_true(n < ROUNDS_MAX);
        attack_all(node, TIMES, &idle);
        gauge_wait_descriptors(node, &idle);
        now = gauge_read(node);
        flat = gauge_is_flat(&grown, &now, MiB / 2) ? flat + 1 : 0;
        if (flat == 0)
            grown = now;
    }
    assert_true(gauge_count_arenas(now.pid[GAUGE_DISKD]) <= 1);
    assert_true(gauge_count_arenas(now.pid[GAUGE_POOLD]) <= 1);
    node_stop(node);
}

/* What the worker answers to a change that has a tenth of a second. */
static void expect_deadline(const struct node *node, enum raw_door door, const char *method,
                            const ProtobufCMessage *message)
{
    uint8_t input[256], frame[512];
    assert_true(protobuf_c_message_get_packed_size(message) <= sizeof input);
    Storage__V1__Call call = STORAGE__V1__CALL__INIT;
    call.version = 1;
    call.request_id = (char *)(uintptr_t) "in-time";
    call.method = (char *)(uintptr_t)method;
    call.deadline_ms = BUDGET_MS;
    call.input =
        (ProtobufCBinaryData){.len = protobuf_c_message_pack(message, input), .data = input};
    autoclose int fd = raw_enter(node, door);
    assert_true(raw_greet(fd, RAW_REQ));
    assert_true(raw_send_request(fd, frame, storage__v1__call__pack(&call, frame)));
    autoreply Storage__V1__Reply *reply = raw_receive_reply(fd);
    assert_non_null(reply);
    assert_int_equal(reply->status->code, STORAGE__V1__CODE__DEADLINE_EXCEEDED);
}

/* What was read of it before is read from it again. */
static void forget_cached(const char *path)
{
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

/* A disk whose reads and a pool whose commits hang: the callers are told when their time is over,
 * and the loops go on. */
static void a_deadline_is_told_while_the_loop_goes_on(void)
{
    struct disk *disk = disk_create(2 * GiB, DISK_SSD), *slow = disk_reserve(GiB, DISK_SSD);
    struct node *node = node_create(disk, slow);
    node_start(node);
    node_wait_cache(node, true);
    struct slowfile *file = slowfile_plug(slow);
    node_wait_disk(node, slow, STORAGE__V1__DISK_STATE__DISK_STATE_BLANK);
    autoreply Storage__V1__Space *space = must_reserve(node, "known", SSD, 16 * MiB);
    autofree char *mount = path_format("%s/%s", node->mount_root, space->pool);
    struct neighbour *neighbour = neighbour_start(node, slow->path, space->id);
    Storage__V1__DiskProbeRequest probe = STORAGE__V1__DISK_PROBE_REQUEST__INIT;
    Storage__V1__ReleaseRequest release = STORAGE__V1__RELEASE_REQUEST__INIT;
    probe.id = slow->path;
    release.id = space->id;

    slowfile_hold(file, true);
    forget_cached(slow->file);
    struct freezer freezer = filesystem_freeze(mount);
    neighbour_mark(neighbour);
    expect_deadline(node, DOOR_DISKD, "storage.v1.DiskService/Probe", &probe.base);
    expect_deadline(node, DOOR_POOLD, "storage.v1.SpaceService/Release", &release.base);
    while (neighbour_rounds(neighbour) < NEIGHBOUR_ROUNDS)
        expect_deadline(node, DOOR_DISKD, "storage.v1.DiskService/Probe", &probe.base);
    assert_true(neighbour_is_well(neighbour, "a hang"));
    neighbour_stop(neighbour);
    filesystem_thaw(&freezer);
    slowfile_hold(file, false);
    slowfile_unplug(file);
    node_stop(node);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(an_attack_costs_the_neighbour_nothing),
        harness_case(memory_stays_flat),
        harness_case(a_deadline_is_told_while_the_loop_goes_on),
    };
    int rc = gauge_main(argc, argv);
    return rc >= 0 ? rc : harness_main(argc, argv, "sockets", cases, array_length(cases));
}
