/* Nodes with a pool or two, and what the tests of full, dying and doubled pools ask of them. */
#ifndef TESTS_INTEGRATION_POOLNODE_H
#define TESTS_INTEGRATION_POOLNODE_H

#include "harness.h"

#define SSD           STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD
#define POOL_STATE(s) STORAGE__V1__POOL_STATE__POOL_STATE_##s

/* A node whose limits are exact (no headroom) on these disks, started, with its cache mounted; its
 * pool is on one of them. */
#define poolnode_start(...) poolnode_start_list((struct disk *const[]){__VA_ARGS__, NULL})
struct node *poolnode_start_list(struct disk *const *disks);

/* A node with a pool on each of two disks. */
struct two_pools {
    struct node *node;
    struct disk *disk[2];
    char fsid[2][40];
};
struct two_pools poolnode_start_two(uint64_t disk_bytes);
/* A space on this pool; whatever is placed on others on the way is released again. */
Storage__V1__Space *poolnode_reserve_on(struct node *node, const char *fsid, uint64_t size_bytes);

Storage__V1__PoolCapacity poolnode_capacity(struct node *node);
/* "<mount root>/<fsid>/<entry>"; the caller frees. */
char *poolnode_path(const struct node *node, const char *fsid, const char *entry);
bool poolnode_is(struct node *node, const char *fsid, Storage__V1__PoolState state);
/* Waits until the pool is in the state, with a reason that holds `text` (NULL: any). */
void poolnode_wait(struct node *node, const char *fsid, Storage__V1__PoolState state,
                   const char *text);
/* Waits until nothing is being released any more. */
void poolnode_wait_reaped(struct node *node);
/* Waits until so many bytes are booked in all. */
void poolnode_wait_booked(struct node *node, uint64_t bytes);
/* Kills poold, and waits for the next one. */
void poolnode_kill_poold(struct node *node);
/* On the disk there are these many spaces, the cache, and the 0-db's directory if any: subvolumes
 * and quota groups, no more. */
void poolnode_must_hold(const struct node *node, const char *fsid, size_t n_spaces);
/* The same of every pool that is listed, by the spaces that are listed. And what is booked is the
 * sum of the limits on the disk. Nothing is being released. */
void poolnode_must_balance(struct node *node);

/* The sum of the limits that the kernel enforces on it. */
uint64_t poolnode_limits(const char *fsid);

/* Appends zeros to the file until the kernel refuses or `at_most` are written; how many, and the
 * errno or 0. */
uint64_t file_fill(const char *folder, const char *name, uint64_t at_most, int *out_errno);

#endif
