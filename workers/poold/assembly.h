/*
 * Assembly: what the disks that diskd knows make of a pool, and whether there is a pool at all.
 * PURE: over diskd's own messages, which it borrows.
 */
#ifndef WORKERS_POOLD_ASSEMBLY_H
#define WORKERS_POOLD_ASSEMBLY_H

#include "storage/v1/disk.pb-c.h"
#include "volume/volume.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum assembly_verdict {
    ASSEMBLY_GONE,       /* no disk carries it */
    ASSEMBLY_UNSETTLED,  /* complete, but a disk that is still being read may be a second copy */
    ASSEMBLY_WAITING,    /* a member is missing, and may still come */
    ASSEMBLY_INCOMPLETE, /* a member is missing for too long */
    ASSEMBLY_DUPLICATE,  /* two disks claim to be the same member */
    ASSEMBLY_MISMATCH,   /* more members than the filesystem has, or than are supported */
    ASSEMBLY_COMPLETE,   /* may be opened */
    ASSEMBLY_UNFINISHED, /* complete, and ours to finish */
};

struct assembly {
    enum assembly_verdict verdict;
    uint64_t wanted;                                      /* devices the filesystem has */
    size_t n_members;                                     /* those that are there */
    const Storage__V1__Disk *members[VOLUME_MEMBERS_MAX]; /* by devid */
    uint64_t stamp; /* changes whenever a member was probed again, came or went */
};

/*
 * `settled`: diskd's enumeration is over. `patience_over`: a missing member, or a disk that is not
 * read, has been waited for long enough: a disk that hangs keeps no pool closed for ever.
 */
void assembly_judge(const Storage__V1__Disk *const *disks, size_t n, const char *fsid, bool settled,
                    bool patience_over, struct assembly *out_assembly);

/* True if the disk carries a pool of ours, mountable or not. */
bool assembly_is_member(const Storage__V1__Disk *disk);

/* With less a pool has no room for a cache. */
#define ASSEMBLY_ROOM_MIN_BYTES (UINT64_C(64) << 20)

enum assembly_choice {
    ASSEMBLY_CHOICE_DISK,      /* this one may become the first pool */
    ASSEMBLY_CHOICE_UNSETTLED, /* not all disks are known yet */
    ASSEMBLY_CHOICE_HAS_POOL,  /* a disk carries a pool of ours: none is made by itself */
    ASSEMBLY_CHOICE_NO_DISK,   /* there is no disk */
    ASSEMBLY_CHOICE_NO_BLANK,  /* there are, but none is blank, of a known type and large enough */
};

/*
 * Which disk becomes the first pool: the first blank SSD, else the first blank HDD, in the order of
 * their paths as people sort them (/dev/loop2 before /dev/loop10). Never one of unknown type, nor a
 * read-only one, nor one whose pool could promise less than ASSEMBLY_ROOM_MIN_BYTES. `avoid` (may
 * be NULL) is the path of one that failed: it is taken if there is no other. *out_disk is written
 * for ASSEMBLY_CHOICE_DISK.
 */
enum assembly_choice assembly_choose(const Storage__V1__Disk *const *disks, size_t n, bool settled,
                                     const char *avoid, const Storage__V1__Disk **out_disk);

#endif
