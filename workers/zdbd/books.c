/*
 * The books: a list is read in pages, the bookings first, for poold answers those when it knows all
 * its pools; then the pools. What is read is looked at when it is whole, and thrown away when poold
 * was reborn in between.
 */
#include "books.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "node.h"
#include "rpc/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOOKING_MADE "booking.made"

enum { RETRY_LEAST_MS = 100, RETRY_MOST_MS = 5000, LIST_DEADLINE_MS = 30000, PAGES_MAX = 1024 };

static void list_begin(struct books *books);

/* ---- the list on its way ---- */

static void forget_list(struct books *books)
{
    for (size_t i = 0; i < books->n_pages; i++)
        storage__v1__list_bookings_reply__free_unpacked(books->pages[i], NULL);
    free(books->pages);
    books->pages = NULL;
    books->n_pages = 0;
    free(books->touched);
    books->touched = NULL;
    books->n_touched = 0;
    books->listing = false;
}

static void list_failed(struct books *books, const char *why, const struct err *err)
{
    log_err(LOG_WARNING, why, err);
    forget_list(books);
    retry_later(&books->retry);
}

static void list_restart(struct books *books)
{
    forget_list(books);
    list_begin(books);
}

void books_touch(struct books *books, const char *id)
{
    if (!books->listing || books->n_touched == BOOKS_TOUCHED_MAX) {
        books->list_again |= books->listing;
        return;
    }
    if (!books->touched)
        books->touched = calloc(BOOKS_TOUCHED_MAX, sizeof *books->touched);
    if (books->touched)
        (void)snprintf(books->touched[books->n_touched++], UUID_TEXT_SIZE, "%s", id);
    else
        books->list_again = true;
}

static int compare_ids(const void *one, const void *other)
{
    return strcmp(one, other);
}

/* They are sorted when the list is whole. */
static bool is_touched(const struct books *books, const char *id)
{
    return books->n_touched > 0 && bsearch(id, books->touched, books->n_touched,
                                           sizeof *books->touched, compare_ids) != NULL;
}

static bool keep_page(struct books *books, const Storage__V1__ListBookingsReply *page)
{
    Storage__V1__ListBookingsReply **grown =
        reallocarray(books->pages, books->n_pages + 1, sizeof(Storage__V1__ListBookingsReply *));
    if (grown)
        books->pages = grown;
    if (!grown || books->n_pages == PAGES_MAX)
        return false;
    Storage__V1__ListBookingsReply *copy = message_copy(&page->base);
    if (copy)
        books->pages[books->n_pages++] = copy;
    return copy != NULL;
}

/* ---- what it says ---- */

static void learn_booking(struct node *node, const Storage__V1__Booking *booking)
{
    if (!uuid_valid(booking->id) || is_touched(&node->books, booking->id))
        return;
    struct namespace *space = namespaces_find(&node->namespaces, booking->id);
    if (space && space->order)
        return;
    struct pool *pool = pool_obtain(node, booking->pool);
    if (pool && !space) {
        space = namespaces_add(&node->namespaces, booking->id);
        pool->agreed = false; /* its 0-db was not asked for this one */
    }
    if (!pool || !space) {
        log_error("a namespace is not considered: no memory, or too many pools", "namespace",
                  booking->id);
        return;
    }
    if (booking->home)
        pool_learn_home(pool, booking->home);
    namespaces_learn(&node->namespaces, space, pool, booking);
}

static int compare_booking(const void *id, const void *booking)
{
    return strcmp(id, (*(Storage__V1__Booking *const *)booking)->id);
}

static bool is_listed(const struct books *books, const char *id)
{
    for (size_t i = 0; i < books->n_pages; i++) {
        const Storage__V1__ListBookingsReply *page = books->pages[i];
        if (page->n_bookings == 0 || strcmp(page->bookings[page->n_bookings - 1]->id, id) < 0)
            continue;
        return bsearch(id, page->bookings, page->n_bookings, sizeof *page->bookings,
                       compare_booking) != NULL;
    }
    return false;
}

/* What is not listed is on a pool that poold does not know now: it stays, and is shown as FAILED.
 * On a pool that is mounted it is gone. */
static void forget_missing(struct node *node)
{
    struct books *books = &node->books;
    for (size_t i = node->namespaces.n; i-- > 0;) {
        struct namespace *space = node->namespaces.by_id[i];
        if (space->order || is_touched(books, space->id) || is_listed(books, space->id))
            continue;
        if (pool_is_mounted(space->pool)) {
            log_warning("a namespace is not booked any more", "namespace", space->id, "pool",
                        space->pool->id);
            namespaces_drop(&node->namespaces, space);
        }
    }
}

static void count_namespaces(struct node *node)
{
    for (size_t i = 0; i < node->n_pools; i++)
        node->pools[i]->n_namespaces = 0;
    for (size_t i = 0; i < node->namespaces.n; i++) {
        const struct namespace *space = node->namespaces.by_id[i];
        if (space->pool && !space->strange)
            space->pool->n_namespaces++;
    }
}

static void list_end(struct books *books, const Storage__V1__ListPoolsReply *pools)
{
    struct node *node = books->node;
    if (books->n_touched > 0)
        qsort(books->touched, books->n_touched, sizeof *books->touched, compare_ids);
    for (size_t i = 0; i < node->n_pools; i++) {
        bool listed = false;
        for (size_t k = 0; k < pools->n_pools; k++)
            listed |= strcmp(pools->pools[k]->id, node->pools[i]->id) == 0;
        if (!listed)
            pool_learn(node->pools[i], NULL);
    }
    for (size_t i = 0; i < pools->n_pools; i++) {
        struct pool *pool = pool_obtain(node, pools->pools[i]->id);
        if (pool)
            pool_learn(pool, pools->pools[i]);
    }
    for (size_t i = 0; i < books->n_pages; i++)
        for (size_t k = 0; k < books->pages[i]->n_bookings; k++)
            learn_booking(node, books->pages[i]->bookings[k]);
    forget_missing(node);
    count_namespaces(node);
    bool again = books->list_again;
    forget_list(books);
    books->known = true;
    retry_reset(&books->retry);
    for (size_t i = 0; i < node->n_pools; i++)
        pool_review(node->pools[i]);
    gate_open(&node->gate);
    node_tidy(node);
    node_report(node);
    if (again)
        list_begin(books);
}

/* ---- asking ---- */

static bool is_reborn(struct books *books, uint64_t epoch)
{
    if (books->list_epoch == 0)
        books->list_epoch = epoch;
    return books->list_epoch != epoch;
}

static int ask(struct books *books, const ProtobufCServiceDescriptor *service, const char *method,
               const ProtobufCMessage *input, rpc_client_done done)
{
    const struct rpc_call_options options = {.deadline_ms = LIST_DEADLINE_MS, .wait = true};
    autoerr struct err err = {0};
    int rc = rpc_client_call(books->client, service, method, input, &options, done, books, &err);
    if (rc < 0)
        list_failed(books, "cannot ask poold", &err);
    return rc;
}

static void on_pools(const struct rpc_result *result, void *data)
{
    struct books *books = data;
    const Storage__V1__ListPoolsReply *reply = (const Storage__V1__ListPoolsReply *)result->output;
    if (books->closing)
        return;
    if (result->err->code != ERR_OK)
        list_failed(books, "poold does not list its pools", result->err);
    else if (is_reborn(books, reply->epoch))
        list_restart(books);
    else
        list_end(books, reply);
}

static void ask_bookings(struct books *books, const char *token);

static void on_bookings(const struct rpc_result *result, void *data)
{
    struct books *books = data;
    const Storage__V1__ListBookingsReply *reply =
        (const Storage__V1__ListBookingsReply *)result->output;
    if (books->closing)
        return;
    if (result->err->code != ERR_OK) {
        list_failed(books, "poold does not list its bookings", result->err);
    } else if (is_reborn(books, reply->epoch)) {
        list_restart(books);
    } else if (!keep_page(books, reply)) {
        autoerr struct err err = {0};
        (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, NULL, "no memory for a list");
        list_failed(books, "poold's bookings are not read", &err);
    } else if (*reply->next_page_token) {
        ask_bookings(books, reply->next_page_token);
    } else {
        Storage__V1__ListPoolsRequest request = STORAGE__V1__LIST_POOLS_REQUEST__INIT;
        (void)ask(books, &storage__v1__pool_service__descriptor, "ListPools", &request.base,
                  on_pools);
    }
}

static void ask_bookings(struct books *books, const char *token)
{
    Storage__V1__ListBookingsRequest request = STORAGE__V1__LIST_BOOKINGS_REQUEST__INIT;
    request.page_token = (char *)token;
    (void)ask(books, &storage__v1__booking_service__descriptor, "ListBookings", &request.base,
              on_bookings);
}

/* What orders work on now, the list will not know as it is in the end. */
static void touch_all_in_work(struct books *books)
{
    const struct namespaces *all = &books->node->namespaces;
    for (size_t i = 0; i < all->n; i++)
        if (all->by_id[i]->order)
            books_touch(books, all->by_id[i]->id);
}

static void list_begin(struct books *books)
{
    if (books->closing)
        return;
    if (books->listing) {
        books->list_again = true;
        return;
    }
    retry_cancel(&books->retry);
    books->listing = true;
    books->list_again = false;
    books->list_epoch = 0;
    touch_all_in_work(books);
    ask_bookings(books, "");
}

void books_list_again(struct books *books)
{
    list_begin(books);
}

static void on_retry(void *data)
{
    list_begin(data);
}

/* A booking may be made when nobody waits for it any more: its disk was slow, or we are new. */
static void on_event(const Storage__V1__Event *event, void *data)
{
    struct books *books = data;
    bool ours = strcmp(event->topic, BOOKING_MADE) == 0 &&
                namespaces_find(&books->node->namespaces, event->object);
    if (!ours)
        list_begin(books);
}

static void on_resync(uint64_t epoch, uint64_t seq, void *data)
{
    (void)epoch;
    (void)seq;
    list_begin(data);
}

int books_call(struct books *books, const char *method, const ProtobufCMessage *input,
               uint32_t deadline_ms, rpc_client_done done, void *data, struct err *err)
{
    const struct rpc_call_options options = {.deadline_ms = deadline_ms, .wait = true};
    if (books->closing)
        return err_set(err, ERR_CANCELLED, 0, "zdbd", "zdbd is stopping");
    return rpc_client_call(books->client, &storage__v1__booking_service__descriptor, method, input,
                           &options, done, data, err);
}

int books_open(struct books *books, struct node *node, struct err *err)
{
    static const char *const topics[] = {"pool.", BOOKING_MADE, NULL};
    autofree char *path = settings_run_path(node->settings, "poold", ".sock");
    autofree char *url = NULL;
    if (!path || asprintf(&url, "ipc://%s", path) < 0) {
        url = NULL;
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, "poold", "no memory to reach it");
    }
    *books = (struct books){.node = node};
    retry_init(&books->retry, node->loop, RETRY_LEAST_MS, RETRY_MOST_MS, on_retry, books);
    const struct rpc_client_options client = {.loop = node->loop, .url = url};
    int rc = rpc_client_open(&client, &books->client, err);
    if (rc < 0)
        return rc;
    const struct event_subscriber_options subscriber = {
        .loop = node->loop,
        .run_dir = node->settings->run_dir,
        .worker = "poold",
        .topics = topics,
        .on_event = on_event,
        .on_resync = on_resync,
        .data = books,
    };
    return event_subscriber_open(&subscriber, &books->subscriber, err);
}

void books_close(struct books *books)
{
    books->closing = true;
    retry_close(&books->retry);
    event_subscriber_close(books->subscriber, NULL, NULL);
    rpc_client_close(books->client, NULL, NULL);
}

void books_free(struct books *books)
{
    forget_list(books);
}
