/* Where the workers' programs are, see the header. A path that does not exist fails at its start.
 */
#include "program.h"

#include "base/cleanup.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* The directory of our own binary; "" if the kernel does not tell. */
static void find_own_dir(char out_dir[PATH_MAX])
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    own[length > 0 ? length : 0] = '\0';
    (void)snprintf(out_dir, PATH_MAX, "%s", length > 0 ? dirname(own) : "");
}

void program_find(const struct settings *settings, const char *name, char *out_path, size_t size)
{
    char own_dir[PATH_MAX], installed[PATH_MAX + 64];
    if (settings->libexec_dir && *settings->libexec_dir) {
        (void)snprintf(out_path, size, "%s/%s", settings->libexec_dir, name);
        return;
    }
    find_own_dir(own_dir);
    (void)snprintf(installed, sizeof installed, "%s/" STORAGED_LIBEXEC_FROM_BIN, own_dir);
    const char *const places[] = {own_dir, installed, STORAGED_LIBEXEC_DIR};
    for (size_t i = 0; i < array_length(places); i++) {
        (void)snprintf(out_path, size, "%s/%s", places[i], name);
        if (access(out_path, X_OK) == 0)
            return;
    }
}
