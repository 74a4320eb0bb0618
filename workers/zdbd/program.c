#include "program.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

char *program_beside(const char *name)
{
    char own[PATH_MAX], *path;
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    own[length > 0 ? length : 0] = '\0';
    return asprintf(&path, "%s/%s", dirname(own), name) < 0 ? NULL : path;
}
