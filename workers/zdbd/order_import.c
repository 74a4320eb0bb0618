/*
 * Import of one namespace: books what it needs, has it copied into the home of the pool's 0-db
 * (import.h), has that take it, and looks at it before the booking is settled. What was not settled
 * is undone, by the order itself or by whoever finds it; the mark of the copy tells whether what
 * has its name in the home came from there.
 */
#include "order.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/step.h"
#include "describe.h"
#include "node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_MAX = 24 };

/* What our 0-db loads in a second or so. It answers nobody meanwhile, and one that does not answer
 * is taken for one that hangs. */
#define AT_ONCE_ENTRIES UINT64_C(2000000)
#define AT_ONCE_BYTES   (UINT64_C(1) << 30)

/* ---- runs of the importer -------------------------------------------------------------------- */

/* However long a copy took, what follows has its time. */
static void end_run(struct order *order)
{
    order->importer = NULL;
    order->deadline_ms = clock_monotonic_ms() + ORDER_OWN_DEADLINE_MS;
    step();
}

static void on_run(const struct import_report *reports, size_t n, const struct import_report *last,
                   const struct err *err, void *data)
{
    struct order *order = data;
    (void)reports, (void)n;
    end_run(order);
    if (err) {
        order_fail(order, err);
        return;
    }
    order->marked = last->marked;
    order_next(order);
}

/* What is left then is an empty directory, which goes with the namespace. */
static void on_settled(const struct import_report *reports, size_t n,
                       const struct import_report *last, const struct err *err, void *data)
{
    struct order *order = data;
    (void)reports, (void)n, (void)last;
    end_run(order);
    if (err)
        log_err(LOG_WARNING, "the mark of an import stays", err);
    order_next(order);
}

static int run(struct order *order, const char *const *arguments, importer_done done,
               struct err *err)
{
    const struct pool *pool = order->space->pool;
    if (order->node->stop_begun)
        return err_set(err, ERR_UNAVAILABLE, 0, "zdbd", "zdbd is stopping");
    if (!*pool->home)
        return err_set(err, ERR_UNAVAILABLE, 0, pool->id,
                       "poold has not told where the 0-db of pool %s is at home", pool->id);
    return importer_run(order->node->loop, arguments, done, order, &order->importer, err);
}

static bool is_imported(const struct order *order)
{
    return order->space->pool && *order->space->noted.zdb_name;
}

int step_look(struct order *order, struct err *err)
{
    if (!is_imported(order) || order->space->noted.dying)
        return ORDER_GO_ON;
    const char *const arguments[] = {"look", order->space->pool->home, order->space->id, NULL};
    return run(order, arguments, on_run, err);
}

int step_clear(struct order *order, struct err *err)
{
    if (!is_imported(order) || !(order->marked || order->space->noted.dying))
        return ORDER_GO_ON;
    const char *const arguments[] = {"clear", order->space->pool->home, order->space->id,
                                     order->space->noted.zdb_name, NULL};
    return run(order, arguments, on_run, err);
}

static int step_forget(struct order *order, struct err *err)
{
    const char *const arguments[] = {"settle", order->space->pool->home, order->space->id, NULL};
    int rc = run(order, arguments, on_settled, err);
    if (rc < 0)
        log_err(LOG_WARNING, "the mark of an import stays", err);
    return rc < 0 ? ORDER_GO_ON : 0;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int step_book(struct order *order, struct err *err)
{
    uint8_t packed[NOTE_PACKED_MAX];
    Storage__V1__BookRequest request = STORAGE__V1__BOOK_REQUEST__INIT;
    request.id = order->space->id;
    request.pool = (char *)(uintptr_t)order->wish->pool;
    request.size_bytes = order->size_bytes;
    request.note = (ProtobufCBinaryData){note_pack(&order->note, packed), packed};
    return order_book_call(order, "Book", &request.base, err);
}

/* All in the home share one limit of the kernel's: what is dead in its files must not take the room
 * of others. */
static int step_check_room(struct order *order, struct err *err)
{
    const struct import_report *found = order->wish->found;
    if (found->disk_bytes <= order->space->limit_bytes)
        return ORDER_GO_ON;
    return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, order->space->id,
                   "its files take %" PRIu64 " bytes, and a namespace of its size gets %" PRIu64
                   ": raise its maxsize, or have it compacted",
                   found->disk_bytes, order->space->limit_bytes);
}

static int step_copy(struct order *order, struct err *err)
{
    char uid[NUMBER_MAX], gid[NUMBER_MAX];
    const struct import_wish *wish = order->wish;
    const struct pool *pool = order->space->pool;
    (void)snprintf(uid, sizeof uid, "%u", pool->uid);
    (void)snprintf(gid, sizeof gid, "%u", pool->gid);
    const char *const arguments[] = {"copy",
                                     wish->data_path,
                                     wish->index_path,
                                     wish->found->name,
                                     pool->home,
                                     order->space->id,
                                     uid,
                                     gid,
                                     NULL};
    order->sent = true; /* a 0-db that starts finds it by itself */
    return run(order, arguments, on_run, err);
}

/* Upstream's loads only at its start what it does not know; and at a start there is time. */
static int step_take(struct order *order, struct err *err)
{
    const struct import_report *found = order->wish->found;
    const char *const reload[] = {"RELOAD", namespace_zdb_name(order->space)};
    bool at_once = !*order->node->settings->zdb_binary && found->entries <= AT_ONCE_ENTRIES &&
                   found->file_bytes <= AT_ONCE_BYTES;
    if (at_once)
        return order_say(order, false, reload, (int)array_length(reload), err);
    instance_restart(order->space->pool->instance, "it shall load an imported namespace");
    return ORDER_GO_ON;
}

static int step_limit(struct order *order, struct err *err)
{
    char size[NUMBER_MAX];
    const char *const set[] = {"NSSET", namespace_zdb_name(order->space), "maxsize", size};
    if (order->info.limit_bytes == order->size_bytes)
        return ORDER_GO_ON;
    (void)snprintf(size, sizeof size, "%" PRIu64, order->size_bytes);
    int rc = order_say(order, false, set, (int)array_length(set), err);
    return rc < 0 ? rc : order_ask_info(order, err);
}

static int step_verify(struct order *order, struct err *err)
{
    const struct nsinfo *info = &order->info;
    const struct import_report *found = order->wish->found;
    if (*info->trouble)
        return err_set(err, ERR_DATA_LOSS, 0, order->space->id,
                       "the 0-db of pool %s keeps it out of service: %s", order->space->pool->id,
                       info->trouble);
    if (info->entries < found->entries)
        return err_set(err, ERR_DATA_LOSS, 0, order->space->id,
                       "the 0-db of pool %s finds %" PRIu64 " entries where its index has %" PRIu64
                       ": start and stop its own 0-db, which may mend it",
                       order->space->pool->id, info->entries, found->entries);
    if (info->password == found->password && info->public == found->public &&
        info->mode == found->mode && info->limit_bytes == order->size_bytes)
        return ORDER_GO_ON;
    return err_set(err, ERR_INTERNAL, 0, order->space->id,
                   "the 0-db of pool %s did not take it as it was: limit %" PRIu64 " for %" PRIu64
                   ", password %s, public %s",
                   order->space->pool->id, info->limit_bytes, order->size_bytes,
                   info->password ? "yes" : "no", info->public ? "yes" : "no");
}

static void on_imported(struct order *order)
{
    struct namespace *space = order->space;
    space->presence = NAMESPACE_THERE;
    space->told = STORAGE__V1__ZDBNAMESPACE_STATE__ZDB_NAMESPACE_STATE_LIVE;
    tell_namespace(space, "namespace.imported", NULL);
}

/* ---- the order ------------------------------------------------------------------------------- */

/* A name that looks like an id is the id: it may be one that a Reserve of this node derives again,
 * which must find it then. */
static struct namespace *add_space(struct node *node, const char *name)
{
    char id[UUID_TEXT_SIZE];
    if (uuid_valid(name))
        (void)snprintf(id, sizeof id, "%s", name);
    else
        uuid_random(id);
    return namespaces_add(&node->namespaces, id);
}

/* Without a limit of its own it gets what its files take. */
uint64_t import_size(const struct import_report *found)
{
    if (found->limit_bytes > 0)
        return found->limit_bytes;
    return found->disk_bytes > 0 ? found->disk_bytes : 1;
}

bool import_begin(struct node *node, const struct import_wish *wish,
                  void (*ended)(struct order *order), void *data)
{
    static const order_step undo_steps[] = {step_look, step_remove, step_clear, step_unbook, NULL};
    static const struct order_kind undo = {
        .name = "a namespace that could not be imported is not undone yet",
        .steps = undo_steps,
        .done = drop_space};
    static const order_step steps[] = {
        step_book,     step_check_room, order_wait_up, step_copy,   order_wait_up, step_take,
        order_wait_up, order_ask_info,  step_limit,    step_verify, step_settle,   step_forget,
        NULL};
    static const struct order_kind kind = {.name = "a namespace could not be imported",
                                           .steps = steps,
                                           .undo = &undo,
                                           .done = on_imported};
    struct namespace *space = add_space(node, wish->found->name);
    struct order *order = space ? order_new(node, space, &kind, NULL) : NULL;
    if (!order) {
        if (space)
            namespaces_drop(&node->namespaces, space);
        return false;
    }
    order->wish = wish;
    order->ended = ended;
    order->ended_data = data;
    order->size_bytes = import_size(wish->found);
    order->note = (struct note){.mode = wish->found->mode, .public = wish->found->public};
    (void)snprintf(order->note.zdb_name, sizeof order->note.zdb_name, "%s", wish->found->name);
    namespaces_note(&node->namespaces, space, &order->note); /* so that its name is taken */
    order_begin(order);
    return true;
}
