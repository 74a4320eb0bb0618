/*
 * Steps that talk to a 0-db. The commands of a step leave together; the first reply that is not
 * what was wanted is the step's error, once all of them are there.
 */
#include "order.h"

#include "base/cleanup.h"
#include "base/step.h"
#include "node.h"

#include <string.h>

static void on_replies(struct order *order)
{
    if (--order->n_awaited > 0)
        return;
    step();
    if (order->step_err.code == ERR_OK) {
        order_next(order);
        return;
    }
    autoerr struct err err = {0};
    err_move(&err, &order->step_err);
    order_fail(order, &err);
}

static void refuse_reply(struct order *order, const redisReply *reply)
{
    if (order->step_err.code == ERR_OK)
        (void)err_set(&order->step_err, ERR_INTERNAL, 0, order->space->id,
                      "the 0-db of pool %s refuses: %.*s", order->space->pool->id,
                      reply->str ? (int)(reply->len < 200 ? reply->len : 200) : 0,
                      reply->str ? reply->str : "");
}

static void on_tolerated(const redisReply *reply, const struct err *err, void *data)
{
    struct order *order = data;
    (void)reply;
    if (err && order->step_err.code == ERR_OK)
        err_copy(&order->step_err, err);
    on_replies(order);
}

static void on_ok(const redisReply *reply, const struct err *err, void *data)
{
    struct order *order = data;
    if (err && order->step_err.code == ERR_OK)
        err_copy(&order->step_err, err);
    else if (reply && (reply->type != REDIS_REPLY_STATUS || strcmp(reply->str, "OK") != 0))
        refuse_reply(order, reply);
    on_replies(order);
}

static void on_info(const redisReply *reply, const struct err *err, void *data)
{
    struct order *order = data;
    const char *name = namespace_zdb_name(order->space);
    if (err && order->step_err.code == ERR_OK)
        err_copy(&order->step_err, err);
    else if (reply && reply->type != REDIS_REPLY_STRING)
        refuse_reply(order, reply);
    else if (reply && order->step_err.code == ERR_OK)
        (void)nsinfo_parse(reply->str, (size_t)reply->len, name, &order->info, &order->step_err);
    on_replies(order);
}

static int say_to(struct order *order, int n, const char *const *arguments, const size_t *lengths,
                  link_done done, struct err *err)
{
    int rc = instance_send(order->space->pool->instance, n, arguments, lengths, done, order, err);
    if (rc == 0)
        order->n_awaited++;
    /* Commands of this step are on their way: their replies decide when it ends. */
    if (rc < 0 && order->n_awaited > 0) {
        if (order->step_err.code == ERR_OK && err)
            err_copy(&order->step_err, err);
        rc = 0;
    }
    return rc;
}

int order_say(struct order *order, bool tolerate, const char *const *arguments, int n,
              struct err *err)
{
    return say_to(order, n, arguments, NULL, tolerate ? on_tolerated : on_ok, err);
}

static void on_gone(const redisReply *reply, const struct err *err, void *data)
{
    static const char absent[] = "This namespace doesn't exist";
    struct order *order = data;
    bool ok = reply && reply->type == REDIS_REPLY_STATUS;
    ok |= reply && reply->type == REDIS_REPLY_ERROR &&
          strncmp(reply->str, absent, strlen(absent)) == 0;
    if (err && order->step_err.code == ERR_OK)
        err_copy(&order->step_err, err);
    else if (reply && !ok)
        refuse_reply(order, reply);
    on_replies(order);
}

int order_say_gone(struct order *order, struct err *err)
{
    const char *const arguments[] = {"NSDEL", namespace_zdb_name(order->space)};
    return say_to(order, (int)array_length(arguments), arguments, NULL, on_gone, err);
}

int order_say_password(struct order *order, struct err *err)
{
    const char *name = namespace_zdb_name(order->space);
    const char *const arguments[] = {"NSSET", name, "password", order->password};
    const size_t lengths[] = {5, strlen(name), 8, order->password_length};
    return say_to(order, (int)array_length(arguments), arguments, lengths, on_ok, err);
}

int order_ask_info(struct order *order, struct err *err)
{
    const char *const arguments[] = {"NSINFO", namespace_zdb_name(order->space)};
    return say_to(order, (int)array_length(arguments), arguments, NULL, on_info, err);
}
