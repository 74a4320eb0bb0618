/* See the header. */
#include "disknode.h"

#include <errno.h>
#include <fcntl.h>

struct node *disknode_create_list(struct disk *const *disks)
{
    struct node *node = node_create_list(disks);
    node_set(node, "supervisor.workers", "diskd");
    return node;
}

static bool is_settled(struct node *node, void *data)
{
    (void)data;
    autoreply Storage__V1__DiskListReply *disks = NULL;
    return call_disks(node->storage, &disks, NULL) == 0 && disks->settled &&
           watch_has(node->watch, "diskd", disks->epoch, disks->seq);
}

void disknode_wait_settled(struct node *node)
{
    node_wait(node, is_settled, NULL, "the disks have settled, and the watch follows");
}

void disknode_start(struct node *node)
{
    node_spawn(node);
    if (!node->storage)
        node->storage = node_client(node);
    if (!node->watch)
        node->watch = watch_start(node);
    disknode_wait_settled(node);
}

Storage__V1__DiskListReply *disknode_list(struct node *node)
{
    Storage__V1__DiskListReply *list = NULL;
    autoerr struct err err = {0};
    assert_ok(call_disks(node->storage, &list, &err), &err);
    return list;
}

Storage__V1__Disk *disknode_get(struct node *node, const char *id)
{
    Storage__V1__Disk *disk = NULL;
    autoerr struct err err = {0};
    assert_ok(call_disk(node->storage, id, &disk, &err), &err);
    return disk;
}

Storage__V1__Disk *disknode_probe(struct node *node, const struct disk *disk)
{
    Storage__V1__DiskProbeRequest request = STORAGE__V1__DISK_PROBE_REQUEST__INIT;
    Storage__V1__Disk *found = NULL;
    autoerr struct err err = {0};
    request.id = (char *)(uintptr_t)disk->path;
    assert_ok(storage_call(node->storage, "storage.v1.DiskService/Probe", &request, &found, &err),
              &err);
    return found;
}

int disknode_wipe(struct node *node, const char *id, const char *pool, bool force,
                  Storage__V1__Disk **out_disk, struct err *err)
{
    Storage__V1__WipeRequest request = STORAGE__V1__WIPE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    request.pool = (char *)(uintptr_t)pool;
    request.force = force;
    return storage_call(node->storage, "storage.v1.DiskService/Wipe", &request, out_disk, err);
}

void disknode_expect(struct node *node, const struct disk *disk, Storage__V1__DiskState state,
                     const char *reason)
{
    autoreply Storage__V1__Disk *found = disknode_get(node, disk->path);
    if (found->state != state || !strstr(found->reason, reason))
        fail_msg("%s is in state %d: \"%s\"; expected %d: \"%s\"", disk->path, found->state,
                 found->reason, state, reason);
}

const char *disk_name(const struct disk *disk)
{
    return disk->path + strlen("/dev/");
}

void disk_write(const struct disk *disk, uint64_t offset, const void *data, size_t size)
{
    autoclose int fd = open(disk->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, data, size, (off_t)offset) != (ssize_t)size || fsync(fd) < 0)
        fail_msg("cannot write to %s: %s", disk->path, strerror(errno));
}

void disk_set_rotational(const struct disk *disk, bool rotational)
{
    autofree char *path = path_format("/sys/block/%s/queue/rotational", disk_name(disk));
    autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, rotational ? "1" : "0", 1) != 1)
        fail_msg("%s: %s", path, strerror(errno));
}
