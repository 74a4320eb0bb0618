/*
 * The slots of a server: each is one nng context that receives a request, is held while a handler
 * works, and sends the reply.
 *
 * One slot is always in receive; more are opened as requests are held, because with a fixed number
 * one hung disk would freeze the API. A slot belongs to nng's threads from slot_arm() or
 * slot_answer() until its item comes through the inbox, and to the loop at all other times.
 *
 * A peer is kept from costing others anything: what one connection and one user may have in slots
 * is bounded, requests are worked on in turns, and a connection that does not read its replies is
 * closed.
 */
#ifndef LIB_RPC_SLOTS_H
#define LIB_RPC_SLOTS_H

#include "rpc/inbox.h"
#include "rpc/peers.h"
#include "rpc/server.h"

#include <nng/nng.h>

enum {
    SLOTS_CROWDED = RPC_PARKED_MAX + 32,
    SLOTS_MAX = SLOTS_CROWDED + 256, /* what is beyond that are refusals on their way out */
    SLOTS_IDLE_MAX = 64,             /* kept for reuse; surplus ones are closed */
};

enum slot_state {
    SLOT_IDLE,
    SLOT_RECEIVING, /* nng's */
    SLOT_WAITING,   /* its request waits for its turn */
    SLOT_HELD,      /* its request is being worked on */
    SLOT_SENDING,   /* nng's */
    SLOT_CLOSED,
};

struct rpc_slot {
    struct inbox_item item;
    struct turn turn;
    struct rpc_slots *slots;
    enum slot_state state;
    nng_ctx ctx;
    nng_aio *aio;
    uv_timer_t timer;
    struct rpc_slot *prev, *next; /* all slots */
    struct rpc_slot *next_idle;

    /* The request, from receipt to reply. */
    nng_msg *msg; /* while it waits */
    nng_pipe pipe;
    struct peer *peer;
    uint64_t received_ms;
    uint64_t deadline_ms;
    size_t reply_bytes;

    /* The call's. */
    struct rpc_call *call;
    struct rpc_slot *next_waiter;
};

struct rpc_slots_options {
    uv_loop_t *loop;
    nng_socket socket;
    struct peers *peers; /* borrowed; who is connected */
    size_t user_calls;   /* of one user who is not trusted */
    /* On the loop: `msg` is the callee's; the slot is held until slot_answer(). `crowded` when the
     * peer or the server has as much in slots as it may: the request should be refused. */
    void (*requested)(struct rpc_slot *slot, nng_msg *msg, bool crowded, void *data);
    /* On the loop: the user behind the slot has as many calls here as he may; his request was not
     * read. The slot is held until slot_answer(). */
    void (*refused)(struct rpc_slot *slot, void *data);
    /* On the loop: the deadline set with slot_set_deadline() has come. */
    void (*expired)(struct rpc_slot *slot, void *data);
    void (*closed)(void *data);
    void *data;
};

struct rpc_slots {
    struct rpc_slots_options options;
    struct inbox inbox;
    struct rpc_slot *all, *idle;
    size_t n_all, n_idle, n_receiving;
    struct turns turns;
    size_t n_trusted_waiting;
    nng_aio *puller; /* for what nng has already */
    bool starved, closing, inbox_closed;
};

int slots_open(struct rpc_slots *slots, const struct rpc_slots_options *options, struct err *err);

/* Puts the first slot into receive. */
int slots_begin(struct rpc_slots *slots, struct err *err);

void slot_set_deadline(struct rpc_slot *slot, uint64_t deadline_ms);

/* Takes `msg`, and the slot, which is not the caller's any more. NULL, for lack of memory, closes
 * the peer's connection: so it learns that no answer comes. */
void slot_answer(struct rpc_slot *slot, nng_msg *msg);

/* Ends all slots, also the held ones; `closed` follows when the loop has let go of them. Before the
 * socket is closed. */
void slots_close(struct rpc_slots *slots);

#endif
