/* The aio's callback goes straight from sent to receive, on nng's thread: one hop less per call. */
#include "rpc/attempt.h"

#include "rpc/nngerr.h"

static void on_completed(void *data)
{
    struct attempt *attempt = data;
    if (atomic_load(&attempt->phase) == ATTEMPT_SENDING && nng_aio_result(attempt->aio) == 0) {
        atomic_store(&attempt->phase, ATTEMPT_RECEIVING);
        nng_aio_set_msg(attempt->aio, NULL);
        nng_ctx_recv(attempt->ctx, attempt->aio);
        return;
    }
    inbox_push(attempt->inbox, &attempt->item);
}

int attempt_open(struct attempt *attempt, nng_socket socket, struct inbox *inbox, struct err *err)
{
    attempt->inbox = inbox;
    atomic_init(&attempt->phase, ATTEMPT_IDLE);
    int rv = nng_ctx_open(&attempt->ctx, socket);
    if (rv != 0)
        return nngerr_set(err, rv, NULL, "cannot open a context");
    rv = nng_aio_alloc(&attempt->aio, on_completed, attempt);
    if (rv != 0) {
        (void)nng_ctx_close(attempt->ctx);
        return nngerr_set(err, rv, NULL, "cannot make an aio");
    }
    nng_aio_set_timeout(attempt->aio, NNG_DURATION_INFINITE);
    return 0;
}

void attempt_start(struct attempt *attempt, nng_msg *msg)
{
    atomic_store(&attempt->phase, ATTEMPT_SENDING);
    nng_aio_set_msg(attempt->aio, msg);
    nng_ctx_send(attempt->ctx, attempt->aio);
}

bool attempt_unsent(const struct attempt *attempt)
{
    return atomic_load(&attempt->phase) == ATTEMPT_SENDING;
}

void attempt_cancel(struct attempt *attempt)
{
    nng_aio_cancel(attempt->aio);
}

int attempt_finish(struct attempt *attempt, nng_msg **out_reply)
{
    int rv = nng_aio_result(attempt->aio);
    bool sending = atomic_exchange(&attempt->phase, ATTEMPT_IDLE) == ATTEMPT_SENDING;
    nng_msg *msg = sending || rv == 0 ? nng_aio_get_msg(attempt->aio) : NULL;
    nng_aio_set_msg(attempt->aio, NULL);
    if (rv == 0)
        *out_reply = msg;
    else if (msg)
        nng_msg_free(msg);
    return rv;
}

void attempt_close(struct attempt *attempt)
{
    nng_aio_stop(attempt->aio);
    nng_msg *reply;
    if (atomic_load(&attempt->phase) != ATTEMPT_IDLE && attempt_finish(attempt, &reply) == 0)
        nng_msg_free(reply);
    nng_aio_free(attempt->aio);
    (void)nng_ctx_close(attempt->ctx);
}
