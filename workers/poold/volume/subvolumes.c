/*
 * Reading the root tree, see the header. A subvolume is linked to its parent twice: by a
 * ROOT_BACKREF under the child and a ROOT_REF under the parent, with the same body (btrfs_tree.h).
 * All of them are read by the first, the children of one by the second.
 */
#include "subvolumes.h"

#include "base/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { GROW_FROM = 64 };

static int append(struct subvolumes *subvolumes, uint64_t id, uint64_t parent, const void *item,
                  size_t length)
{
    struct btrfs_root_ref ref;
    if (length < sizeof ref)
        return -EUCLEAN;
    memcpy(&ref, item, sizeof ref);
    size_t name_length = le16toh(ref.name_len);
    if (name_length > SUBVOLUMES_NAME_MAX || sizeof ref + name_length > length)
        return -EUCLEAN;
    size_t count = subvolumes->count;
    if (count == 0 || (count >= GROW_FROM && (count & (count - 1)) == 0)) {
        struct subvolume *grown =
            reallocarray(subvolumes->list, count ? count * 2 : GROW_FROM, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        subvolumes->list = grown;
    }
    struct subvolume *added = &subvolumes->list[subvolumes->count++];
    *added = (struct subvolume){.id = id, .parent = parent, .directory = le64toh(ref.dirid)};
    memcpy(added->name, (const char *)item + sizeof ref, name_length);
    return 0;
}

static int take_backref(const struct btrfs_key *key, const void *item, size_t length, void *data)
{
    if (key->type != BTRFS_ROOT_BACKREF_KEY)
        return 0;
    return append(data, key->objectid, key->offset, item, length);
}

static int take_ref(const struct btrfs_key *key, const void *item, size_t length, void *data)
{
    return append(data, key->offset, key->objectid, item, length);
}

int subvolumes_read(int fd, struct subvolumes *out_subvolumes)
{
    struct subvolumes all = {0};
    struct btrfs_key first = {.objectid = BTRFS_FIRST_FREE_OBJECTID,
                              .type = BTRFS_ROOT_BACKREF_KEY};
    struct btrfs_key last = {
        .objectid = BTRFS_LAST_FREE_OBJECTID, .type = BTRFS_ROOT_BACKREF_KEY, .offset = UINT64_MAX};
    int rc = btrfs_search(fd, BTRFS_ROOT_TREE_OBJECTID, &first, &last, take_backref, &all);
    if (rc < 0)
        subvolumes_free(&all);
    else
        *out_subvolumes = all;
    return rc;
}

int subvolumes_read_nested(int fd, uint64_t top, struct subvolumes *out_subvolumes)
{
    struct subvolumes nested = {0};
    uint64_t parent = top;
    /* Breadth first: what was found is asked in turn. Subvolumes form a tree, so this ends. */
    for (size_t asked = 0;; asked++) {
        struct btrfs_key first = {.objectid = parent, .type = BTRFS_ROOT_REF_KEY};
        struct btrfs_key last = {
            .objectid = parent, .type = BTRFS_ROOT_REF_KEY, .offset = UINT64_MAX};
        int rc = btrfs_search(fd, BTRFS_ROOT_TREE_OBJECTID, &first, &last, take_ref, &nested);
        if (rc < 0) {
            subvolumes_free(&nested);
            return rc;
        }
        if (asked == nested.count)
            break;
        parent = nested.list[asked].id;
    }
    *out_subvolumes = nested;
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    const struct subvolume *left = a, *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

const struct subvolume *subvolumes_find(const struct subvolumes *subvolumes, uint64_t id)
{
    struct subvolume key = {.id = id};
    if (subvolumes->count == 0)
        return NULL;
    return bsearch(&key, subvolumes->list, subvolumes->count, sizeof key, compare_ids);
}

/* Written from its end: each subvolume knows its path in its parent, and no more. */
int subvolumes_path(int fd, const struct subvolumes *subvolumes, const struct subvolume *subvolume,
                    char out_path[PATH_MAX])
{
    char path[PATH_MAX], inside[BTRFS_INO_LOOKUP_PATH_MAX], part[PATH_MAX];
    size_t at = sizeof path - 1;
    path[at] = '\0';
    for (size_t depth = 0;; depth++) {
        int rc = btrfs_inode_path(fd, subvolume->parent, subvolume->directory, inside);
        if (rc < 0)
            return rc;
        int length =
            snprintf(part, sizeof part, "%s%s%s", inside, subvolume->name, depth > 0 ? "/" : "");
        if (length >= PATH_MAX || (size_t)length > at)
            return -ENAMETOOLONG;
        at -= (size_t)length;
        memcpy(path + at, part, (size_t)length);
        if (subvolume->parent == BTRFS_FS_TREE_OBJECTID)
            break;
        subvolume = subvolumes_find(subvolumes, subvolume->parent);
        if (!subvolume)
            return -ENOENT;
    }
    memcpy(out_path, path + at, sizeof path - at);
    return 0;
}

void subvolumes_free(struct subvolumes *subvolumes)
{
    free(subvolumes->list);
    *subvolumes = (struct subvolumes){0};
}
