/*
 * poold's books: the pools, and what is booked in them for 0-db. A list after each resync, each
 * event of a pool, and each booking that nobody here knows; changes through books_call(). Of the
 * loop.
 *
 * A list says nothing of a booking that an order has worked on since the list was asked for: the
 * order knows better.
 */
#ifndef WORKERS_ZDBD_BOOKS_H
#define WORKERS_ZDBD_BOOKS_H

#include "base/uuid.h"
#include "event/subscriber.h"
#include "rpc/client.h"
#include "storage/v1/booking.pb-c.h"
#include "storage/v1/pool.pb-c.h"
#include "worker/retry.h"

#include <stdbool.h>

struct node;

enum { BOOKS_TOUCHED_MAX = 4096 };

struct books {
    struct node *node;
    struct rpc_client *client;
    struct event_subscriber *subscriber;
    bool known; /* a whole list was read once */
    bool listing, list_again;
    uint64_t list_epoch;
    Storage__V1__ListBookingsReply **pages; /* of the list on its way, owned */
    size_t n_pages;
    char (*touched)[UUID_TEXT_SIZE]; /* while one is */
    size_t n_touched;
    struct retry retry;
    bool closing;
};

int books_open(struct books *books, struct node *node, struct err *err);
void books_close(struct books *books);
void books_free(struct books *books);

void books_list_again(struct books *books);

/* An order begins or ends to work on this booking. */
void books_touch(struct books *books, const char *id);

/* Calls BookingService; as rpc_client_call(). poold is waited for until the deadline. */
int books_call(struct books *books, const char *method, const ProtobufCMessage *input,
               uint32_t deadline_ms, rpc_client_done done, void *data, struct err *err);

#endif
