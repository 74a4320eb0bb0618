/* A disk that does not answer: it stalls itself alone. */
#include "disknode.h"
#include "slowfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define DISK_BYTES (512 * MiB)

enum {
    PROBE_MS = 500,
    PROMPT_MS =
        5000, /* a call that waits for a hanging disk would take the whole HARNESS_WAIT_MS */
};

/* Plugged in before its reads are held. */
static struct slowfile *make_slow(struct disk *disk)
{
    struct slowfile *file = slowfile_plug(disk);
    slowfile_hold(file, true);
    return file;
}

static struct node *make_node(struct disk *slow, struct disk *quick)
{
    struct node *node = disknode_create(slow, quick);
    autofree char *deadline = path_format("%d", PROBE_MS);
    node_set(node, "disks.probe_ms", deadline);
    return node;
}

static void a_hanging_disk_is_unknown_and_stalls_nobody(void)
{
    struct disk *slow = disk_reserve(DISK_BYTES, DISK_SSD);
    struct disk *quick = disk_create(DISK_BYTES, DISK_SSD);
    struct slowfile *file = make_slow(slow);
    struct node *node = make_node(slow, quick);
    disknode_start(node); /* settles, although one disk does not answer */
    slowfile_wait_held(file);
    disknode_expect(node, quick, STATE(BLANK), "");
    disknode_expect(node, slow, STATE(UNKNOWN), "has not answered for 500 ms");
    uint64_t start = clock_monotonic_ms();
    autoreply Storage__V1__Disk *again = disknode_probe(node, slow);
    assert_int_equal(again->state, STATE(UNKNOWN));
    autoreply Storage__V1__Disk *other = disknode_probe(node, quick);
    assert_int_equal(other->state, STATE(BLANK));
    autoerr struct err err = {0};
    autoreply Storage__V1__PrepareReply *reply = NULL;
    assert_refused(call_prepare(node->storage, slow->path, &reply, &err), &err,
                   ERR_FAILED_PRECONDITION, "does not answer");
    assert_true(clock_monotonic_ms() - start < PROMPT_MS);
    /* When it answers after all, its answer is taken. */
    slowfile_hold(file, false);
    node_wait_disk(node, slow, STATE(BLANK));
    slowfile_unplug(file);
    node_wait_no_disk(node, slow);
}

static bool says_hanging(struct node *node, void *data)
{
    autoreply Storage__V1__ControlReply *reply = NULL;
    autoerr struct err err = {0};
    assert_ok(call_workers(node->storage, &reply, &err), &err);
    const char *status = reply->list->workers[0]->status;
    return strstr(status, "degraded: 1 disk broken or hanging") && strstr(status, data);
}

static void a_stop_does_not_wait_for_it(void)
{
    struct disk *slow = disk_reserve(DISK_BYTES, DISK_SSD);
    struct disk *quick = disk_create(DISK_BYTES, DISK_SSD);
    struct slowfile *file = make_slow(slow);
    struct node *node = make_node(slow, quick);
    disknode_start(node);
    slowfile_wait_held(file);
    node_wait(node, says_hanging, slow->path, "the worker's status names the disk");
    /* Its process cannot end before the kernel has its read back: that is the supervisor's affair;
     * what counts here is that the loop came to its end, and said so. */
    assert_int_equal(kill(node->pid, SIGTERM), 0);
    while (node_log_count(node, "diskd msg=stopping") == 0)
        assert_true(watch_fill(node->watch, clock_monotonic_ms() + PROMPT_MS) ||
                    node_log_count(node, "diskd msg=stopping") > 0);
    slowfile_hold(file, false);
    node_stop(node);
    slowfile_unplug(file);
}

/* Kept by the kernel, so that it removes them with their devices: renamed, not made. */
static void put_in_place_of(const struct disk *disk, const struct disk *other, const char *aside)
{
    assert_int_equal(rename(disk->path, aside), 0);
    assert_int_equal(rename(other->path, disk->path), 0);
}

static void put_back(const struct disk *disk, const struct disk *other, const char *aside)
{
    assert_int_equal(rename(disk->path, other->path), 0);
    assert_int_equal(rename(aside, disk->path), 0);
}

/* What stands on the other one has no signature: mkfs itself would not refuse it. */
static void a_name_that_stands_for_another_disk_by_then_is_not_prepared(void)
{
    static const char precious[] = "nobody's magic";
    struct disk *slow = disk_reserve(DISK_BYTES, DISK_SSD);
    struct disk *other = disk_create(DISK_BYTES, DISK_SSD);
    struct slowfile *file = slowfile_plug(slow);
    disk_write(other, 512 * 1024, precious, sizeof precious);
    uint32_t before = disk_checksum(other);
    struct node *node = disknode_create(slow);
    disknode_start(node);
    node_wait_disk(node, slow, STATE(BLANK));
    autofree char *aside = path_format("%s-aside", slow->path);
    const struct command prepare = {.argv = {"storagectl", "disk", "prepare", slow->path},
                                    .run_dir = node->run_dir};
    slowfile_hold(file, true);
    (void)close(open(slow->file, O_RDONLY | O_CLOEXEC)); /* FUSE forgets what it has cached */
    pid_t pid = command_spawn(&prepare, STDERR_FILENO, STDERR_FILENO);
    slowfile_wait_held(file);
    put_in_place_of(slow, other, aside);
    slowfile_hold(file, false);
    int status = child_wait(pid);
    put_back(slow, other, aside);
    assert_int_not_equal(status, 0);
    assert_int_equal(disk_checksum(other), before);
    autoreply Storage__V1__Disk *again = disknode_probe(node, slow);
    assert_int_equal(again->state, STATE(BLANK));
    slowfile_unplug(file);
}

static void what_comes_too_late_is_dropped(void)
{
    struct disk *slow = disk_reserve(DISK_BYTES, DISK_SSD);
    struct disk *quick = disk_create(DISK_BYTES, DISK_SSD);
    struct slowfile *file = make_slow(slow);
    struct node *node = make_node(slow, quick);
    disknode_start(node);
    slowfile_wait_held(file);
    node_mark(node);
    disk_uevent(slow, "remove");
    (void)watch_wait(node->watch, "disk.removed", disk_name(slow));
    slowfile_hold(file, false);
    node_mark(node);
    disk_uevent(slow, "add");
    const Storage__V1__Event *added = watch_wait(node->watch, "disk.added", disk_name(slow));
    assert_int_equal(added->disk->state, STATE(UNKNOWN));
    node_wait_disk(node, slow, STATE(BLANK));
    slowfile_unplug(file);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(a_hanging_disk_is_unknown_and_stalls_nobody),
        harness_case(a_stop_does_not_wait_for_it),
        harness_case(a_name_that_stands_for_another_disk_by_then_is_not_prepared),
        harness_case(what_comes_too_late_is_dropped),
    };
    return harness_main(argc, argv, "disk hang", cases, array_length(cases));
}
