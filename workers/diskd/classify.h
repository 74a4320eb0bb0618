/*
 * Classification: from what was read to what the disk is. Pure: a table of rules, of which the
 * first that holds decides.
 */
#ifndef DISKD_CLASSIFY_H
#define DISKD_CLASSIFY_H

#include "probe.h"
#include "storage/v1/disk.pb-c.h"
#include "usage.h"

enum {
    CLASSIFY_REASON_MAX = 512,
    CLASSIFY_EVIDENCE_MAX = 64,
};

/* A disk below this size is refused by Prepare: mkfs.btrfs would mix data and metadata. */
#define CLASSIFY_POOL_MIN_BYTES (UINT64_C(256) << 20)

struct disk_facts {
    uint64_t size_bytes;
    bool read_only;
    const struct disk_usage *use;
    const struct probe_report *report; /* of the last probe; NULL: there was none */
    uint32_t late_ms;                  /* the probe is past this deadline, and still out; 0: no */
    const char *twin;                  /* a disk with the same (fsid, devid), or NULL */
    int rotational;                    /* -1: not told */
    bool said_ssd, said_hdd;           /* by the config */
};

struct disk_verdict {
    Storage__V1__DiskState state;
    char reason[CLASSIFY_REASON_MAX];
    bool shows_pool; /* the superblock is part of the answer */
};

void classify_state(const struct disk_facts *facts, struct disk_verdict *out_verdict);

/* Prepare may make a pool on it. When it is blank and may not, the reason says why. */
bool classify_is_preparable(const struct disk_verdict *verdict, uint64_t size_bytes);

Storage__V1__DiskType classify_type(const struct disk_facts *facts,
                                    char out_evidence[CLASSIFY_EVIDENCE_MAX]);

/* "ext4 at 1080, gpt at 512": all that was found, or "" */
void classify_list_signatures(const struct probe_report *report, char *out, size_t size);

#endif
