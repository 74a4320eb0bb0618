/* Our own mount table, as /proc/self/mountinfo has it (proc_pid_mountinfo(5)). */
#include "private.h"

#include <stdio.h>
#include <sys/mount.h>

typedef void (*mount_seen)(int id, const char *path, void *data);

/* Undoes the \ooo that mountinfo writes for blanks. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] && from[2] && from[3]) {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

static void mounts_each(mount_seen seen, void *data)
{
    autofree char *table = file_read("/proc/self/mountinfo", NULL);
    char *rest = table;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        int id = 0;
        char path[PATH_MAX];
        if (sscanf(line, "%d %*d %*s %*s %4095s", &id, path) != 2)
            continue;
        unescape(path);
        seen(id, path, data);
    }
}

static bool is_below(const char *path, const char *top)
{
    size_t n = strlen(top);
    return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

struct search {
    const char *path;
    int id;
    unsigned count;
    char last[PATH_MAX];
};

static void search_exact(int id, const char *path, void *data)
{
    struct search *search = data;
    if (strcmp(path, search->path) == 0)
        search->id = id;
}

static void search_below(int id, const char *path, void *data)
{
    (void)id;
    struct search *search = data;
    if (!is_below(path, search->path))
        return;
    search->count++;
    (void)snprintf(search->last, sizeof search->last, "%s", path);
}

int mount_id(const char *path)
{
    struct search search = {.path = path};
    mounts_each(search_exact, &search);
    return search.id;
}

unsigned mounts_below(const char *path)
{
    struct search search = {.path = path};
    mounts_each(search_below, &search);
    return search.count;
}

void unmount_below(const char *path)
{
    /* A later line lies on or below an earlier one. The sandbox's own two lie at the path itself
     * and outside. */
    for (;;) {
        struct search search = {.path = path};
        mounts_each(search_below, &search);
        if (search.count == 0 || strcmp(search.last, harness_dir()) == 0)
            return;
        if (umount2(search.last, MNT_DETACH) != 0)
            harness_fatal("umount %s", search.last);
    }
}
