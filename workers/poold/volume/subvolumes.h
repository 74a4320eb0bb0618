/*
 * Subvolumes as the root tree holds them: who lies in whom. Blocking, any thread; 0 or -errno.
 */
#ifndef WORKERS_POOLD_SUBVOLUMES_H
#define WORKERS_POOLD_SUBVOLUMES_H

#include "btrfs.h"

#include <limits.h>

enum { SUBVOLUMES_NAME_MAX = 255 };

struct subvolume {
    uint64_t id;
    uint64_t parent;    /* the subvolume it lies in */
    uint64_t directory; /* inode of the directory there */
    char name[SUBVOLUMES_NAME_MAX + 1];
};

struct subvolumes {
    struct subvolume *list;
    size_t count;
};

/* All that have a name, by id. One that waits for the cleaner has none. */
int subvolumes_read(int fd, struct subvolumes *out_subvolumes);

/* All that lie in `top`, at any depth: each one before those that lie in it. */
int subvolumes_read_nested(int fd, uint64_t top, struct subvolumes *out_subvolumes);

/* In what subvolumes_read() gave; NULL when there is none. */
const struct subvolume *subvolumes_find(const struct subvolumes *subvolumes, uint64_t id);

/* Path from the filesystem's top, "spaces/<id>/data/a/b". */
int subvolumes_path(int fd, const struct subvolumes *subvolumes, const struct subvolume *subvolume,
                    char out_path[PATH_MAX]);

void subvolumes_free(struct subvolumes *subvolumes);

#endif
