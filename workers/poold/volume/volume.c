/*
 * A volume as such: what it is, commit, close. What it does is in the volume_*.c beside.
 */
#include "volume_private.h"

#include "base/keep.h"
#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_PAUSE_MAX_MS = 256 }; /* doubling from 1: half a second in all */

static const char *const place_names[] = {
    [VOLUME_IN_SPACES] = VOLUME_DIR_SPACES,
    [VOLUME_IN_WEAK] = VOLUME_DIR_WEAK,
    [VOLUME_IN_CACHE] = VOLUME_DIR_CACHE,
    [VOLUME_IN_ZDB] = VOLUME_DIR_ZDB,
    [VOLUME_IN_BOOKINGS] = VOLUME_DIR_ZDB "/" VOLUME_DIR_BOOKINGS,
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

bool volume_takes_no_writes(int fd)
{
    struct statvfs status;
    return fstatvfs(fd, &status) == 0 && status.f_flag & ST_RDONLY;
}

bool volume_is_read_only(const struct volume *volume)
{
    return volume_takes_no_writes(volume->root);
}

void volume_pause_ms(uint64_t ms)
{
    const struct timespec time = {.tv_sec = (time_t)(ms / 1000),
                                  .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

/*
 * Whoever looks at a mount keeps it busy for that moment: another pool's walk of /proc, df. The
 * kernel has no event for its end, so a busy mount is tried again a few times before it counts.
 */
static int detach_patiently(const char *path, struct err *err)
{
    int rc = mounts_detach(path, err);
    for (uint64_t pause = 1; rc < 0 && err->os_errno == EBUSY && pause <= BUSY_PAUSE_MAX_MS;
         pause *= 2) {
        volume_pause_ms(pause);
        rc = mounts_detach(path, err);
    }
    if (rc == 0)
        err_clear(err);
    return rc;
}

int volume_unmount(const char *path, struct err *err)
{
    autoerr struct err own = {0};
    struct err *heard = err ? err : &own;
    struct holders holders = {0};
    int rc = detach_patiently(path, heard);
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

int volume_enter(const struct volume *volume)
{
    return volume ? keep_begin(volume->lock) : KEEP_NONE;
}

void volume_leave(int entered)
{
    keep_end(entered);
}
