/*
 * Release, and the end of what was released or never finished. A release is durable as soon as the
 * note says so; the data goes then, and the bytes come back after it.
 */
#include "order.h"

#include "base/cleanup.h"
#include "describe.h"
#include "node.h"

#include <string.h>

/* ---- steps ---- */

int step_note(struct order *order, struct err *err)
{
    uint8_t packed[NOTE_PACKED_MAX];
    Storage__V1__ResizeBookingRequest request = STORAGE__V1__RESIZE_BOOKING_REQUEST__INIT;
    Storage__V1__Note note = STORAGE__V1__NOTE__INIT;
    note.data = (ProtobufCBinaryData){note_pack(&order->note, packed), packed};
    request.id = order->space->id;
    request.size_bytes = order->size_bytes;
    request.note = &note;
    return order_book_call(order, "ResizeBooking", &request.base, err);
}

/* An order that makes a namespace and has said nothing to the 0-db has nothing to remove. Nor has
 * an import that put nothing in place: what has its name is somebody else's. */
int step_remove(struct order *order, struct err *err)
{
    const struct namespace *space = order->space;
    bool nothing_sent = order->failed && !order->sent;
    bool nothing_placed = *space->noted.zdb_name && !space->noted.dying && !order->marked;
    if (!space->pool || nothing_sent || nothing_placed)
        return ORDER_GO_ON;
    return order_say_gone(order, err);
}

/* Refused for good, nothing was booked. */
static bool is_unbooked(const struct order *order)
{
    if (order->space->pool || !order->failed)
        return false;
    switch (order->err.code) {
    case ERR_INVALID_ARGUMENT:
    case ERR_NOT_FOUND:
    case ERR_ALREADY_EXISTS:
    case ERR_RESOURCE_EXHAUSTED:
    case ERR_FAILED_PRECONDITION:
        return true;
    default:
        return false;
    }
}

int step_unbook(struct order *order, struct err *err)
{
    Storage__V1__UnbookRequest request = STORAGE__V1__UNBOOK_REQUEST__INIT;
    if (is_unbooked(order))
        return ORDER_GO_ON;
    request.id = order->space->id;
    return order_book_call(order, "Unbook", &request.base, err);
}

int step_settle(struct order *order, struct err *err)
{
    Storage__V1__SettleRequest request = STORAGE__V1__SETTLE_REQUEST__INIT;
    request.id = order->space->id;
    return order_book_call(order, "Settle", &request.base, err);
}

void drop_space(struct order *order)
{
    struct namespace *space = order->space;
    if (space->pool)
        space->pool->n_namespaces--;
    namespaces_drop(&order->node->namespaces, space);
    order->space = NULL;
}

/* ---- Release ---- */

static int step_announce(struct order *order, struct err *err)
{
    (void)err;
    struct namespace *space = order->space;
    space->told = STORAGE__V1__ZDBNAMESPACE_STATE__ZDB_NAMESPACE_STATE_RELEASING;
    tell_namespace(space, "namespace.released", NULL);
    return ORDER_GO_ON;
}

static void answer_release(struct rpc_call *call, bool existed)
{
    Storage__V1__NamespaceReleaseReply reply = STORAGE__V1__NAMESPACE_RELEASE_REPLY__INIT;
    reply.existed = existed;
    rpc_call_reply(call, &reply.base);
}

static void on_released(struct order *order)
{
    answer_release(order->call, true);
}

void release_begin(struct node *node, const void *input, struct rpc_call *call)
{
    static const order_step steps[] = {step_note,  step_announce, step_remove,
                                       step_clear, step_unbook,   NULL};
    static const struct order_kind kind = {.name = "a namespace could not be released",
                                           .steps = steps,
                                           .durable_from = 1,
                                           .done = drop_space,
                                           .answer = on_released};
    const Storage__V1__NamespaceReleaseRequest *request = input;
    autoerr struct err err = {0};
    if (order_check_id(request->id, &err) < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    struct namespace *space = namespaces_find(&node->namespaces, request->id);
    if (!space && pools_check_known(node, request->id, &err) < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    /* What is dying was released, by this call or another. */
    if (!space || space->phase == NAMESPACE_DYING || space->phase == NAMESPACE_UNDONE) {
        answer_release(call, space && space->phase == NAMESPACE_DYING);
        return;
    }
    space = order_find_free(node, request->id, release_begin, input, call);
    struct order *order = space ? order_new(node, space, &kind, call) : NULL;
    if (!order)
        return;
    order->size_bytes = space->size_bytes;
    order->note.dying = true;
    order_begin(order);
}

/* ---- the end of the others ---- */

void end_begin(struct node *node, struct namespace *space)
{
    static const order_step steps[] = {step_look, step_remove, step_clear, step_unbook, NULL};
    static const struct order_kind kind = {
        .name = "what is left of a namespace does not go", .steps = steps, .done = drop_space};
    struct order *order = order_new(node, space, &kind, NULL);
    if (order)
        order_begin(order);
}
