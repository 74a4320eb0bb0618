/* What the tests of volumes share: a pool on a disk of the harness, and a child that is killed
 * between two system calls. */
#ifndef TESTS_INTEGRATION_VOLUME_FIXTURE_H
#define TESTS_INTEGRATION_VOLUME_FIXTURE_H

#include "harness.h"
#include "volume.h"

enum { REAP_MS = 10000, OBJECTS_MAX = 64 };
#define POOL_SIZE (1536 * MiB) /* the least that leaves room for a few small spaces */

struct pool {
    struct disk *disk;
    char fsid[UUID_TEXT_SIZE];
    char mount_root[HARNESS_PATH_MAX];
    struct volume_member member;
    struct volume_spec spec;
};

/* A disk with an unfinished pool of that label, or a foreign filesystem. */
void pool_make(struct pool *pool, const char *label);
/* Makes the filesystem anew, with a new fsid. */
void pool_format(struct pool *pool, const char *label);
/* Opens it, scans it; fails the test when that fails. */
struct volume *pool_open(struct pool *pool);
/* Must be refused for this reason, whose message holds `text`. */
void pool_refused(struct pool *pool, enum volume_problem problem, const char *text);
/* Closes and unmounts. */
void pool_close(struct volume *volume);
/* Mounts the filesystem at a path of the test, with these options. */
char *pool_mount(const struct pool *pool, const char *options);

/* A space that is live and durable. */
struct record space_make(struct volume *volume, uint64_t limit_bytes);
void space_fill_record(struct record *out_record, uint64_t limit_bytes);
/* Path of something in it; the caller frees. */
char *space_path(const struct volume *volume, const struct record *record, const char *name);
/* Writes up to `bytes` to a file in it; how many there was room for. The errno is 0 or the reason.
 */
uint64_t space_write(const struct volume *volume, const struct record *record, const char *name,
                     uint64_t bytes, int *out_errno);
/* Releases and reaps it; nothing may be left. */
void space_release(struct volume *volume, const char *id);

struct found {
    size_t count;
    struct record records[OBJECTS_MAX];
    enum volume_place places[OBJECTS_MAX];
    size_t n_unknown;
    char unknown[OBJECTS_MAX][64];
    char reasons[OBJECTS_MAX][128];
};
void volume_look(struct volume *volume, struct found *out_found);

/* Reaps whatever is building or dying, as a start does. */
void volume_tidy(struct volume *volume);
/* Fails unless there are this many objects, subvolumes and groups of level 1, and no more. */
void volume_must_hold(struct volume *volume, size_t n);

/* Runs the work in a child that is killed at its n-th step; false when it ended before that. */
typedef void (*step_work)(void *data);
bool killed_at_step(long n, step_work work, void *data);

#endif
