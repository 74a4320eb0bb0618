/*
 * Whether a filesystem that is mounted somewhere, if only for reading, is the pool that it is taken
 * for: by its fsid, its number of devices, its descriptor, and where that is missing by its label
 * and by what it holds. Writes nothing.
 */
#include "volume_private.h"

#include "fsops.h"

#include <errno.h>
#include <string.h>

bool volume_begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static enum volume_problem check_filesystem(int root, const struct volume_spec *spec,
                                            char out_label[BTRFS_LABEL_SIZE], struct err *err)
{
    struct btrfs_filesystem filesystem;
    char fsid[UUID_TEXT_SIZE];
    int rc = btrfs_read_filesystem(root, &filesystem);
    if (rc == 0)
        rc = btrfs_read_label(root, out_label);
    if (rc < 0) {
        (void)err_errno(err, -rc, spec->fsid, "cannot read what filesystem this is");
        return VOLUME_PROBLEM_CORRUPT;
    }
    uuid_format(filesystem.fsid, fsid);
    if (strcmp(fsid, spec->fsid) != 0) {
        (void)err_set(err, ERR_FAILED_PRECONDITION, 0, spec->fsid, "the filesystem is %s", fsid);
        return VOLUME_PROBLEM_WRONG_FSID;
    }
    if (filesystem.n_devices != spec->n_members) {
        (void)err_set(err, ERR_FAILED_PRECONDITION, 0, spec->fsid,
                      "the filesystem has %llu devices, and %zu are here",
                      (unsigned long long)filesystem.n_devices, spec->n_members);
        return VOLUME_PROBLEM_OTHER_DISKS;
    }
    return VOLUME_PROBLEM_NONE;
}

/* Without a descriptor it may be unfinished, if its label says so and nothing speaks against it. */
static enum volume_problem judge_unfinished(int root, const struct volume_spec *spec,
                                            const char *label, struct err *err)
{
    if (!spec->unfinished || !volume_begins(label, VOLUME_LABEL_NEW)) {
        (void)err_set(err, ERR_NOT_FOUND, 0, spec->fsid, "it has no pool descriptor");
        return volume_begins(label, VOLUME_LABEL) ? VOLUME_PROBLEM_NO_DESCRIPTOR
                                                  : VOLUME_PROBLEM_NOT_OURS;
    }
    if (!descriptor_name_valid(label + strlen(VOLUME_LABEL_NEW))) {
        (void)err_set(err, ERR_FAILED_PRECONDITION, 0, spec->fsid,
                      "its label names no pool that storaged could have made");
        return VOLUME_PROBLEM_NOT_OURS;
    }
    int rc = volume_check_empty(root, spec->fsid, err);
    if (rc == 0)
        return VOLUME_PROBLEM_NONE;
    return rc == -ERR_FAILED_PRECONDITION ? VOLUME_PROBLEM_NOT_EMPTY : VOLUME_PROBLEM_CORRUPT;
}

enum volume_problem volume_verify(int root, const struct volume_spec *spec,
                                  struct volume_verdict *out_verdict, struct err *err)
{
    uint8_t data[DESCRIPTOR_MAX];
    enum volume_problem problem = check_filesystem(root, spec, out_verdict->label, err);
    if (problem != VOLUME_PROBLEM_NONE)
        return problem;
    autoclose int meta = fsops_open_dir(root, VOLUME_DIR_META);
    ssize_t length =
        meta < 0 ? meta : fsops_get_attribute(meta, DESCRIPTOR_XATTR, data, sizeof data);
    out_verdict->has_descriptor = length >= 0;
    if (length == -ENOENT || length == -ENODATA || length == -ENOTDIR || length == -ELOOP)
        return judge_unfinished(root, spec, out_verdict->label, err);
    if (length < 0) {
        (void)err_errno(err, (int)-length, spec->fsid, "cannot read the pool descriptor");
        return VOLUME_PROBLEM_CORRUPT;
    }
    problem = descriptor_unpack(data, (size_t)length, &out_verdict->descriptor, err);
    return problem == VOLUME_PROBLEM_NONE ? descriptor_compare(&out_verdict->descriptor, spec, err)
                                          : problem;
}
