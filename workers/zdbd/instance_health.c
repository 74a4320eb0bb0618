/*
 * The health of a 0-db that answers: a canary that is written, read back and checked, and the
 * errors that it counts. One round is one write of commands, and is judged at the last answer.
 *
 * The canary's namespace has a password that nobody is told and a most size, or clients could fill
 * the disk with it. When SELECT is refused, what follows it lands where the link is then: in
 * `default`, which --protect keeps from being written to.
 */
#include "instance_private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "nsinfo.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CANARY INSTANCE_CANARY_NAMESPACE
#define KEY    "canary"
#define LIMIT  "32768" /* of its values; what it wrote over counts against CANARY_MAX_BYTES */

enum {
    /* A file has room for 64 KiB more than it needs, which is to be used up soon. But only a round
     * of at most 16 KiB is served when clients hold all memory that a 0-db has for requests: a
     * longer one would wait for them, as in one that hangs. */
    VALUE_BYTES = 14 * 1024,
    NO_ROOM_BYTES = 1024 * 1024, /* with less the disk is full, whatever a 0-db calls it */
};

static const char *const counters[HEALTH_COUNTERS] = {
    "index_disk_read_failed", "index_disk_write_failed", "data_disk_read_failed",
    "data_disk_write_failed"};

/* --- what is found --------------------------------------------------------------------------- */

void health_find(struct health *health, enum health_verdict verdict, const char *fmt, ...)
{
    va_list ap;
    if (verdict <= health->verdict)
        return;
    health->verdict = verdict;
    va_start(ap, fmt);
    (void)vsnprintf(health->finding, sizeof health->finding, fmt, ap);
    va_end(ap);
}

void health_quote(char out_text[HEALTH_QUOTE_MAX], const char *said)
{
    (void)snprintf(out_text, HEALTH_QUOTE_MAX, "%s", said);
    for (char *at = out_text; *at; at++)
        if (!isprint((unsigned char)*at))
            *at = '?';
}

static void find_refusal(struct health *health, const char *command, const redisReply *reply)
{
    char said[HEALTH_QUOTE_MAX];
    bool is_text = reply->type == REDIS_REPLY_ERROR || reply->type == REDIS_REPLY_STATUS;
    health_quote(said, is_text ? reply->str : "an answer that makes no sense");
    health_find(health, HEALTH_SICK, "its canary failed: %s: %s", command, said);
}

static bool is_status(const redisReply *reply, int type, const char *text)
{
    return reply->type == type && strcmp(reply->str, text) == 0;
}

static bool is_ok(const redisReply *reply)
{
    return is_status(reply, REDIS_REPLY_STATUS, "OK");
}

/* --- the round's answers --------------------------------------------------------------------- */

/* An answer that does not come is the end of the link, which is told by itself; the instance may be
 * gone then. */
static struct health *health_of(const struct err *err, void *data)
{
    struct instance *instance = data;
    return err ? NULL : &instance->health;
}

static void on_made(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (health && !is_ok(reply) &&
        !is_status(reply, REDIS_REPLY_ERROR, "This namespace is not available"))
        find_refusal(health, "NSNEW", reply);
}

static bool is_refused(const redisReply *reply)
{
    return is_status(reply, REDIS_REPLY_ERROR, "Cannot write data right now") ||
           is_status(reply, REDIS_REPLY_ERROR, "Cannot write index right now");
}

static void on_kept(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (!health)
        return;
    health->refused = health->refused || is_refused(reply);
    if (!is_ok(reply) && !is_refused(reply))
        find_refusal(health, "NSSET", reply);
}

static void on_selected(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (!health)
        return;
    health->made = is_ok(reply);
    if (!health->made && !health->refused)
        find_refusal(health, "SELECT", reply);
}

static void on_set(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (!health || !health->made)
        return;
    health->refused = is_refused(reply);
    if (!health->refused && !is_status(reply, REDIS_REPLY_STRING, KEY))
        find_refusal(health, "SET", reply);
}

/* The same text all over. */
static void write_value(const struct health *health, char out[VALUE_BYTES])
{
    for (size_t i = 0; i < VALUE_BYTES; i++)
        out[i] = health->value[i % (UUID_TEXT_SIZE - 1)];
}

static bool is_value(const struct health *health, const redisReply *reply)
{
    char expected[VALUE_BYTES];
    write_value(health, expected);
    return reply->type == REDIS_REPLY_STRING && reply->len == VALUE_BYTES &&
           memcmp(reply->str, expected, VALUE_BYTES) == 0;
}

static void on_got(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (!health || !health->made || health->refused || health->verdict != HEALTH_WELL)
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        find_refusal(health, "GET", reply);
    else if (!is_value(health, reply))
        health_find(health, HEALTH_LIES, "its canary failed: GET gives what was not SET");
}

static void on_checked(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (health && health->made && !health->refused &&
        (reply->type != REDIS_REPLY_INTEGER || reply->integer != 1))
        health_find(health, HEALTH_SICK, "its canary failed: CHECK finds it broken");
}

static void on_left(const redisReply *reply, const struct err *err, void *data)
{
    (void)reply;
    (void)err;
    (void)data;
}

static void on_room(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (health && reply->type == REDIS_REPLY_STRING)
        (void)nsinfo_find_number(reply->str, "data_disk_freespace_bytes", &health->free_bytes);
}

static void on_canary(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    uint64_t file = 0, data_bytes = 0, index_bytes = 0;
    if (!health || reply->type != REDIS_REPLY_STRING)
        return;
    (void)nsinfo_find_number(reply->str, "data_current_id", &file);
    (void)nsinfo_find_number(reply->str, "data_current_offset", &data_bytes);
    (void)nsinfo_find_number(reply->str, "index_size_bytes", &index_bytes);
    health->canary_errors = nsinfo_sum_errors(reply->str);
    health->canary_bytes = file > 0 ? UINT64_MAX : data_bytes + index_bytes;
}

/* --- the verdict ----------------------------------------------------------------------------- */

static void compare_counters(struct health *health, const redisReply *info)
{
    for (size_t i = 0; i < HEALTH_COUNTERS; i++) {
        uint64_t now = health->counters[i], was = now;
        if (info->type == REDIS_REPLY_STRING)
            (void)nsinfo_find_number(info->str, counters[i], &now);
        health->counters[i] = now;
        if (now > was)
            health_find(health, HEALTH_SICK, "its disk fails: %s rose from %" PRIu64 " to %" PRIu64,
                        counters[i], was, now);
    }
}

/* A write that is refused without any error of the disk's is refused for want of room. */
static void judge_refusal(struct health *health)
{
    bool full = health->free_bytes < NO_ROOM_BYTES;
    bool failed = health->canary_errors > health->known_canary_errors;
    health->known_canary_errors = health->canary_errors;
    if (full && health->verdict <= HEALTH_SICK && (health->refused || !health->made)) {
        health->verdict = HEALTH_WELL;
        health_find(health, HEALTH_FULL, "its disk is full: it refuses the canary");
    } else if (health->refused && failed) {
        health_find(health, HEALTH_SICK, "its canary failed: it cannot be written to the disk");
    } else if (health->refused) {
        health_find(health, HEALTH_FULL,
                    "its disk is full, or its share of it: it refuses the canary");
    }
}

static void tell(struct instance *instance)
{
    struct health *health = &instance->health;
    if (health->verdict == health->told && strcmp(health->finding, health->told_finding) == 0)
        return;
    health->told = health->verdict;
    (void)snprintf(health->told_finding, sizeof health->told_finding, "%s", health->finding);
    if (health->verdict == HEALTH_WELL)
        instance_tell(instance, "zdb.recovered", "its canary is well again");
    else
        instance_tell(instance, health->verdict == HEALTH_FULL ? "zdb.full" : "zdb.unhealthy",
                      health->finding);
}

bool(health_say)(struct instance *instance, link_done done, const char *const *words)
{
    int n = 0;
    while (words[n])
        n++;
    return link_send(instance->link, n, words, NULL, done, instance, NULL) == 0;
}

static void on_told(const redisReply *reply, const struct err *err, void *data)
{
    struct instance *instance = data;
    struct health *health = health_of(err, data);
    if (!health)
        return;
    health->running = false;
    compare_counters(health, reply);
    sweep_judge(&health->sweep, health);
    judge_refusal(health);
    tell(instance);
    if (health->verdict == HEALTH_WELL && health->canary_bytes >= INSTANCE_CANARY_MAX_BYTES &&
        health_say(instance, on_left, "NSDEL", CANARY))
        health->made = false;
    sweep_run(instance);
    /* Once: what a new process does not mend, another one does not either. */
    if (health->verdict == HEALTH_WELL)
        health->lied = false;
    if (health->verdict != HEALTH_LIES || health->lied)
        return;
    health->lied = true;
    instance_kill(instance, health->finding);
}

static bool make_namespace(struct instance *instance)
{
    struct health *health = &instance->health;
    uuid_random(health->password);
    return health_say(instance, on_made, "NSNEW", CANARY) &&
           health_say(instance, on_kept, "NSSET", CANARY, "password", health->password) &&
           health_say(instance, on_kept, "NSSET", CANARY, "public", "0") &&
           health_say(instance, on_kept, "NSSET", CANARY, "maxsize", LIMIT);
}

static bool set_value(struct instance *instance)
{
    char value[VALUE_BYTES];
    const char *const words[] = {"SET", KEY, value};
    static const size_t lengths[] = {sizeof "SET" - 1, sizeof KEY - 1, VALUE_BYTES};
    uuid_random(instance->health.value);
    write_value(&instance->health, value);
    return link_send(instance->link, 3, words, lengths, on_set, instance, NULL) == 0;
}

static void run_round(struct instance *instance)
{
    struct health *health = &instance->health;
    health->verdict = HEALTH_WELL;
    health->finding[0] = '\0';
    health->refused = false;
    health->free_bytes = UINT64_MAX;
    health->canary_bytes = 0;
    health->running = (health->made || make_namespace(instance)) &&
                      health_say(instance, on_selected, "SELECT", CANARY, health->password) &&
                      set_value(instance) && health_say(instance, on_got, "GET", KEY) &&
                      health_say(instance, on_checked, "CHECK", KEY) &&
                      health_say(instance, on_left, "SELECT", "default") &&
                      health_say(instance, on_canary, "NSINFO", CANARY) &&
                      health_say(instance, on_room, "NSINFO", "default") &&
                      health_say(instance, on_told, "INFO");
}

/* --- life ------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
    struct instance *instance = timer->data;
    autoerr struct err err = {0};
    if (process_trim_log(instance->settings, instance->pool, instance->record.uid, &err) < 0)
        log_err(LOG_WARNING, "a log grows", &err);
    if (!instance->health.running)
        run_round(instance);
}

void health_init(struct instance *instance)
{
    (void)uv_timer_init(instance->loop, &instance->health.timer);
    instance->health.timer.data = instance;
}

void health_begin(struct instance *instance)
{
    uint32_t canary_ms = instance_times()->canary_ms;
    instance->health.made = instance->health.running = false;
    (void)uv_timer_start(&instance->health.timer, on_timer, canary_ms, canary_ms);
    run_round(instance);
}

void health_end(struct instance *instance)
{
    (void)uv_timer_stop(&instance->health.timer);
}

void health_forget(struct instance *instance)
{
    memset(instance->health.counters, 0, sizeof instance->health.counters);
    memset(&instance->health.sweep, 0, sizeof instance->health.sweep);
    instance->health.known_canary_errors = 0;
    instance->health.told_finding[0] = '\0';
}
