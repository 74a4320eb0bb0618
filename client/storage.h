/*
 * libstorage: the node's storage from C, one call at a time.
 *
 * A handle belongs to one thread at a time. Calls block until their answer or deadline. Messages
 * are those that protoc-c made of proto/ (installed in share/storaged/proto/). Functions that can
 * fail return 0, or a negative code and its story in `err` (base/error.h; may be NULL). Nothing
 * here needs storaged to run already: a handle finds it when it comes.
 */
#ifndef CLIENT_STORAGE_H
#define CLIENT_STORAGE_H

#include "base/error.h"
#include "storage/v1/booking.pb-c.h"
#include "storage/v1/disk.pb-c.h"
#include "storage/v1/event.pb-c.h"
#include "storage/v1/pool.pb-c.h"
#include "storage/v1/rpc.pb-c.h"
#include "storage/v1/worker.pb-c.h"
#include "storage/v1/zdb.pb-c.h"

struct storage;

struct storage_options {
    const char *run_dir; /* NULL: $STORAGED_RUN_DIR, else /run/storaged */
    uint32_t timeout_ms; /* of each call; 0: 30 000 */
    bool wait;           /* a worker that is down is waited for until the deadline */
};

/* `options` may be NULL. */
int storage_open(const struct storage_options *options, struct storage **out_storage,
                 struct err *err);
/* Accepts NULL. Not from within a callback. */
void storage_close(struct storage *storage);

/* The next call (only) carries this request id: a retry with the same one finds what the first
 * made. Copied. */
int storage_set_request_id(struct storage *storage, const char *request_id, struct err *err);

/*
 * Calls "storage.v1.SpaceService/Reserve" and the like. `input` must be the request message of that
 * method. `out_reply` is the address of a pointer to the reply message, which is to be freed with
 * storage_free(). The service tells the worker; "storage.v1.EventLog/Since@poold" names it, as must
 * be for a service that every worker serves.
 *
 * When the worker is down, the error is UNAVAILABLE and carries the worker's state, as the
 * supervisor tells it, and when to try again.
 */
int storage_call(struct storage *storage, const char *method, const void *input, void *out_reply,
                 struct err *err);
/* Frees any message that this library returned. Accepts NULL. */
void storage_free(void *reply);

/* The epoch that the last call's worker answered with; 0 if none did. */
uint64_t storage_epoch(const struct storage *storage);

/* One verb on the control socket; the request's `version` is filled in. The reply is freed with
 * storage_free(). Does not wait for a storaged that is not there: UNAVAILABLE. */
int storage_control(struct storage *storage, Storage__V1__ControlRequest *request,
                    Storage__V1__ControlReply **out_reply, struct err *err);

/*
 * Follows the events of the named workers (NULL-terminated; NULL: all) until a callback returns
 * non-zero, which becomes the result, or with DEADLINE_EXCEEDED until a deadline. `on_resync`: list
 * again what you watch; it is called first of all, per worker, and whenever that worker was reborn
 * or events were lost. Each event comes once, in order; what a list showed already may come again.
 *
 * The callbacks may call on the same handle, but not follow again. Meanwhile events wait; when too
 * many do, they are dropped, and a resync stands for them.
 */
struct storage_follower {
    const char *const *workers;
    const char *const *topics; /* prefixes, NULL-terminated; NULL: all but ticks */
    int (*on_event)(const Storage__V1__Event *event, void *data);
    int (*on_resync)(const char *worker, uint64_t epoch, uint64_t seq, void *data);
    void *data;
    uint32_t deadline_ms; /* for all of it; 0: for ever */
    uint32_t connect_ms;  /* until the first of the workers is reached; 0: for ever */
};
int storage_follow(struct storage *storage, const struct storage_follower *follower,
                   struct err *err);

#endif
