/* A sysfs and procfs of one's own, in a temporary folder. */
#ifndef TESTS_UNIT_DISK_TREE_H
#define TESTS_UNIT_DISK_TREE_H

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tree_root[64];

static int tree_setup(void **state)
{
    (void)state;
    (void)snprintf(tree_root, sizeof tree_root, "/tmp/storaged-tree.XXXXXX");
    return mkdtemp(tree_root) ? 0 : -1;
}

static inline int tree_remove_one(const char *path, const struct stat *st, int flag,
                                  struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int tree_teardown(void **state)
{
    (void)state;
    return nftw(tree_root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes the file `path` of the tree, and the folders above it. */
static void tree_write(const char *path, const char *content)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", tree_root, path);
    for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(full, 0755) < 0 && errno != EEXIST)
            abort();
        *slash = '/';
    }
    size_t length = strlen(full);
    if (full[length - 1] == '/')
        return;
    FILE *file = fopen(full, "we");
    if (!file || fputs(content, file) < 0 || fclose(file) != 0)
        abort();
}

static inline void tree_link(const char *path, const char *target)
{
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", tree_root, path);
    if (symlink(target, full) < 0)
        abort();
}

#endif
