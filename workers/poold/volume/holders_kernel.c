/* What the kernel holds itself, and shows as no process's: /proc/swaps and the loop devices. */
#include "holders_private.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int check_path(struct holders_walk *walk, const char *path, const char *words)
{
    struct statx status;
    int rc = holders_look(AT_FDCWD, path, &status);
    if (rc < 0)
        return holders_check_want(walk, -rc, path);
    struct holders_target *target = holders_match(walk, &status);
    if (target)
        holders_add(&target->found, "%s %s", words, path);
    return 0;
}

/* The byte that a "\040" at this place stands for, or -1; proc(5). */
static int octal_at(const char *text)
{
    unsigned value = 0;
    if (*text++ != '\\')
        return -1;
    for (int digit = 0; digit < 3; digit++, text++) {
        if (*text < '0' || *text > '7')
            return -1;
        value = value << 3 | (unsigned)(*text - '0');
    }
    return (int)(value & 0xff);
}

static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        int byte = octal_at(from);
        *to = byte < 0 ? *from : (char)byte;
        from += byte < 0 ? 1 : 4;
    }
    *to = '\0';
}

static int check_swaps(struct holders_walk *walk)
{
    int rc = 0;
    size_t size = 0;
    autofree char *line = NULL;
    FILE *swaps = fopen("/proc/swaps", "re");
    if (!swaps)
        return holders_check_want(walk, errno, "/proc/swaps");
    while (rc == 0 && getline(&line, &size, swaps) > 0) {
        if (*line != '/')
            continue;
        line[strcspn(line, " \t\n")] = '\0';
        unescape(line);
        rc = check_path(walk, line, "swap file");
    }
    (void)fclose(swaps);
    return rc;
}

static int check_loop(struct holders_walk *walk, int blocks, const char *name)
{
    char path[288], file[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/loop/backing_file", name);
    autoclose int fd = openat(blocks, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return holders_check_want(walk, errno, path);
    ssize_t length = read(fd, file, sizeof file - 1);
    if (length <= 0)
        return length < 0 ? holders_check_want(walk, errno, path) : 0;
    file[length - (file[length - 1] == '\n')] = '\0';
    (void)snprintf(path, sizeof path, "%s backed by", name);
    return check_path(walk, file, path);
}

static int check_loops(struct holders_walk *walk)
{
    int rc = 0;
    autodir DIR *blocks = opendir("/sys/block");
    if (!blocks)
        return holders_check_want(walk, errno, "/sys/block");
    for (struct dirent *entry; rc == 0 && (errno = 0, entry = readdir(blocks));)
        if (strncmp(entry->d_name, "loop", 4) == 0)
            rc = check_loop(walk, dirfd(blocks), entry->d_name);
    return rc < 0 ? rc : holders_check_want(walk, errno, "/sys/block");
}

int holders_check_kernel(struct holders_walk *walk)
{
    int rc = check_swaps(walk);
    return rc < 0 ? rc : check_loops(walk);
}
