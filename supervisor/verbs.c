/*
 * The verbs as a table: how each is asked for, whether it changes something, what it does. Requests
 * are hostile until they are decoded and their sender's right is checked.
 */
#include "verbs.h"

#include "base/cleanup.h"
#include "rpc/validate.h"
#include "stop.h"
#include "text.h"

#include <string.h>

enum { CONTROL_VERSION = 1 };

static int do_list(struct supervisor *supervisor, const Storage__V1__ControlRequest *request,
                   struct err *err)
{
    (void)supervisor;
    (void)request;
    (void)err;
    return 0;
}

/* Does `verb` to the worker of that name. */
static int do_to_ward(struct supervisor *supervisor, const Storage__V1__WorkerRequest *request,
                      int (*verb)(struct ward *ward, struct err *err), struct err *err)
{
    struct ward *ward = supervisor_find(supervisor, request->name);
    if (!ward)
        return err_set(err, ERR_NOT_FOUND, 0, request->name, "no worker has this name");
    return verb(ward, err);
}

static int do_restart(struct supervisor *supervisor, const Storage__V1__ControlRequest *request,
                      struct err *err)
{
    return do_to_ward(supervisor, request->restart, ward_restart, err);
}

static int do_reset(struct supervisor *supervisor, const Storage__V1__ControlRequest *request,
                    struct err *err)
{
    return do_to_ward(supervisor, request->reset, ward_reset, err);
}

static int do_shutdown(struct supervisor *supervisor, const Storage__V1__ControlRequest *request,
                       struct err *err)
{
    (void)request;
    if (supervisor->stopping && !supervisor->shutdown)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, "shutdown",
                       "storaged is stopping already, and leaves the mounts as they are");
    stop_begin(supervisor, true);
    return VERBS_LATER;
}

static const struct verb {
    Storage__V1__ControlRequest__VerbCase asked_by;
    bool changes;
    int (*run)(struct supervisor *supervisor, const Storage__V1__ControlRequest *request,
               struct err *err);
} verbs[] = {
    {STORAGE__V1__CONTROL_REQUEST__VERB_LIST, false, do_list},
    {STORAGE__V1__CONTROL_REQUEST__VERB_RESTART, true, do_restart},
    {STORAGE__V1__CONTROL_REQUEST__VERB_RESET, true, do_reset},
    {STORAGE__V1__CONTROL_REQUEST__VERB_SHUTDOWN, true, do_shutdown},
};

static const struct verb *find_verb(const Storage__V1__ControlRequest *request)
{
    for (size_t i = 0; i < array_length(verbs); i++)
        if (verbs[i].asked_by == request->verb_case)
            return &verbs[i];
    return NULL;
}

static bool may_change(const struct supervisor *supervisor, uid_t uid)
{
    const struct settings *settings = supervisor->settings;
    bool may = uid == 0;
    for (size_t i = 0; i < settings->n_admin_uids; i++)
        may = may || settings->admin_uids[i] == uid;
    return may;
}

int verbs_run(struct supervisor *supervisor, const struct verbs_request *request, struct err *err)
{
    int rc = validate_packed(&storage__v1__control_request__descriptor, request->packet,
                             request->length, err);
    if (rc < 0)
        return rc;
    Storage__V1__ControlRequest *message =
        storage__v1__control_request__unpack(NULL, request->length, request->packet);
    const struct verb *verb = message ? find_verb(message) : NULL;
    if (!message)
        rc = err_set(err, ERR_RESOURCE_EXHAUSTED, 0, "request", "no memory to read the request");
    else if (message->version != CONTROL_VERSION)
        rc = err_set(err, ERR_INVALID_ARGUMENT, 0, "version", "only version %d is spoken here",
                     CONTROL_VERSION);
    else if (!verb)
        rc = err_set(err, ERR_INVALID_ARGUMENT, 0, "verb", "the request names no verb");
    else if (verb->changes && !may_change(supervisor, request->uid))
        rc = err_set(err, ERR_PERMISSION_DENIED, 0, "verb", "uid %lu may look, but change nothing",
                     (unsigned long)request->uid);
    else
        rc = verb->run(supervisor, message, err);
    if (message)
        storage__v1__control_request__free_unpacked(message, NULL);
    return rc;
}

/* ---- replies ---- */

static void fill_status(const struct err *err, struct verbs_reply *reply)
{
    Storage__V1__ErrorDetails *details = &reply->details;
    storage__v1__status__init(&reply->status);
    storage__v1__error_details__init(details);
    reply->message.status = &reply->status;
    reply->status.code = (Storage__V1__Code)err->code;
    if (err->code == ERR_OK)
        return;
    reply->status.message = (char *)(uintptr_t)err->message;
    reply->status.details = details;
    /* May be the sender's own words, cut. */
    text_copy(reply->object, sizeof reply->object, err->object, strlen(err->object));
    details->object = reply->object;
    details->os_errno = err->os_errno;
    details->hint = (char *)(uintptr_t)err->hint;
    details->retryable = err->retryable;
    details->retry_after_ms = err->retry_after_ms;
    details->blockers = err->blockers;
    details->n_blockers = err->n_blockers;
}

void verbs_fill_reply(const struct supervisor *supervisor, const struct err *err,
                      struct verbs_reply *out_reply)
{
    storage__v1__control_reply__init(&out_reply->message);
    storage__v1__worker_list_reply__init(&out_reply->list);
    fill_status(err, out_reply);
    for (size_t i = 0; i < supervisor->n_wards; i++) {
        ward_describe(&supervisor->wards[i], &out_reply->rooms[i], &out_reply->workers[i]);
        out_reply->rows[i] = &out_reply->workers[i];
    }
    out_reply->list.workers = out_reply->rows;
    out_reply->list.n_workers = supervisor->n_wards;
    out_reply->list.supervisor_pid = getpid();
    out_reply->message.list = &out_reply->list;
}
