/*
 * A disk and the registry of all disks: the loop's state. registry.c owns the set, looks.c reads
 * the disks, verdicts.c says what they are and tells it.
 */
#ifndef DISKD_DISK_H
#define DISKD_DISK_H

#include "classify.h"
#include "lane/lane.h"
#include "watch.h"
#include "worker/worker.h"

enum {
    DISK_ID_MAX = 2 * SYSFS_TEXT_MAX + SYSFS_NAME_MAX + 16,
    DISK_WAITERS_MAX = 256, /* Probe calls that wait for one disk */
};

struct registry;
struct disk;
struct look;

/* Somebody who waits for a look at a disk that begins after he came. */
struct disk_waiter {
    struct disk_waiter *next;
    /* Called once, and the waiter is the caller's again; `disk` is NULL when the disk is gone or
     * diskd stops. */
    void (*done)(struct disk_waiter *waiter, struct disk *disk);
};

struct disk {
    struct registry *registry;
    struct disk *next; /* in the order of their names, numbers by value */

    struct sysfs_device device;
    struct sysfs_identity identity;
    struct disk_usage use;
    struct probe_report *report; /* of the last probe; NULL: none yet, or somebody took the disk */
    uint64_t probes;
    bool identified; /* `identity` has been read */
    bool announced;  /* disk.added has been published */
    char id[DISK_ID_MAX];

    struct disk_verdict verdict;
    Storage__V1__DiskType type;
    char type_evidence[CLASSIFY_EVIDENCE_MAX];
    uint8_t *news; /* what was last published, packed */
    size_t news_size;

    struct lane *lane; /* opened at the first look */
    struct look *look; /* on the lane */
    bool again;        /* another look is due after this one */
    bool late;         /* the look is past its deadline */
    bool resting;      /* a look has just ended: the next one waits a moment */
    uv_timer_t timer;  /* the deadline while a look is out, else the rest */
    struct disk_waiter *waiting, *waiting_next; /* for the look that is out; for the next one */
    unsigned n_waiters;

    bool engaged; /* an operation has the disk: no looks meanwhile */
    void (*gone)(void *data);
    void *gone_data;
};

/* A lane whose disk is gone, until its thread has ended. */
struct retired_lane {
    struct registry *registry;
    struct lane *lane;
    struct retired_lane *next;
};

struct registry {
    struct worker *worker;
    const char *sys, *proc; /* where they are mounted */
    unsigned holders;
    struct watch *watch;
    struct disk *disks;
    struct retired_lane *retired;
    struct usage *usage;
    bool usage_stale;
    uint64_t usage_rest_until; /* of the loop's clock */
    bool enumerated, settled, closing;
    int stop_fd; /* an eventfd: readable when operations have to end */
    uv_timer_t usage_timer;
    uv_timer_t hang_timer;
};

#endif
