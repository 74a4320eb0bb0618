/* Bookings: what is refused, what lasts, and what the kernel lets through in the directory that
 * they are for. */
#include "poolnode.h"

#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_BYTES (4 * GiB)
#define ALLOWANCE  (64 * MiB) /* for what a 0-db keeps for itself */
#define STATE(s)   STORAGE__V1__BOOKING_STATE__BOOKING_STATE_##s

/* ---- requests ---- */

static void refused(struct node *node, Storage__V1__BookRequest request, enum err_code code,
                    const char *text)
{
    autoerr struct err err = {0};
    Storage__V1__Booking *none = NULL;
    int rc = storage_call(node->storage, "storage.v1.BookingService/Book", &request, &none, &err);
    assert_refused(rc, &err, code, text);
    assert_int_equal(err.code, code);
}

static void what_cannot_be_is_refused_with_the_reason(void)
{
    static char long_note[1025], id[] = "0f8fad5b-d9cb-469f-a165-70867728950e";
    static char nonsense[] = "nonsense", nobody[] = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
    struct node *node = poolnode_start(disk_create(DISK_BYTES, DISK_SSD));
    uint64_t before = poolnode_capacity(node).booked;
    Storage__V1__BookRequest good = STORAGE__V1__BOOK_REQUEST__INIT, bad;
    good.id = id;
    good.disk_type = SSD;
    good.size_bytes = 16 * MiB;
#define refuse(field, value, code, text)                                                           \
    bad = good;                                                                                    \
    bad.field = (value);                                                                           \
    refused(node, bad, (code), (text))
    refuse(id, nonsense, ERR_INVALID_ARGUMENT, "no UUID");
    refuse(size_bytes, 0, ERR_INVALID_ARGUMENT, "size of 0");
    refuse(disk_type, 0, ERR_INVALID_ARGUMENT, "SSD or HDD");
    refuse(disk_type, STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD, ERR_FAILED_PRECONDITION, "type HDD");
    refuse(pool, nonsense, ERR_INVALID_ARGUMENT, "no pool's id");
    refuse(pool, nobody, ERR_NOT_FOUND, "there is no pool");
    refuse(size_bytes, UINT64_MAX, ERR_RESOURCE_EXHAUSTED, "the largest possible now is");
    refuse(note, ((ProtobufCBinaryData){sizeof long_note, (uint8_t *)long_note}),
           ERR_INVALID_ARGUMENT, "1025 bytes");
    autoerr struct err err = {0};
    Storage__V1__Booking *none = NULL;
    bool existed = true;
    assert_refused(call_settle(node->storage, id, &none, &err), &err, ERR_NOT_FOUND, "no booking");
    assert_refused(call_resize_booking(node->storage, id, MiB, &none, &err), &err, ERR_NOT_FOUND,
                   "no booking");
    assert_refused(call_get_booking(node->storage, id, &none, &err), &err, ERR_NOT_FOUND,
                   "no booking");
    assert_ok(call_unbook(node->storage, id, &existed, &err), &err);
    assert_false(existed);
    /* Nothing of all that left a byte booked, nor a directory made. */
    assert_int_equal(poolnode_capacity(node).booked, before);
    poolnode_must_balance(node);

    autoreply Storage__V1__Booking *made = must_book(node, id, "", 16 * MiB);
    assert_true(made->created);
    autoreply Storage__V1__Booking *again = must_book(node, id, made->pool, 16 * MiB);
    assert_false(again->created);
    refuse(size_bytes, 17 * MiB, ERR_ALREADY_EXISTS, "its size is another");
    refuse(note, ((ProtobufCBinaryData){4, (uint8_t *)long_note}), ERR_ALREADY_EXISTS,
           "its note is another");
    refuse(disk_type, STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD, ERR_ALREADY_EXISTS,
           "its disk type is another");
    refuse(pool, nobody, ERR_ALREADY_EXISTS, "on another pool");
#undef refuse
}

/* ---- a life ---- */

static void resize_with_note(struct node *node, const char *id, uint64_t size_bytes,
                             const char *text)
{
    autoerr struct err err = {0};
    Storage__V1__ResizeBookingRequest request = STORAGE__V1__RESIZE_BOOKING_REQUEST__INIT;
    Storage__V1__Note note = STORAGE__V1__NOTE__INIT;
    autoreply Storage__V1__Booking *booking = NULL;
    request.id = (char *)(uintptr_t)id;
    request.size_bytes = size_bytes;
    note.data = (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
    request.note = &note;
    assert_ok(storage_call(node->storage, "storage.v1.BookingService/ResizeBooking", &request,
                           &booking, &err),
              &err);
    assert_int_equal(booking->size_bytes, size_bytes);
    assert_memory_equal(booking->note.data, text, strlen(text));
}

/* As it was told last, in every answer. */
static void must_be(struct node *node, const char *id, Storage__V1__BookingState state,
                    uint64_t size_bytes, uint64_t group_bytes)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Booking *got = NULL;
    autoreply Storage__V1__ListBookingsReply *list = NULL;
    assert_ok(call_get_booking(node->storage, id, &got, &err), &err);
    assert_int_equal(got->state, state);
    assert_int_equal(got->size_bytes, size_bytes);
    assert_int_equal(got->home->limit_bytes, group_bytes);
    assert_ok(call_bookings(node->storage, &list, &err), &err);
    assert_int_equal(list->n_bookings, 1);
    assert_string_equal(list->bookings[0]->id, id);
    assert_int_equal(list->bookings[0]->generation, got->generation);
}

static void what_is_acknowledged_outlives_poold(void)
{
    char id[UUID_TEXT_SIZE];
    struct node *node = poolnode_start(disk_create(DISK_BYTES, DISK_SSD));
    uint64_t before = poolnode_capacity(node).booked;
    autoerr struct err err = {0};
    uuid_random(id);
    autoreply Storage__V1__Booking *made = must_book(node, id, "", 256 * MiB);
    const Storage__V1__Event *event = watch_wait(node->watch, "booking.made", id);
    assert_int_equal(event->body_case, STORAGE__V1__EVENT__BODY_BOOKING);
    assert_int_equal(event->booking->size_bytes, 256 * MiB);
    assert_int_equal(poolnode_capacity(node).booked, before + 256 * MiB + ALLOWANCE);
    must_be(node, id, STATE(PENDING), 256 * MiB, 256 * MiB + ALLOWANCE);
    poolnode_kill_poold(node);
    must_be(node, id, STATE(PENDING), 256 * MiB, 256 * MiB + ALLOWANCE);

    for (int i = 0; i < 2; i++) {
        autoreply Storage__V1__Booking *settled = NULL;
        assert_ok(call_settle(node->storage, id, &settled, &err), &err);
        assert_int_equal(settled->state, STATE(LIVE));
        assert_int_equal(settled->generation, made->generation + 1);
    }
    (void)watch_wait(node->watch, "booking.settled", id);
    resize_with_note(node, id, 512 * MiB, "grown");
    (void)watch_wait(node->watch, "booking.resized", id);
    poolnode_kill_poold(node);
    must_be(node, id, STATE(LIVE), 512 * MiB, 512 * MiB + ALLOWANCE);
    autoreply Storage__V1__Booking *shrunk = NULL;
    assert_ok(call_resize_booking(node->storage, id, 32 * MiB, &shrunk, &err), &err);
    assert_int_equal(shrunk->note.len, 5);
    assert_int_equal(poolnode_capacity(node).booked, before + 32 * MiB + ALLOWANCE);
    poolnode_must_balance(node);
    node_stop(node);
    node_start(node);
    node_wait_pools(node, 1);
    must_be(node, id, STATE(LIVE), 32 * MiB, 32 * MiB + ALLOWANCE);
    assert_int_equal(poolnode_capacity(node).booked, before + 32 * MiB + ALLOWANCE);

    must_unbook(node, id);
    (void)watch_wait(node->watch, "booking.gone", id);
    assert_int_equal(poolnode_capacity(node).booked, before + ALLOWANCE);
    poolnode_kill_poold(node);
    Storage__V1__Booking *none = NULL;
    assert_refused(call_get_booking(node->storage, id, &none, &err), &err, ERR_NOT_FOUND, "");
    node_wait_cache(node, true);
    assert_int_equal(poolnode_capacity(node).booked, before + ALLOWANCE);
    poolnode_must_balance(node);
}

/* The disk as it would be found had the power failed now. */
static struct disk *disk_as_it_is(const struct disk *disk)
{
    struct disk *copy = disk_reserve(disk->size_bytes, DISK_SSD);
    command_ok("cp", "--sparse=always", disk->file, copy->file);
    return copy;
}

/* What the next node makes of it; size 0: there is no such booking. */
static void must_hold(struct disk *disk, const char *id, Storage__V1__BookingState state,
                      uint64_t size_bytes)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Booking *booking = NULL;
    disk_plug(disk);
    struct node *node = poolnode_start(disk);
    int rc = call_get_booking(node->storage, id, &booking, &err);
    if (size_bytes == 0) {
        assert_refused(rc, &err, ERR_NOT_FOUND, "");
    } else {
        assert_ok(rc, &err);
        assert_int_equal(booking->state, state);
        assert_int_equal(booking->size_bytes, size_bytes);
        assert_int_equal(booking->home->limit_bytes, size_bytes + ALLOWANCE);
    }
    err_clear(&err);
    poolnode_must_balance(node);
    assert_ok(node_shutdown(node, &err), &err);
    disk_unplug(disk);
}

static void what_is_acknowledged_outlives_a_power_cut(void)
{
    char id[UUID_TEXT_SIZE];
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = poolnode_start(disk);
    autoerr struct err err = {0};
    autoreply Storage__V1__Booking *settled = NULL, *resized = NULL;
    uuid_random(id);
    storage_free(must_book(node, id, "", 64 * MiB));
    struct disk *made = disk_as_it_is(disk);
    assert_ok(call_settle(node->storage, id, &settled, &err), &err);
    struct disk *live = disk_as_it_is(disk);
    assert_ok(call_resize_booking(node->storage, id, 96 * MiB, &resized, &err), &err);
    struct disk *grown = disk_as_it_is(disk);
    must_unbook(node, id);
    struct disk *gone = disk_as_it_is(disk);
    assert_ok(node_shutdown(node, &err), &err);
    disk_unplug(disk);
    must_hold(made, id, STATE(PENDING), 64 * MiB);
    must_hold(live, id, STATE(LIVE), 64 * MiB);
    must_hold(grown, id, STATE(LIVE), 96 * MiB);
    must_hold(gone, id, STATE(UNSPECIFIED), 0);
}

static void a_list_comes_in_pages_and_on_the_terminal(void)
{
    enum { N = 7, PAGE = 3 };
    struct node *node = poolnode_start(disk_create(DISK_BYTES, DISK_SSD));
    char ids[N][UUID_TEXT_SIZE], token[UUID_TEXT_SIZE] = "";
    size_t n = 0;
    for (int i = 0; i < N; i++) {
        uuid_random(ids[i]);
        storage_free(must_book(node, ids[i], "", MiB));
    }
    do {
        autoerr struct err err = {0};
        autoreply Storage__V1__ListBookingsReply *list = NULL;
        Storage__V1__ListBookingsRequest request = STORAGE__V1__LIST_BOOKINGS_REQUEST__INIT;
        request.page_token = token;
        request.page_size = PAGE;
        assert_ok(storage_call(node->storage, "storage.v1.BookingService/ListBookings", &request,
                               &list, &err),
                  &err);
        assert_true(list->n_bookings <= PAGE);
        n += list->n_bookings;
        (void)snprintf(token, sizeof token, "%s", list->next_page_token);
    } while (*token);
    assert_int_equal(n, N);
    struct command_result table = node_ctl(node, "booking", "list");
    struct command_result json = node_ctl(node, "--json", "booking", "get", ids[0]);
    assert_int_equal(table.status, 0);
    assert_int_equal(json.status, 0);
    for (int i = 0; i < N; i++)
        assert_non_null(strstr(table.out, ids[i]));
    assert_non_null(strstr(json.out, "zdb/data"));
    struct command_result pools = node_ctl(node, "--json", "pool", "list");
    assert_non_null(strstr(pools.out, "\"bookings\": 7"));
}

/* What is asked for is less than what is booked, and the largest size that is named fits. */
static void the_overhead_is_booked_too(void)
{
    char id[UUID_TEXT_SIZE], other[UUID_TEXT_SIZE];
    struct node *node = node_create(disk_create(DISK_BYTES, DISK_SSD));
    node_set(node, "spaces.headroom", "0");
    node_set(node, "zdb.overhead", "200M");
    node_start(node);
    node_wait_cache(node, true);
    uuid_random(id);
    uuid_random(other);
    autoreply Storage__V1__Booking *booking = must_book(node, id, "", 256 * MiB);
    assert_int_equal(booking->limit_bytes, 256 * MiB + 64 * MiB + 64 * MiB);
    autoerr struct err err = {0};
    Storage__V1__Booking *none = NULL;
    int rc = call_book(node->storage, other, "", 8 * GiB, &none, &err);
    assert_refused(rc, &err, ERR_RESOURCE_EXHAUSTED, "the largest possible now is ");
    uint64_t largest = strtoull(strstr(err.message, "now is ") + strlen("now is "), NULL, 10);
    err_clear(&err);
    rc = call_book(node->storage, other, "", largest + 1, &none, &err);
    assert_refused(rc, &err, ERR_RESOURCE_EXHAUSTED, "");
    autoreply Storage__V1__Booking *most = must_book(node, other, "", largest);
    assert_int_equal(most->limit_bytes, largest + 200 * MiB);
    assert_int_equal(poolnode_capacity(node).largest, 0);
}

/* ---- the kernel ---- */

/* As the 0-db's user: how much goes into the directory. -1 if nothing can be made there. */
static int64_t fill_as(uid_t uid, const char *folder, uint64_t at_most)
{
    int result[2];
    assert_int_equal(pipe(result), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int64_t wrote = -1;
        int refusal = 0;
        if (setgid(uid) == 0 && setuid(uid) == 0) {
            wrote = (int64_t)file_fill(folder, "file", at_most, &refusal);
            if (wrote == 0 && refusal == EACCES)
                wrote = -1;
        }
        _exit(write(result[1], &wrote, sizeof wrote) == sizeof wrote ? 0 : 1);
    }
    int64_t wrote;
    assert_int_equal(read(result[0], &wrote, sizeof wrote), sizeof wrote);
    assert_int_equal(child_wait(pid), 0);
    (void)close(result[0]);
    (void)close(result[1]);
    return wrote;
}

static void the_kernel_lets_through_what_is_booked(void)
{
    char id[UUID_TEXT_SIZE], other[UUID_TEXT_SIZE];
    struct stat status;
    struct node *node = poolnode_start(disk_create(DISK_BYTES, DISK_SSD));
    uint64_t before = poolnode_capacity(node).booked;
    uuid_random(id);
    uuid_random(other);
    autoreply Storage__V1__Booking *booking = must_book(node, id, "", 128 * MiB);
    const Storage__V1__BookingHome *home = booking->home;
    assert_in_range(home->uid, 860000, 865535);
    assert_int_equal(stat(home->path, &status), 0);
    assert_int_equal(status.st_uid, home->uid);
    assert_int_equal(status.st_gid, home->gid);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(fill_as(home->uid + 1, home->path, MiB), -1);
    int64_t wrote = fill_as(home->uid, home->path, GiB);
    assert_in_range(wrote, 128 * MiB, 128 * MiB + ALLOWANCE);

    /* What is in it stays booked, whoever it was for, until it is deleted. */
    must_unbook(node, id);
    uint64_t booked = poolnode_capacity(node).booked;
    assert_in_range(booked, before + (uint64_t)wrote, before + 128 * MiB + ALLOWANCE);
    poolnode_kill_poold(node);
    node_wait_cache(node, true);
    poolnode_must_balance(node);
    assert_in_range(poolnode_capacity(node).booked, before + (uint64_t)wrote, booked + MiB);
    autofree char *file = path_format("%s/file", home->path);
    assert_int_equal(unlink(file), 0);
    command_ok("sync", "-f", home->path);
    storage_free(must_book(node, other, "", MiB));
    must_unbook(node, other);
    poolnode_wait_booked(node, before + ALLOWANCE);
    poolnode_must_balance(node);
    assert_in_range(fill_as(home->uid, home->path, GiB), 1, ALLOWANCE);
}

static void each_pool_has_a_user_of_its_own(void)
{
    char ids[2][UUID_TEXT_SIZE];
    uint32_t uids[2];
    struct disk *a = disk_create(DISK_BYTES, DISK_SSD), *b = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = node_create(a, b);
    node_set(node, "zdb.uids", "700000-700001");
    node_start(node);
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    node_wait_cache(node, true);
    assert_ok(call_pools(node->storage, &pools, &err), &err);
    bool on_a = strcmp(pools->pools[0]->members[0]->path, a->path) == 0;
    autoreply Storage__V1__PrepareReply *prepared = NULL;
    assert_ok(call_prepare(node->storage, on_a ? b->path : a->path, &prepared, &err), &err);
    node_wait_pools(node, 2);
    const char *const fsids[] = {pools->pools[0]->id, prepared->pools[0]->fsid};
    for (int i = 0; i < 2; i++) {
        uuid_random(ids[i]);
        autoreply Storage__V1__Booking *booking = must_book(node, ids[i], fsids[i], 16 * MiB);
        assert_string_equal(booking->pool, fsids[i]);
        uids[i] = booking->home->uid;
        assert_in_range(uids[i], 700000, 700001);
    }
    assert_int_not_equal(uids[0], uids[1]);
}

/* ---- pools ---- */

static void a_pool_with_bookings_is_not_wiped(void)
{
    char id[UUID_TEXT_SIZE];
    struct node *node = poolnode_start(disk_create(DISK_BYTES, DISK_SSD));
    uuid_random(id);
    autoreply Storage__V1__Booking *booking = must_book(node, id, "", 16 * MiB);
    for (int i = 0; i < 2; i++) {
        struct command_result refused = node_ctl(node, "pool", "wipe", "--yes", booking->pool);
        assert_int_equal(refused.status, 4);
        assert_non_null(strstr(refused.err, id));
        autoreply Storage__V1__Booking *settled = NULL;
        assert_ok(call_settle(node->storage, id, &settled, NULL), NULL);
    }
    must_unbook(node, id);
    struct command_result wiped = node_ctl(node, "pool", "wipe", "--yes", booking->pool);
    assert_int_equal(wiped.status, 0);
}

static void a_booking_fails_with_its_pool_and_comes_back(void)
{
    char id[UUID_TEXT_SIZE];
    struct two_pools two = poolnode_start_two(DISK_BYTES);
    uuid_random(id);
    autoerr struct err err = {0};
    autoreply Storage__V1__Booking *made = must_book(two.node, id, two.fsid[1], 64 * MiB);
    uint64_t before = poolnode_capacity(two.node).booked;
    disk_uevent(two.disk[1], "remove");
    poolnode_wait(two.node, two.fsid[1], POOL_STATE(FAILED), NULL);
    autoreply Storage__V1__Booking *failed = NULL, *none = NULL;
    assert_ok(call_get_booking(two.node->storage, id, &failed, &err), &err);
    assert_int_equal(failed->state, STATE(FAILED));
    assert_string_equal(failed->home->path, "");
    assert_refused(call_settle(two.node->storage, id, &none, &err), &err, ERR_UNAVAILABLE, "");
    err_clear(&err);
    assert_refused(call_unbook(two.node->storage, id, NULL, &err), &err, ERR_UNAVAILABLE, "");
    disk_uevent(two.disk[1], "add");
    poolnode_wait(two.node, two.fsid[1], POOL_STATE(MOUNTED), NULL);
    autoreply Storage__V1__Booking *back = NULL;
    assert_ok(call_get_booking(two.node->storage, id, &back, &err), &err);
    assert_int_equal(back->state, STATE(PENDING));
    assert_int_equal(back->home->limit_bytes, made->home->limit_bytes);
    assert_int_equal(poolnode_capacity(two.node).booked, before);
    poolnode_must_balance(two.node);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(what_cannot_be_is_refused_with_the_reason),
        harness_case(what_is_acknowledged_outlives_poold),
        harness_case(what_is_acknowledged_outlives_a_power_cut),
        harness_case(a_list_comes_in_pages_and_on_the_terminal),
        harness_case(the_overhead_is_booked_too),
        harness_case(the_kernel_lets_through_what_is_booked),
        harness_case(each_pool_has_a_user_of_its_own),
        harness_case(a_pool_with_bookings_is_not_wiped),
        harness_case(a_booking_fails_with_its_pool_and_comes_back),
    };
    return harness_main(argc, argv, "bookings", cases, array_length(cases));
}
