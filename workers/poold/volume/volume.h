/*
 * A volume: one pool's filesystem, opened. All that touches its disks, blocking.
 *
 * Threads. A volume belongs to two lanes of one pool: its executor and its reaper. It does not
 * change after volume_open() but for one atomic counter, and holds nothing that calls share: every
 * function that takes a `const struct volume *` may run on both threads at once, on different
 * objects. The caller keeps one operation in flight per object (a space's id; the cache).
 * volume_open() and volume_close() have the volume for themselves. No function calls back into the
 * loop; callbacks run on the calling thread before the function returns.
 *
 * Errors. 0 or a negative enum err_code; `err` names the object. Where a change fails, what this
 * call made is undone and nothing else; what it could not undo is `building` or `dying` by its
 * record and goes with the next reap. A kill between any two system calls leaves the same.
 *
 * Durability. Nothing that is applied is durable before volume_commit() returned 0. When that
 * fails, nothing of the group may be acknowledged: turn the pool read-only, and read it again at
 * its next open.
 */
#ifndef WORKERS_POOLD_VOLUME_H
#define WORKERS_POOLD_VOLUME_H

#include "base/error.h"
#include "holders.h"
#include "record.h"

#include <limits.h>

struct volume;

enum {
    VOLUME_MEMBERS_MAX = 64,
    VOLUME_NAME_MAX = 64, /* of a pool: 1..64 of [A-Za-z0-9._-], no dot first */
};

/* Labels of the filesystem: "storaged:new:<name>" until it is finished, then "storaged:<name>". */
#define VOLUME_LABEL_NEW "storaged:new:"
#define VOLUME_LABEL     "storaged:"

/* ---- opening -------------------------------------------------------------------------------- */

/* Why a pool could not be opened. */
enum volume_problem {
    VOLUME_PROBLEM_NONE,
    VOLUME_PROBLEM_NOT_OURS,      /* label and descriptor are not ours */
    VOLUME_PROBLEM_NO_DESCRIPTOR, /* labelled as ours, and has no descriptor */
    VOLUME_PROBLEM_NOT_EMPTY,     /* labelled unfinished, and holds what finishing would not make */
    VOLUME_PROBLEM_WRONG_FSID,    /* descriptor or filesystem say another fsid than was read */
    VOLUME_PROBLEM_TOO_NEW,       /* a version or feature bit that we do not know */
    VOLUME_PROBLEM_CORRUPT,       /* descriptor fails its checksum or makes no sense; I/O errors */
    VOLUME_PROBLEM_OTHER_DISKS,   /* members or their serials are not those of the descriptor */
    VOLUME_PROBLEM_QUOTA,         /* quotas off, or in another mode than the descriptor says */
    VOLUME_PROBLEM_PATH_TAKEN,    /* something else is mounted, or stands, where it would be */
    VOLUME_PROBLEM_MOUNT_FAILED,  /* the kernel refused; err carries its errno */
    VOLUME_PROBLEM_FENCED,        /* a predecessor's thread still holds it: try again later */
    VOLUME_PROBLEM_FINISH_FAILED, /* still unfinished: may be tried again */
    VOLUME_PROBLEM_INTERNAL,      /* no memory, no descriptors, an invalid spec */
};

/* "wrong-fsid" */
const char *volume_problem_name(enum volume_problem problem);

/* One member disk, as diskd has just read it. Texts are borrowed for the call. */
struct volume_member {
    const char *path; /* "/dev/sda" */
    uint64_t devid;
    const char *serial;  /* "" where the hardware has none */
    const char *disk_id; /* diskd's stable id */
    uint32_t major, minor;
};

/* What diskd said, and where to put it. Texts and members are borrowed for the call. */
struct volume_spec {
    const char *mount_root; /* absolute; made (0711) if missing; its parent must exist */
    const char *fsid;
    const char *label;                   /* as diskd read it; the filesystem's own is what counts */
    const struct volume_member *members; /* all of them */
    size_t n_members;
    const char *cache_path; /* where its cache may be bound: let go with a dead mount; or NULL */
    bool log_pending;       /* the peek then must not replay: rescue=nologreplay */
    bool unfinished;        /* the label begins with VOLUME_LABEL_NEW: finish it */
    /* Used for the descriptor when finishing; a finished pool keeps what it was made with. */
    Storage__V1__DiskType disk_type;
    const char *type_evidence;
};

enum volume_quota {
    VOLUME_QUOTA_SIMPLE = 1, /* "squota" */
    VOLUME_QUOTA_FULL = 2,   /* "qgroup" */
};

/* "squota", "qgroup": as sysfs and PoolInfo.quota_mode say it. */
const char *volume_quota_name(enum volume_quota quota);

/* What an open volume is; lives as long as the volume. */
struct volume_info {
    char fsid[UUID_TEXT_SIZE];
    char uuid[UUID_TEXT_SIZE];      /* of the pool, from its descriptor */
    char name[VOLUME_NAME_MAX + 1]; /* from its descriptor */
    char path[PATH_MAX];            /* "<mount root>/<fsid>" */
    Storage__V1__DiskType disk_type;
    char type_evidence[128];
    enum volume_quota quota;
    uint64_t created_us;
    size_t n_members;
    bool adopted;  /* was mounted already: taken over */
    bool finished; /* was unfinished: this open finished it */
};

/*
 * Verifies and opens. A mount of ours at <mount root>/<fsid> is taken over; else the filesystem is
 * peeked at through a detached read-only mount, and only when its descriptor fits the spec mounted
 * for good: nosuid,nodev,noatime, its members named by device=, moved onto <mount root>/<fsid>.
 * A mount of ours whose filesystem runs on other devices than the spec's members, because its disk
 * went away and came back, or that takes no writes any more, is dead: it is unmounted and not taken
 * over, and so is the bind of its cache. While somebody still uses it that fails (MOUNT_FAILED, the
 * holders named): the kernel mounts no second filesystem of one fsid. An unfinished one is finished
 * before anyone can see it. On return the pool's lock is held, and record states are as found: scan
 * next.
 *
 * On failure *out_problem says which, and nothing is mounted that was not before; the disks were
 * written to only if the problem is FENCED, QUOTA, PATH_TAKEN (a mount for good writes),
 * MOUNT_FAILED, FINISH_FAILED or INTERNAL. `err` and `out_problem` must not be NULL.
 */
int volume_open(const struct volume_spec *spec, struct volume **out_volume,
                enum volume_problem *out_problem, struct err *err);

const struct volume_info *volume_info(const struct volume *volume);

/*
 * Gives the lock up and frees the volume, always; `volume` may be NULL. With `unmounting`, also
 * unmounts (never lazily): FAILED_PRECONDITION names the holders, and the mount stays as it is, to
 * be opened again. The cache must be unbound first.
 */
int volume_close(struct volume *volume, bool unmounting, struct err *err);

/* Makes durable all that was applied before the call, by either thread; see btrfs_commit(). */
int volume_commit(const struct volume *volume, struct err *err);

/*
 * Between the two a thread works on the volume: should it hang there when the process is aborted,
 * the pool's lock stays until it is gone, and a successor is fenced. NULL is no volume. What
 * volume_open() does itself is guarded.
 */
int volume_enter(const struct volume *volume);
void volume_leave(int entered);

/* Whether the kernel takes no writes any more: it stops them by itself after an error. Blocks as
 * statfs(2) does. */
bool volume_is_read_only(const struct volume *volume);

/* ---- finding what is there ------------------------------------------------------------------ */

enum volume_place {
    VOLUME_IN_SPACES,
    VOLUME_IN_WEAK,
    VOLUME_IN_CACHE,
    VOLUME_IN_ZDB,
    VOLUME_IN_BOOKINGS,
    VOLUME_AT_TOP,
};

/* "spaces" */
const char *volume_place_name(enum volume_place place);

/* One entry found. Lives for the callback. */
struct volume_object {
    enum volume_place place;
    const char *name;               /* of the directory entry; hostile: any bytes but '/' and NUL */
    const struct record *record;    /* NULL: not known to us, left alone, see reason */
    const struct record_note *note; /* with a record */
    const char *reason;             /* without a record: why not, in words */
    bool has_data;                  /* with a record: the subvolume `data` is there */
};

/* Returns 0 to go on; anything else ends the walk and is its result. */
typedef int (*volume_object_fn)(const struct volume_object *object, void *data);

/*
 * Every entry of spaces/, weak/ and zdb/bookings/, the cache and the 0-db's directory (only when
 * they have a record), and whatever else lies at the top. Live, building and dying come as they
 * are, but for bookings, of which only live ones are reported. A record in another's directory (id
 * and entry name differ) is reported as unknown, and so is a live one in weak/. Must have run to
 * its end once before the first volume_build_space() or volume_cache_ensure(), which take their
 * quota groups from beyond what it saw. 10 000 spaces take about 50 ms when cached.
 */
int volume_scan(struct volume *volume, volume_object_fn fn, void *data, struct err *err);

/* "<path>/spaces/<id>/data": where a space's user finds it. -ERR_INVALID_ARGUMENT if too long. */
int volume_space_path(const struct volume *volume, const char *id, char out_path[PATH_MAX]);

/* The record of a space, live or dying; NOT_FOUND, or as record_unpack(). */
int volume_read_record(const struct volume *volume, const char *id, struct record *out_record,
                       struct err *err);

/* ---- spaces --------------------------------------------------------------------------------- */

/*
 * Builds a live space: applied, not durable. The caller fills id (fresh), name, request_id,
 * request_uid, disk_type, size_bytes, limit_bytes, uid, gid, mode, created_us; this fills kind,
 * state, generation and qgroup, which the ledger needs. ALREADY_EXISTS when the id is taken;
 * RESOURCE_EXHAUSTED when the filesystem is full.
 */
int volume_build_space(struct volume *volume, struct record *record, struct err *err);

/*
 * Marks a space as released: applied, not durable. Works on a full filesystem. Also OK when it is
 * dying already; NOT_FOUND when there is none in spaces/ or weak/. Ask volume_find_holders()
 * before.
 */
int volume_mark_dying(const struct volume *volume, const char *id, struct err *err);

/* The opposite, for a release whose holders appeared before the commit. */
int volume_mark_live(const struct volume *volume, const char *id, struct err *err);

enum volume_reaped {
    VOLUME_REAP_GONE,    /* nothing is left of it; durable with the next commit */
    VOLUME_REAP_NOT_YET, /* the kernel still drops its subvolumes: call again in a while */
    VOLUME_REAP_CHARGED, /* subvolumes gone, but its extents live on in other subvolumes (reflinks),
                            so its quota group has to stay; book remaining_bytes; call again later
                          */
};

struct volume_reap_result {
    enum volume_reaped reaped;
    unsigned subvolumes;      /* destroyed by this call, nested ones included */
    uint64_t remaining_bytes; /* still charged to its group, as last written by the kernel */
};

/*
 * Takes one more turn at destroying a space that is dying or building by its record: lifts its
 * limits, moves it to weak/ if that can be done, destroys its nested subvolumes deepest first and
 * then its own, removes its quota groups once the kernel has dropped them, and its directory last,
 * so that every leftover still carries its record. Commits between the steps that need it. Waits
 * for the kernel's cleaner at most wait_ms. Idempotent; OK (GONE) when there is nothing of that id.
 * FAILED_PRECONDITION when the record is live, which is never destroyed. Ask
 * volume_find_holders() before.
 */
int volume_reap(const struct volume *volume, const char *id, uint32_t wait_ms,
                struct volume_reap_result *out_result, struct err *err);

/* Whether a space may be destroyed; one walk of /proc answers for all claims. */
struct volume_claim {
    const char *id;         /* in spaces/ or weak/; one that is not there is held by nobody */
    int rc;                 /* not 0: of this one it cannot be told, and it may be held */
    struct err *err;        /* the caller's, for that; or NULL */
    struct holders holders; /* zero before; holders_clear() after; see holders_refuse() */
};
int volume_find_holders(const struct volume *volume, struct volume_claim *claims, size_t n_claims,
                        struct err *err);

/* ---- nested subvolumes ---------------------------------------------------------------------- */

/* A subvolume that somebody made inside a space or the cache. Lives for the callback. */
struct volume_nested {
    const char *id;             /* of the space or cache it lies in */
    uint64_t subvolume;         /* its subvolume id */
    uint64_t group;             /* n of the quota group 1/<n> that it is in */
    const char *path;           /* from the filesystem's top */
    bool assigned;              /* it was not in its space's quota group, and is now */
    unsigned memberships_taken; /* of foreign quota groups that it was in */
};
typedef int (*volume_nested_fn)(const struct volume_nested *nested, void *data);

/*
 * Finds all nested subvolumes of the pool, puts each under its space's quota group alone, and
 * reports every one of them (the caller tells those it knows from new ones). For after an open,
 * every 30 s, and before reading a usage that matters. Applied, not durable.
 */
int volume_adopt_nested(const struct volume *volume, volume_nested_fn fn, void *data,
                        struct err *err);

/* ---- usage and limits ----------------------------------------------------------------------- */

#define VOLUME_NO_LIMIT UINT64_MAX

/* A quota group, as the kernel wrote it with its last commit. */
struct volume_group {
    unsigned level;       /* 1: a space's or the cache's; 0: a subvolume's own */
    uint64_t number;      /* n of 1/<n>; the subvolume id of 0/<id> */
    uint64_t usage_bytes; /* charged to it */
    uint64_t limit_bytes; /* or VOLUME_NO_LIMIT */
    /*
     * Level 0: n of the group 1/<n> that it is a member of, so that what no record covers can be
     * told; 0: of none. A subvolume in several counts for the lowest.
     */
    uint64_t parent;
    unsigned n_parents; /* on any level */
};
typedef int (*volume_group_fn)(const struct volume_group *group, void *data);

/* All groups in one pass, by level and number; the top level's own 0/5 too. */
int volume_usage(const struct volume *volume, volume_group_fn fn, void *data, struct err *err);

/* The usage of 1/<n> this moment, not at the last commit (sysfs); NOT_FOUND. */
int volume_group_usage(const struct volume *volume, uint64_t n, uint64_t *out_bytes,
                       struct err *err);

/*
 * Makes the kernel enforce what a live record says: its group exists, has its limit, and `data` is
 * a member, of that alone and without a limit of its own. *out_repaired tells whether anything had
 * to be changed. Applied, not durable. Not while it may be marked dying: what is so already is
 * refused, FAILED_PRECONDITION or NOT_FOUND.
 */
int volume_enforce(const struct volume *volume, const struct record *record, bool *out_repaired,
                   struct err *err);

struct volume_capacity {
    uint64_t total_bytes;  /* raw, of all members */
    uint64_t usable_bytes; /* what may be booked in all, see capacity.h */
    uint64_t device_bytes[VOLUME_MEMBERS_MAX];
    uint64_t devids[VOLUME_MEMBERS_MAX]; /* in the order of device_bytes */
    size_t n_devices;
};
int volume_capacity(const struct volume *volume, struct volume_capacity *out_capacity,
                    struct err *err);
/* Says in figures why there was no room for another object: -ERR_RESOURCE_EXHAUSTED, ENOSPC. */
int volume_refuse_full(const struct volume *volume, struct err *err);

/* ---- the 0-db's directory ------------------------------------------------------------------- */

/*
 * Finds or makes zdb/data, and the folder of the bookings. `wanted` says whose it shall be (uid,
 * gid) and what the 0-db may use for itself (limit_bytes); one that is there stays what it was made
 * with. Never destroyed; as protected as the cache. Applied, not durable. DATA_LOSS when its
 * subvolume is not there.
 */
int volume_home_ensure(struct volume *volume, const struct record *wanted,
                       struct record *out_record, struct err *err);

/*
 * Makes the kernel enforce `limit_bytes` on it, or what is charged now where that is more, though
 * never more than it enforced before. Applied, not durable.
 */
int volume_home_limit(const struct volume *volume, const struct record *home, uint64_t limit_bytes,
                      uint64_t *out_limit_bytes, struct err *err);

/*
 * Makes a live booking in a home that is there: applied, not durable. The caller fills id (his
 * own), disk_type, size_bytes, limit_bytes, created_us and pending; this the rest. A failure leaves
 * nothing. ALREADY_EXISTS; RESOURCE_EXHAUSTED. Bookings are of the executor's thread alone.
 */
int volume_booking_make(const struct volume *volume, struct record *record,
                        const struct record_note *note, struct err *err);
/* Writes the record of a live one anew. */
int volume_booking_change(const struct volume *volume, const struct record *record,
                          const struct record_note *note, struct err *err);
/* Applied, not durable. Works on a full filesystem; OK when there is none. */
int volume_booking_end(const struct volume *volume, const struct record *record, struct err *err);
/* Removes what was never finished, and what was ended. Before the scan of an open. */
void volume_booking_sweep(const struct volume *volume);

/* ---- the cache ------------------------------------------------------------------------------ */

/*
 * Finds or makes the cache (cache/data, root's, 0755) and makes its limit `limit_bytes`. Protected:
 * no function above reaches it by its id but volume_enforce() and volume_group_usage(). Applied,
 * not durable.
 */
int volume_cache_ensure(struct volume *volume, uint64_t limit_bytes, struct record *out_record,
                        bool *out_created, struct err *err);

enum volume_bound {
    VOLUME_BOUND_NOT,     /* nothing is mounted on the path */
    VOLUME_BOUND_OURS,    /* this volume's cache is on top */
    VOLUME_BOUND_OTHER,   /* another storaged cache: of another pool, or one that is destroyed */
    VOLUME_BOUND_FOREIGN, /* a mount that is not ours */
};

/* Whose mount is on top at `path`. */
int volume_cache_bound(const struct volume *volume, const char *path, enum volume_bound *out_bound,
                       struct err *err);

/*
 * Binds the cache on `path` (made, 0755, if missing) with nosuid,nodev. Idempotent. The bind of
 * another cache of ours - the root is /cache/data and the filesystem is labelled "storaged:" - is
 * replaced; ALREADY_EXISTS for anyone else's mount, which is left alone.
 */
int volume_bind_cache(const struct volume *volume, const char *path, struct err *err);

/* Takes the bind away if it is ours, never lazily; OK when there is none. FAILED_PRECONDITION when
 * it is busy, naming the holders. */
int volume_unbind_cache(const struct volume *volume, const char *path, struct err *err);

#endif
