/*
 * Reserve: checks the request, finds what it may have made before, books the bytes, has the
 * namespace made by the 0-db of the pool that poold chose, looks at it, and only then settles the
 * booking. What was not settled was never acknowledged, and is undone: by the order itself, or by
 * whoever finds it.
 */
#include "order.h"

#include "base/cleanup.h"
#include "base/name.h"
#include "describe.h"
#include "node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TYPE(name) STORAGE__V1__DISK_TYPE__DISK_TYPE_##name
#define MODE(name) STORAGE__V1__ZDBMODE__ZDB_MODE_##name

enum { RETRY_AFTER_MS = 200, NUMBER_MAX = 24 };

/* ---- the request ---- */

static int check(const struct node *node, const Storage__V1__NamespaceReserveRequest *request,
                 const struct rpc_call *call, struct err *err)
{
    if (request->disk_type != TYPE(SSD) && request->disk_type != TYPE(HDD))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "disk_type", "say which: SSD or HDD");
    if (request->mode != MODE(USER) && request->mode != MODE(SEQUENTIAL))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "mode", "say which: user or sequential");
    if (request->size_bytes == 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "size_bytes", "a namespace has a size");
    if (request->size_bytes > INT64_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "size_bytes",
                       "%" PRIu64 " bytes are more than a 0-db counts", request->size_bytes);
    int rc = order_check_password(&request->password, err);
    if (rc == 0 && *request->name)
        rc = name_check(request->name, err);
    else if (rc == 0 && !*rpc_call_request_id(call))
        rc = err_set(err, ERR_INVALID_ARGUMENT, 0, "name",
                     "give it a name, or the call a request id: a retry is known by one of them");
    if (rc < 0)
        return rc;
    const char *wanted = request->disk_type == TYPE(SSD) ? "ssd" : "hdd";
    for (char *const *type = node->settings->zdb_disk_types; *type; type++)
        if (strcasecmp(*type, wanted) == 0)
            return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, 0, "disk_type",
                   "pools of type %s serve no 0-db here ([zdb] disk_types)", wanted);
}

static void derive_id(const struct rpc_call *call, char out_id[UUID_TEXT_SIZE])
{
    const char *const names[] = {"namespace", log_u64(rpc_call_uid(call)),
                                 rpc_call_request_id(call)};
    if (*rpc_call_request_id(call))
        uuid_derive(names, array_length(names), out_id);
    else
        uuid_random(out_id);
}

/* ---- what is there already ---- */

static int compare(const struct namespace *has, const Storage__V1__NamespaceReserveRequest *wanted,
                   struct err *err)
{
    const struct {
        const char *what;
        bool same;
    } fields[] = {
        {"its name is another", strcmp(has->noted.name, wanted->name) == 0},
        {"its size is another", has->size_bytes == wanted->size_bytes},
        {"its disk type is another",
         has->pool->disk_type == TYPE(UNSPECIFIED) || has->pool->disk_type == wanted->disk_type},
        {"its mode is another", has->noted.mode == wanted->mode},
        {wanted->public_ ? "it is private" : "it is public", has->noted.public == wanted->public_},
    };
    int rc = 0;
    for (size_t i = 0; i < array_length(fields); i++) {
        if (fields[i].same)
            continue;
        if (rc == 0)
            rc = err_set(err, ERR_ALREADY_EXISTS, 0, has->id,
                         "the namespace %s is there with other parameters", has->id);
        err_blocker(err, "%s", fields[i].what);
    }
    return rc;
}

static void answer_existing(struct namespace *has,
                            const Storage__V1__NamespaceReserveRequest *wanted,
                            struct rpc_call *call)
{
    autoerr struct err err = {0};
    if (has->phase == NAMESPACE_DYING) {
        rpc_call_refuse(call, ERR_FAILED_PRECONDITION, has->id,
                        "the namespace %s of this request was released; ask under a new one",
                        has->id);
    } else if (has->phase == NAMESPACE_UNDONE) {
        (void)err_set(&err, ERR_UNAVAILABLE, 0, has->id,
                      "what an earlier try at the namespace %s has left is being removed", has->id);
        err_retryable(&err, RETRY_AFTER_MS);
        rpc_call_fail(call, &err);
    } else if (has->phase != NAMESPACE_LIVE || (has->order && has->order->call)) {
        (void)err_set(&err, ERR_ABORTED, 0, has->id,
                      "another change of the namespace %s is in flight", has->id);
        err_retryable(&err, RETRY_AFTER_MS);
        rpc_call_fail(call, &err);
    } else if (compare(has, wanted, &err) < 0) {
        rpc_call_fail(call, &err);
    } else {
        struct described_namespace described;
        describe_namespace(has, &described);
        rpc_call_reply(call, &described.message.base);
    }
}

/* ---- steps ---- */

static int step_book(struct order *order, struct err *err)
{
    uint8_t packed[NOTE_PACKED_MAX];
    Storage__V1__BookRequest request = STORAGE__V1__BOOK_REQUEST__INIT;
    request.id = order->space->id;
    request.disk_type = order->disk_type;
    request.size_bytes = order->size_bytes;
    request.note = (ProtobufCBinaryData){note_pack(&order->note, packed), packed};
    return order_book_call(order, "Book", &request.base, err);
}

static int say(struct order *order, const char *property, const char *value, struct err *err)
{
    const char *const arguments[] = {"NSSET", namespace_zdb_name(order->space), property, value};
    return order_say(order, false, arguments, (int)array_length(arguments), err);
}

/* All in one write: nobody enters before there is a password. An earlier try under this id may have
 * left something: it was never acknowledged. */
static int step_make(struct order *order, struct err *err)
{
    const char *name = namespace_zdb_name(order->space);
    const char *const remove[] = {"NSDEL", name}, *const make[] = {"NSNEW", name};
    char size[NUMBER_MAX];
    if (order->space->phase == NAMESPACE_LIVE)
        return ORDER_GO_ON;
    order->sent = true;
    (void)snprintf(size, sizeof size, "%" PRIu64, order->size_bytes);
    int rc = order_say(order, true, remove, (int)array_length(remove), err);
    if (rc == 0)
        rc = order_say(order, false, make, (int)array_length(make), err);
    if (rc == 0)
        rc = order_say_password(order, err);
    if (rc == 0)
        rc = say(order, "mode", order->note.mode == MODE(SEQUENTIAL) ? "seq" : "user", err);
    if (rc == 0)
        rc = say(order, "public", order->note.public ? "1" : "0", err);
    if (rc == 0)
        rc = say(order, "maxsize", size, err);
    if (rc == 0)
        rc = order_ask_info(order, err);
    return rc;
}

static int step_verify(struct order *order, struct err *err)
{
    const struct nsinfo *info = &order->info;
    if (order->space->phase == NAMESPACE_LIVE)
        return ORDER_GO_ON;
    bool as_asked = info->password && info->public == order->note.public &&
                    info->limit_bytes == order->size_bytes && info->mode == order->note.mode &&
                    info->entries == 0;
    if (as_asked)
        return ORDER_GO_ON;
    return err_set(err, ERR_INTERNAL, 0, order->space->id,
                   "the 0-db of pool %s did not make the namespace as it was told: limit %" PRIu64
                   " for %" PRIu64 ", password %s, public %s, %" PRIu64 " entries",
                   order->space->pool->id, info->limit_bytes, order->size_bytes,
                   info->password ? "yes" : "no", info->public ? "yes" : "no", info->entries);
}

static void on_reserved(struct order *order)
{
    struct namespace *space = order->space;
    space->presence = NAMESPACE_THERE;
    order->created = true;
    space->told = STORAGE__V1__ZDBNAMESPACE_STATE__ZDB_NAMESPACE_STATE_LIVE;
    tell_namespace(space, "namespace.reserved", NULL);
}

void reserve_begin(struct node *node, const void *input, struct rpc_call *call)
{
    static const order_step undo_steps[] = {step_remove, step_unbook, NULL};
    static const struct order_kind undo = {
        .name = "a namespace that could not be made is not undone yet",
        .steps = undo_steps,
        .done = drop_space};
    static const order_step steps[] = {step_book,   order_wait_up, step_make,
                                       step_verify, step_settle,   NULL};
    static const struct order_kind kind = {.name = "a namespace could not be made",
                                           .steps = steps,
                                           .undo = &undo,
                                           .done = on_reserved};
    const Storage__V1__NamespaceReserveRequest *request = input;
    autoerr struct err err = {0};
    char id[UUID_TEXT_SIZE];
    if (check(node, request, call, &err) < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    derive_id(call, id);
    struct namespace *space = namespaces_find(&node->namespaces, id);
    if (!space && *request->name)
        space = namespaces_find_name(&node->namespaces, request->name);
    if (space) {
        answer_existing(space, request, call);
        return;
    }
    space = namespaces_add(&node->namespaces, id);
    struct order *order = space ? order_new(node, space, &kind, call) : NULL;
    if (!space)
        rpc_call_refuse(call, ERR_RESOURCE_EXHAUSTED, NULL, "no memory for a namespace");
    if (!order) {
        if (space)
            namespaces_drop(&node->namespaces, space);
        return;
    }
    order->disk_type = request->disk_type;
    order->size_bytes = request->size_bytes;
    order->note = (struct note){.mode = request->mode, .public = request->public_};
    (void)snprintf(order->note.name, sizeof order->note.name, "%s", request->name);
    namespaces_note(&node->namespaces, space, &order->note); /* so that its name is taken */
    memcpy(order->password, request->password.data, request->password.len);
    order->password_length = request->password.len;
    order_begin(order);
}
