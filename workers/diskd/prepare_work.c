/* The jobs of a preparation: of the lane of one disk, which may block. */
#include "prepare_private.h"

#include "claim.h"
#include "mkfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

enum { POOL_LABEL_MAX = 32 };

static void probe_entry(struct prepare_entry *entry, bool claim)
{
    const struct probe_request request = {
        .path = entry->device.path,
        .major = entry->device.major,
        .minor = entry->device.minor,
        .diskseq = entry->device.diskseq,
        .claim = claim,
    };
    probe_disk(&request, &entry->report, &entry->claim);
}

void prepare_work_claim(struct lane_job *job)
{
    probe_entry(prepare_entry_of(job), true);
}

void prepare_work_release(struct lane_job *job)
{
    struct prepare_entry *entry = prepare_entry_of(job);
    (void)close(take_fd(&entry->claim));
}

static void verify(struct prepare_entry *entry)
{
    const struct superblock *super = &entry->report.super;
    if (entry->report.outcome != PROBE_READ || !entry->report.has_super || !super->intact ||
        strcmp(super->fsid, entry->fsid) != 0)
        err_set(&entry->err, ERR_DATA_LOSS, 0, entry->id,
                "mkfs.btrfs ended well, but the filesystem cannot be read back from %s",
                entry->device.path);
}

void prepare_work_make(struct lane_job *job)
{
    struct prepare_entry *entry = prepare_entry_of(job);
    char label[POOL_LABEL_MAX];
    autoclose int guard = -1;
    int rc = claim_open(entry->claim, entry->device.path, O_RDONLY, entry->id, &guard, &entry->err);
    if (rc == 0)
        (void)flock(guard, LOCK_EX | LOCK_NB); /* systemd.io/BLOCK_DEVICE_LOCKING: a courtesy */
    (void)close(take_fd(&entry->claim));
    (void)snprintf(label, sizeof label, POOL_LABEL_UNFINISHED_PREFIX "%s", entry->name);
    if (rc == 0)
        rc = mkfs_btrfs(entry->device.path, entry->fsid, label, entry->mkfs_ms, entry->stop_fd,
                        &entry->err);
    probe_entry(entry, false);
    if (rc == 0)
        verify(entry);
}
