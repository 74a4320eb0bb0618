/*
 * The first pool: where no disk carries one of ours, one is made on the first blank SSD, else HDD.
 * diskd prepares the disk; what it made then appears as an unfinished pool and is opened like any
 * other. None is made after a wipe, until the next boot. Of the loop.
 */
#ifndef WORKERS_POOLD_BOOT_H
#define WORKERS_POOLD_BOOT_H

#include "base/error.h"
#include "worker/retry.h"

#include <stdbool.h>

struct node;

struct boot {
    struct node *node;
    bool preparing;       /* diskd is at it */
    bool wiped;           /* the operator wiped a pool, and none was opened since */
    unsigned asked_lists; /* disks.n_lists when a fresh list was asked for; 0: was not */
    char reason[ERR_MESSAGE_MAX + 128]; /* why there is no pool; "" while there is one */
    char disk[64];                      /* that diskd prepares, or that it could not */
    unsigned n_failures;                /* in a row */
    struct retry retry;
};

void boot_init(struct boot *boot, struct node *node);

/* Makes the first pool if there is none and it is known that there is none. */
void boot_review(struct boot *boot);
/* The operator wipes a pool: he does not want it back, in this boot, unless he makes one himself.
 */
void boot_give_up(struct boot *boot);
/* A pool was opened. */
void boot_opened(struct boot *boot);
/* A disk has come or changed: a failed attempt is not put off any longer, unless it is the very
 * disk that failed, which changes by each attempt. */
void boot_hurry(struct boot *boot, const char *path);

#endif
