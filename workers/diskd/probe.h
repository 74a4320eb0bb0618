/*
 * Reading a disk: everything on it that anybody would recognise, and its btrfs superblock. Never
 * writes. Blocks for as long as the disk does: for the disk's own lane.
 */
#ifndef DISKD_PROBE_H
#define DISKD_PROBE_H

#include "superblock.h"

enum {
    PROBE_SIGNATURES_MAX = 16, /* kept; `n_found` counts further ones */
    PROBE_TEXT_MAX = 160,
};

struct signature {
    char type[32];
    uint64_t offset_bytes;
    char usage[24];
    char label[SUPERBLOCK_LABEL_MAX + 1];
    char uuid[48];
};

enum probe_outcome {
    PROBE_READ,    /* all that is looked at could be read */
    PROBE_FAILED,  /* it could not: os_errno and `failure` say what */
    PROBE_CLAIMED, /* somebody holds the disk exclusively */
    PROBE_CHANGED, /* another medium is in it than the one asked for */
};

struct probe_report {
    enum probe_outcome outcome;
    int os_errno;
    char failure[PROBE_TEXT_MAX]; /* "reading at 65536" */
    struct signature signatures[PROBE_SIGNATURES_MAX];
    size_t n_signatures, n_found;
    bool has_super;
    bool wipe_begun; /* a wipe was cut off, and nothing that libblkid knows stands there since */
    struct superblock super;
};

struct probe_request {
    const char *path;
    uint32_t major, minor;
    uint64_t diskseq; /* 0: not checked */
    bool claim;       /* hold the disk exclusively (O_EXCL) over the probe, and after it */
};

/* *out_claim is the descriptor of a claim that is to be closed, else -1. */
void probe_disk(const struct probe_request *request, struct probe_report *out_report,
                int *out_claim);

#endif
