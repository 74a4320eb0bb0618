/* Where the workers' programs are, see the header. A path that does not exist fails at its start.
 */
#include "program.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int find_beside(const char *name, char *out_path, size_t size)
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length < 0)
        return -1;
    own[length] = '\0';
    (void)snprintf(out_path, size, "%s/%s", dirname(own), name);
    return access(out_path, X_OK);
}

void program_find(const struct settings *settings, const char *name, char *out_path, size_t size)
{
    if (settings->libexec_dir && *settings->libexec_dir)
        (void)snprintf(out_path, size, "%s/%s", settings->libexec_dir, name);
    else if (find_beside(name, out_path, size) < 0)
        (void)snprintf(out_path, size, "%s/%s", STORAGED_LIBEXEC_DIR, name);
}
