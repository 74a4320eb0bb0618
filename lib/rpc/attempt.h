/*
 * One request on the wire: a context of the REQ socket, from sending to the reply. Private to the
 * client.
 *
 * Between attempt_start() and its item's arrival in the inbox it belongs to nng's threads. It may
 * be started again after that.
 */
#ifndef LIB_RPC_ATTEMPT_H
#define LIB_RPC_ATTEMPT_H

#include "rpc/inbox.h"

#include <nng/nng.h>
#include <stdatomic.h>

enum attempt_phase { ATTEMPT_IDLE, ATTEMPT_SENDING, ATTEMPT_RECEIVING };

struct attempt {
    struct inbox_item item; /* first: the inbox delivers it */
    struct inbox *inbox;
    nng_ctx ctx;
    nng_aio *send, *receive;
    atomic_int phase;
    atomic_bool cancelled;
};

int attempt_open(struct attempt *attempt, nng_socket socket, struct inbox *inbox, struct err *err);

/* Takes `msg`. */
void attempt_start(struct attempt *attempt, nng_msg *msg);
/* It still waits for a pipe. */
bool attempt_unsent(const struct attempt *attempt);
/* It ends soon, as NNG_ECANCELED or with what came first. */
void attempt_cancel(struct attempt *attempt);

/* When its item has arrived: 0 with the reply, which is the caller's, or nng's error. */
int attempt_finish(struct attempt *attempt, nng_msg **out_reply);

/* Whatever it is doing; its item may be in the inbox afterwards. */
void attempt_close(struct attempt *attempt);

#endif
