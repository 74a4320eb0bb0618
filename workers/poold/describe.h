/*
 * Messages of the API out of poold's own state. What is described must outlive the description:
 * texts are borrowed. Of the loop.
 */
#ifndef WORKERS_POOLD_DESCRIBE_H
#define WORKERS_POOLD_DESCRIBE_H

#include "pool.h"
#include "space.h"
#include "storage/v1/booking.pb-c.h"
#include "storage/v1/pool.pb-c.h"

struct described_pool {
    Storage__V1__PoolInfo info;
    Storage__V1__PoolCapacity capacity;
    Storage__V1__PoolMember members[VOLUME_MEMBERS_MAX];
    Storage__V1__PoolMember *member_list[VOLUME_MEMBERS_MAX];
};
void describe_pool(const struct pool *pool, struct described_pool *out_pool);

void describe_capacity(const struct pool *pool, Storage__V1__PoolCapacity *out_capacity);

struct described_space {
    Storage__V1__Space space;
    char path[PATH_MAX];
};
void describe_space(const struct space *space, struct described_space *out_space);

struct described_booking {
    Storage__V1__Booking booking;
    Storage__V1__BookingHome home;
    char path[PATH_MAX];
};
/* Only its `home` and `path`. */
void describe_home(const struct pool *pool, struct described_booking *out_booking);
void describe_booking(const struct space *space, struct described_booking *out_booking);

/* "SSD" */
const char *describe_type(Storage__V1__DiskType type);

#endif
