/*
 * The stream calls of nng's ipc transport: an operation that is begun on a closed stream fails,
 * instead of never ending.
 *
 * Why: nng 1.5.2 reads a message in two operations, its length and its body. A pipe that is closed
 * between the two begins the second one on a stream that is already closed, and that one neither
 * ends nor fails; the thread that destroys pipes, of which there is one in a process, then waits
 * for it for ever. nng_close() never returns, and no pipe is ever taken apart again. Closing a
 * subscriber while events come did this within a few tries; so would a server that closes the
 * connection of a peer that goes on sending.
 *
 * So: the streams that are closed and not yet freed are remembered here; whoever begins an
 * operation on one of them has it aborted at once, which its callback takes as the end of the pipe.
 * For that to work the transport must not mark its aios as stopped when it closes, only abort them:
 * they are stopped later, when the pipe is destroyed.
 *
 * The same goes for the protocols that send to whoever comes and goes, REP and PUB: a message that
 * is handed to a pipe between the stop of its aio and the moment when the pipe counts as closed is
 * neither sent nor freed. About one in five hundred clients who asked and were gone left the answer
 * behind, of whatever size. With an aio that is only aborted, the transport takes the message,
 * finds its stream closed, and fails it.
 *
 * On nng's threads and the callers' of nng; one mutex. Without memory, a stream is not remembered.
 */
#include <nng/nng.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

void storaged_nni_aio_close(nng_aio *aio);
void storaged_nng_stream_close(nng_stream *stream);
void storaged_nng_stream_free(nng_stream *stream);
void storaged_nng_stream_recv(nng_stream *stream, nng_aio *aio);
void storaged_nng_stream_send(nng_stream *stream, nng_aio *aio);

struct closed_stream {
    struct closed_stream *next;
    const nng_stream *stream;
};

enum { BUCKETS = 64 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct closed_stream *buckets[BUCKETS];

/* The link to the stream's entry, or to the end of its chain. With the mutex held. */
static struct closed_stream **find(const nng_stream *stream)
{
    struct closed_stream **link = &buckets[((uintptr_t)stream >> 6) % BUCKETS];
    while (*link && (*link)->stream != stream)
        link = &(*link)->next;
    return link;
}

static void remember(const nng_stream *stream)
{
    (void)pthread_mutex_lock(&mutex);
    struct closed_stream **link = find(stream);
    if (!*link) {
        *link = calloc(1, sizeof **link);
        if (*link)
            (*link)->stream = stream;
    }
    (void)pthread_mutex_unlock(&mutex);
}

static void forget(const nng_stream *stream)
{
    (void)pthread_mutex_lock(&mutex);
    struct closed_stream **link = find(stream), *entry = *link;
    if (entry)
        *link = entry->next;
    (void)pthread_mutex_unlock(&mutex);
    free(entry);
}

static bool is_closed(const nng_stream *stream)
{
    (void)pthread_mutex_lock(&mutex);
    bool closed = *find(stream) != NULL;
    (void)pthread_mutex_unlock(&mutex);
    return closed;
}

void storaged_nni_aio_close(nng_aio *aio)
{
    if (aio)
        nng_aio_abort(aio, NNG_ECLOSED);
}

/* Remembered before it is closed: what is begun until then is failed by nng, what is begun later is
 * aborted here. */
void storaged_nng_stream_close(nng_stream *stream)
{
    if (stream)
        remember(stream);
    nng_stream_close(stream);
}

void storaged_nng_stream_free(nng_stream *stream)
{
    if (stream)
        forget(stream);
    nng_stream_free(stream);
}

void storaged_nng_stream_recv(nng_stream *stream, nng_aio *aio)
{
    nng_stream_recv(stream, aio);
    if (is_closed(stream))
        nng_aio_abort(aio, NNG_ECLOSED);
}

void storaged_nng_stream_send(nng_stream *stream, nng_aio *aio)
{
    nng_stream_send(stream, aio);
    if (is_closed(stream))
        nng_aio_abort(aio, NNG_ECLOSED);
}
