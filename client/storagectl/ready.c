/*
 * storagectl ready: waits until the node is fit for use, and exits with 0 then. Boot units stand on
 * it, so it proves rather than believes: the supervisor says that diskd and poold are READY, both
 * answer a call, poold says that the cache is mounted, and the kernel says that the cache path is
 * that pool's cache (cachemount.c).
 *
 * It looks again at every event of the cache, at every resync (which is how a worker that came up
 * shows), and at the tick of each second; a look at every event of every disk would cost a boot
 * more than the disks do. Only the supervisor's own view of a worker has no event: a worker may
 * answer an instant before the supervisor has read its READY. For that alone, and for a supervisor
 * that is not there yet, it looks again after 100 ms.
 */
#include "command.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "cachemount.h"

#include <string.h>

enum { LOOK_AGAIN_MS = 100, CALL_MS = 2000, FOUND_READY = 1, LOOK_SOON = 2 };

static const char *const needed_workers[] = {"diskd", "poold", NULL};

struct wait {
    struct session *session;
    bool soon;      /* this round of following is a short one: it looks again at its end anyway */
    struct err why; /* what was missing when it was looked at last */
};

/* --- looking --------------------------------------------------------------------------------- */

static int check_supervisor(struct session *session, struct err *err)
{
    autoreply Storage__V1__ControlReply *reply = NULL;
    int rc = session_workers(session, &reply, err);
    for (const char *const *name = needed_workers; *name && rc == 0; name++) {
        rc = err_set(err, ERR_UNAVAILABLE, 0, *name, "%s is not ready", *name);
        for (size_t i = 0; i < reply->list->n_workers; i++)
            if (strcmp(reply->list->workers[i]->name, *name) == 0 &&
                reply->list->workers[i]->state == STORAGE__V1__WORKER_STATE__WORKER_STATE_READY)
                rc = 0;
    }
    return rc;
}

static int check_diskd(struct session *session, struct err *err)
{
    Storage__V1__DiskListRequest request = STORAGE__V1__DISK_LIST_REQUEST__INIT;
    autoreply Storage__V1__DiskListReply *disks = NULL;
    request.page_size = 1;
    return session_call(session, "storage.v1.DiskService/List", &request, &disks, err);
}

static int check_cache(struct session *session, struct err *err)
{
    Storage__V1__CacheRequest request = STORAGE__V1__CACHE_REQUEST__INIT;
    autoreply Storage__V1__CacheInfo *cache = NULL;
    int rc = session_call(session, "storage.v1.PoolService/Cache", &request, &cache, err);
    if (rc < 0)
        return rc;
    if (!cache->mounted)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, cache->path, "the cache is not mounted%s%s",
                       *cache->reason ? ": " : "", cache->reason);
    return cachemount_check(cache->path, cache->pool, err);
}

/* FOUND_READY; LOOK_SOON; 0: an event will tell; negative: waiting is of no use. */
static int look(struct wait *wait)
{
    struct err *why = &wait->why;
    err_clear(why);
    bool supervised = check_supervisor(wait->session, why) == 0;
    if (supervised && check_diskd(wait->session, why) == 0 && check_cache(wait->session, why) == 0)
        return FOUND_READY;
    if (why->code == ERR_PERMISSION_DENIED)
        return -ERR_PERMISSION_DENIED;
    return supervised ? 0 : LOOK_SOON;
}

static int look_again(struct wait *wait)
{
    int found = look(wait);
    return found == LOOK_SOON && wait->soon ? 0 : found;
}

static int on_event(const Storage__V1__Event *event, void *data)
{
    (void)event;
    return look_again(data);
}

static int on_resync(const char *worker, uint64_t epoch, uint64_t seq, void *data)
{
    (void)worker;
    (void)epoch;
    (void)seq;
    return look_again(data);
}

/* --- waiting --------------------------------------------------------------------------------- */

static int fail_late(const struct session *session, const struct wait *wait, struct err *err)
{
    err_copy(err, &wait->why);
    (void)err_set(err, ERR_DEADLINE_EXCEEDED, wait->why.os_errno, wait->why.object,
                  "not ready after %u ms: %s", session->timeout_ms, wait->why.message);
    err_hint(err, "%s", *wait->why.hint ? wait->why.hint : "see `storagectl status`");
    err_retryable(err, 0);
    return -ERR_DEADLINE_EXCEEDED;
}

/* Follows the events until one makes it ready, or there is a reason to look without one. */
static int follow(struct wait *wait, uint32_t left_ms, int found, struct err *err)
{
    static const char *const telling[] = {"cache.", "tick", NULL};
    wait->soon = found == LOOK_SOON && left_ms > LOOK_AGAIN_MS;
    struct storage_follower follower = {
        .workers = needed_workers,
        .topics = telling,
        .on_event = on_event,
        .on_resync = on_resync,
        .data = wait,
        .deadline_ms = wait->soon ? LOOK_AGAIN_MS : left_ms,
    };
    found = storage_follow(wait->session->storage, &follower, err);
    return found == -ERR_DEADLINE_EXCEEDED ? look(wait) : found;
}

static int wait_until_ready(struct wait *wait, struct err *err)
{
    uint32_t timeout_ms = wait->session->timeout_ms;
    uint64_t deadline = clock_monotonic_ms() + timeout_ms;
    int found = look(wait);
    while (found >= 0 && found != FOUND_READY) {
        uint64_t now = clock_monotonic_ms();
        if (now >= deadline)
            return fail_late(wait->session, wait, err);
        found = follow(wait, (uint32_t)(deadline - now), found, err);
    }
    if (found == FOUND_READY) {
        err_clear(err);
        return 0;
    }
    if (wait->why.code == (enum err_code) - found)
        err_copy(err, &wait->why);
    return found;
}

static int run(struct session *session, struct err *err)
{
    struct wait wait = {.session = session};
    struct storage_options options = {
        .run_dir = session->run_dir,
        .timeout_ms = session->timeout_ms < CALL_MS ? session->timeout_ms : CALL_MS};
    int rc = storage_open(&options, &session->storage, err);
    if (rc == 0)
        rc = wait_until_ready(&wait, err);
    err_clear(&wait.why);
    if (rc < 0)
        return rc;
    if (session->json) {
        struct json json = {.out = session->out};
        json_open(&json, NULL, '{');
        json_bool(&json, "ready", true);
        json_close(&json, '{');
    }
    return 0;
}

static const struct verb verbs[] = {
    {.help = "wait until diskd and poold serve and the cache is mounted", .run = run},
    {0},
};

const struct command command_ready = {
    .noun = "ready",
    .help = "Exits with 0 when diskd and poold answer and the cache path is a pool's cache;\n"
            "with 7 when that has not come true within --timeout.",
    .verbs = verbs};
