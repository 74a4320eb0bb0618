/*
 * Whether spaces are held: gathers the devices of their subvolumes, nested ones too, closes them
 * again (an open descriptor would be a holder), and has all of /proc walked once.
 */
#include "volume_private.h"

#include "fsops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct gathered {
    dev_t *devices;
    size_t count;
    char in_spaces[64], in_weak[64];
};

static int append_device(struct gathered *gathered, int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    dev_t *grown = reallocarray(gathered->devices, gathered->count + 1, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    gathered->devices = grown;
    gathered->devices[gathered->count++] = status.st_dev;
    return 0;
}

static int gather_nested(const struct volume *volume, uint64_t top, struct gathered *gathered)
{
    struct subvolumes nested;
    int rc = subvolumes_read_nested(volume->root, top, &nested);
    if (rc < 0)
        return rc;
    if (nested.count > VOLUME_NESTED_MAX)
        rc = -E2BIG;
    for (size_t i = 0; rc == 0 && i < nested.count; i++) {
        autoclose int fd = btrfs_open_subvolume(volume->root, nested.list[i].id);
        if (fd >= 0)
            rc = append_device(gathered, fd);
        else if (fd != -ENOENT && fd != -ESTALE) /* else destroyed meanwhile */
            rc = fd;
    }
    subvolumes_free(&nested);
    return rc;
}

static int gather(const struct volume *volume, const char *id, struct gathered *gathered,
                  struct err *err)
{
    static const enum volume_place places[] = {VOLUME_IN_SPACES, VOLUME_IN_WEAK, -1};
    autoclose int object = -1;
    enum volume_place place;
    uint64_t top;
    int rc = volume_open_object(volume, id, places, &object, &place, err);
    if (rc < 0)
        return rc;
    (void)snprintf(gathered->in_spaces, sizeof gathered->in_spaces, "/" VOLUME_DIR_SPACES "/%s",
                   id);
    (void)snprintf(gathered->in_weak, sizeof gathered->in_weak, "/" VOLUME_DIR_WEAK "/%s", id);
    autoclose int data = volume_open_data(object);
    if (data == -ENOENT)
        return 0;
    rc = data < 0 ? data : append_device(gathered, data);
    if (rc == 0)
        rc = btrfs_subvolume_id(data, &top);
    if (rc == 0)
        rc = gather_nested(volume, top, gathered);
    return rc < 0 ? err_errno(err, -rc, id, "cannot tell who holds it") : 0;
}

static int find_all(const struct volume *volume, struct volume_claim *claims, size_t n_claims,
                    struct gathered *gathered, struct holders_target *targets, struct err *err)
{
    for (size_t i = 0; i < n_claims; i++) {
        int rc = gather(volume, claims[i].id, &gathered[i], claims[i].err);
        if (rc == -ERR_NOT_FOUND)
            err_clear(claims[i].err);
        claims[i].rc = rc == -ERR_NOT_FOUND ? 0 : rc;
        targets[i] =
            (struct holders_target){.devices = gathered[i].devices, .n_devices = gathered[i].count};
        if (rc == 0) {
            targets[i].paths[0] = gathered[i].in_spaces;
            targets[i].paths[1] = gathered[i].in_weak;
        }
    }
    int rc = holders_find(volume->fs_device, targets, n_claims, err);
    for (size_t i = 0; i < n_claims; i++) {
        if (rc == 0)
            claims[i].holders = targets[i].found;
        else
            holders_clear(&targets[i].found);
    }
    return rc;
}

int volume_find_holders(const struct volume *volume, struct volume_claim *claims, size_t n_claims,
                        struct err *err)
{
    autofree struct gathered *gathered = calloc(n_claims + 1, sizeof *gathered);
    autofree struct holders_target *targets = calloc(n_claims + 1, sizeof *targets);
    if (!gathered || !targets)
        return err_errno(err, ENOMEM, volume->info.fsid, "cannot look for holders");
    int rc = find_all(volume, claims, n_claims, gathered, targets, err);
    for (size_t i = 0; i < n_claims; i++)
        free(gathered[i].devices);
    return rc;
}
