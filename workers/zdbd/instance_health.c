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
#include "nsinfo.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CANARY INSTANCE_CANARY_NAMESPACE
#define KEY    "canary"
#define LIMIT  "4096" /* of its values; what it wrote over counts against CANARY_MAX_BYTES */

enum {
    NO_ROOM_BYTES = 1024 * 1024, /* with less the disk is full, whatever a 0-db calls it */
    WORDS_MAX = 4,
    SAID_MAX = 80,
};

static const char *const counters[HEALTH_COUNTERS] = {
    "index_disk_read_failed", "index_disk_write_failed", "data_disk_read_failed",
    "data_disk_write_failed"};

/* --- what is found --------------------------------------------------------------------------- */

/* The worst of a round counts, and of that the first. */
__attribute__((format(printf, 3, 4))) static void
find(struct health *health, enum health_verdict verdict, const char *fmt, ...)
{
    va_list ap;
    if (verdict <= health->verdict)
        return;
    health->verdict = verdict;
    va_start(ap, fmt);
    (void)vsnprintf(health->finding, sizeof health->finding, fmt, ap);
    va_end(ap);
}

/* What a 0-db says goes into messages: printable, and short. */
static void find_refusal(struct health *health, const char *command, const redisReply *reply)
{
    char said[SAID_MAX] = "";
    bool is_text = reply->type == REDIS_REPLY_ERROR || reply->type == REDIS_REPLY_STATUS;
    (void)snprintf(said, sizeof said, "%s", is_text ? reply->str : "an answer that makes no sense");
    for (char *at = said; *at; at++)
        if (!isprint((unsigned char)*at))
            *at = '?';
    find(health, HEALTH_SICK, "its canary failed: %s: %s", command, said);
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

static void on_kept(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (health && !is_ok(reply))
        find_refusal(health, "NSSET", reply);
}

static void on_selected(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (!health)
        return;
    health->made = is_ok(reply);
    if (!health->made)
        find_refusal(health, "SELECT", reply);
}

static void on_set(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (!health || !health->made)
        return;
    health->refused = is_status(reply, REDIS_REPLY_ERROR, "Cannot write data right now") ||
                      is_status(reply, REDIS_REPLY_ERROR, "Cannot write index right now");
    if (!health->refused && !is_status(reply, REDIS_REPLY_STRING, KEY))
        find_refusal(health, "SET", reply);
}

static void on_got(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (!health || !health->made || health->refused || health->verdict != HEALTH_WELL)
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        find_refusal(health, "GET", reply);
    else if (!is_status(reply, REDIS_REPLY_STRING, health->value))
        find(health, HEALTH_LIES, "its canary failed: GET gives what was not SET");
}

static void on_checked(const redisReply *reply, const struct err *err, void *data)
{
    struct health *health = health_of(err, data);
    if (health && health->made && !health->refused &&
        (reply->type != REDIS_REPLY_INTEGER || reply->integer != 1))
        find(health, HEALTH_SICK, "its canary failed: CHECK finds it broken");
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
            find(health, HEALTH_SICK, "its disk fails: %s rose from %" PRIu64 " to %" PRIu64,
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
        find(health, HEALTH_FULL, "its disk is full: it refuses the canary");
    } else if (health->refused && failed) {
        find(health, HEALTH_SICK, "its canary failed: it cannot be written to the disk");
    } else if (health->refused) {
        find(health, HEALTH_FULL, "its disk is full, or its share of it: it refuses the canary");
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

static bool say(struct instance *instance, link_done done, const char *const words[WORDS_MAX])
{
    int n = 0;
    while (n < WORDS_MAX && words[n])
        n++;
    return link_send(instance->link, n, words, NULL, done, instance, NULL) == 0;
}
#define say(instance, done, ...)                                                                   \
    say((instance), (done), (const char *const[WORDS_MAX]){__VA_ARGS__})

static void on_told(const redisReply *reply, const struct err *err, void *data)
{
    struct instance *instance = data;
    struct health *health = health_of(err, data);
    if (!health)
        return;
    health->running = false;
    compare_counters(health, reply);
    judge_refusal(health);
    tell(instance);
    if (health->canary_bytes >= INSTANCE_CANARY_MAX_BYTES &&
        say(instance, on_left, "NSDEL", CANARY))
        health->made = false;
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
    return say(instance, on_made, "NSNEW", CANARY) &&
           say(instance, on_kept, "NSSET", CANARY, "password", health->password) &&
           say(instance, on_kept, "NSSET", CANARY, "public", "0") &&
           say(instance, on_kept, "NSSET", CANARY, "maxsize", LIMIT);
}

static void run_round(struct instance *instance)
{
    struct health *health = &instance->health;
    health->verdict = HEALTH_WELL;
    health->finding[0] = '\0';
    health->refused = false;
    health->free_bytes = UINT64_MAX;
    health->canary_bytes = 0;
    uuid_random(health->value);
    health->running =
        (health->made || make_namespace(instance)) &&
        say(instance, on_selected, "SELECT", CANARY, health->password) &&
        say(instance, on_set, "SET", KEY, health->value) && say(instance, on_got, "GET", KEY) &&
        say(instance, on_checked, "CHECK", KEY) && say(instance, on_left, "SELECT", "default") &&
        say(instance, on_canary, "NSINFO", CANARY) && say(instance, on_room, "NSINFO", "default") &&
        say(instance, on_told, "INFO");
}

/* --- life ------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
    struct instance *instance = timer->data;
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
    instance->health.known_canary_errors = 0;
}
