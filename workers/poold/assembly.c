/* Assembly: plain passes over the disks; a node has tens of them. */
#include "assembly.h"

#include "volume/capacity.h"

#include <string.h>

#define STATE(name) STORAGE__V1__DISK_STATE__DISK_STATE_##name
#define TYPE(name)  STORAGE__V1__DISK_TYPE__DISK_TYPE_##name

enum { STAMP_FACTOR = 31 };

static bool is_unread(const Storage__V1__Disk *disk)
{
    return disk->state == STATE(UNKNOWN) || disk->state == STATE(UNSPECIFIED);
}

bool assembly_is_member(const Storage__V1__Disk *disk)
{
    return disk->pool && (disk->state == STATE(POOL_MEMBER) || disk->state == STATE(UNFINISHED) ||
                          disk->state == STATE(DUPLICATE));
}

static uint64_t text_stamp(uint64_t stamp, const char *text)
{
    for (; *text; text++)
        stamp = stamp * STAMP_FACTOR + (unsigned char)*text;
    return stamp;
}

/* Puts a member in its place by devid; false if another has that devid or there is no room. */
static bool add_member(struct assembly *assembly, const Storage__V1__Disk *disk)
{
    size_t at = assembly->n_members;
    if (at == VOLUME_MEMBERS_MAX)
        return false;
    while (at > 0 && assembly->members[at - 1]->pool->devid > disk->pool->devid)
        at--;
    if (at > 0 && assembly->members[at - 1]->pool->devid == disk->pool->devid)
        return false;
    memmove(&assembly->members[at + 1], &assembly->members[at],
            (assembly->n_members - at) * sizeof *assembly->members);
    assembly->members[at] = disk;
    assembly->n_members++;
    return true;
}

static enum assembly_verdict judge(const struct assembly *assembly, bool duplicate, bool overflow,
                                   bool settled, bool patience_over)
{
    if (duplicate)
        return ASSEMBLY_DUPLICATE;
    if (assembly->n_members == 0)
        return ASSEMBLY_GONE;
    if (overflow || assembly->n_members > assembly->wanted)
        return ASSEMBLY_MISMATCH;
    if (assembly->n_members < assembly->wanted)
        return patience_over ? ASSEMBLY_INCOMPLETE : ASSEMBLY_WAITING;
    if (!settled && !patience_over)
        return ASSEMBLY_UNSETTLED;
    for (size_t i = 0; i < assembly->n_members; i++)
        if (assembly->members[i]->state == STATE(UNFINISHED))
            return ASSEMBLY_UNFINISHED;
    return ASSEMBLY_COMPLETE;
}

void assembly_judge(const Storage__V1__Disk *const *disks, size_t n, const char *fsid, bool settled,
                    bool patience_over, struct assembly *out_assembly)
{
    struct assembly assembly = {0};
    bool duplicate = false, overflow = false;
    uint64_t newest = 0;
    for (size_t i = 0; i < n; i++) {
        const Storage__V1__Disk *disk = disks[i];
        settled = settled && !is_unread(disk);
        if (!assembly_is_member(disk) || strcmp(disk->pool->fsid, fsid) != 0)
            continue;
        if (disk->state == STATE(DUPLICATE))
            duplicate = true;
        /* A superblock that missed a change of the set is older: the newest one knows. */
        if (assembly.n_members == 0 || disk->pool->generation > newest) {
            newest = disk->pool->generation;
            assembly.wanted = disk->pool->num_devices;
        }
        assembly.stamp = text_stamp(assembly.stamp, disk->id) + disk->probed_generation + 1;
        if (!add_member(&assembly, disk)) {
            if (assembly.n_members == VOLUME_MEMBERS_MAX)
                overflow = true;
            else
                duplicate = true;
        }
    }
    assembly.verdict = judge(&assembly, duplicate, overflow, settled, patience_over);
    *out_assembly = assembly;
}

static bool is_candidate(const Storage__V1__Disk *disk)
{
    const struct capacity_input pool = {.device_bytes = {disk->size_bytes},
                                        .n_devices = 1,
                                        .data = CAPACITY_SINGLE,
                                        .metadata = CAPACITY_DUP};
    return disk->preparable && (disk->type == TYPE(SSD) || disk->type == TYPE(HDD)) &&
           capacity_usable(&pool) >= ASSEMBLY_ROOM_MIN_BYTES;
}

static bool is_better(const Storage__V1__Disk *disk, const Storage__V1__Disk *best,
                      const char *avoid)
{
    if (!best)
        return true;
    if (avoid && (strcmp(disk->path, avoid) == 0) != (strcmp(best->path, avoid) == 0))
        return strcmp(best->path, avoid) == 0;
    if (disk->type != best->type)
        return disk->type == TYPE(SSD);
    return strverscmp(disk->path, best->path) < 0;
}

enum assembly_choice assembly_choose(const Storage__V1__Disk *const *disks, size_t n, bool settled,
                                     const char *avoid, const Storage__V1__Disk **out_disk)
{
    const Storage__V1__Disk *best = NULL;
    bool unknown = !settled;
    for (size_t i = 0; i < n; i++) {
        /* Also on a disk that cannot be read any more: its pool is shown still. */
        if (disks[i]->pool || disks[i]->state == STATE(UNFINISHED))
            return ASSEMBLY_CHOICE_HAS_POOL;
        unknown = unknown || is_unread(disks[i]);
        if (is_candidate(disks[i]) && is_better(disks[i], best, avoid))
            best = disks[i];
    }
    if (unknown)
        return ASSEMBLY_CHOICE_UNSETTLED;
    if (n == 0)
        return ASSEMBLY_CHOICE_NO_DISK;
    if (!best)
        return ASSEMBLY_CHOICE_NO_BLANK;
    *out_disk = best;
    return ASSEMBLY_CHOICE_DISK;
}
