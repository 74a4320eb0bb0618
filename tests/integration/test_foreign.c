/*
 * Everything that Debian's tools lay on a disk is somebody's: it is named, refused to all who ask,
 * and stays as it is byte for byte, on a node that wants a disk for its first pool.
 *
 * A row is a shell script for the disk "$0" with the scratch folder "$1". Where the kernel has no
 * driver that a tool insists on, the script writes what the tool would have written.
 */
#include "disknode.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define DISK_BYTES (2 * GiB)
#define UNKNOWN    "unknown data"

enum { ROWS_MAX = 24 };

struct foreign {
    const char *type; /* of the signature */
    const char *make;
    const char *needs;   /* a program that scripts/deps does not install; NULL: all are there */
    const char *clashes; /* where this exists, the kernel may take the disk at once */
};

#define LUKS(version)                                                                              \
    "printf word | cryptsetup luksFormat -q --type " version                                       \
    " --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file - \"$0\""
/* A RAID superblock of md, version 1.x: its magic, and at 144 the sector where it stands. */
#define MD_1(sector, sector_le)                                                                    \
    "{ printf '\\374\\116\\053\\251\\1\\0\\0\\0'; head -c 136 /dev/zero; printf '" sector_le       \
    "'; } | dd bs=512 seek=" sector " conv=notrunc of=\"$0\""
#define SFDISK(label)                                                                              \
    "printf 'label: " label "\\n,8M\\n' | sfdisk -q --no-reread --no-tell-kernel \"$0\""
#define PARTED(label) "parted -s \"$0\" mklabel " label
#define FOLDER        "cd \"$1\"; mkdir -p folder; echo text >folder/file; "
#define COPY          "; dd if=image conv=notrunc of=\"$0\""

static const struct foreign linux_filesystems[] = {
    {"ext2", .make = "mkfs.ext2 -q \"$0\""},
    {"ext3", .make = "mkfs.ext3 -q \"$0\""},
    {"ext4", .make = "mkfs.ext4 -q \"$0\""},
    {"jbd", .make = "mke2fs -q -O journal_dev \"$0\""},
    {"xfs", .make = "mkfs.xfs -q \"$0\""},
    {"xfs_external_log", .make =
                             "truncate -s 400m \"$1/data\"; mkfs.xfs -q -l logdev=\"$0\",size=100m "
                             "-d name=\"$1/data\",file=1,size=400m"},
    {"btrfs", .make = "mkfs.btrfs -q -L home \"$0\""},
    {"f2fs", .make = "mkfs.f2fs -q \"$0\""},
    {"jfs", .make = "mkfs.jfs -q \"$0\""},
    {"reiserfs", .make = "mkfs.reiserfs -q -ff \"$0\""},
    {"reiser4", .make = "mkfs.reiser4 -y -f \"$0\"", .needs = "mkfs.reiser4"},
    {"nilfs2", .make = "mkfs.nilfs2 -q \"$0\""},
    {"ocfs2", .make = "mkfs.ocfs2 -q -F -M local --fs-features=local \"$0\"",
     .needs = "mkfs.ocfs2"},
    {"gfs2", .make = "mkfs.gfs2 -O -q -p lock_nolock -j 1 -J 32 \"$0\"", .needs = "mkfs.gfs2"},
    {"bfs", .make = "mkfs.bfs \"$0\""},
    {"minix", .make = "mkfs.minix -1 \"$0\""},
    {"minix", .make = "mkfs.minix -2 \"$0\""},
    {"minix", .make = "mkfs.minix -3 \"$0\""},
};

static const struct foreign other_filesystems[] = {
    {"ntfs", .make = "mkfs.ntfs -F -Q \"$0\""},
    {"exfat", .make = "mkfs.exfat \"$0\""},
    {"vfat", .make = "mkfs.vfat -F 12 \"$0\" 16384"},
    {"vfat", .make = "mkfs.vfat -F 16 \"$0\""},
    {"vfat", .make = "mkfs.vfat -F 32 \"$0\""},
    {UNKNOWN, .make = "mkfs.vfat -A \"$0\" 16384"}, /* Atari's */
    {"hfs", .make = "hformat -f \"$0\" 0"},
    {"apfs", .make = "mkapfs \"$0\""},
    {"udf", .make = "mkfs.udf \"$0\""},
    {"udf", .make = "mkfs.udf --media-type=hd -b 4096 \"$0\""},
    {"cramfs", .make = FOLDER "mkfs.cramfs folder image" COPY},
    {"romfs", .make = FOLDER "genromfs -d folder -f image" COPY},
    {"erofs", .make = FOLDER "mkfs.erofs image folder" COPY},
    {"squashfs", .make = FOLDER "mksquashfs folder image -noappend -quiet" COPY},
    {"iso9660", .make = FOLDER "genisoimage -quiet -o image folder" COPY},
};

static const struct foreign members[] = {
    {"swap", .make = "mkswap \"$0\""},
    {"swap", .make = "mkswap -p 65536 \"$0\""},
    {"LVM2_member", .make = "pvcreate -qq --driverloaded n \"$0\""},
    {"LVM2_member",
     .make = "pvcreate -qq --driverloaded n --metadatacopies 2 --labelsector 3 \"$0\""},
    {"crypto_LUKS", .make = LUKS("luks1")},
    {"crypto_LUKS", .make = LUKS("luks2")},
    {"crypto_LUKS", .make = LUKS("luks2") "; dd if=/dev/zero bs=4k count=1 conv=notrunc of=\"$0\""},
    /* "mdadm --create" of each version of metadata */
    {"linux_raid_member", .make = "printf '\\374\\116\\053\\251\\0\\0\\0\\0\\132\\0\\0\\0' | "
                                  "dd bs=64k seek=32767 conv=notrunc of=\"$0\""},
    {"linux_raid_member", .make = MD_1("4194288", "\\360\\377\\77\\0\\0\\0\\0\\0")},
    {"linux_raid_member", .make = MD_1("0", "\\0\\0\\0\\0\\0\\0\\0\\0")},
    {"linux_raid_member", .make = MD_1("8", "\\10\\0\\0\\0\\0\\0\\0\\0")},
    {"bcache", .make = "make-bcache -B \"$0\"", .needs = "make-bcache",
     .clashes = "/sys/fs/bcache"},
    {"bcache", .make = "make-bcache -C \"$0\"", .needs = "make-bcache",
     .clashes = "/sys/fs/bcache"},
    {"drbd", .make = "yes yes | drbdmeta --force 0 v08 \"$0\" internal create-md",
     .needs = "drbdmeta"},
    /* "zpool create": uberblocks */
    {"zfs_member", .make = "for i in 128 129 130 131; do printf '\\014\\261\\272\\0\\0\\0\\0\\0' | "
                           "dd bs=1k seek=$i conv=notrunc of=\"$0\"; done"},
};

static const struct foreign tables[] = {
    {"dos", .make = SFDISK("dos")},
    {"gpt", .make = SFDISK("gpt")},
    {"sun", .make = SFDISK("sun")},
    {"sgi", .make = SFDISK("sgi")},
    {"gpt", .make = SFDISK("gpt") "; dd if=/dev/zero bs=1M count=1 conv=notrunc of=\"$0\""},
    {"PMBR", .make =
                 SFDISK("gpt") "; dd if=/dev/zero bs=512 seek=1 count=33 conv=notrunc of=\"$0\"; "
                               "dd if=/dev/zero bs=1M seek=2047 count=1 conv=notrunc of=\"$0\""},
    {"dos", .make = PARTED("msdos")},
    {"gpt", .make = PARTED("gpt")},
    {"mac", .make = PARTED("mac")},
    {"sgi", .make = PARTED("dvh")},
    {"dos", .make = PARTED("pc98")},
    {UNKNOWN, .make = PARTED("amiga")},
    {UNKNOWN, .make = PARTED("atari")},
    {UNKNOWN, .make = PARTED("bsd")},
    {UNKNOWN, .make = PARTED("loop")},
    /* What no tool knows the name of: plain dm-crypt, a database without a filesystem. */
    {UNKNOWN, .make = "dd if=/dev/urandom bs=1M count=2 conv=notrunc of=\"$0\""},
    {"oracleasm", .make = "printf ORCLDISK | dd bs=32 seek=1 conv=notrunc of=\"$0\""},
    {UNKNOWN, .make = "printf x | dd bs=1 seek=2147483647 conv=notrunc of=\"$0\""},
};

/* ---- laying it on the disks ---- */

static bool is_installed(const char *program)
{
    static const char *const folders[] = {"/usr/sbin", "/usr/bin"};
    bool found = false;
    for (size_t i = 0; i < array_length(folders); i++) {
        autofree char *path = path_format("%s/%s", folders[i], program);
        found = found || access(path, X_OK) == 0;
    }
    return found;
}

static bool can_be_made(const struct foreign *row)
{
    if (row->needs && !is_installed(row->needs))
        fprintf(stderr, "SKIP: a disk with %s: no %s\n", row->type, row->needs);
    else if (row->clashes && access(row->clashes, F_OK) == 0)
        fprintf(stderr, "SKIP: a disk with %s: the kernel has %s\n", row->type, row->clashes);
    else
        return true;
    return false;
}

static struct disk *lay(const struct foreign *row)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    const struct command make = {
        .argv = {"timeout", "60", "sh", "-ec", row->make, disk->path, harness_dir()}};
    struct command_result result = command_run(&make);
    if (result.status != 0)
        fail_msg("%s: %s ended with %d: %s", row->type, row->make, result.status, result.err);
    autoclose int fd = open(disk->path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fsync(fd) == 0); /* not every tool waits until it is on the disk */
    return disk;
}

/* ---- what is said of them ---- */

/* The name and the place of what it carries; the caller frees. */
static char *check_named(struct node *node, const struct disk *disk, const struct foreign *row)
{
    autoreply Storage__V1__Disk *seen = disknode_get(node, disk->path);
    char *name = NULL;
    for (size_t i = 0; i < seen->n_signatures && !name; i++)
        if (strcmp(seen->signatures[i]->type, row->type) == 0)
            name = path_format("%s at %llu", row->type,
                               (unsigned long long)seen->signatures[i]->offset_bytes);
    if (seen->state != STATE(FOREIGN) || !name || !strstr(seen->reason, name))
        fail_msg("%s, made by %s: state %d, \"%s\"", row->type, row->make, seen->state,
                 seen->reason);
    return name;
}

static void check_refused(struct node *node, const struct disk *disk, const char *name)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Disk *seen = disknode_get(node, disk->path);
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    assert_refused(call_prepare(node->storage, disk->path, &prepared, &err), &err,
                   ERR_FAILED_PRECONDITION, name);
    Storage__V1__Disk *reply = NULL;
    autofree char *shorter = path_format("%.*s", (int)strlen(seen->id) - 1, seen->id);
    assert_refused(disknode_wipe(node, seen->id, "", false, &reply, &err), &err,
                   ERR_FAILED_PRECONDITION, "not ours to wipe");
    assert_refused(disknode_wipe(node, disk->path, "", true, &reply, &err), &err,
                   ERR_INVALID_ARGUMENT, seen->id);
    assert_refused(disknode_wipe(node, shorter, "", true, &reply, &err), &err, ERR_NOT_FOUND, "");
}

/* All at once are refused, for each of them. */
static void check_prepare_all(struct node *node, struct disk *const *disks, size_t n)
{
    Storage__V1__PreparePolicy policy = STORAGE__V1__PREPARE_POLICY__INIT;
    char *paths[ROWS_MAX];
    policy.profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
    policy.disks = paths;
    for (; policy.n_disks < n; policy.n_disks++)
        paths[policy.n_disks] = (char *)(uintptr_t)disks[policy.n_disks]->path;
    autoerr struct err err = {0};
    autoreply Storage__V1__PrepareReply *reply = NULL;
    int rc = storage_call(node->storage, "storage.v1.DiskService/Prepare", &policy, &reply, &err);
    assert_refused(rc, &err, ERR_FAILED_PRECONDITION, "nothing was written");
    assert_int_equal(err.n_blockers, n);
}

/* The node takes the blank disk as soon as there is one, and no other. */
static void check_first_pool(struct node *node, struct disk *blank)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *none = NULL;
    assert_ok(call_pools(node->storage, &none, &err), &err);
    assert_int_equal(none->n_pools, 0);
    disk_plug(blank);
    node_wait_cache(node, true);
    autoreply Storage__V1__ListPoolsReply *one = NULL;
    assert_ok(call_pools(node->storage, &one, &err), &err);
    assert_int_equal(one->n_pools, 1);
    assert_int_equal(one->pools[0]->n_members, 1);
    assert_string_equal(one->pools[0]->members[0]->path, blank->path);
}

static void stay_untouched(const struct foreign *rows, size_t n_rows)
{
    struct disk *disks[ROWS_MAX + 2] = {0};
    const struct foreign *laid[ROWS_MAX];
    uint32_t before[ROWS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < n_rows; i++) {
        if (!can_be_made(&rows[i]))
            continue;
        laid[n] = &rows[i];
        disks[n] = lay(&rows[i]);
        before[n] = disk_checksum(disks[n]);
        n++;
    }
    struct disk *blank = disks[n] = disk_reserve(DISK_BYTES, DISK_SSD);
    struct node *node = node_create_list(disks);
    node_set(node, "pools.create", "yes");
    node_start(node);
    for (size_t i = 0; i < n; i++) {
        autofree char *name = check_named(node, disks[i], laid[i]);
        check_refused(node, disks[i], name);
    }
    check_prepare_all(node, disks, n);
    check_first_pool(node, blank);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(node, &err), &err);
    for (size_t i = 0; i < n; i++)
        if (disk_checksum(disks[i]) != before[i])
            fail_msg("the disk with %s, made by %s, was written to", laid[i]->type, laid[i]->make);
}

static void filesystems_of_linux_stay_untouched(void)
{
    stay_untouched(linux_filesystems, array_length(linux_filesystems));
}

static void filesystems_of_others_stay_untouched(void)
{
    stay_untouched(other_filesystems, array_length(other_filesystems));
}

static void members_of_anything_stay_untouched(void)
{
    stay_untouched(members, array_length(members));
}

static void partition_tables_and_unknown_data_stay_untouched(void)
{
    stay_untouched(tables, array_length(tables));
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(filesystems_of_linux_stay_untouched),
        harness_case(filesystems_of_others_stay_untouched),
        harness_case(members_of_anything_stay_untouched),
        harness_case(partition_tables_and_unknown_data_stay_untouched),
    };
    return harness_main(argc, argv, "foreign", cases, array_length(cases));
}
