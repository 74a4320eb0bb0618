/* One small function per call of the API. */
#include "private.h"

int call_reserve(struct storage *storage, const char *name, Storage__V1__DiskType type,
                 uint64_t size_bytes, Storage__V1__Space **out_space, struct err *err)
{
    Storage__V1__ReserveRequest request = STORAGE__V1__RESERVE_REQUEST__INIT;
    request.name = (char *)(uintptr_t)(name ? name : "");
    request.disk_type = type;
    request.size_bytes = size_bytes;
    return storage_call(storage, "storage.v1.SpaceService/Reserve", &request, out_space, err);
}

int call_release(struct storage *storage, const char *id, bool *out_existed, struct err *err)
{
    Storage__V1__ReleaseRequest request = STORAGE__V1__RELEASE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    autoreply Storage__V1__ReleaseReply *reply = NULL;
    int rc = storage_call(storage, "storage.v1.SpaceService/Release", &request, &reply, err);
    if (rc == 0 && out_existed)
        *out_existed = reply->existed;
    return rc;
}

int call_get(struct storage *storage, const char *id, Storage__V1__Space **out_space,
             struct err *err)
{
    Storage__V1__SpaceGetRequest request = STORAGE__V1__SPACE_GET_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    return storage_call(storage, "storage.v1.SpaceService/Get", &request, out_space, err);
}

int call_spaces(struct storage *storage, Storage__V1__SpaceListReply **out_list, struct err *err)
{
    Storage__V1__SpaceListRequest request = STORAGE__V1__SPACE_LIST_REQUEST__INIT;
    return storage_call(storage, "storage.v1.SpaceService/List", &request, out_list, err);
}

int call_pools(struct storage *storage, Storage__V1__ListPoolsReply **out_list, struct err *err)
{
    Storage__V1__ListPoolsRequest request = STORAGE__V1__LIST_POOLS_REQUEST__INIT;
    return storage_call(storage, "storage.v1.PoolService/ListPools", &request, out_list, err);
}

int call_capacity(struct storage *storage, Storage__V1__DiskType type,
                  Storage__V1__CapacityReply **out_capacity, struct err *err)
{
    Storage__V1__CapacityRequest request = STORAGE__V1__CAPACITY_REQUEST__INIT;
    request.disk_type = type;
    return storage_call(storage, "storage.v1.PoolService/Capacity", &request, out_capacity, err);
}

int call_cache(struct storage *storage, Storage__V1__CacheInfo **out_cache, struct err *err)
{
    Storage__V1__CacheRequest request = STORAGE__V1__CACHE_REQUEST__INIT;
    return storage_call(storage, "storage.v1.PoolService/Cache", &request, out_cache, err);
}

int call_disks(struct storage *storage, Storage__V1__DiskListReply **out_list, struct err *err)
{
    Storage__V1__DiskListRequest request = STORAGE__V1__DISK_LIST_REQUEST__INIT;
    return storage_call(storage, "storage.v1.DiskService/List", &request, out_list, err);
}

int call_disk(struct storage *storage, const char *id, Storage__V1__Disk **out_disk,
              struct err *err)
{
    Storage__V1__DiskGetRequest request = STORAGE__V1__DISK_GET_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    return storage_call(storage, "storage.v1.DiskService/Get", &request, out_disk, err);
}

int call_prepare(struct storage *storage, const char *disk, Storage__V1__PrepareReply **out_reply,
                 struct err *err)
{
    Storage__V1__PreparePolicy policy = STORAGE__V1__PREPARE_POLICY__INIT;
    char *disks[] = {(char *)(uintptr_t)disk};
    policy.profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
    policy.disks = disks;
    policy.n_disks = array_length(disks);
    return storage_call(storage, "storage.v1.DiskService/Prepare", &policy, out_reply, err);
}

int call_workers(struct storage *storage, Storage__V1__ControlReply **out_reply, struct err *err)
{
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    Storage__V1__WorkerListRequest list = STORAGE__V1__WORKER_LIST_REQUEST__INIT;
    request.verb_case = STORAGE__V1__CONTROL_REQUEST__VERB_LIST;
    request.list = &list;
    return storage_control(storage, &request, out_reply, err);
}

Storage__V1__Space *must_reserve(struct node *node, const char *name, Storage__V1__DiskType type,
                                 uint64_t size_bytes)
{
    autoerr struct err err = {0};
    Storage__V1__Space *space = NULL;
    assert_ok(call_reserve(node->storage, name, type, size_bytes, &space, &err), &err);
    return space;
}

void must_release(struct node *node, const char *id)
{
    autoerr struct err err = {0};
    assert_ok(call_release(node->storage, id, NULL, &err), &err);
}

/* On an SSD pool, where none is named. */
int call_book(struct storage *storage, const char *id, const char *pool, uint64_t size_bytes,
              Storage__V1__Booking **out_booking, struct err *err)
{
    Storage__V1__BookRequest request = STORAGE__V1__BOOK_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    request.pool = (char *)(uintptr_t)pool;
    if (!*pool)
        request.disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD;
    request.size_bytes = size_bytes;
    return storage_call(storage, "storage.v1.BookingService/Book", &request, out_booking, err);
}

int call_settle(struct storage *storage, const char *id, Storage__V1__Booking **out_booking,
                struct err *err)
{
    Storage__V1__SettleRequest request = STORAGE__V1__SETTLE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    return storage_call(storage, "storage.v1.BookingService/Settle", &request, out_booking, err);
}

int call_resize_booking(struct storage *storage, const char *id, uint64_t size_bytes,
                        Storage__V1__Booking **out_booking, struct err *err)
{
    Storage__V1__ResizeBookingRequest request = STORAGE__V1__RESIZE_BOOKING_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    request.size_bytes = size_bytes;
    return storage_call(storage, "storage.v1.BookingService/ResizeBooking", &request, out_booking,
                        err);
}

int call_unbook(struct storage *storage, const char *id, bool *out_existed, struct err *err)
{
    Storage__V1__UnbookRequest request = STORAGE__V1__UNBOOK_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    autoreply Storage__V1__UnbookReply *reply = NULL;
    int rc = storage_call(storage, "storage.v1.BookingService/Unbook", &request, &reply, err);
    if (rc == 0 && out_existed)
        *out_existed = reply->existed;
    return rc;
}

int call_get_booking(struct storage *storage, const char *id, Storage__V1__Booking **out_booking,
                     struct err *err)
{
    Storage__V1__GetBookingRequest request = STORAGE__V1__GET_BOOKING_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    return storage_call(storage, "storage.v1.BookingService/GetBooking", &request, out_booking,
                        err);
}

int call_bookings(struct storage *storage, Storage__V1__ListBookingsReply **out_list,
                  struct err *err)
{
    Storage__V1__ListBookingsRequest request = STORAGE__V1__LIST_BOOKINGS_REQUEST__INIT;
    return storage_call(storage, "storage.v1.BookingService/ListBookings", &request, out_list, err);
}

Storage__V1__Booking *must_book(struct node *node, const char *id, const char *pool,
                                uint64_t size_bytes)
{
    autoerr struct err err = {0};
    Storage__V1__Booking *booking = NULL;
    assert_ok(call_book(node->storage, id, pool, size_bytes, &booking, &err), &err);
    return booking;
}

void must_unbook(struct node *node, const char *id)
{
    autoerr struct err err = {0};
    bool existed = false;
    assert_ok(call_unbook(node->storage, id, &existed, &err), &err);
    assert_true(existed);
}
