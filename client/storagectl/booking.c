/* storagectl booking: bytes that are promised in the directories of the pools' 0-db. */
#include "command.h"

static const struct column booking_columns[] = {
    {"ID", "id"},
    {"POOL", "pool"},
    {"TYPE", "disk_type"},
    {"SIZE", "size_bytes"},
    {"LIMIT", "limit_bytes"},
    {"STATE", "state"},
    {"CREATED", "created_us"},
    {0},
};

static const struct flag list_flags[] = {
    {"pool", "ID", "only of this pool"},
    {0},
};

static int run_list(struct session *session, struct err *err)
{
    Storage__V1__ListBookingsRequest request = STORAGE__V1__LIST_BOOKINGS_REQUEST__INIT;
    autorows struct rows rows = {0};
    const char *pool = session_flag(session, "pool");
    if (pool)
        request.pool = (char *)(uintptr_t)pool;
    int rc = session_list(session, "storage.v1.BookingService/ListBookings", &request.base,
                          "bookings", &rows, err);
    return rc < 0
               ? rc
               : session_print_rows(session, "bookings", booking_columns, rows.rows, rows.n, err);
}

static int run_get(struct session *session, struct err *err)
{
    Storage__V1__GetBookingRequest request = STORAGE__V1__GET_BOOKING_REQUEST__INIT;
    autoreply Storage__V1__Booking *booking = NULL;
    request.id = (char *)(uintptr_t)session->args[0];
    int rc = session_call(session, "storage.v1.BookingService/GetBooking", &request, &booking, err);
    return rc < 0 ? rc : session_print_object(session, &booking->base, err);
}

static const struct verb verbs[] = {
    {.name = "list", .flags = list_flags, .help = "all bookings", .run = run_list},
    {.name = "get",
     .args = "BOOKING",
     .min_args = 1,
     .max_args = 1,
     .help = "all about one",
     .run = run_get},
    {0},
};

const struct command command_booking = {
    .noun = "booking", .help = "Bookings: bytes promised inside the pools' 0-db.", .verbs = verbs};
