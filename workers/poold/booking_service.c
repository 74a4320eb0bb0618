/* BookingService: reads are answered here, changes go through the gate to book.c,
 * booking_change.c, home_make.c and wipe.c. */
#include "answer.h"
#include "base/cleanup.h"
#include "base/uuid.h"
#include "booking.h"
#include "describe.h"
#include "node.h"
#include "rpc/page.h"
#include "wipe.h"

#include <stdlib.h>
#include <string.h>

typedef Storage__V1__BookingService_Service service_t;

static void on_book(service_t *service, const Storage__V1__BookRequest *input,
                    Storage__V1__Booking_Closure closure, void *data)
{
    (void)closure;
    gate_pass(&services_node_of_bookings(service)->gate, book_begin, input, data);
}

static void on_settle(service_t *service, const Storage__V1__SettleRequest *input,
                      Storage__V1__Booking_Closure closure, void *data)
{
    (void)closure;
    gate_pass(&services_node_of_bookings(service)->gate, settle_begin, input, data);
}

static void on_resize(service_t *service, const Storage__V1__ResizeBookingRequest *input,
                      Storage__V1__Booking_Closure closure, void *data)
{
    (void)closure;
    gate_pass(&services_node_of_bookings(service)->gate, resize_begin, input, data);
}

static void on_unbook(service_t *service, const Storage__V1__UnbookRequest *input,
                      Storage__V1__UnbookReply_Closure closure, void *data)
{
    (void)closure;
    gate_pass(&services_node_of_bookings(service)->gate, unbook_begin, input, data);
}

static void on_make_home(service_t *service, const Storage__V1__MakeHomeRequest *input,
                         Storage__V1__BookingHome_Closure closure, void *data)
{
    (void)closure;
    gate_pass(&services_node_of_bookings(service)->gate, home_make_begin, input, data);
}

static void on_leave_home(service_t *service, const Storage__V1__LeaveHomeRequest *input,
                          Storage__V1__LeaveHomeReply_Closure closure, void *data)
{
    (void)closure;
    gate_pass(&services_node_of_bookings(service)->gate, wipe_home_left, input, data);
}

/* ---- GetBooking ---- */

static struct space *find(struct node *node, const char *id)
{
    struct space *booking = index_find_id(&node->bookings, id);
    return booking && booking->phase != SPACE_BUILDING ? booking : NULL;
}

static void get_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__GetBookingRequest *request = input;
    const struct space *booking = find(node, request->id);
    if (booking)
        booking_answer(call, booking, false);
    else if (!answer_not_known_yet(node, call, request->id))
        rpc_call_refuse(call, ERR_NOT_FOUND, request->id, "there is no booking %s", request->id);
}

static void on_get(service_t *service, const Storage__V1__GetBookingRequest *input,
                   Storage__V1__Booking_Closure closure, void *data)
{
    (void)closure;
    struct node *node = services_node_of_bookings(service);
    autoerr struct err err = {0};
    if (booking_check_id(input->id, &err) < 0)
        rpc_call_fail(data, &err);
    else if (find(node, input->id))
        booking_answer(data, find(node, input->id), false);
    else
        gate_pass(&node->gate, get_late, input, data);
}

/* ---- ListBookings ---- */

static void list_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__ListBookingsRequest *request = input;
    struct index *index = &node->bookings;
    struct page page;
    struct described_booking *described;
    const struct space *booking;
    if (page_open(&page, sizeof *described, request->page_size, index_count(index)) < 0) {
        rpc_call_refuse(call, ERR_RESOURCE_EXHAUSTED, NULL, "no memory for a list");
        return;
    }
    for (size_t i = index_after(index, request->page_token);
         !page.full && (booking = index_at(index, i)); i++) {
        bool asked_for = booking->phase != SPACE_BUILDING &&
                         (!*request->pool || strcmp(request->pool, booking->pool->fsid) == 0);
        if (!asked_for || !(described = page_slot(&page)))
            continue;
        describe_booking(booking, described);
        page_keep(&page, &described->booking.base);
    }
    Storage__V1__ListBookingsReply reply = STORAGE__V1__LIST_BOOKINGS_REPLY__INIT;
    reply.n_bookings = page.n;
    reply.bookings = (Storage__V1__Booking **)page.list;
    reply.epoch = event_publisher_epoch(node->worker->events);
    reply.seq = event_publisher_seq(node->worker->events);
    if (page.full && page.n > 0)
        reply.next_page_token = reply.bookings[page.n - 1]->id;
    rpc_call_reply(call, &reply.base);
    page_close(&page);
}

static void on_list(service_t *service, const Storage__V1__ListBookingsRequest *input,
                    Storage__V1__ListBookingsReply_Closure closure, void *data)
{
    (void)closure;
    if (*input->page_token && !uuid_valid(input->page_token))
        rpc_call_refuse(data, ERR_INVALID_ARGUMENT, "page_token", "no page of ours follows it");
    else
        gate_pass(&services_node_of_bookings(service)->gate, list_late, input, data);
}

void booking_service_init(service_t *service)
{
    storage__v1__booking_service__init(service, NULL);
    service->book = on_book;
    service->settle = on_settle;
    service->resize_booking = on_resize;
    service->unbook = on_unbook;
    service->make_home = on_make_home;
    service->leave_home = on_leave_home;
    service->get_booking = on_get;
    service->list_bookings = on_list;
}
