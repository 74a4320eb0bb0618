/* What diskd says of disks that carry something, nothing, or cannot be read. */
#include "disknode.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_BYTES (512 * MiB)

static void blank_disks_of_each_type(void)
{
    struct disk *ssd = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *hdd = disk_create(DISK_BYTES, DISK_HDD);
    struct disk *small = disk_create(64 * MiB, DISK_SSD);
    struct node *node = disknode_create(ssd, hdd, small);
    disknode_start(node);
    autoreply Storage__V1__Disk *first = disknode_get(node, ssd->path);
    assert_int_equal(first->state, STATE(BLANK));
    assert_int_equal(first->type, TYPE(SSD));
    assert_string_equal(first->type_evidence, "rotational=0");
    assert_string_equal(first->id, disk_name(ssd));
    assert_string_equal(first->transport, "loop");
    assert_int_equal(first->size_bytes, DISK_BYTES);
    assert_true(first->probed_generation > 0);
    assert_false(first->read_only);
    struct stat st;
    assert_int_equal(stat(ssd->path, &st), 0);
    assert_true(first->major == 7 &&
                first->minor == (st.st_rdev & 0xff) + ((st.st_rdev >> 12) & 0xfff00));
    autoreply Storage__V1__Disk *second = disknode_get(node, hdd->path);
    assert_int_equal(second->state, STATE(BLANK));
    assert_int_equal(second->type, TYPE(HDD));
    disknode_expect(node, small, STATE(BLANK), "too small");
}

static void no_disk_at_all(void)
{
    struct node *node = disknode_create(NULL);
    disknode_start(node);
    autoreply Storage__V1__DiskListReply *list = disknode_list(node);
    assert_int_equal(list->n_disks, 0);
    assert_true(list->settled);
    node_stop(node);
}

static void the_config_wins_over_the_queue(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    autofree char *glob = path_format("%.*s*", (int)strlen(disk->path) - 1, disk->path);
    node_set(node, "disks.hdd", glob);
    disknode_start(node);
    autoreply Storage__V1__Disk *found = disknode_get(node, disk_name(disk));
    assert_int_equal(found->type, TYPE(HDD));
    assert_string_equal(found->type_evidence, "config");
}

/* ---- foreign ---- */

static const uint8_t lvm_label[] = "LABELONE\1\0\0\0\0\0\0\0\0\0\0\0 \0\0\0LVM2 001";
static const uint8_t boot_record[66] = {0x80, 0, 1, 0, 0x83, 0xfe, 0xff, 0xff,        0,
                                        8,    0, 0, 0, 0,    1,    0,    [64] = 0x55, [65] = 0xaa};

static void make_lvm(const struct disk *disk)
{
    disk_write(disk, 512, lvm_label, sizeof lvm_label - 1);
}

static void make_dos(const struct disk *disk)
{
    disk_write(disk, 446, boot_record, sizeof boot_record);
}

static void make_mirror(const struct disk *disk)
{
    disk_write(disk, 64 * MiB + 64, "_BHRfS_M", 8);
}

static void make_damaged(const struct disk *disk)
{
    disk_write(disk, 64 * 1024 + 64, "_BHRfS_M", 8);
}

static void make_ext4(const struct disk *disk)
{
    command_ok("mkfs.ext4", "-q", "-L", "Größe", disk->path);
}

static void make_ext4_and_dos(const struct disk *disk)
{
    make_ext4(disk);
    make_dos(disk);
}

static void make_xfs(const struct disk *disk)
{
    command_ok("mkfs.xfs", "-q", disk->path);
}

static void make_swap(const struct disk *disk)
{
    command_ok("mkswap", disk->path);
}

static void make_btrfs(const struct disk *disk)
{
    command_ok("mkfs.btrfs", "-q", "-L", "home", disk->path);
}

static const struct {
    const char *needs;
    void (*make)(const struct disk *disk);
    const char *type;
    uint64_t offset_bytes;
    const char *usage;
    size_t n_signatures;
    const char *label;
} foreigns[] = {
    {"mkfs.ext4", make_ext4, "ext4", 1080, "filesystem", 1, "Größe"},
    {"mkfs.ext4", make_ext4_and_dos, "ext4", 1080, "filesystem", 2, NULL},
    {"mkfs.xfs", make_xfs, "xfs", 0, "filesystem", 1, NULL},
    {"mkswap", make_swap, "swap", 4086, "other", 1, NULL},
    {"mkfs.btrfs", make_btrfs, "btrfs", 65600, "filesystem", 1, "home"},
    {NULL, make_lvm, "LVM2_member", 536, "raid", 1, NULL},
    {NULL, make_dos, "dos", 510, "partition table", 1, NULL},
    {NULL, make_mirror, "btrfs", 64 * MiB + 64, "filesystem", 1, NULL},
    {NULL, make_damaged, "btrfs", 65600, "filesystem", 1, NULL},
};

static bool is_installed(const char *program)
{
    autofree char *path = path_format("/usr/sbin/%s", program);
    return access(path, X_OK) == 0;
}

static void foreign_disks_are_named_and_untouched(void)
{
    struct disk *disks[array_length(foreigns) + 1] = {0};
    uint32_t before[array_length(foreigns)];
    size_t used[array_length(foreigns)], n = 0;
    for (size_t i = 0; i < array_length(foreigns); i++) {
        if (foreigns[i].needs && !is_installed(foreigns[i].needs)) {
            fprintf(stderr, "SKIP: a disk with %s: no %s\n", foreigns[i].type, foreigns[i].needs);
            continue;
        }
        disks[n] = disk_create(DISK_BYTES, DISK_SSD);
        foreigns[i].make(disks[n]);
        before[n] = disk_checksum(disks[n]);
        used[n++] = i;
    }
    struct node *node = disknode_create_list(disks);
    disknode_start(node);
    for (size_t i = 0; i < n; i++) {
        autoreply Storage__V1__Disk *disk = disknode_get(node, disks[i]->path);
        autofree char *where = path_format("%s at %llu", foreigns[used[i]].type,
                                           (unsigned long long)foreigns[used[i]].offset_bytes);
        if (disk->state != STATE(FOREIGN) || !strstr(disk->reason, where))
            fail_msg("%s: state %d, \"%s\"", where, disk->state, disk->reason);
        assert_int_equal(disk->n_signatures, foreigns[used[i]].n_signatures);
        assert_string_equal(disk->signatures[0]->type, foreigns[used[i]].type);
        assert_int_equal(disk->signatures[0]->offset_bytes, foreigns[used[i]].offset_bytes);
        assert_string_equal(disk->signatures[0]->usage, foreigns[used[i]].usage);
        if (foreigns[used[i]].label)
            assert_string_equal(disk->signatures[0]->label, foreigns[used[i]].label);
        assert_null(disk->pool);
    }
    node_stop(node);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(disk_checksum(disks[i]), before[i]);
}

/* What mkfs.btrfs leaves when it is killed. */
static void write_begun(const struct disk *disk, const char *label)
{
    disk_write(disk, 64 * 1024 + 64, "!BHRfS_M", 8);
    disk_write(disk, 64 * 1024 + 299, label, strlen(label));
}

static void what_has_no_name_is_not_blank(void)
{
    struct disk *odd = disk_create(DISK_BYTES + 512, DISK_SSD);
    struct disk *erased = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *begun = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *other = disk_create(DISK_BYTES, DISK_SSD);
    uint8_t ones[64 * 1024];
    memset(ones, 0xff, sizeof ones);
    disk_write(odd, DISK_BYTES + 511, "x", 1);
    disk_write(erased, 0, ones, sizeof ones);
    write_begun(begun, "storaged:new:tank");
    write_begun(other, "home");
    struct node *node = disknode_create(odd, erased, begun, other);
    disknode_start(node);
    disknode_expect(node, odd, STATE(FOREIGN), "unknown data at 536870912");
    disknode_expect(node, erased, STATE(BLANK), "");
    disknode_expect(node, begun, STATE(BLANK), "");
    disknode_expect(node, other, STATE(FOREIGN), "unknown data at 65536");
}

/* ---- ours ---- */

static void our_pools_and_unfinished_ones(void)
{
    struct disk *pool = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *unfinished = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *mixed = disk_create(DISK_BYTES, DISK_SSD);
    command_ok("mkfs.btrfs", "-q", "-L", "storaged:tank", pool->path);
    command_ok("mkfs.btrfs", "-q", "-L", "storaged:new:tank", unfinished->path);
    command_ok("mkfs.btrfs", "-q", "-L", "storaged:new:tank", mixed->path);
    make_dos(mixed);
    struct node *node = disknode_create(pool, unfinished, mixed);
    disknode_start(node);
    autoreply Storage__V1__Disk *found = disknode_get(node, pool->path);
    assert_int_equal(found->state, STATE(POOL_MEMBER));
    assert_string_equal(found->pool->label, "storaged:tank");
    assert_int_equal(found->pool->devid, 1);
    assert_int_equal(found->pool->num_devices, 1);
    assert_int_equal(strlen(found->pool->fsid), 36);
    assert_false(found->pool->log_pending);
    disknode_expect(node, unfinished, STATE(UNFINISHED), "not finished");
    disknode_expect(node, mixed, STATE(FOREIGN), "dos at 510");
}

static void a_mounted_pool_stays_a_pool_over_a_restart(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    autofree char *at = path_format("%s/mnt", harness_dir());
    command_ok("mkfs.btrfs", "-q", "-L", "storaged:tank", disk->path);
    assert_int_equal(mkdir(at, 0755), 0);
    disknode_start(node);
    command_ok("mount", disk->path, at);
    autoreply Storage__V1__Disk *mounted = disknode_probe(node, disk);
    assert_int_equal(mounted->state, STATE(POOL_MEMBER));
    node_stop(node);
    disknode_start(node);
    disknode_expect(node, disk, STATE(POOL_MEMBER), "belongs to pool");
    assert_int_equal(umount(at), 0);
}

static void the_same_pool_twice_is_a_duplicate(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *copy = disk_reserve(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk, copy);
    command_ok("mkfs.btrfs", "-q", "-L", "storaged:tank", disk->path);
    command_ok("cp", "--sparse=always", disk->file, copy->file);
    disknode_start(node);
    disknode_expect(node, disk, STATE(POOL_MEMBER), "");
    disk_plug(copy);
    node_wait_disk(node, copy, STATE(DUPLICATE));
    disknode_expect(node, disk, STATE(DUPLICATE), copy->path);
    disknode_expect(node, copy, STATE(DUPLICATE), disk->path);
    disk_unplug(copy);
    node_wait_no_disk(node, copy);
    disknode_expect(node, disk, STATE(POOL_MEMBER), "");
}

/* ---- used, broken, not ours to see ---- */

static void a_disk_in_use_is_left_alone(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    autofree char *at = path_format("%s/used", harness_dir());
    assert_int_equal(mkdir(at, 0755), 0);
    make_ext4(disk);
    disknode_start(node);
    disknode_expect(node, disk, STATE(FOREIGN), "ext4");
    command_ok("mount", disk->path, at);
    node_wait_disk(node, disk, STATE(IN_USE));
    disknode_expect(node, disk, STATE(IN_USE), at);
    node_stop(node);
    disknode_start(node);
    autoreply Storage__V1__Disk *found = disknode_get(node, disk->path);
    assert_int_equal(found->state, STATE(IN_USE));
    assert_int_equal(found->probed_generation, 0);
    assert_int_equal(umount(at), 0);
    node_wait_disk(node, disk, STATE(FOREIGN));
}

static void a_disk_that_cannot_be_read_is_broken(void)
{
    struct disk *gone = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *torn = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *whole = disk_create(DISK_BYTES, DISK_SSD);
    assert_int_equal(truncate(gone->file, 0), 0);
    assert_int_equal(truncate(torn->file, (off_t)(300 * MiB)), 0);
    struct node *node = disknode_create(gone, torn, whole);
    disknode_start(node);
    disknode_expect(node, gone, STATE(BROKEN), "EIO");
    disknode_expect(node, torn, STATE(BROKEN), "EIO");
    disknode_expect(node, whole, STATE(BLANK), "");
    assert_int_equal(truncate(gone->file, (off_t)DISK_BYTES), 0);
    autoreply Storage__V1__Disk *healed = disknode_probe(node, gone);
    assert_int_equal(healed->state, STATE(BLANK));
}

static uint64_t reads_of(const struct disk *disk)
{
    autofree char *path = path_format("/sys/block/%s/stat", disk_name(disk));
    autofree char *text = file_read(path, NULL);
    return strtoull(text, NULL, 10);
}

static void what_is_not_allowed_is_never_opened(void)
{
    struct disk *allowed = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *other = disk_create(DISK_BYTES, DISK_SSD);
    struct disk *later = disk_reserve(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(allowed);
    uint64_t before = reads_of(other);
    disknode_start(node);
    disk_plug(later);
    disk_uevent(other, "change");
    /* The socket is in order: when this one's event was heard, so were those before. */
    node_mark(node);
    disk_unplug(allowed);
    (void)watch_wait(node->watch, "disk.removed", disk_name(allowed));
    autoreply Storage__V1__DiskListReply *list = disknode_list(node);
    assert_int_equal(list->n_disks, 0);
    autoerr struct err err = {0};
    autoreply Storage__V1__Disk *none = NULL;
    assert_refused(call_disk(node->storage, other->path, &none, &err), &err, ERR_NOT_FOUND,
                   "allow");
    assert_int_equal(reads_of(other), before);
    assert_int_equal(reads_of(later), 0);
}

static void lists_come_in_pages(void)
{
    struct disk *disks[8] = {0};
    for (size_t i = 0; i < 7; i++)
        disks[i] = disk_create(8 * MiB, DISK_SSD);
    struct node *node = disknode_create_list(disks);
    disknode_start(node);
    Storage__V1__DiskListRequest request = STORAGE__V1__DISK_LIST_REQUEST__INIT;
    char token[64] = "";
    size_t n = 0, pages = 0;
    do {
        autoreply Storage__V1__DiskListReply *reply = NULL;
        autoerr struct err err = {0};
        request.page_size = 3;
        request.page_token = token;
        assert_ok(
            storage_call(node->storage, "storage.v1.DiskService/List", &request, &reply, &err),
            &err);
        assert_true(reply->n_disks <= 3 && reply->epoch > 0);
        n += reply->n_disks;
        pages++;
        (void)snprintf(token, sizeof token, "%s", reply->next_page_token);
    } while (*token);
    assert_int_equal(n, 7);
    assert_int_equal(pages, 3);
}

static void counters_count(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = disknode_create(disk);
    disknode_start(node);
    Storage__V1__DiskStatsRequest request = STORAGE__V1__DISK_STATS_REQUEST__INIT;
    autoreply Storage__V1__DiskStats *stats = NULL;
    autoerr struct err err = {0};
    uint8_t block[4096] = {1};
    disk_write(disk, 8 * MiB, block, sizeof block);
    request.id = disk->path;
    assert_ok(storage_call(node->storage, "storage.v1.DiskService/Stats", &request, &stats, &err),
              &err);
    assert_true(stats->read_bytes >= 2 * MiB); /* the probe's own */
    assert_true(stats->writes >= 1 && stats->written_bytes >= sizeof block);
    request.id = (char *)(uintptr_t) "/dev/none";
    autoreply Storage__V1__DiskStats *none = NULL;
    assert_refused(
        storage_call(node->storage, "storage.v1.DiskService/Stats", &request, &none, &err), &err,
        ERR_NOT_FOUND, "no such disk");
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(blank_disks_of_each_type),
        harness_case(no_disk_at_all),
        harness_case(the_config_wins_over_the_queue),
        harness_case(foreign_disks_are_named_and_untouched),
        harness_case(what_has_no_name_is_not_blank),
        harness_case(our_pools_and_unfinished_ones),
        harness_case(a_mounted_pool_stays_a_pool_over_a_restart),
        harness_case(the_same_pool_twice_is_a_duplicate),
        harness_case(a_disk_in_use_is_left_alone),
        harness_case(a_disk_that_cannot_be_read_is_broken),
        harness_case(what_is_not_allowed_is_never_opened),
        harness_case(lists_come_in_pages),
        harness_case(counters_count),
    };
    return harness_main(argc, argv, "disk states", cases, array_length(cases));
}
