/*
 * What each namespace counts of errors, asked for a few at a time. NSLIST has an order that stays
 * but for what comes and goes, so that one may be asked a turn later than others, and none never.
 */
#include "instance_private.h"

#include "base/cleanup.h"
#include "nsinfo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct sweep_known *find_known(struct sweep *sweep, const char *name)
{
    for (unsigned i = 0; i < sweep->n_known && i < SWEEP_KNOWN_MAX; i++)
        if (strcmp(sweep->known[i].name, name) == 0)
            return &sweep->known[i];
    return NULL;
}

static void compare(struct sweep *sweep, const char *name, uint64_t errors)
{
    char quoted[HEALTH_QUOTE_MAX];
    struct sweep_known *known = find_known(sweep, name);
    uint64_t was = known ? known->errors : 0;
    if (!known && errors > 0) {
        known = &sweep->known[sweep->n_known++ % SWEEP_KNOWN_MAX];
        (void)snprintf(known->name, sizeof known->name, "%s", name);
    }
    if (known)
        known->errors = errors; /* one that was made anew begins at 0 again */
    if (errors <= was || *sweep->finding)
        return;
    health_quote(quoted, name);
    (void)snprintf(sweep->finding, sizeof sweep->finding,
                   "namespace %s has errors: they rose from %" PRIu64 " to %" PRIu64, quoted, was,
                   errors);
}

static bool find_name(const char *text, char out_name[SWEEP_NAME_MAX + 1])
{
    static const char key[] = "\nname: ";
    const char *at = strstr(text, key);
    size_t length = at ? strcspn(at + sizeof key - 1, "\n") : 0;
    if (length == 0 || length > SWEEP_NAME_MAX)
        return false;
    memcpy(out_name, at + sizeof key - 1, length);
    out_name[length] = '\0';
    return true;
}

static void on_info(const redisReply *reply, const struct err *err, void *data)
{
    struct instance *instance = data;
    char name[SWEEP_NAME_MAX + 1];
    if (!err && reply->type == REDIS_REPLY_STRING && find_name(reply->str, name))
        compare(&instance->health.sweep, name, nsinfo_sum_errors(reply->str));
}

static void on_list(const redisReply *reply, const struct err *err, void *data)
{
    struct instance *instance = data;
    if (err || reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
        return;
    struct sweep *sweep = &instance->health.sweep;
    for (size_t n = 0; n < SWEEP_AT_ONCE && n < reply->elements; n++) {
        const redisReply *name = reply->element[sweep->next++ % reply->elements];
        if (name->type == REDIS_REPLY_STRING && !health_say(instance, on_info, "NSINFO", name->str))
            return;
    }
}

void sweep_run(struct instance *instance)
{
    (void)health_say(instance, on_list, "NSLIST");
}

void sweep_judge(struct sweep *sweep, struct health *health)
{
    if (*sweep->finding)
        health_find(health, HEALTH_SICK, "%s", sweep->finding);
    sweep->finding[0] = '\0';
}
