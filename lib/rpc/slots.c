/*
 * Slots, and whose turn it is. On the loop, but for slot_completed(), which runs on nng's threads
 * and touches only its slot, which is nng's at that time.
 *
 * Invariant: between turns of the loop and while not closing, one slot is in receive, unless memory
 * or SLOTS_MAX forbids to open one (`starved`); then the next slot that gets free is put there.
 *
 * What is slow about nng is not the work but the threads that hand it on: under a flood each has to
 * be scheduled first. So only the first request of a turn comes through them, the others are
 * pulled, and nobody is woken for a reply that went out.
 */
#include "rpc/slots.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "rpc/nngerr.h"

#include <assert.h>
#include <stdlib.h>

enum {
    PEER_REFUSED_MAX = 1024,   /* who has more refusals on their way out does not read them */
    USER_REFUSED_MAX = 256,    /* the same, of one user on all his connections */
    TRUSTED_WAITING_MAX = 128, /* of root and the admins: the others wait in their connections */
    PULLED_MAX = 8,            /* requests that a turn of the loop takes from nng */
    PULLED_BEHIND_MAX = 64,    /* the same, while the loop does not keep up */
    TURN_US = 1000,            /* of working on them, in a turn of the loop */
};

/* On nng's threads. That a reply has gone out is no news: it waits for the next turn of the loop.
 */
static void slot_completed(void *data)
{
    struct rpc_slot *slot = data;
    if (slot->state == SLOT_SENDING && nng_aio_result(slot->aio) == 0)
        inbox_push_quietly(&slot->slots->inbox, &slot->item);
    else
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

static void slot_rest(struct rpc_slot *slot)
{
    struct rpc_slots *slots = slot->slots;
    slot->state = SLOT_IDLE;
    slot->next_idle = slots->idle;
    slots->idle = slot;
    slots->n_idle++;
}

static void set_starved(struct rpc_slots *slots, bool starved)
{
    slots->starved = starved;
    inbox_set_eager(&slots->inbox, starved);
}

static void slot_release(struct rpc_slot *slot)
{
    struct rpc_slots *slots = slot->slots;
    if (slot->peer)
        peers_put(slots->options.peers, slot->peer);
    slot->peer = NULL;
    if (slots->starved) {
        set_starved(slots, false);
        slot_arm(slot);
    } else if (slots->n_idle == SLOTS_IDLE_MAX) {
        slot_close(slot);
    } else {
        slot_rest(slot);
    }
}

/* NULL when there may be no more. */
static struct rpc_slot *slot_get(struct rpc_slots *slots, struct err *err)
{
    struct rpc_slot *slot = slots->idle;
    if (slot) {
        slots->idle = slot->next_idle;
        slots->n_idle--;
    } else if (slots->n_all < SLOTS_MAX) {
        (void)slot_open(slots, &slot, err);
    }
    return slot;
}

/* Whether his request is not even looked at. Who is trusted is not refused: when many of his wait,
 * nothing more is taken from nng. */
static bool has_too_many(const struct rpc_slots *slots, const struct peer_user *user, size_t bytes)
{
    return !user->trusted && (user->n_calls >= slots->options.user_calls ||
                              user->waiting_bytes + bytes > RPC_USER_WAITING_MAX_BYTES);
}

/* Whether so much is on its way out to him that he cannot be reading it. */
static bool does_not_read(const struct rpc_slots *slots, const struct peer *peer)
{
    const struct peer_user *user = peer->user;
    return peer->n_slots > RPC_PEER_PARKED_MAX + PEER_REFUSED_MAX ||
           (!user->trusted && user->n_slots > slots->options.user_calls + USER_REFUSED_MAX);
}

static void slot_hold(struct rpc_slot *slot)
{
    slot->state = SLOT_HELD;
    slot->peer->n_held++;
}

/* A request: it waits for its turn. */
static void slot_take(struct rpc_slot *slot, nng_msg *msg)
{
    struct rpc_slots *slots = slot->slots;
    slot->received_ms = clock_monotonic_ms();
    slot->pipe = nng_msg_get_pipe(msg);
    slot->peer = peers_take(slots->options.peers, slot->pipe.id);
    if (!slot->peer) { /* it is gone */
        nng_msg_free(msg);
        slot_release(slot);
        return;
    }
    struct peer_user *user = slot->peer->user;
    bool deaf = does_not_read(slots, slot->peer);
    bool refused = deaf || has_too_many(slots, user, nng_msg_len(msg));
    user->n_calls++;
    if (refused) {
        nng_msg_free(msg);
        slot_hold(slot);
        deaf ? slot_answer(slot, NULL) : slots->options.refused(slot, slots->options.data);
        return;
    }
    slot->state = SLOT_WAITING;
    slot->msg = msg;
    user->waiting_bytes += nng_msg_len(msg);
    slots->n_trusted_waiting += user->trusted;
    turns_add(&slots->turns, &slot->peer->line, &slot->turn);
}

static void slot_received(struct rpc_slot *slot)
{
    slot->slots->n_receiving--;
    if (nng_aio_result(slot->aio) == 0)
        slot_take(slot, nng_aio_get_msg(slot->aio));
    else
        slot_release(slot);
}

/* Takes a request that nng has already; this way it need not go through nng's threads, each of
 * which has to be scheduled first. False if there is none. */
static bool pull_one(struct rpc_slots *slots)
{
    struct rpc_slot *slot = slot_get(slots, NULL);
    if (!slot)
        return false;
    nng_aio_set_msg(slots->puller, NULL);
    nng_ctx_recv(slot->ctx, slots->puller);
    nng_aio_wait(slots->puller);
    if (nng_aio_result(slots->puller) != 0) {
        slot_rest(slot);
        return false;
    }
    slot_take(slot, nng_aio_get_msg(slots->puller));
    return true;
}

static int receive_one(struct rpc_slots *slots, struct err *err)
{
    struct rpc_slot *slot = slot_get(slots, err);
    if (!slot) {
        set_starved(slots, true);
        return -ERR_RESOURCE_EXHAUSTED;
    }
    slot_arm(slot);
    return 0;
}

static void work_on(struct rpc_slot *slot)
{
    struct rpc_slots *slots = slot->slots;
    nng_msg *msg = slot->msg;
    slot->msg = NULL;
    slot->peer->user->waiting_bytes -= nng_msg_len(msg);
    slots->n_trusted_waiting -= slot->peer->user->trusted;
    slot_hold(slot);
    bool crowded =
        slot->peer->n_held > RPC_PEER_PARKED_MAX || slots->n_all - slots->n_idle > SLOTS_CROWDED;
    slots->options.requested(slot, msg, crowded, slots->options.data);
}

static uint64_t read_us(void)
{
    return clock_read_ns(CLOCK_MONOTONIC) / 1000;
}

/* A few only, as long as all that was taken has been worked on: nng goes on to read from whoever a
 * request was taken of, and has no more time for the others then. When requests are slow to work
 * on, nobody shall wait behind them in nng. A slot is put into receive when nng has nothing more;
 * until then the loop itself comes back. */
static void take_what_is_there(struct rpc_slots *slots)
{
    if (slots->n_receiving > 0 || slots->starved)
        return;
    int most = slots->turns.first ? PULLED_BEHIND_MAX : PULLED_MAX;
    for (int n = 0; n < most && slots->n_trusted_waiting < TRUSTED_WAITING_MAX; n++)
        if (!pull_one(slots)) {
            (void)receive_one(slots, NULL);
            return;
        }
}

static void work_for_a_while(struct rpc_slots *slots)
{
    uint64_t begun_us = read_us(), now_us = begun_us;
    while (!slots->closing && now_us - begun_us < TURN_US) {
        struct turn *turn = turns_take(&slots->turns);
        if (!turn)
            return;
        uint64_t from_us = now_us;
        work_on(container_of(turn, struct rpc_slot, turn));
        now_us = read_us();
        turns_charge(&slots->turns, now_us - from_us);
    }
}

/* A turn of the loop: all that is there gets in line, some of it its turn, and the rest the next
 * one, when whatever else the loop has to do is done. */
static void on_drained(void *data)
{
    struct rpc_slots *slots = data;
    if (slots->closing)
        return;
    take_what_is_there(slots);
    work_for_a_while(slots);
    bool deaf = slots->n_receiving == 0 && !slots->starved;
    if (!slots->closing && (slots->turns.first || deaf))
        inbox_wake(&slots->inbox);
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
    slot->peer->n_held--;
    slot->peer->user->n_calls--;
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
    struct inbox_options inbox = {
        .loop = options->loop, .deliver = deliver, .drained = on_drained, .data = slots};
    int rv = nng_aio_alloc(&slots->puller, NULL, NULL);
    if (rv != 0)
        return nngerr_set(err, rv, NULL, "cannot make an aio");
    nng_aio_set_timeout(slots->puller, NNG_DURATION_ZERO);
    int rc = inbox_open(&slots->inbox, &inbox, err);
    if (rc < 0)
        nng_aio_free(slots->puller);
    return rc;
}

int slots_begin(struct rpc_slots *slots, struct err *err)
{
    return receive_one(slots, err);
}

/* What an operation left with its slot when it was stopped, or ended unseen. */
static void drop_message(struct rpc_slot *slot)
{
    if (slot->state == SLOT_WAITING)
        nng_msg_free(slot->msg);
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
    slots->turns = (struct turns){0};
    for (struct rpc_slot *slot = slots->all; slot; slot = slot->next) {
        if (slot->state == SLOT_CLOSED)
            continue;
        nng_aio_stop(slot->aio);
        drop_message(slot);
        if (slot->peer)
            peers_put(slots->options.peers, slot->peer);
        slot->peer = NULL;
        slot_close(slot);
    }
    nng_aio_free(slots->puller);
    inbox_discard(&slots->inbox);
    inbox_close(&slots->inbox, on_inbox_closed);
}
