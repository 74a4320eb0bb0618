/*
 * Quota groups as the quota tree holds them. Blocking, any thread; 0 or -errno; -ENOENT when quotas
 * are off. Usage is as of the last commit, limits and memberships are as they are.
 */
#ifndef WORKERS_POOLD_QUOTA_H
#define WORKERS_POOLD_QUOTA_H

#include "btrfs.h"

struct quota_group {
    uint64_t id; /* btrfs_group(level, number) */
    uint64_t usage_bytes;
    uint64_t limit_bytes;   /* or BTRFS_NO_LIMIT */
    uint64_t lowest_parent; /* group that it is a member of; 0: of none */
    unsigned n_parents;
};

struct quota_relation {
    uint64_t child, parent;
};

/* All groups by id, and all memberships by child, then parent. */
struct quota_tree {
    struct quota_group *groups;
    size_t n_groups;
    struct quota_relation *relations;
    size_t n_relations;
};

int quota_read(int fd, struct quota_tree *out_tree);
/* The same of one group, its members and parents only. */
int quota_read_group(int fd, uint64_t group, struct quota_tree *out_tree);
void quota_free(struct quota_tree *tree);

/* NULL when there is none. */
const struct quota_group *quota_find(const struct quota_tree *tree, uint64_t id);

/* The first of the memberships of `child`, *out_count of them. */
const struct quota_relation *quota_parents(const struct quota_tree *tree, uint64_t child,
                                           size_t *out_count);

/*
 * Makes `group` the only parent of `child`. *out_added: was not a member before; *out_taken: how
 * many others it was taken out of. Full quotas are told to count again where they must.
 */
int quota_claim(int fd, const struct quota_tree *tree, uint64_t child, uint64_t group,
                bool *out_added, unsigned *out_taken);

#endif
