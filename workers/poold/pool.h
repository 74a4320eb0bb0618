/*
 * One pool: from the first disk that names it to its end.
 *
 * States move by the table in pool.c. While a volume is open the pool has two threads: the
 * executor, which changes things and commits once per batch, and the reaper's. Jobs carry what they
 * need; no thread but the loop's looks at a struct pool.
 */
#ifndef WORKERS_POOLD_POOL_H
#define WORKERS_POOLD_POOL_H

#include "home.h"
#include "lane/lane.h"
#include "ledger.h"
#include "order.h"
#include "reaper.h"
#include "space.h"
#include "storage/v1/disk.pb-c.h"
#include "volume/volume.h"
#include "worker/retry.h"

struct node;
struct assembly;
struct survey;

enum {
    POOLS_MAX = 256,
    POOL_CALLS_MAX = 256, /* calls that wait for one pool */
    POOL_REASON_MAX = 640,
    POOL_SETTLING_MS = 2000,
    POOL_SLOW_MS = 500,  /* in one batch: new spaces go elsewhere if they can */
    POOL_HUNG_MS = 2000, /* it is reported */
};

enum pool_state {
    POOL_WAITING, /* for a member that may still come */
    POOL_OPENING,
    POOL_MOUNTED,
    POOL_READ_ONLY,
    POOL_INCOMPLETE,
    POOL_DUPLICATE,
    POOL_FENCED,
    POOL_FAILED,
    POOL_LEAVING, /* for good: see wipe.h */
    POOL_STATES,
};

enum pool_event {
    POOL_EVENT_COMPLETE, /* all members are there: try to open it */
    POOL_EVENT_MISSING,
    POOL_EVENT_INCOMPLETE,
    POOL_EVENT_DUPLICATE,
    POOL_EVENT_UNUSABLE, /* its members do not fit together */
    POOL_EVENT_VANISHED, /* a member of the open volume, or all, are gone */
    POOL_EVENT_OPENED,
    POOL_EVENT_FENCED,
    POOL_EVENT_REFUSED,    /* it could not be opened */
    POOL_EVENT_UNWRITABLE, /* a commit failed, or the kernel takes no writes any more */
    POOL_EVENT_LEAVES,     /* it is given up as soon as its 0-db has ended */
    POOL_EVENTS,
};

/* What a pool waits for before it is opened, each for so long. */
enum pool_awaited {
    POOL_AWAITS_NOTHING,
    POOL_AWAITS_MEMBERS,  /* pools.incomplete_ms */
    POOL_AWAITS_SETTLING, /* POOL_SETTLING_MS: a disk that is still read may be a second copy */
};

struct pool_member {
    char *disk_id, *path, *serial;
    uint64_t devid, size_bytes;
};

/* The end of a pool, see pool_end.h. */
enum pool_end {
    POOL_END_MOUNTED,
    POOL_END_UNMOUNTED,
    POOL_END_EMPTY,
};

struct pool_ending {
    bool begun;
    enum pool_end how;
    bool submitted;             /* the volume is being given up, or is; no job may follow */
    bool lanes_closed;          /* or closing */
    unsigned handles;           /* lanes and timers that have not closed */
    char left[POOL_REASON_MAX]; /* what could not be given up */
    void (*ended)(struct pool *pool, void *data);
    void *data;
};

struct pool {
    struct node *node;
    char fsid[UUID_TEXT_SIZE];
    enum pool_state state;
    char reason[POOL_REASON_MAX]; /* of the state; "" if there is nothing to say */

    const char *told_topic; /* the last event about its state */
    char told_reason[POOL_REASON_MAX];

    /* As its disks say it, then as its descriptor does. */
    char name[VOLUME_NAME_MAX + 1];
    Storage__V1__DiskType type;
    char type_evidence[128];
    const char *quota_mode; /* "" until it was open */
    uint64_t created_us;
    struct pool_member *members;
    size_t n_members;

    struct lane *executor, *reaping;
    struct volume *volume; /* NULL unless open */
    char path[PATH_MAX];   /* "" until it was open */
    size_t n_jobs;         /* in either lane */
    bool moving;           /* a job that opens or closes it is in flight */
    bool opened_once;      /* its spaces are known */
    uint64_t tried_stamp;  /* of the assembly that was opened last */
    struct retry retry;    /* of an open that may go better later */
    bool retry_due;
    uint64_t tried_ms;
    enum pool_awaited awaited;
    bool patience_over;  /* for what is awaited */
    uv_timer_t patience; /* the wipe's, once it is LEAVING */

    struct ledger ledger;
    struct order objects; /* struct space with a quota group, by its number: built, live, dying,
                             the cache, the 0-db's directory */
    struct space *cache;  /* NULL: it has none */
    struct home home;     /* of its 0-db */
    bool cache_bound;     /* was found bound on the cache path when it was opened */
    struct reaper reaper;
    unsigned n_live, n_bookings;
    bool cramped;     /* the kernel had no room to note another space: none is placed here until a
                         survey, or until something was reaped */
    unsigned n_scans; /* how often it was opened */
    struct pool_opening *opening; /* waits for the reaper's thread, or is on its own */
    size_t n_calls;               /* that wait for it */

    struct pool_ending ending;
    bool surveying;
    uint64_t *nested; /* subvolumes inside spaces that were reported, sorted */
    size_t n_nested;
    uint64_t *gone_groups; /* reaped while a survey was on its way */
    size_t n_gone_groups;
};

/* Makes a pool that nothing is known of, with its threads. */
int pool_new(struct node *node, const char *fsid, struct pool **out_pool, struct err *err);
/* Frees one whose handles are closed; see pool_end(). */
void pool_free(struct pool *pool);

/* Looks at its disks again, and does what follows. */
void pool_review(struct pool *pool);
/* True for a pool that was never open and that no disk carries any more. */
bool pool_is_forgotten(const struct pool *pool);

/* Moves it by the table; an illegal move is logged and refused. */
bool pool_move(struct pool *pool, enum pool_event event, const char *reason);

/* Has it opened again after a while: a fenced one soon, since nobody tells when the predecessor's
 * thread is gone; any other in longer and longer turns. */
void pool_retry_later(struct pool *pool, bool fenced);

/* Takes changes. */
bool pool_is_serving(const struct pool *pool);
/* Its directories can be read. */
bool pool_is_mounted(const struct pool *pool);
/* "failed", "fenced", … as it was last told, also while it is tried again; NULL: it is well. */
const char *pool_trouble(const struct pool *pool);
bool pool_is_slow(const struct pool *pool);
/* What one more space could get, its headroom included. */
uint64_t pool_free_bytes(const struct pool *pool);
const char *pool_state_name(enum pool_state state);
/* "pool <fsid>: <reason>" for whoever asks for something that it has. */
int pool_refuse(const struct pool *pool, struct err *err);

#endif
