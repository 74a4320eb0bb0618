/*
 * Resize, SetPassword, SetPublic, Lock, Freeze, and the aligning of what a 0-db has with what is
 * noted.
 *
 * Where two places keep something, the one that promises more comes first: bytes are booked before
 * a limit is raised, and a limit is lowered before bytes are given back. What failed between the
 * two leaves the namespace `misaligned`, and the 0-db is told again what is noted.
 */
#include "order.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "describe.h"
#include "node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_MAX = 24 };

/* ---- steps ---- */

static int say(struct order *order, const char *property, const char *value, struct err *err)
{
    const char *const arguments[] = {"NSSET", namespace_zdb_name(order->space), property, value};
    return order_say(order, false, arguments, (int)array_length(arguments), err);
}

static int say_limit(struct order *order, uint64_t size_bytes, struct err *err)
{
    char size[NUMBER_MAX];
    (void)snprintf(size, sizeof size, "%" PRIu64, size_bytes);
    order->space->misaligned = true;
    return say(order, "maxsize", size, err);
}

/* A 0-db keeps one state for both, the last that was said; it forgets it when it ends. */
static int say_flags(struct order *order, const struct note *note, struct err *err)
{
    order->space->misaligned = true;
    return say(order, note->frozen ? "freeze" : "lock", note->frozen || note->locked ? "1" : "0",
               err);
}

static int step_check_up(struct order *order, struct err *err)
{
    int rc = pool_check_up(order->space->pool, err);
    return rc < 0 ? rc : ORDER_GO_ON;
}

/* What its 0-db was not asked yet, or had out of service, may lack more than this. */
static void on_changed(struct order *order)
{
    order->space->misaligned = order->space->presence != NAMESPACE_THERE;
    if (order->space->misaligned)
        node_tidy_soon(order->node);
    tell_namespace(order->space, "namespace.changed", NULL);
}

/* `again` is the handler itself. */
static void begin(struct node *node, const char *id, const struct order_kind *kind,
                  gate_pass_fn again, void (*fill)(struct order *, const void *), const void *input,
                  struct rpc_call *call)
{
    struct namespace *space = order_find_free(node, id, again, input, call);
    struct order *order = space ? order_new(node, space, kind, call) : NULL;
    if (!order)
        return;
    order->size_bytes = space->size_bytes;
    fill(order, input);
    order_begin(order);
}

/* ---- align ---- */

static int step_align(struct order *order, struct err *err)
{
    const struct nsinfo *info = &order->info;
    const struct namespace *space = order->space;
    int rc = 0;
    if (*info->trouble)
        return ORDER_GO_ON;
    if (!info->password)
        log_warning("a namespace has no password", "namespace", space->id, "pool", space->pool->id);
    if (info->limit_bytes != space->size_bytes)
        rc = say_limit(order, space->size_bytes, err);
    if (rc == 0 && info->public != space->noted.public)
        rc = say(order, "public", space->noted.public ? "1" : "0", err);
    bool shut = space->noted.locked || space->noted.frozen;
    if (rc == 0 && (shut || info->locked))
        rc = say_flags(order, &space->noted, err);
    return rc == 0 && order->n_awaited == 0 ? ORDER_GO_ON : rc;
}

static void on_aligned(struct order *order)
{
    order->space->misaligned = false;
    namespace_find_trouble(order->space, order->info.trouble);
    tell_state(order->space);
}

static const order_step align_steps[] = {step_check_up, order_ask_info, step_align, NULL};

void align_begin(struct node *node, struct namespace *space)
{
    static const struct order_kind kind = {
        .name = "a namespace is not as it was noted", .steps = align_steps, .done = on_aligned};
    struct order *order = order_new(node, space, &kind, NULL);
    if (order)
        order_begin(order);
}

/* ---- Resize ---- */

static int step_check_stored(struct order *order, struct err *err)
{
    if (order->info.data_bytes <= order->size_bytes)
        return ORDER_GO_ON;
    return err_set(err, ERR_FAILED_PRECONDITION, 0, order->space->id,
                   "%" PRIu64 " bytes are stored in it: delete some before it gets %" PRIu64,
                   order->info.data_bytes, order->size_bytes);
}

static int step_shrink(struct order *order, struct err *err)
{
    if (order->size_bytes >= order->space->size_bytes)
        return ORDER_GO_ON;
    return say_limit(order, order->size_bytes, err);
}

/* After the booking: whatever it was before. */
static int step_grow(struct order *order, struct err *err)
{
    return say_limit(order, order->size_bytes, err);
}

static void fill_resize(struct order *order, const void *input)
{
    const Storage__V1__NamespaceResizeRequest *request = input;
    order->size_bytes = request->size_bytes;
}

void resize_begin(struct node *node, const void *input, struct rpc_call *call)
{
    static const order_step steps[] = {
        step_check_up, order_ask_info, step_check_stored, step_shrink, step_note, step_grow, NULL};
    static const struct order_kind undo = {
        .name = "a namespace keeps its size", .steps = align_steps, .done = on_aligned};
    static const struct order_kind kind = {.name = "a namespace could not be resized",
                                           .steps = steps,
                                           .undo = &undo,
                                           .done = on_changed};
    const Storage__V1__NamespaceResizeRequest *request = input;
    if (request->size_bytes == 0 || request->size_bytes > INT64_MAX)
        rpc_call_refuse(call, ERR_INVALID_ARGUMENT, "size_bytes",
                        "a namespace has a size from 1 to %" PRId64 " bytes", INT64_MAX);
    else
        begin(node, request->id, &kind, resize_begin, fill_resize, request, call);
}

/* ---- SetPassword ---- */

static void fill_password(struct order *order, const void *input)
{
    const Storage__V1__NamespaceSetPasswordRequest *request = input;
    memcpy(order->password, request->password.data, request->password.len);
    order->password_length = request->password.len;
}

void set_password_begin(struct node *node, const void *input, struct rpc_call *call)
{
    static const order_step steps[] = {step_check_up, order_say_password, NULL};
    static const struct order_kind kind = {
        .name = "a password could not be set", .steps = steps, .done = on_changed};
    const Storage__V1__NamespaceSetPasswordRequest *request = input;
    autoerr struct err err = {0};
    if (order_check_password(&request->password, &err) < 0)
        rpc_call_fail(call, &err);
    else
        begin(node, request->id, &kind, set_password_begin, fill_password, request, call);
}

/* ---- SetPublic ---- */

static int step_say_public(struct order *order, struct err *err)
{
    order->space->misaligned = true;
    return say(order, "public", order->note.public ? "1" : "0", err);
}

static void fill_public(struct order *order, const void *input)
{
    const Storage__V1__NamespaceSetPublicRequest *request = input;
    order->note.public = request->public_;
}

void set_public_begin(struct node *node, const void *input, struct rpc_call *call)
{
    static const order_step steps[] = {step_check_up, step_note, step_say_public, NULL};
    static const struct order_kind kind = {.name =
                                               "a namespace could not be made public or private",
                                           .steps = steps,
                                           .done = on_changed};
    const Storage__V1__NamespaceSetPublicRequest *request = input;
    begin(node, request->id, &kind, set_public_begin, fill_public, request, call);
}

/* ---- Lock, Freeze ---- */

static int step_say_flags(struct order *order, struct err *err)
{
    return say_flags(order, &order->note, err);
}

static const order_step flag_steps[] = {step_check_up, step_note, step_say_flags, NULL};
static const struct order_kind flag_kind = {
    .name = "a namespace could not be locked or frozen", .steps = flag_steps, .done = on_changed};

static void fill_lock(struct order *order, const void *input)
{
    const Storage__V1__NamespaceLockRequest *request = input;
    order->note.locked = request->locked;
}

void lock_begin(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__NamespaceLockRequest *request = input;
    begin(node, request->id, &flag_kind, lock_begin, fill_lock, request, call);
}

static void fill_freeze(struct order *order, const void *input)
{
    const Storage__V1__NamespaceFreezeRequest *request = input;
    order->note.frozen = request->frozen;
}

void freeze_begin(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__NamespaceFreezeRequest *request = input;
    begin(node, request->id, &flag_kind, freeze_begin, fill_freeze, request, call);
}
