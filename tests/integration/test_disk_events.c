/* Disks that come, go and change while diskd runs: what it tells, and that it tells no more. */
#include "disknode.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define DISK_BYTES (512 * MiB)

/* How often a topic came for the object, among the events from this index on. */
static unsigned count_events(struct node *node, size_t from, const char *topic, const char *object)
{
    unsigned n = 0;
    for (size_t i = from; i < watch_count(node->watch); i++) {
        const Storage__V1__Event *event = watch_at(node->watch, i);
        n += strcmp(event->topic, topic) == 0 && strcmp(event->object, object) == 0;
    }
    return n;
}

static void a_loop_comes_and_goes(void)
{
    struct disk *disk = disk_reserve(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    disknode_start(node);
    for (int round = 0; round < 2; round++) {
        node_mark(node);
        disk_plug(disk);
        const Storage__V1__Event *added = watch_wait(node->watch, "disk.added", disk_name(disk));
        assert_non_null(added->disk);
        assert_string_equal(added->disk->path, disk->path);
        assert_int_equal(added->disk->size_bytes, DISK_BYTES);
        const Storage__V1__Event *changed =
            watch_wait(node->watch, "disk.changed", disk_name(disk));
        assert_int_equal(changed->disk->state, STATE(BLANK));
        (void)watch_wait(node->watch, "disk.settled", NULL);
        node_mark(node);
        disk_unplug(disk);
        (void)watch_wait(node->watch, "disk.removed", disk_name(disk));
        node_wait_no_disk(node, disk);
    }
}

static void a_zram_comes_and_goes(void)
{
    struct disk *other = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(other);
    struct disk *zram = disk_create(DISK_BYTES, DISK_ZRAM);
    disk_unplug(zram); /* its number is known now, and free again */
    node_allow(node, zram);
    disknode_start(node);
    unsigned number = zram->number;
    disk_plug(zram);
    if (zram->number != number)
        harness_skip("somebody else took zram%u", number);
    const Storage__V1__Event *added = watch_wait(node->watch, "disk.added", disk_name(zram));
    assert_string_equal(added->disk->transport, "zram");
    node_wait_disk(node, zram, STATE(BLANK));
    node_mark(node);
    disk_unplug(zram);
    (void)watch_wait(node->watch, "disk.removed", disk_name(zram));
}

static void nothing_new_is_no_event(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *other = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk, other);
    disknode_start(node);
    autoreply Storage__V1__Disk *before = disknode_get(node, disk->path);
    /* Events come in order: with this one heard, all before it were. */
    disk_uevent(other, "remove");
    (void)watch_wait(node->watch, "disk.removed", disk_name(other));
    node_mark(node);
    size_t from = watch_count(node->watch);
    for (int i = 0; i < 200; i++)
        disk_uevent(disk, "change");
    autoreply Storage__V1__Disk *after = disknode_probe(node, disk);
    assert_true(after->probed_generation > before->probed_generation);
    assert_true(after->probed_generation < before->probed_generation + 50); /* debounced */
    disk_uevent(other, "add");
    (void)watch_wait(node->watch, "disk.added", disk_name(other));
    assert_int_equal(count_events(node, from, "disk.changed", disk_name(disk)), 0);
}

static void the_rotational_flag_is_followed(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    disknode_start(node);
    node_mark(node);
    disk_set_rotational(disk, true);
    const Storage__V1__Event *event = watch_wait(node->watch, "disk.changed", disk_name(disk));
    assert_int_equal(event->disk->type, TYPE(HDD));
}

static void a_new_signature_is_seen_after_its_uevent(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    disknode_start(node);
    node_mark(node);
    command_ok("mkfs.ext4", "-q", disk->path);
    disk_uevent(disk, "change");
    const Storage__V1__Event *event = watch_wait(node->watch, "disk.changed", disk_name(disk));
    assert_int_equal(event->disk->state, STATE(FOREIGN));
    assert_int_equal(event->disk->n_signatures, 1);
}

static void another_medium_is_another_disk(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    disknode_start(node);
    node_mark(node);
    disk_unplug(disk);
    assert_int_equal(truncate(disk->file, (off_t)(2 * DISK_BYTES)), 0);
    disk_plug(disk);
    (void)watch_wait(node->watch, "disk.removed", disk_name(disk));
    const Storage__V1__Event *added = watch_wait(node->watch, "disk.added", disk_name(disk));
    assert_int_equal(added->disk->size_bytes, 2 * DISK_BYTES);
    node_wait_disk(node, disk, STATE(BLANK));
}

static void a_reborn_diskd_finds_all_again(void)
{
    struct disk *first = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *second = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(first, second);
    disknode_start(node);
    struct worker_info old = node_worker(node, "diskd");
    command_ok("mkfs.ext4", "-q", second->path);
    assert_int_equal(kill(old.pid, SIGKILL), 0);
    (void)node_wait_worker(node, "diskd", old.epoch);
    node_wait_disk(node, first, STATE(BLANK));
    node_wait_disk(node, second, STATE(FOREIGN));
}

/* A client who comes in the moment before a disk is identified is asked to wait, which the library
 * does, and not told that there is no such disk. */
static void a_newborn_diskd_denies_no_disk(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    node_set(node, "supervisor.healthy_ms", "1"); /* a death is nothing to wait for */
    disknode_start(node);
    for (int life = 0; life < 10; life++) {
        struct worker_info old = node_wait_worker(node, "diskd", 0);
        assert_int_equal(kill(old.pid, SIGKILL), 0);
        (void)node_wait_worker(node, "diskd", old.epoch);
        autoreply Storage__V1__Disk *seen = disknode_probe(node, disk);
        assert_string_equal(seen->path, disk->path);
    }
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(a_loop_comes_and_goes),
        harness_case(a_zram_comes_and_goes),
        harness_case(nothing_new_is_no_event),
        harness_case(the_rotational_flag_is_followed),
        harness_case(a_new_signature_is_seen_after_its_uevent),
        harness_case(another_medium_is_another_disk),
        harness_case(a_reborn_diskd_finds_all_again),
        harness_case(a_newborn_diskd_denies_no_disk),
    };
    return harness_main(argc, argv, "disk events", cases, array_length(cases));
}
