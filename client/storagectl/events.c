/*
 * storagectl events: what happened, a line each. Without --follow what the workers still remember;
 * with it what comes, where a "resync" line says that events before it may be missing: list again.
 */
#include "command.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "text.h"
#include "value.h"

#include <inttypes.h>
#include <string.h>

enum { EVENTS_FOLLOW_DONE = 1, EVENTS_RING = 4096 };

struct printer {
    const struct session *session;
    const char *topics[COMMAND_FLAGS_MAX + 1]; /* prefixes */
    uint32_t left;                             /* of --count; only with `counted` */
    bool counted;
};

/* --- a line ---------------------------------------------------------------------------------- */

/* Nothing, not even what stands before it, where the field is empty. */
static void print_field(const ProtobufCMessage *message, const char *name, const char *before,
                        FILE *out)
{
    autofree char *text = value_text(message, name);
    if (text && *text)
        (void)fprintf(out, "%s%s", before, text);
}

/* What a body has to say beside its id. */
static void print_body(const Storage__V1__Event *event, FILE *out)
{
    static const char *const disk[] = {"path", "type", "size_bytes", "state", NULL};
    static const char *const pool[] = {"name", "disk_type", "state", NULL};
    static const char *const space[] = {"name", "disk_type", "size_bytes", "path", NULL};
    static const char *const booking[] = {"pool", "disk_type", "size_bytes", "state", NULL};
    static const char *const zdb[] = {"state", "port", NULL};
    static const char *const zdb_namespace[] = {"name", "disk_type", "size_bytes",
                                                "pool", "state",     NULL};
    static const struct {
        Storage__V1__Event__BodyCase body;
        const char *const *fields;
    } bodies[] = {
        {STORAGE__V1__EVENT__BODY_DISK, disk},
        {STORAGE__V1__EVENT__BODY_POOL, pool},
        {STORAGE__V1__EVENT__BODY_SPACE, space},
        {STORAGE__V1__EVENT__BODY_BOOKING, booking},
        {STORAGE__V1__EVENT__BODY_ZDB, zdb},
        {STORAGE__V1__EVENT__BODY_ZDB_NAMESPACE, zdb_namespace},
    };
    for (size_t i = 0; i < array_length(bodies); i++)
        if (bodies[i].body == event->body_case)
            for (const char *const *field = bodies[i].fields; *field; field++)
                print_field(&event->disk->base, *field, " ", out);
}

static void print_text(const Storage__V1__Event *event, FILE *out)
{
    print_field(&event->base, "time_us", "", out);
    print_field(&event->base, "worker", " ", out);
    print_field(&event->base, "seq", " #", out);
    print_field(&event->base, "topic", " ", out);
    print_field(&event->base, "object", " ", out);
    print_body(event, out);
    print_field(&event->base, "reason", " -- ", out);
    (void)fputc('\n', out);
}

/* 0, or EVENTS_FOLLOW_DONE when it was the last one that was asked for. */
static int print_event(struct printer *printer, const Storage__V1__Event *event)
{
    const struct session *session = printer->session;
    if (session->json) {
        struct json json = {.out = session->out, .lines = true};
        json_message(&json, NULL, &event->base);
    } else {
        print_text(event, session->out);
    }
    (void)fflush(session->out);
    return printer->counted && --printer->left == 0 ? EVENTS_FOLLOW_DONE : 0;
}

/* --- following ------------------------------------------------------------------------------- */

static int on_event(const Storage__V1__Event *event, void *data)
{
    return print_event(data, event);
}

static int on_resync(const char *worker, uint64_t epoch, uint64_t seq, void *data)
{
    const struct printer *printer = data;
    FILE *out = printer->session->out;
    if (printer->session->json) {
        struct json json = {.out = out, .lines = true};
        json_open(&json, NULL, '{');
        json_text(&json, "topic", "resync");
        json_text(&json, "worker", worker);
        json_u64(&json, "epoch", epoch);
        json_u64(&json, "seq", seq);
        json_close(&json, '{');
    } else {
        (void)fprintf(out, "resync %s #%" PRIu64 ": list again what you watch\n", worker, seq);
    }
    (void)fflush(out);
    return 0;
}

static int follow(struct session *session, struct printer *printer, struct err *err)
{
    uint32_t for_ms = 0;
    int rc = session_flag_ms(session, "for", &for_ms, err);
    if (rc == 0)
        rc = session_open(session, err);
    if (rc < 0)
        return rc;
    struct storage_follower follower = {
        .topics = printer->topics[0] ? printer->topics : NULL,
        .on_event = on_event,
        .on_resync = on_resync,
        .data = printer,
        .deadline_ms = for_ms,
        .connect_ms = session->timeout_ms,
    };
    rc = storage_follow(session->storage, &follower, err);
    bool over = rc == EVENTS_FOLLOW_DONE || (rc == -ERR_DEADLINE_EXCEEDED && !printer->counted);
    return over ? 0 : rc;
}

/* --- what was -------------------------------------------------------------------------------- */

static bool is_wanted(const struct printer *printer, const char *topic)
{
    const char *const *prefix = printer->topics;
    for (; *prefix; prefix++)
        if (strncmp(topic, *prefix, strlen(*prefix)) == 0)
            return true;
    return prefix == printer->topics;
}

static int ask_since(struct session *session, const char *worker, uint64_t epoch, uint64_t seq,
                     Storage__V1__EventSinceReply **out_reply, struct err *err)
{
    char method[64];
    Storage__V1__EventSinceRequest request = STORAGE__V1__EVENT_SINCE_REQUEST__INIT;
    request.epoch = epoch;
    request.seq = seq;
    (void)snprintf(method, sizeof method, "storage.v1.EventLog/Since@%s", worker);
    return session_call(session, method, &request, out_reply, err);
}

/* Prints what a worker remembers. `*out_rc` is that of the printer. */
static int print_past(struct session *session, struct printer *printer, const char *worker,
                      int *out_rc, struct err *err)
{
    autoreply Storage__V1__EventSinceReply *now = NULL;
    int rc = ask_since(session, worker, 0, 0, &now, err);
    if (rc < 0)
        return rc;
    uint64_t seq = now->last_seq > EVENTS_RING ? now->last_seq - EVENTS_RING : 0;
    *out_rc = 0;
    while (seq < now->last_seq && *out_rc == 0) {
        autoreply Storage__V1__EventSinceReply *page = NULL;
        rc = ask_since(session, worker, now->epoch, seq, &page, err);
        if (rc == -ERR_OUT_OF_RANGE && seq + EVENTS_RING / 16 < now->last_seq) {
            seq += EVENTS_RING / 16; /* the ring turned meanwhile, or holds less by its size */
            continue;
        }
        if (rc < 0 || page->n_events == 0)
            return rc;
        for (size_t i = 0; i < page->n_events && *out_rc == 0; i++) {
            seq = page->events[i]->seq;
            if (is_wanted(printer, page->events[i]->topic))
                *out_rc = print_event(printer, page->events[i]);
        }
    }
    return 0;
}

static int print_all_past(struct session *session, struct printer *printer, struct err *err)
{
    autoreply Storage__V1__ControlReply *reply = NULL;
    int rc = session_workers(session, &reply, err), done = 0;
    for (size_t i = 0; rc == 0 && done == 0 && i < reply->list->n_workers; i++)
        rc = print_past(session, printer, reply->list->workers[i]->name, &done, err);
    return rc;
}

/* --- the verb -------------------------------------------------------------------------------- */

static int run(struct session *session, struct err *err)
{
    struct printer printer = {.session = session};
    size_t n_topics = 0;
    for (unsigned i = 0; i < session->n_flags; i++)
        if (strcmp(session->flags[i].flag->name, "topic") == 0)
            printer.topics[n_topics++] = session->flags[i].value;
    printer.counted = session_flag(session, "count");
    int rc = session_flag_u32(session, "count", 10, &printer.left, err);
    if (rc < 0 || (printer.counted && printer.left == 0))
        return rc;
    return session_flag(session, "follow") ? follow(session, &printer, err)
                                           : print_all_past(session, &printer, err);
}

static const struct flag flags[] = {
    {"follow", NULL, "print what comes, until interrupted; without it, what the workers remember"},
    {"topic", "PREFIX", "only topics that begin so, as in space. or disk.added; may be repeated"},
    {"count", "N", "end after so many events"},
    {"for", "TIME", "end after so long"},
    {0},
};

static const struct verb verbs[] = {
    {.flags = flags, .help = "what happened, a line each", .run = run},
    {0},
};

const struct command command_events = {
    .noun = "events",
    .help = "Events: every one, in order. \"resync\" says that a worker was reached for the first\n"
            "time, was reborn, or lost some: list again what you watch.",
    .verbs = verbs};
