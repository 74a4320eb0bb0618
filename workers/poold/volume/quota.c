/*
 * Reading the quota tree, see the header. A group is an info item and a limit item; a membership is
 * stored twice, under the child and under the parent (btrfs_tree.h): the lower id is the child's,
 * since a parent is always on a higher level.
 */
#include "quota.h"

#include "base/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { GROW_FROM = 64 };

/* Room for one more element in an array that grows by doubling. */
static int grow(void **array, size_t count, size_t element)
{
    if (count != 0 && (count < GROW_FROM || (count & (count - 1)) != 0))
        return 0;
    void *grown = reallocarray(*array, count ? count * 2 : GROW_FROM, element);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    return 0;
}

/* The group with this id, which may have come with an earlier item. NULL without memory. */
static struct quota_group *obtain_group(struct quota_tree *tree, uint64_t id)
{
    struct quota_group *known = (struct quota_group *)quota_find(tree, id);
    if (known)
        return known;
    if (grow((void **)&tree->groups, tree->n_groups, sizeof *tree->groups) < 0)
        return NULL;
    /* Info items come first, in the order of ids; a limit without one would break the order. */
    if (tree->n_groups > 0 && tree->groups[tree->n_groups - 1].id > id)
        return NULL;
    tree->groups[tree->n_groups] = (struct quota_group){.id = id, .limit_bytes = BTRFS_NO_LIMIT};
    return &tree->groups[tree->n_groups++];
}

static int take_info(struct quota_tree *tree, uint64_t id, const void *item, size_t length)
{
    struct btrfs_qgroup_info_item info;
    if (length < sizeof info)
        return -EUCLEAN;
    memcpy(&info, item, sizeof info);
    struct quota_group *group = obtain_group(tree, id);
    if (!group)
        return -ENOMEM;
    group->usage_bytes = le64toh(info.rfer);
    return 0;
}

static int take_limit(struct quota_tree *tree, uint64_t id, const void *item, size_t length)
{
    struct btrfs_qgroup_limit_item limit;
    struct quota_group *group = (struct quota_group *)quota_find(tree, id);
    if (length < sizeof limit)
        return -EUCLEAN;
    memcpy(&limit, item, sizeof limit);
    if (group && le64toh(limit.flags) & BTRFS_QGROUP_LIMIT_MAX_RFER)
        group->limit_bytes = le64toh(limit.max_rfer);
    return 0;
}

static int take_relation(struct quota_tree *tree, uint64_t child, uint64_t parent)
{
    if (child >= parent)
        return 0; /* the other copy */
    if (grow((void **)&tree->relations, tree->n_relations, sizeof *tree->relations) < 0)
        return -ENOMEM;
    tree->relations[tree->n_relations++] = (struct quota_relation){child, parent};
    struct quota_group *group = (struct quota_group *)quota_find(tree, child);
    if (group && group->n_parents++ == 0)
        group->lowest_parent = parent;
    return 0;
}

static int take_item(const struct btrfs_key *key, const void *item, size_t length, void *data)
{
    struct quota_tree *tree = data;
    switch (key->type) {
    case BTRFS_QGROUP_INFO_KEY:
        return take_info(tree, key->offset, item, length);
    case BTRFS_QGROUP_LIMIT_KEY:
        return take_limit(tree, key->offset, item, length);
    case BTRFS_QGROUP_RELATION_KEY:
        return take_relation(tree, key->objectid, key->offset);
    }
    return 0;
}

static int search(int fd, const struct btrfs_key *first, const struct btrfs_key *last,
                  struct quota_tree *tree)
{
    return btrfs_search(fd, BTRFS_QUOTA_TREE_OBJECTID, first, last, take_item, tree);
}

int quota_read(int fd, struct quota_tree *out_tree)
{
    struct quota_tree tree = {0};
    struct btrfs_key first = {.type = BTRFS_QGROUP_INFO_KEY};
    struct btrfs_key last = {
        .objectid = UINT64_MAX, .type = BTRFS_QGROUP_RELATION_KEY, .offset = UINT64_MAX};
    int rc = search(fd, &first, &last, &tree);
    if (rc < 0)
        quota_free(&tree);
    else
        *out_tree = tree;
    return rc;
}

/* The other direction of take_relation(): under the group stand its parents and its members. */
static int take_neighbour(const struct btrfs_key *key, const void *item, size_t length, void *data)
{
    struct quota_tree *tree = data;
    (void)item, (void)length;
    bool is_parent = key->offset > key->objectid;
    return take_relation(tree, is_parent ? key->objectid : key->offset,
                         is_parent ? key->offset : key->objectid);
}

int quota_read_group(int fd, uint64_t group, struct quota_tree *out_tree)
{
    static const uint8_t types[] = {BTRFS_QGROUP_INFO_KEY, BTRFS_QGROUP_LIMIT_KEY};
    struct quota_tree tree = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < array_length(types); i++) {
        struct btrfs_key key = {.type = types[i], .offset = group};
        rc = search(fd, &key, &key, &tree);
    }
    struct btrfs_key first = {.objectid = group, .type = BTRFS_QGROUP_RELATION_KEY};
    struct btrfs_key last = {
        .objectid = group, .type = BTRFS_QGROUP_RELATION_KEY, .offset = UINT64_MAX};
    if (rc == 0)
        rc = btrfs_search(fd, BTRFS_QUOTA_TREE_OBJECTID, &first, &last, take_neighbour, &tree);
    if (rc < 0)
        quota_free(&tree);
    else
        *out_tree = tree;
    return rc;
}

void quota_free(struct quota_tree *tree)
{
    free(tree->groups);
    free(tree->relations);
    *tree = (struct quota_tree){0};
}

static int compare_groups(const void *a, const void *b)
{
    const struct quota_group *left = a, *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

const struct quota_group *quota_find(const struct quota_tree *tree, uint64_t id)
{
    struct quota_group key = {.id = id};
    if (tree->n_groups == 0)
        return NULL;
    return bsearch(&key, tree->groups, tree->n_groups, sizeof key, compare_groups);
}

const struct quota_relation *quota_parents(const struct quota_tree *tree, uint64_t child,
                                           size_t *out_count)
{
    size_t low = 0, high = tree->n_relations;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tree->relations[middle].child < child)
            low = middle + 1;
        else
            high = middle;
    }
    for (high = low; high < tree->n_relations && tree->relations[high].child == child;)
        high++;
    *out_count = high - low;
    return tree->relations + low;
}

int quota_claim(int fd, const struct quota_tree *tree, uint64_t child, uint64_t group,
                bool *out_added, unsigned *out_taken)
{
    size_t n_parents;
    const struct quota_relation *parents = quota_parents(tree, child, &n_parents);
    bool member = false, rescan = false;
    unsigned taken = 0;
    for (size_t i = 0; i < n_parents; i++) {
        if (parents[i].parent == group) {
            member = true;
            continue;
        }
        int rc = btrfs_assign_group(fd, child, parents[i].parent, false);
        if (rc < 0 && rc != -ENOENT)
            return rc;
        rescan |= rc > 0;
        taken++;
    }
    if (!member) {
        int rc = btrfs_assign_group(fd, child, group, true);
        if (rc < 0 && rc != -EEXIST)
            return rc;
        rescan |= rc > 0;
    }
    *out_added = !member;
    *out_taken = taken;
    return rescan ? btrfs_rescan_quota(fd) : 0;
}
