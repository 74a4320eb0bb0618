/*
 * A survey: what a volume's quota groups, nested subvolumes and devices say at one moment. Taken on
 * the pool's thread, applied to the books on the loop.
 */
#ifndef WORKERS_POOLD_SURVEY_H
#define WORKERS_POOLD_SURVEY_H

#include "volume/volume.h"

#include <stdbool.h>

enum { SURVEY_NESTED_MAX = 65536 }; /* listed; more are put in their groups all the same */

struct survey_group { /* 1/<number> */
    uint64_t number;
    uint64_t usage_bytes;
    uint64_t limit_bytes; /* or VOLUME_NO_LIMIT */
    uint64_t members;     /* subvolumes in it, but for nested ones */
    bool is_odd;          /* one of them has a limit of its own, or is in other groups besides */
};

struct survey_nested {
    uint64_t subvolume;
    uint64_t group; /* that it is in */
    char *path;
    char id[UUID_TEXT_SIZE]; /* of what it lies in */
    bool changed;            /* its quota groups were put right */
};

/* Zero-initialise; survey_free() when done, also after a failure. */
struct survey {
    struct survey_group *groups; /* by number */
    size_t n_groups;
    uint64_t orphan_bytes; /* charged to subvolumes that are in no group, but for the top's own */
    uint64_t top_bytes;    /* charged to the filesystem's top level */
    struct survey_nested *nested;
    size_t n_nested;
    struct volume_capacity capacity;
    bool changed; /* nested subvolumes were put in their groups: commit */
};

int survey_take(const struct volume *volume, struct survey *out_survey, struct err *err);
void survey_free(struct survey *survey);

#endif
