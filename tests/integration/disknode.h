/* A node that runs diskd alone, so that no pool is made of what a test lays on its disks. */
#ifndef TESTS_INTEGRATION_DISKNODE_H
#define TESTS_INTEGRATION_DISKNODE_H

#include "harness.h"

#define STATE(name) STORAGE__V1__DISK_STATE__DISK_STATE_##name
#define TYPE(name)  STORAGE__V1__DISK_TYPE__DISK_TYPE_##name

/* Starts it and waits until the disks have settled. */
void disknode_start(struct node *node);
/* For a diskd that was just reborn, and has not met its disks yet. */
void disknode_wait_settled(struct node *node);
/* Runs only diskd; before disknode_start(), for more node_set()s in between. */
#define disknode_create(...) disknode_create_list((struct disk *const[]){__VA_ARGS__, NULL})
struct node *disknode_create_list(struct disk *const *disks);

Storage__V1__DiskListReply *disknode_list(struct node *node);
Storage__V1__Disk *disknode_get(struct node *node, const char *id);
/* Reads the disk again. */
Storage__V1__Disk *disknode_probe(struct node *node, const struct disk *disk);
/* `id` is the exact id, which a test may get wrong; `pool` may be "". */
int disknode_wipe(struct node *node, const char *id, const char *pool, bool force,
                  Storage__V1__Disk **out_disk, struct err *err);
/* Fails the test unless its state is this one and its reason holds the text. */
void disknode_expect(struct node *node, const struct disk *disk, Storage__V1__DiskState state,
                     const char *reason);

/* The name behind "/dev/". */
const char *disk_name(const struct disk *disk);
void disk_write(const struct disk *disk, uint64_t offset, const void *data, size_t size);
void disk_set_rotational(const struct disk *disk, bool rotational);

#endif
