/* What the files of a volume share; see volume.h for what it is and who may call what. */
#ifndef WORKERS_POOLD_VOLUME_PRIVATE_H
#define WORKERS_POOLD_VOLUME_PRIVATE_H

#include "base/cleanup.h"
#include "btrfs.h"
#include "descriptor.h"
#include "subvolumes.h"
#include "volume.h"

#include <stdatomic.h>

/* The layout below the top of the filesystem. */
#define VOLUME_DIR_META     ".storaged"
#define VOLUME_DIR_WEAK     "weak"
#define VOLUME_DIR_SPACES   "spaces"
#define VOLUME_DIR_CACHE    "cache"
#define VOLUME_DIR_ZDB      "zdb"
#define VOLUME_DIR_BOOKINGS "bookings" /* in zdb */
#define VOLUME_DATA         "data"     /* the subvolume in an object's directory */

enum { VOLUME_NESTED_MAX = 65536 }; /* subvolumes in one space; one with more is not reaped */

struct volume {
    struct volume_info info;
    int root; /* the top directory */
    int lock; /* .storaged, with its flock */
    int weak, spaces;
    dev_t fs_device; /* of the superblock, as mountinfo has it */
    _Atomic uint64_t next_group;
    atomic_bool scanned;
};

/* ---- volume.c ------------------------------------------------------------------------------- */

/* For what the kernel announces by no event: a pool's own thread waits, never the loop. */
void volume_pause_ms(uint64_t ms);

/* Takes the mount on top at `path` away, never lazily; names the holders when it is busy. */
int volume_unmount(const char *path, struct err *err);

/* Whether the kernel takes no writes for what `fd` lies on. */
bool volume_takes_no_writes(int fd);

/* ---- volume_cache.c ------------------------------------------------------------------------- */

/* Opens the top of the cache that is bound on `path`, if it is that of this filesystem; -errno. */
int volume_open_bound_cache(const char *path, const char *fsid);

/* ---- volume_verify.c: is it the pool of that spec -------------------------------------------- */

struct volume_verdict {
    char label[BTRFS_LABEL_SIZE]; /* the filesystem's own */
    bool has_descriptor;          /* else it is unfinished, and may be finished */
    struct descriptor descriptor;
};

/* Whether `text` begins with `prefix`. */
bool volume_begins(const char *text, const char *prefix);

/*
 * All that can be told without writing. NONE with a descriptor: a pool, of those disks. NONE
 * without: unfinished, and nothing speaks against finishing it.
 */
enum volume_problem volume_verify(int root, const struct volume_spec *spec,
                                  struct volume_verdict *out_verdict, struct err *err);

/* ---- volume_finish.c: what a pool must have ------------------------------------------------- */

/* The quota mode that is on, 0 when none is; sysfs. */
int volume_quota_mode(const char *fsid, enum volume_quota *out_quota, struct err *err);

/* Whether the top holds nothing but what finishing makes, and nothing in that. */
int volume_check_empty(int root, const char *fsid, struct err *err);

/*
 * Makes of the filesystem the pool of that descriptor, from any point where it was left; durable on
 * return. `lock` holds the lock. Not `fresh`: the descriptor is on disk, only the label is missing;
 * else this fills its quota mode.
 */
int volume_finish(int root, int lock, struct descriptor *descriptor, bool fresh, struct err *err);

/* ---- volume_space.c: objects in their directories ------------------------------------------- */

/* Opens the directory of an object: the first of the places (-1 ends) that has it. */
int volume_open_object(const struct volume *volume, const char *id, const enum volume_place *places,
                       int *out_fd, enum volume_place *out_place, struct err *err);

/* Its record. NOT_FOUND when it has none. */
int volume_load_record(int fd, const char *object, struct record *out_record, struct err *err);
/* `out_note` may be NULL. */
int volume_load_noted(int fd, const char *object, struct record *out_record,
                      struct record_note *out_note, struct err *err);
int volume_store_record(int fd, const struct record *record, struct err *err);

/*
 * Builds an object in weak/<id> and moves it to `to_name` in `to_dir`; `flags` are those of
 * renameat2(). The record is live in the end.
 */
int volume_build(struct volume *volume, struct record *record, int to_dir, const char *to_name,
                 unsigned flags, struct err *err);

/* Opens `data` in an object's directory. -ENOENT, or -ENOTDIR when it is no subvolume. */
int volume_open_data(int object_fd);

/* ---- volume_usage.c ------------------------------------------------------------------------- */

/* Its quota group exists and has its limit; 0 or -errno. *repaired turns true if it was not so. */
int volume_enforce_limit(const struct volume *volume, const struct record *record, bool *repaired);

/* What is charged to a group this moment; 0, or -errno: -ENOENT when there is none. */
int volume_read_charge(const char *fsid, unsigned level, uint64_t number, uint64_t *out_bytes);

#endif
