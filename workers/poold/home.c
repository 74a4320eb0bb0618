/* The home's books. Sums are of 128 bits, as the ledger's, and are cut off where a limit is set. */
#include "home.h"

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "executor.h"
#include "node.h"
#include "pool_books.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { OVERHEAD_DIVISOR = 4, OVERHEAD_LEAST = 64 * 1024 * 1024 };

static uint64_t clamp(ledger_sum sum)
{
    return sum > UINT64_MAX ? UINT64_MAX : (uint64_t)sum;
}

/* ---- how much ---- */

uint64_t home_limit(uint64_t size_bytes, uint64_t overhead_bytes)
{
    uint64_t extra = size_bytes / OVERHEAD_DIVISOR + OVERHEAD_LEAST;
    return clamp((ledger_sum)size_bytes + (extra < overhead_bytes ? extra : overhead_bytes));
}

uint64_t home_largest(const struct node *node, uint64_t room_bytes)
{
    uint64_t overhead = node->settings->zdb_overhead_bytes, least = 0, most = room_bytes;
    while (least < most) {
        uint64_t middle = most - (most - least) / 2;
        if (home_limit(middle, overhead) <= room_bytes)
            least = middle;
        else
            most = middle - 1;
    }
    return least;
}

uint64_t home_room(const struct pool *pool)
{
    uint64_t room = pool_free_bytes(pool), needs = pool->home.space ? 0 : HOME_ALLOWANCE;
    return room > needs ? room - needs : 0;
}

/* ---- whose ---- */

static bool is_taken(const struct node *node, uint32_t uid)
{
    for (size_t i = 0; i < node->n_pools; i++) {
        const struct space *space = node->pools[i]->home.space;
        if (space && space->record.uid == uid)
            return true;
    }
    return false;
}

/* Told by the pool, so that a pool has the same one wherever it is made; the next one where that is
 * another pool's. With more pools than uids they are shared. */
static uint32_t choose_uid(const struct pool *pool)
{
    const struct settings_range *uids = &pool->node->settings->zdb_uids;
    uint64_t n = (uint64_t)uids->last - uids->first + 1;
    uint64_t at = crc32c(0, pool->fsid, strlen(pool->fsid)) % n;
    for (uint64_t i = 0; i < n && i < POOLS_MAX; i++) {
        uint32_t uid = uids->first + (uint32_t)((at + i) % n);
        if (!is_taken(pool->node, uid))
            return uid;
    }
    return uids->first + (uint32_t)at;
}

/* ---- the ledger ---- */

/* Whether it fits or not: it is enforced already. */
static void set_own_bytes(struct pool *pool, uint64_t bytes)
{
    struct booking *booking = &pool->home.space->booking;
    uint64_t usage = booking->usage_bytes;
    ledger_release(&pool->ledger, booking);
    ledger_adopt(&pool->ledger, booking, BOOKING_LIVE, bytes, usage);
}

static void drop_home(struct pool *pool)
{
    struct space *space = take_ptr(pool->home.space);
    order_remove(&pool->objects, space);
    ledger_release(&pool->ledger, &space->booking);
    space_free(space);
}

/* True if it was not made, and nobody waits for that any more. */
static bool drop_unmade(struct pool *pool)
{
    const struct home *home = &pool->home;
    if (home->n_changes > 0 || home->promised > 0 || home->space->record.id[0])
        return false;
    drop_home(pool);
    return true;
}

/* One that is not made yet, nor booked. */
static struct space *new_home(struct pool *pool)
{
    struct space *space = space_new(pool);
    if (!space)
        return NULL;
    space->record.kind = RECORD_KIND_HOME;
    space->record.uid = space->record.gid = choose_uid(pool);
    space->record.limit_bytes = HOME_ALLOWANCE;
    return space;
}

int home_reserve_own(struct pool *pool)
{
    if (pool->home.space)
        return 0;
    struct space *space = new_home(pool);
    if (!space)
        return -ERR_RESOURCE_EXHAUSTED;
    if (ledger_reserve(&pool->ledger, &space->booking, HOME_ALLOWANCE) < 0) {
        space_free(space);
        return -ERR_RESOURCE_EXHAUSTED;
    }
    pool->home.space = space;
    return 0;
}

int home_reserve(struct pool *pool, struct space *booking, uint64_t limit_bytes)
{
    bool had_home = pool->home.space;
    int rc = home_reserve_own(pool);
    if (rc < 0)
        return rc;
    rc = ledger_reserve(&pool->ledger, &booking->booking, limit_bytes);
    if (rc == 0)
        pool->home.promised += limit_bytes;
    else if (!had_home)
        drop_home(pool);
    return rc;
}

int home_resize(struct pool *pool, struct space *booking, uint64_t limit_bytes)
{
    uint64_t old = booking->booking.limit_bytes;
    int rc = ledger_resize(&pool->ledger, &booking->booking, limit_bytes);
    if (rc == 0)
        pool->home.promised = pool->home.promised - old + limit_bytes;
    return rc;
}

void home_release(struct pool *pool, struct space *booking)
{
    assert(pool->home.promised >= booking->booking.limit_bytes);
    pool->home.promised -= booking->booking.limit_bytes;
    ledger_release(&pool->ledger, &booking->booking);
    (void)drop_unmade(pool);
}

/* ---- changes ---- */

struct settle_job {
    struct pool_job base;
    struct home_change change;
};

static int settle_work(struct pool_job *base, struct err *err)
{
    struct settle_job *job = container_of(base, struct settle_job, base);
    return home_apply(base->volume, &job->change, err);
}

static void settle_done(struct pool_job *base)
{
    struct settle_job *job = container_of(base, struct settle_job, base);
    struct pool *pool = base->pool;
    bool failed = base->rc < 0;
    if (failed)
        log_err(LOG_WARNING, "the limit of a 0-db's directory could not be set", &base->err);
    /* What failed is tried again by the next survey that sees it, not at once. */
    if (failed)
        pool->home.n_changes--;
    else
        home_end(pool, &job->change);
    err_clear(&base->err);
    free(job);
}

static void settle(struct pool *pool)
{
    struct settle_job *job;
    bool open = pool_is_serving(pool) || pool->state == POOL_OPENING;
    if (!open || pool->ending.begun || !(job = calloc(1, sizeof *job)))
        return;
    job->base = (struct pool_job){.work = settle_work, .done = settle_done, .changes = true};
    home_begin(pool, &job->change, 0);
    if (executor_submit(pool, &job->base, NULL) == 0)
        return;
    pool->home.n_changes--;
    free(job);
}

void home_begin(struct pool *pool, struct home_change *change, uint64_t less_bytes)
{
    struct home *home = &pool->home;
    change->wanted = home->space->record;
    change->wanted.limit_bytes = HOME_ALLOWANCE;
    change->limit_bytes = clamp(home->promised - less_bytes + HOME_ALLOWANCE);
    home->n_changes++;
}

int home_apply(struct volume *volume, struct home_change *change, struct err *err)
{
    int rc = volume_home_ensure(volume, &change->wanted, &change->record, err);
    if (rc < 0)
        return rc;
    change->found = true;
    rc = volume_home_limit(volume, &change->record, change->limit_bytes, &change->set_bytes, err);
    change->set = rc == 0;
    return rc;
}

void home_end(struct pool *pool, const struct home_change *change)
{
    struct home *home = &pool->home;
    home->n_changes--;
    if (change->found) {
        order_remove(&pool->objects, home->space);
        home->space->record = change->record;
        pool_books_add(pool, home->space);
    }
    if (change->set) {
        home->limit_bytes = change->set_bytes;
        set_own_bytes(pool, HOME_ALLOWANCE + change->set_bytes - change->limit_bytes);
    }
    if (home->n_changes > 0)
        return;
    if (!drop_unmade(pool) && home->space->record.id[0] &&
        home->limit_bytes != clamp(home->promised + home->space->booking.limit_bytes))
        settle(pool);
}

void home_cancel(struct pool *pool)
{
    pool->home.n_changes--;
}

void home_drop_unmade(struct pool *pool)
{
    (void)drop_unmade(pool);
}

/* ---- what is found ---- */

void home_adopt(struct pool *pool, struct space *space)
{
    if (pool->home.space)
        drop_home(pool);
    pool->home.space = space;
    ledger_adopt(&pool->ledger, &space->booking, BOOKING_LIVE, HOME_ALLOWANCE, 0);
    pool_books_add(pool, space);
}

bool home_adopt_booking(struct pool *pool, struct space *booking)
{
    uint64_t limit = booking->record.limit_bytes;
    if (!pool->home.space) {
        /* Somebody took its record away. */
        struct space *home = new_home(pool);
        if (!home)
            return false;
        home_adopt(pool, home);
    }
    ledger_adopt(&pool->ledger, &booking->booking, BOOKING_LIVE, limit, 0);
    pool->home.promised += limit;
    return true;
}

void home_forget(struct pool *pool)
{
    struct index *index = &pool->node->bookings;
    for (size_t i = 0; i < index_count(index); i++) {
        struct space *booking = index_at(index, i);
        if (booking->pool == pool)
            booking->booking = (struct booking){0};
    }
    if (pool->home.space) {
        pool->home.space->booking = (struct booking){0};
        space_free(pool->home.space);
    }
    pool->home = (struct home){0};
}

void home_review(struct pool *pool, bool intact, uint64_t seen_limit_bytes, uint64_t usage_bytes)
{
    struct home *home = &pool->home;
    /* The survey may be older than a change that is in flight. */
    if (home->n_changes > 0)
        return;
    uint64_t due = clamp(home->promised + HOME_ALLOWANCE);
    if (intact)
        home->limit_bytes = seen_limit_bytes;
    if (intact && usage_bytes > due) {
        uint64_t kept = usage_bytes < seen_limit_bytes ? usage_bytes : seen_limit_bytes;
        set_own_bytes(pool, kept > due ? HOME_ALLOWANCE + kept - due : HOME_ALLOWANCE);
    }
    if (!intact || seen_limit_bytes != due)
        settle(pool);
}
