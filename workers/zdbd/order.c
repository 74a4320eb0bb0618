/*
 * The engine of orders. An order is freed by its last step alone; whatever it waits for holds it: a
 * reply of poold's, replies of a 0-db, or a place in its pool's queue with a timer. Between any two
 * of them a test can stop the process (base/step).
 */
#include "order.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/step.h"
#include "describe.h"
#include "node.h"

#include <stdlib.h>
#include <string.h>

enum {
    LEAST_DEADLINE_MS = 100,
    RETRY_AFTER_MS = 200,
    ANSWER_MARGIN_MS = 250, /* for undoing and answering before the caller gives up */
};

/* ---- the life of an order ---- */

struct order *order_new(struct node *node, struct namespace *space, const struct order_kind *kind,
                        struct rpc_call *call)
{
    struct order *order = calloc(1, sizeof *order);
    if (!order) {
        if (call)
            rpc_call_refuse(call, ERR_RESOURCE_EXHAUSTED, NULL, "no memory for an order");
        return NULL;
    }
    *order = (struct order){
        .node = node,
        .space = space,
        .call = call,
        .kind = kind,
        .deadline_ms =
            call ? rpc_call_deadline_ms(call) : clock_monotonic_ms() + ORDER_OWN_DEADLINE_MS,
        .note = space->noted,
    };
    (void)uv_timer_init(node->loop, &order->patience);
    order->patience.data = order;
    space->order = order;
    books_touch(&node->books, space->id);
    node->n_orders++;
    return order;
}

static void on_closed(uv_handle_t *handle)
{
    struct order *order = handle->data;
    explicit_bzero(order->password, sizeof order->password);
    err_clear(&order->err);
    err_clear(&order->step_err);
    free(order);
}

static void answer_with_namespace(struct order *order)
{
    struct described_namespace described;
    describe_namespace(order->space, &described);
    described.message.created = order->created;
    rpc_call_reply(order->call, &described.message.base);
}

/* It was never booked, for all we know: if it was, the next list says so. */
static void forget_unbooked(struct node *node, struct namespace *space)
{
    namespaces_drop(&node->namespaces, space);
    books_list_again(&node->books);
}

static void end(struct order *order, bool done)
{
    struct node *node = order->node;
    struct pool *pool = order->space->pool;
    struct order_follower follower = order->follower;
    books_touch(&node->books, order->space->id);
    order->space->order = NULL;
    if (done && order->kind->done)
        order->kind->done(order);
    if (order->call && order->failed)
        rpc_call_fail(order->call, &order->err);
    else if (order->call && order->kind->answer)
        order->kind->answer(order);
    else if (order->call)
        answer_with_namespace(order);
    node->n_orders--;
    if (!done && pool && order->space->phase == NAMESPACE_MAKING)
        order->space->phase = NAMESPACE_UNDONE;
    if (!done && !pool)
        forget_unbooked(node, take_ptr(order->space));
    else if (order->space)
        tell_state(order->space);
    uv_close((uv_handle_t *)&order->patience, on_closed);
    if (pool)
        pool_review_need(pool);
    node_order_ended(node);
    if (follower.call)
        follower.begin(node, follower.input, follower.call);
    if (order->ended)
        order->ended(order);
}

static void go_on(struct order *order)
{
    for (;;) {
        autoerr struct err err = {0};
        order_step next = order->kind->steps[order->step];
        if (!next) {
            end(order, true);
            return;
        }
        step();
        int rc = order->node->stop_done
                     ? err_set(&err, ERR_UNAVAILABLE, 0, "zdbd", "zdbd is stopping")
                     : next(order, &err);
        if (rc < 0) {
            order_fail(order, &err);
            return;
        }
        if (rc == 0)
            return;
        order->step++;
    }
}

void order_begin(struct order *order)
{
    go_on(order);
}

void order_next(struct order *order)
{
    order->step++;
    go_on(order);
}

/* What fails again is tried later and later; a call that failed is new, and owes that nothing. */
static void tidy_later(struct node *node, bool is_new)
{
    if (is_new && !retry_is_waiting(&node->tidy))
        retry_reset(&node->tidy);
    retry_later(&node->tidy);
}

void order_fail(struct order *order, const struct err *err)
{
    struct node *node = order->node;
    bool asked = order->call;
    const struct order_kind *kind = order->kind;
    bool durable = kind->durable_from > 0 && order->step >= kind->durable_from;
    log_err(order->call ? LOG_INFO : LOG_WARNING, kind->name, err);
    if (!order->failed && !durable) {
        err_copy(&order->err, err);
        order->failed = true;
    }
    const struct order_kind *undo = durable || node->stop_done ? NULL : kind->undo;
    if (!undo) {
        end(order, false);
        /* What is left to do follows from the namespace: node_tidy() does it. */
        if (!node->stop_begun)
            tidy_later(node, asked);
        return;
    }
    order->kind = undo;
    order->step = 0;
    order->deadline_ms = clock_monotonic_ms() + ORDER_OWN_DEADLINE_MS;
    go_on(order);
}

/* ---- steps: poold ---- */

static uint32_t time_left_ms(const struct order *order)
{
    uint64_t now = clock_monotonic_ms();
    uint64_t left = order->deadline_ms > now + ANSWER_MARGIN_MS
                        ? order->deadline_ms - now - ANSWER_MARGIN_MS
                        : 0;
    return left < LEAST_DEADLINE_MS ? LEAST_DEADLINE_MS : (uint32_t)left;
}

/* What is being removed is booked until its 0-db has forgotten it, as poold cannot know. */
static void refuse_booking(struct order *order, const struct err *refusal)
{
    autoerr struct err err = {0};
    err_copy(&err, refusal);
    if (err.code == ERR_RESOURCE_EXHAUSTED &&
        namespaces_one_ends(&order->node->namespaces, order->space->pool, order->disk_type))
        err_retryable(&err, RETRY_AFTER_MS);
    order_fail(order, &err);
}

static void on_booked(const struct rpc_result *result, void *data)
{
    struct order *order = data;
    step();
    if (result->err->code != ERR_OK) {
        refuse_booking(order, result->err);
        return;
    }
    if (result->output->descriptor == &storage__v1__booking__descriptor) {
        const Storage__V1__Booking *booking = (const Storage__V1__Booking *)result->output;
        struct pool *pool = pool_obtain(order->node, booking->pool);
        if (pool && booking->home)
            pool_learn_home(pool, booking->home);
        if (pool && !order->space->pool)
            pool->n_namespaces++;
        if (pool)
            namespaces_learn(&order->node->namespaces, order->space, pool, booking);
    }
    order_next(order);
}

int order_book_call(struct order *order, const char *method, const ProtobufCMessage *input,
                    struct err *err)
{
    return books_call(&order->node->books, method, input, time_left_ms(order), on_booked, order,
                      err);
}

/* ---- steps: waiting for a 0-db ---- */

static void stop_waiting(struct order *order)
{
    struct order **at = &order->space->pool->waiting;
    while (*at && *at != order)
        at = &(*at)->next_waiting;
    if (*at)
        *at = order->next_waiting;
    (void)uv_timer_stop(&order->patience);
}

static void on_patience(uv_timer_t *timer)
{
    struct order *order = timer->data;
    autoerr struct err err = {0};
    stop_waiting(order);
    if (pool_check_up(order->space->pool, &err) < 0)
        order_fail(order, &err);
    else
        order_next(order);
}

int order_wait_up(struct order *order, struct err *err)
{
    (void)err;
    struct pool *pool = order->space->pool;
    pool_review_need(pool);
    if (pool_check_up(pool, NULL) == 0)
        return ORDER_GO_ON;
    order->next_waiting = pool->waiting;
    pool->waiting = order;
    (void)uv_timer_start(&order->patience, on_patience, time_left_ms(order), 0);
    return 0;
}

void orders_pool_changed(struct pool *pool)
{
    if (pool_check_up(pool, NULL) < 0)
        return;
    while (pool->waiting) {
        struct order *order = pool->waiting;
        stop_waiting(order);
        order_next(order);
    }
}

void orders_cancel_waiting(struct node *node)
{
    for (size_t i = 0; i < node->n_pools; i++) {
        while (node->pools[i]->waiting) {
            struct order *order = node->pools[i]->waiting;
            autoerr struct err err = {0};
            stop_waiting(order);
            (void)err_set(&err, ERR_UNAVAILABLE, 0, "zdbd", "zdbd is stopping");
            err_retryable(&err, RETRY_AFTER_MS);
            order_fail(order, &err);
        }
    }
}

/* One that fails may be gone then, so the row is looked through anew. */
static struct order *find_importing(const struct node *node)
{
    for (size_t i = 0; i < node->namespaces.n; i++) {
        struct order *order = node->namespaces.by_id[i]->order;
        if (order && order->importer)
            return order;
    }
    return NULL;
}

void orders_close_importers(struct node *node)
{
    for (struct order *order; (order = find_importing(node));) {
        autoerr struct err err = {0};
        importer_close(order->importer);
        order->importer = NULL;
        (void)err_set(&err, ERR_UNAVAILABLE, 0, "zdbd", "zdbd is stopping");
        order_fail(order, &err);
    }
}

void orders_kill_importers(struct node *node)
{
    for (size_t i = 0; i < node->namespaces.n; i++) {
        const struct order *order = node->namespaces.by_id[i]->order;
        if (order && order->importer)
            importer_kill(order->importer);
    }
}

/* ---- what calls name ---- */

int order_check_id(const char *id, struct err *err)
{
    if (uuid_valid(id))
        return 0;
    return err_set(err, ERR_INVALID_ARGUMENT, 0, "id", "\"%s\" is no namespace's id", id);
}

int order_check_password(const ProtobufCBinaryData *password, struct err *err)
{
    if (password->len == 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "password",
                       "a namespace needs a password: without one anybody could write to it");
    if (password->len > ORDER_PASSWORD_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "password",
                       "a password has at most %d bytes; this one has %zu", ORDER_PASSWORD_MAX,
                       password->len);
    if (memchr(password->data, '\0', password->len))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "password", "a password has no NUL byte");
    if (password->len == 1 && password->data[0] == '*')
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "password",
                       "\"*\" alone is no password: to a 0-db it means none");
    return 0;
}

static void refuse_busy(const struct namespace *space, struct rpc_call *call)
{
    autoerr struct err err = {0};
    (void)err_set(&err, ERR_ABORTED, 0, space->id,
                  "another change of the namespace %s is in flight", space->id);
    err_retryable(&err, RETRY_AFTER_MS);
    rpc_call_fail(call, &err);
}

int order_not_found(const struct node *node, const struct namespace *space, const char *object,
                    struct err *err)
{
    int rc = space ? 0 : pools_check_known(node, object, err);
    return rc < 0 ? rc : err_set(err, ERR_NOT_FOUND, 0, object, "there is no namespace %s", object);
}

struct namespace *order_find_free(struct node *node, const char *id, gate_pass_fn begin,
                                  const void *input, struct rpc_call *call)
{
    autoerr struct err err = {0};
    struct namespace *space = NULL;
    if (order_check_id(id, &err) < 0) {
        rpc_call_fail(call, &err);
        return NULL;
    }
    space = namespaces_find(&node->namespaces, id);
    if (space && space->phase == NAMESPACE_MAKING) {
        refuse_busy(space, call);
        return NULL;
    }
    if (!space || space->phase != NAMESPACE_LIVE) {
        (void)order_not_found(node, space, id, &err);
        rpc_call_fail(call, &err);
        return NULL;
    }
    if (space->order && !space->order->call && !space->order->follower.call) {
        space->order->follower = (struct order_follower){begin, input, call};
        return NULL;
    }
    if (space->order) {
        refuse_busy(space, call);
        return NULL;
    }
    if (space->strange) {
        rpc_call_refuse(call, ERR_FAILED_PRECONDITION, id,
                        "the booking %s was not made by this zdbd, and is left alone", id);
        return NULL;
    }
    return space;
}
