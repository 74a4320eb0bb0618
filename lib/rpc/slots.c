/*
 * Slots, and what each peer has in them. On the loop, but for slot_completed(), which runs on nng's
 * threads and touches only its slot, which is nng's at that time.
 *
 * Invariant: while not closing, one slot is in receive, unless memory or SLOTS_MAX forbids to open
 * one; then the next slot that gets free is put there.
 */
#include "rpc/slots.h"

#include "base/clock.h"
#include "rpc/nngerr.h"

#include <assert.h>
#include <stdlib.h>

/* One connection, while it has something in slots. */
struct slot_peer {
    struct slot_peer *next;
    uint32_t pipe_id;
    size_t n_slots;
    size_t unread_bytes; /* replies that nng has not yet taken */
};

/* A connection that has more than this many refusals on their way out does not read them. */
enum { PEER_REFUSED_MAX = 1024 };

static struct slot_peer *peer_get(struct rpc_slots *slots, nng_pipe pipe)
{
    struct slot_peer *peer = slots->peers;
    while (peer && peer->pipe_id != pipe.id)
        peer = peer->next;
    if (!peer) {
        peer = calloc(1, sizeof *peer);
        if (!peer)
            return NULL;
        peer->pipe_id = pipe.id;
        peer->next = slots->peers;
        slots->peers = peer;
    }
    peer->n_slots++;
    return peer;
}

static void peer_put(struct rpc_slots *slots, struct slot_peer *peer)
{
    if (--peer->n_slots > 0)
        return;
    struct slot_peer **link = &slots->peers;
    while (*link != peer)
        link = &(*link)->next;
    *link = peer->next;
    free(peer);
}

/* On nng's threads. */
static void slot_completed(void *data)
{
    struct rpc_slot *slot = data;
    if (slot->state == SLOT_RECEIVING && nng_aio_result(slot->aio) == 0) {
        uint64_t uid, gid;
        slot->received_ms = clock_monotonic_ms();
        slot->pipe = nng_msg_get_pipe(nng_aio_get_msg(slot->aio));
        slot->known = nng_pipe_get_uint64(slot->pipe, NNG_OPT_IPC_PEER_UID, &uid) == 0 &&
                      nng_pipe_get_uint64(slot->pipe, NNG_OPT_IPC_PEER_GID, &gid) == 0;
        slot->uid = slot->known ? (uid_t)uid : (uid_t)-1;
        slot->gid = slot->known ? (gid_t)gid : (gid_t)-1;
    }
    inbox_push(&slot->slots->inbox, &slot->item);
}

static void slot_arm(struct rpc_slot *slot)
{
    slot->state = SLOT_RECEIVING;
    slot->slots->n_receiving++;
    nng_aio_set_msg(slot->aio, NULL);
    nng_aio_set_timeout(slot->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(slot->ctx, slot->aio);
}

static void on_timer(uv_timer_t *timer)
{
    struct rpc_slot *slot = timer->data;
    uint64_t now = clock_monotonic_ms();
    if (now < slot->deadline_ms)
        (void)uv_timer_start(timer, on_timer, slot->deadline_ms - now, 0);
    else
        slot->slots->options.expired(slot, slot->slots->options.data);
}

void slot_set_deadline(struct rpc_slot *slot, uint64_t deadline_ms)
{
    uint64_t now = clock_monotonic_ms();
    slot->deadline_ms = deadline_ms;
    (void)uv_timer_start(&slot->timer, on_timer, deadline_ms > now ? deadline_ms - now : 0, 0);
}

static int slot_open(struct rpc_slots *slots, struct rpc_slot **out_slot, struct err *err)
{
    struct rpc_slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, NULL, "no memory for a receive slot");
    int rv = nng_ctx_open(&slot->ctx, slots->options.socket);
    if (rv != 0) {
        free(slot);
        return nngerr_set(err, rv, NULL, "cannot open a context");
    }
    rv = nng_aio_alloc(&slot->aio, slot_completed, slot);
    if (rv != 0) {
        (void)nng_ctx_close(slot->ctx);
        free(slot);
        return nngerr_set(err, rv, NULL, "cannot make an aio");
    }
    slot->slots = slots;
    (void)uv_timer_init(slots->options.loop, &slot->timer);
    slot->timer.data = slot;
    slot->next = slots->all;
    if (slots->all)
        slots->all->prev = slot;
    slots->all = slot;
    slots->n_all++;
    *out_slot = slot;
    return 0;
}

static void close_if_empty(struct rpc_slots *slots)
{
    if (slots->closing && slots->inbox_closed && slots->n_all == 0)
        slots->options.closed(slots->options.data);
}

static void on_slot_closed(uv_handle_t *handle)
{
    struct rpc_slot *slot = handle->data;
    struct rpc_slots *slots = slot->slots;
    if (slot->prev)
        slot->prev->next = slot->next;
    else
        slots->all = slot->next;
    if (slot->next)
        slot->next->prev = slot->prev;
    slots->n_all--;
    free(slot);
    close_if_empty(slots);
}

/* The aio is idle or stopped. */
static void slot_close(struct rpc_slot *slot)
{
    slot->state = SLOT_CLOSED;
    nng_aio_free(slot->aio);
    (void)nng_ctx_close(slot->ctx);
    uv_close((uv_handle_t *)&slot->timer, on_slot_closed);
}

static void slot_release(struct rpc_slot *slot)
{
    struct rpc_slots *slots = slot->slots;
    if (slot->peer)
        peer_put(slots, slot->peer);
    slot->peer = NULL;
    slot->state = SLOT_IDLE;
    if (slots->n_receiving == 0) {
        slot_arm(slot);
    } else if (slots->n_idle == SLOTS_IDLE_MAX) {
        slot_close(slot);
    } else {
        slot->next_idle = slots->idle;
        slots->idle = slot;
        slots->n_idle++;
    }
}

static int receive_one(struct rpc_slots *slots, struct err *err)
{
    struct rpc_slot *slot = slots->idle;
    if (slot) {
        slots->idle = slot->next_idle;
        slots->n_idle--;
    } else {
        if (slots->n_all >= SLOTS_MAX)
            return -ERR_RESOURCE_EXHAUSTED;
        int rc = slot_open(slots, &slot, err);
        if (rc < 0)
            return rc;
    }
    slot_arm(slot);
    return 0;
}

static void slot_received(struct rpc_slot *slot)
{
    struct rpc_slots *slots = slot->slots;
    slots->n_receiving--;
    nng_msg *msg = nng_aio_result(slot->aio) == 0 ? nng_aio_get_msg(slot->aio) : NULL;
    slot->peer = msg && slot->known ? peer_get(slots, slot->pipe) : NULL;
    if (!slot->peer) { /* whoever sent it is gone, or there is no memory */
        if (msg)
            nng_msg_free(msg);
        slot_release(slot);
        return;
    }
    slot->state = SLOT_HELD;
    (void)receive_one(slots, NULL);
    if (slot->peer->n_slots > RPC_PEER_PARKED_MAX + PEER_REFUSED_MAX) {
        nng_msg_free(msg);
        slot_answer(slot, NULL);
        return;
    }
    bool crowded =
        slot->peer->n_slots > RPC_PEER_PARKED_MAX || slots->n_all > RPC_PARKED_MAX + SLOTS_IDLE_MAX;
    slots->options.requested(slot, msg, crowded, slots->options.data);
}

static void slot_sent(struct rpc_slot *slot)
{
    slot->peer->unread_bytes -= slot->reply_bytes;
    if (nng_aio_result(slot->aio) != 0) { /* it does not read its replies, or is gone */
        nng_msg_free(nng_aio_get_msg(slot->aio));
        (void)nng_pipe_close(slot->pipe);
    }
    slot_release(slot);
}

void slot_answer(struct rpc_slot *slot, nng_msg *msg)
{
    assert(slot->state == SLOT_HELD);
    (void)uv_timer_stop(&slot->timer);
    size_t length = msg ? nng_msg_len(msg) : 0;
    if (!msg || slot->peer->unread_bytes + length > RPC_PEER_UNREAD_MAX_BYTES) {
        if (msg)
            nng_msg_free(msg);
        (void)nng_pipe_close(slot->pipe);
        slot_release(slot);
        return;
    }
    slot->state = SLOT_SENDING;
    slot->reply_bytes = length;
    slot->peer->unread_bytes += length;
    nng_aio_set_timeout(slot->aio, RPC_SEND_TIMEOUT_MS);
    nng_aio_set_msg(slot->aio, msg);
    nng_ctx_send(slot->ctx, slot->aio);
}

static void deliver(struct inbox_item *item, void *data)
{
    (void)data;
    struct rpc_slot *slot = (struct rpc_slot *)item;
    if (slot->state == SLOT_RECEIVING)
        slot_received(slot);
    else if (slot->state == SLOT_SENDING)
        slot_sent(slot);
    /* else a handler has closed the server while this item was on its way */
}

int slots_open(struct rpc_slots *slots, const struct rpc_slots_options *options, struct err *err)
{
    *slots = (struct rpc_slots){.options = *options};
    struct inbox_options inbox = {.loop = options->loop, .deliver = deliver, .data = slots};
    return inbox_open(&slots->inbox, &inbox, err);
}

int slots_begin(struct rpc_slots *slots, struct err *err)
{
    return receive_one(slots, err);
}

/* What an operation left with its slot when it was stopped, or ended unseen. */
static void drop_message(struct rpc_slot *slot)
{
    bool received = slot->state == SLOT_RECEIVING && nng_aio_result(slot->aio) == 0;
    bool unsent = slot->state == SLOT_SENDING && nng_aio_result(slot->aio) != 0;
    nng_msg *msg = received || unsent ? nng_aio_get_msg(slot->aio) : NULL;
    if (msg)
        nng_msg_free(msg);
}

static void on_inbox_closed(void *data)
{
    struct rpc_slots *slots = data;
    slots->inbox_closed = true;
    close_if_empty(slots);
}

void slots_close(struct rpc_slots *slots)
{
    slots->closing = true;
    for (struct rpc_slot *slot = slots->all; slot; slot = slot->next) {
        if (slot->state == SLOT_CLOSED)
            continue;
        nng_aio_stop(slot->aio);
        drop_message(slot);
        if (slot->peer)
            peer_put(slots, slot->peer);
        slot_close(slot);
    }
    inbox_discard(&slots->inbox);
    inbox_close(&slots->inbox, on_inbox_closed);
}
