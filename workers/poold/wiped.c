/* The note, see the header. A few bytes, in a directory that is in memory. */
#include "wiped.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char *note_path(const struct settings *settings)
{
    return settings_run_path(settings, "poold", ".wiped");
}

bool wiped_is_noted(const struct settings *settings)
{
    char boot[UUID_TEXT_SIZE], noted[UUID_TEXT_SIZE] = "";
    autofree char *path = note_path(settings);
    autoclose int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    return fd >= 0 && read(fd, noted, sizeof noted - 1) > 0 && uuid_of_boot(boot) == 0 &&
           strcmp(noted, boot) == 0;
}

void wiped_note(const struct settings *settings)
{
    char boot[UUID_TEXT_SIZE];
    autofree char *path = note_path(settings);
    autoclose int fd =
        path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || uuid_of_boot(boot) < 0 || write(fd, boot, strlen(boot)) < 0)
        log_warning("cannot note that a pool is wiped", "reason", strerror(errno));
}

void wiped_forget(const struct settings *settings)
{
    autofree char *path = note_path(settings);
    if (path && unlink(path) < 0 && errno != ENOENT)
        log_warning("cannot remove a note", "path", path, "reason", strerror(errno));
}
