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

static struct gate *gate_of(service_t *service)
{
    return &services_node_of_bookings(service)->gate;
}

GATE_HANDLER(on_book, BookRequest, Booking, book_begin)
GATE_HANDLER(on_settle, SettleRequest, Booking, settle_begin)
GATE_HANDLER(on_resize, ResizeBookingRequest, Booking, resize_begin)
GATE_HANDLER(on_unbook, UnbookRequest, UnbookReply, unbook_begin)
GATE_HANDLER(on_make_home, MakeHomeRequest, BookingHome, home_make_begin)
GATE_HANDLER(on_leave_home, LeaveHomeRequest, LeaveHomeReply, wipe_home_left)

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
        gate_pass(gate_of(service), get_late, input, data);
}

/* ---- ListBookings ---- */

static void list_late(struct node *node, const void *input, struct rpc_call *call)
{
    const Storage__V1__ListBookingsRequest *request = input;
    struct index *index = &node->bookings;
    struct page page;
    struct described_booking *described;
    const struct space *booking;
    if (!page_open(&page, call, sizeof *described, request->page_token, request->page_size,
                   index_count(index)))
        return;
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
    page_fill(&page, &reply.base);
    reply.epoch = event_publisher_epoch(node->worker->events);
    reply.seq = event_publisher_seq(node->worker->events);
    rpc_call_reply(call, &reply.base);
    page_close(&page);
}

GATE_HANDLER(on_list, ListBookingsRequest, ListBookingsReply, list_late)

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
