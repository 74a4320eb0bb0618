/* Descriptions: one function per message. */
#include "describe.h"

#include "node.h"

#include <stdio.h>

static Storage__V1__PoolState state_of(const struct pool *pool)
{
#define STATE(name) STORAGE__V1__POOL_STATE__POOL_STATE_##name
    static const Storage__V1__PoolState states[POOL_STATES] = {
        [POOL_WAITING] = STATE(OPENING),       [POOL_OPENING] = STATE(OPENING),
        [POOL_MOUNTED] = STATE(MOUNTED),       [POOL_READ_ONLY] = STATE(READ_ONLY),
        [POOL_INCOMPLETE] = STATE(INCOMPLETE), [POOL_DUPLICATE] = STATE(DUPLICATE),
        [POOL_FENCED] = STATE(FENCED),         [POOL_FAILED] = STATE(FAILED),
        [POOL_LEAVING] = STATE(LEAVING),
    };
#undef STATE
    return states[pool->state];
}

const char *describe_type(Storage__V1__DiskType type)
{
    switch (type) {
    case STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD:
        return "SSD";
    case STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD:
        return "HDD";
    default:
        return "unknown type";
    }
}

void describe_capacity(const struct pool *pool, Storage__V1__PoolCapacity *out_capacity)
{
    const struct ledger *ledger = &pool->ledger;
    storage__v1__pool_capacity__init(out_capacity);
    out_capacity->total = ledger->total_bytes;
    out_capacity->usable = ledger->usable_bytes;
    out_capacity->booked = ledger_booked(ledger);
    out_capacity->used = ledger_used(ledger);
    out_capacity->releasing = ledger_releasing(ledger);
    if (pool_is_serving(pool))
        out_capacity->largest =
            ledger_largest(pool_free_bytes(pool), pool->node->settings->headroom_bytes);
}

void describe_pool(const struct pool *pool, struct described_pool *out_pool)
{
    Storage__V1__PoolInfo *info = &out_pool->info;
    storage__v1__pool_info__init(info);
    describe_capacity(pool, &out_pool->capacity);
    info->id = (char *)pool->fsid;
    info->name = (char *)pool->name;
    info->disk_type = pool->type;
    info->disk_type_evidence = (char *)pool->type_evidence;
    info->state = state_of(pool);
    info->reason = (char *)pool->reason;
    info->path = pool_is_mounted(pool) ? (char *)pool->path : (char *)"";
    info->profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
    info->capacity = &out_pool->capacity;
    info->has_cache = pool->cache && pool->cache->record.id[0];
    info->quota_mode = (char *)pool->quota_mode;
    info->created_us = pool->created_us;
    info->spaces = pool->n_live;
    info->bookings = pool->n_bookings;
    for (size_t i = 0; i < pool->n_members; i++) {
        const struct pool_member *member = &pool->members[i];
        Storage__V1__PoolMember *to = &out_pool->members[i];
        storage__v1__pool_member__init(to);
        to->disk_id = member->disk_id;
        to->path = member->path;
        to->serial = member->serial;
        to->devid = member->devid;
        to->size_bytes = member->size_bytes;
        out_pool->member_list[i] = to;
    }
    info->n_members = pool->n_members;
    info->members = out_pool->member_list;
}

void describe_space(const struct space *space, struct described_space *out_space)
{
    const struct record *record = &space->record;
    const struct pool *pool = space->pool;
    Storage__V1__Space *to = &out_space->space;
    storage__v1__space__init(to);
    out_space->path[0] = '\0';
    if (pool_is_mounted(pool))
        (void)snprintf(out_space->path, sizeof out_space->path, "%.*s/spaces/%s/data",
                       PATH_MAX - UUID_TEXT_SIZE - 16, pool->path, record->id);
    to->id = (char *)record->id;
    to->name = (char *)record->name;
    to->disk_type = record->disk_type;
    to->size_bytes = record->size_bytes;
    to->limit_bytes = record->limit_bytes;
    to->pool = (char *)pool->fsid;
    to->path = out_space->path;
    to->uid = record->uid;
    to->gid = record->gid;
    to->mode = record->mode;
    to->created_us = record->created_us;
    to->state = pool_is_mounted(pool) ? STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE
                                      : STORAGE__V1__SPACE_STATE__SPACE_STATE_FAILED;
    to->used_bytes = space->booking.usage_bytes;
    to->generation = record->generation;
}

void describe_home(const struct pool *pool, struct described_booking *out_booking)
{
    Storage__V1__BookingHome *to = &out_booking->home;
    const struct space *space = pool->home.space;
    storage__v1__booking_home__init(to);
    out_booking->path[0] = '\0';
    if (pool_is_mounted(pool))
        (void)snprintf(out_booking->path, sizeof out_booking->path, "%.*s/zdb/data", PATH_MAX - 16,
                       pool->path);
    to->path = out_booking->path;
    to->limit_bytes = pool->home.limit_bytes;
    if (!space)
        return;
    to->uid = space->record.uid;
    to->gid = space->record.gid;
    to->used_bytes = space->booking.usage_bytes;
}

void describe_booking(const struct space *space, struct described_booking *out_booking)
{
    const struct record *record = &space->record;
    const struct pool *pool = space->pool;
    Storage__V1__Booking *to = &out_booking->booking;
    storage__v1__booking__init(to);
    describe_home(pool, out_booking);
    to->id = (char *)record->id;
    to->pool = (char *)pool->fsid;
    to->disk_type = record->disk_type;
    to->size_bytes = record->size_bytes;
    to->limit_bytes = record->limit_bytes;
    if (!pool_is_mounted(pool))
        to->state = STORAGE__V1__BOOKING_STATE__BOOKING_STATE_FAILED;
    else
        to->state = record->pending ? STORAGE__V1__BOOKING_STATE__BOOKING_STATE_PENDING
                                    : STORAGE__V1__BOOKING_STATE__BOOKING_STATE_LIVE;
    if (space->note)
        to->note = (ProtobufCBinaryData){space->note->length, space->note->data};
    to->created_us = record->created_us;
    to->generation = record->generation;
    to->home = &out_booking->home;
}
