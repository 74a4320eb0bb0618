/*
 * From sent to receive the callback goes straight on, on nng's thread: one hop less per call.
 *
 * Two aios, because nng 1.5.2 cannot cancel one that its callback may be starting again: the
 * cancellation of the first operation then hits the second one half-begun. Each is started once per
 * attempt.
 */
#include "rpc/attempt.h"

#include "rpc/nngerr.h"

static void on_sent(void *data)
{
    struct attempt *attempt = data;
    if (nng_aio_result(attempt->send) != 0) {
        inbox_push(attempt->inbox, &attempt->item);
        return;
    }
    atomic_store(&attempt->phase, ATTEMPT_RECEIVING);
    nng_ctx_recv(attempt->ctx, attempt->receive);
    if (atomic_load(&attempt->cancelled))
        nng_aio_cancel(attempt->receive);
}

static void on_received(void *data)
{
    struct attempt *attempt = data;
    inbox_push(attempt->inbox, &attempt->item);
}

static void free_aios(struct attempt *attempt)
{
    if (attempt->send)
        nng_aio_free(attempt->send);
    if (attempt->receive)
        nng_aio_free(attempt->receive);
}

int attempt_open(struct attempt *attempt, nng_socket socket, struct inbox *inbox, struct err *err)
{
    attempt->inbox = inbox;
    attempt->send = attempt->receive = NULL;
    atomic_init(&attempt->phase, ATTEMPT_IDLE);
    atomic_init(&attempt->cancelled, false);
    int rv = nng_aio_alloc(&attempt->send, on_sent, attempt);
    if (rv == 0)
        rv = nng_aio_alloc(&attempt->receive, on_received, attempt);
    if (rv == 0)
        rv = nng_ctx_open(&attempt->ctx, socket);
    if (rv != 0) {
        free_aios(attempt);
        return nngerr_set(err, rv, NULL, "cannot open a context");
    }
    nng_aio_set_timeout(attempt->send, NNG_DURATION_INFINITE);
    nng_aio_set_timeout(attempt->receive, NNG_DURATION_INFINITE);
    return 0;
}

void attempt_start(struct attempt *attempt, nng_msg *msg)
{
    atomic_store(&attempt->phase, ATTEMPT_SENDING);
    atomic_store(&attempt->cancelled, false);
    nng_aio_set_msg(attempt->send, msg);
    nng_aio_set_msg(attempt->receive, NULL);
    nng_ctx_send(attempt->ctx, attempt->send);
}

bool attempt_unsent(const struct attempt *attempt)
{
    return atomic_load(&attempt->phase) == ATTEMPT_SENDING;
}

void attempt_cancel(struct attempt *attempt)
{
    atomic_store(&attempt->cancelled, true);
    nng_aio_cancel(attempt->send);
    nng_aio_cancel(attempt->receive);
}

int attempt_finish(struct attempt *attempt, nng_msg **out_reply)
{
    bool sending = atomic_exchange(&attempt->phase, ATTEMPT_IDLE) == ATTEMPT_SENDING;
    nng_aio *aio = sending ? attempt->send : attempt->receive;
    int rv = nng_aio_result(aio);
    nng_msg *msg = sending || rv == 0 ? nng_aio_get_msg(aio) : NULL;
    if (rv == 0 && !sending) {
        *out_reply = msg;
    } else if (msg) { /* unsent: still ours */
        nng_msg_free(msg);
    }
    return rv;
}

void attempt_close(struct attempt *attempt)
{
    nng_aio_stop(attempt->send);
    nng_aio_stop(attempt->receive);
    nng_msg *reply = NULL;
    if (atomic_load(&attempt->phase) != ATTEMPT_IDLE && attempt_finish(attempt, &reply) == 0 &&
        reply)
        nng_msg_free(reply);
    free_aios(attempt);
    (void)nng_ctx_close(attempt->ctx);
}
