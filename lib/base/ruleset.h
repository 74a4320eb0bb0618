/*
 * Landlock (landlock(7)): rights on files that a process gives up but for a few trees. Kept by the
 * threads that it starts from then on, and by what it executes. Rights that a kernel does not know
 * it does not deny.
 */
#ifndef LIB_BASE_RULESET_H
#define LIB_BASE_RULESET_H

#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>

/* Newer than Debian 12's header: ABI 2, ABI 3. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

/* Whatever changes a file or a directory. */
#define RULESET_CHANGES                                                                            \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER |      \
     LANDLOCK_ACCESS_FS_TRUNCATE)
#define RULESET_ALL                                                                                \
    (RULESET_CHANGES | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                 \
     LANDLOCK_ACCESS_FS_READ_DIR)

struct ruleset_tree {
    int dir; /* a descriptor, O_PATH suffices; borrowed */
    uint64_t rights;
};

/* Denies these rights but where a tree has them; no_new_privs must be set. 0, -ENOSYS where the
 * kernel has no Landlock, or another negative errno. */
int ruleset_enforce(uint64_t denied, const struct ruleset_tree *trees, size_t n);

#endif
