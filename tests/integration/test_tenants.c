/* A tenant who does what he can inside his space, as an ordinary user: it is his alone, and all of
 * it goes with the space. */
#include "poolnode.h"

#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_SIZE (2 * GiB)

enum { TENANT = 7777, DEEP = 100, WIDE = 1000 };

static Storage__V1__Space *reserve_for_tenant(struct node *node, const char *name)
{
    Storage__V1__ReserveRequest request = STORAGE__V1__RESERVE_REQUEST__INIT;
    Storage__V1__Owner owner = STORAGE__V1__OWNER__INIT;
    owner.uid = owner.gid = TENANT;
    request.name = (char *)(uintptr_t)name;
    request.disk_type = SSD;
    request.size_bytes = 128 * MiB;
    request.owner = &owner;
    autoerr struct err err = {0};
    Storage__V1__Space *space = NULL;
    assert_ok(
        storage_call(node->storage, "storage.v1.SpaceService/Reserve", &request, &space, &err),
        &err);
    return space;
}

/* ---- what he does, with the directory of his space --------------------------------------------*/

static bool make_subvolume(int dir, const char *name)
{
    struct btrfs_ioctl_vol_args_v2 args = {.fd = 0};
    (void)snprintf(args.name, sizeof args.name, "%s", name);
    return ioctl(dir, BTRFS_IOC_SUBVOL_CREATE_V2, &args) == 0;
}

static bool nest_deep(int dir)
{
    autoclose int at = dup(dir);
    for (int i = 0; i < DEEP; i++) {
        int next = make_subvolume(at, "d") ? openat(at, "d", O_RDONLY | O_CLOEXEC) : -1;
        if (next < 0)
            return false;
        (void)close(at);
        at = next;
    }
    return true;
}

static bool nest_wide(int dir)
{
    for (int i = 0; i < WIDE; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "w%d", i);
        if (!make_subvolume(dir, name))
            return false;
    }
    return true;
}

/* Full to the brim, then made read-only. */
static bool fill_and_seal(int dir)
{
    static const char page[65536];
    autoclose int fd = openat(dir, "full", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    while (write(fd, page, sizeof page) > 0)
        continue;
    uint64_t flags = BTRFS_SUBVOL_RDONLY;
    return errno == EDQUOT && ioctl(dir, BTRFS_IOC_SUBVOL_SETFLAGS, &flags) == 0;
}

/* Names every group that the neighbour's could be, and writes what shall be charged to it. */
static bool charge_the_neighbour(int dir)
{
    static const char page[65536];
    bool made = false;
    for (uint64_t n = 1; n <= 4; n++) {
        /* struct btrfs_qgroup_inherit: flags, counts, limits, then the groups. */
        uint64_t inherit[] = {0, 1, [9] = UINT64_C(1) << 48 | n};
        struct btrfs_ioctl_vol_args_v2 args = {.flags = BTRFS_SUBVOL_QGROUP_INHERIT,
                                               .size = sizeof inherit,
                                               .qgroup_inherit = (void *)inherit};
        (void)snprintf(args.name, sizeof args.name, "evil%d", (int)n);
        if (ioctl(dir, BTRFS_IOC_SUBVOL_CREATE_V2, &args) < 0)
            continue;
        made = true;
        autofree char *name = path_format("evil%d/file", (int)n);
        autoclose int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        for (int i = 0; i < 128; i++)
            (void)!write(fd, page, sizeof page);
        (void)fsync(fd);
    }
    return made;
}

static bool as_tenant(const char *path, bool (*act)(int dir))
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (setgid(TENANT) != 0 || setuid(TENANT) != 0)
            _exit(2);
        int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _exit(dir >= 0 && act(dir) ? 0 : 1);
    }
    return child_wait(pid) == 0;
}

static void all_of_it_goes(bool (*act)(int dir), uint64_t beside)
{
    struct node *node = poolnode_start(disk_create(DISK_SIZE, DISK_SSD));
    autoreply Storage__V1__Space *neighbour = must_reserve(node, "neighbour", SSD, 64 * MiB);
    uint64_t booked = poolnode_capacity(node).booked;
    autoreply Storage__V1__Space *space = reserve_for_tenant(node, "tenant");
    assert_true(as_tenant(space->path, act));
    /* Found at the latest when the pool is opened, and charged to nobody else. */
    poolnode_kill_poold(node);
    assert_int_equal(poolnode_capacity(node).booked, booked + 128 * MiB);
    int refusal;
    assert_true(file_fill(neighbour->path, "file", 128 * MiB, &refusal) >= beside);
    assert_int_equal(refusal, EDQUOT);
    must_release(node, space->id);
    poolnode_wait_reaped(node);
    assert_int_equal(poolnode_capacity(node).booked, booked);
    poolnode_must_hold(node, neighbour->pool, 1);
}

static void a_hundred_deep(void)
{
    all_of_it_goes(nest_deep, 60 * MiB);
}

static void a_thousand_wide(void)
{
    all_of_it_goes(nest_wide, 60 * MiB);
}

static void full_and_read_only(void)
{
    all_of_it_goes(fill_and_seal, 60 * MiB);
}

static void at_the_neighbours_cost(void)
{
    all_of_it_goes(charge_the_neighbour, 60 * MiB);
}

static bool name_it_oddly(int dir)
{
    return make_subvolume(dir, "\xff\xc3 odd");
}

/* From the ring: whoever subscribes to a poold that was just reborn begins behind what it told. */
static bool tells_it_as_text(struct node *node, void *data)
{
    const char *id = data;
    Storage__V1__EventSinceRequest request = STORAGE__V1__EVENT_SINCE_REQUEST__INIT;
    autoreply Storage__V1__EventSinceReply *reply = NULL;
    request.epoch = node_worker(node, "poold").epoch;
    if (storage_call(node->storage, "storage.v1.EventLog/Since@poold", &request, &reply, NULL) != 0)
        return false;
    for (size_t i = 0; i < reply->n_events; i++) {
        const Storage__V1__Event *event = reply->events[i];
        if (strcmp(event->topic, "space.nested") != 0 || strcmp(event->object, id) != 0)
            continue;
        assert_non_null(strstr(event->reason, "data/?? odd"));
        assert_true(utf8_valid(event->reason, strlen(event->reason)));
        return true;
    }
    return false;
}

/* What a tenant calls things reaches all subscribers, in whatever language they are. */
static void names_that_are_no_text_spoil_no_event(void)
{
    struct node *node = poolnode_start(disk_create(DISK_SIZE, DISK_SSD));
    autoreply Storage__V1__Space *space = reserve_for_tenant(node, "tenant");
    assert_true(as_tenant(space->path, name_it_oddly));
    poolnode_kill_poold(node);
    node_wait(node, tells_it_as_text, space->id, "the nested subvolume is told");
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_hundred_deep),
        harness_case(a_thousand_wide),
        harness_case(full_and_read_only),
        harness_case(at_the_neighbours_cost),
        harness_case(names_that_are_no_text_spoil_no_event),
    };
    return harness_main(argc, argv, "tenants", cases, array_length(cases));
}
