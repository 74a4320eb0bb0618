/* Control groups, see the header. What cannot be had is left out; the process stays where it was.
 */
#include "cgroup.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CONTROLLERS_MAX = 256, NAME_SIZE = 64 };

/* The mount point of the whole tree of cgroup v2. */
static bool find_mount(char out_path[PATH_MAX])
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    while (mounts && !found && getline(&line, &room, mounts) > 0)
        found = strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s / %4095s ", out_path) == 1;
    free(line);
    if (mounts)
        (void)fclose(mounts);
    return found;
}

static bool find_own(char out_path[PATH_MAX])
{
    FILE *groups = fopen("/proc/self/cgroup", "re");
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    while (groups && !found && getline(&line, &room, groups) > 0)
        found = sscanf(line, "0::%4095s", out_path) == 1;
    free(line);
    if (groups)
        (void)fclose(groups);
    return found && !strstr(out_path, "/..");
}

int cgroup_open_own(void)
{
    char mount[PATH_MAX], own[PATH_MAX], path[2 * PATH_MAX];
    if (!find_mount(mount) || !find_own(own))
        return -ENOENT;
    (void)snprintf(path, sizeof path, "%s%s", mount, own);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static bool has_controller(int group, const char *name)
{
    char text[CONTROLLERS_MAX] = "", *rest = text;
    autoclose int fd = openat(group, "cgroup.subtree_control", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        return false;
    for (char *word; (word = strsep(&rest, " \n"));)
        if (strcmp(word, name) == 0)
            return true;
    return false;
}

static bool set(int group, const char *name, const char *value)
{
    autoclose int fd = openat(group, name, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}

bool cgroup_enter(int own, const char *pool, uint64_t memory_bytes)
{
    char name[NAME_SIZE], limit[24];
    bool memory = has_controller(own, "memory"), io = has_controller(own, "io");
    if (!memory && !io)
        return false;
    (void)snprintf(name, sizeof name, "zdb-%s", pool);
    (void)snprintf(limit, sizeof limit, "%" PRIu64, memory_bytes);
    if (mkdirat(own, name, 0755) < 0 && errno != EEXIST)
        return false;
    autoclose int group = openat(own, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group < 0)
        return false;
    if (memory)
        (void)set(group, "memory.max", limit);
    bool weighted = io && set(group, "io.weight", "default 100");
    return set(group, "cgroup.procs", "0") && weighted;
}
