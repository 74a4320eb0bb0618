/*
 * A volume as such: what it is, commit, close. What it does is in the volume_*.c beside.
 */
#include "volume_private.h"

#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const char *const place_names[] = {
    [VOLUME_IN_SPACES] = VOLUME_DIR_SPACES,
    [VOLUME_IN_WEAK] = VOLUME_DIR_WEAK,
    [VOLUME_IN_CACHE] = VOLUME_DIR_CACHE,
    [VOLUME_AT_TOP] = "top",
};

const char *volume_place_name(enum volume_place place)
{
    return (size_t)place < array_length(place_names) ? place_names[place] : "unknown";
}

const struct volume_info *volume_info(const struct volume *volume)
{
    return &volume->info;
}

int volume_commit(const struct volume *volume, struct err *err)
{
    int rc = btrfs_commit(volume->root);
    return rc < 0 ? err_errno(err, -rc, volume->info.fsid, "cannot commit") : 0;
}

int volume_unmount(const char *path, struct err *err)
{
    autoerr struct err own = {0};
    struct err *heard = err ? err : &own;
    struct holders holders = {0};
    int rc = mounts_detach(path, heard);
    /* Who keeps it busy may be unknown: the refusal stands anyway. */
    if (rc < 0 && heard->os_errno == EBUSY && holders_find_on_mount(path, &holders, NULL) == 0 &&
        holders.count > 0)
        rc = holders_refuse(&holders, path, heard);
    holders_clear(&holders);
    return rc;
}

int volume_close(struct volume *volume, bool unmounting, struct err *err)
{
    if (!volume)
        return 0;
    int *const fds[] = {&volume->spaces, &volume->weak, &volume->lock, &volume->root};
    for (size_t i = 0; i < array_length(fds); i++)
        cleanup_fd(fds[i]);
    int rc = unmounting ? volume_unmount(volume->info.path, err) : 0;
    free(volume);
    return rc;
}
