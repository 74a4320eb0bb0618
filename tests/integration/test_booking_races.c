/* Bookings that are changed at the same time: bytes are given once, and what is let through in the
 * end is what is booked. */
#include "poolnode.h"

#include "base/uuid.h"

#include <pthread.h>
#include <stdio.h>

#define DISK_BYTES (4 * GiB)
#define ALLOWANCE  (64 * MiB) /* for what a 0-db keeps for itself */

struct racer {
    struct storage *storage;
    uint64_t size_bytes;
    char id[UUID_TEXT_SIZE];
    int rc;
};

static void *race(void *data)
{
    struct racer *racer = data;
    autoreply Storage__V1__Booking *booking = NULL;
    racer->rc = call_book(racer->storage, racer->id, "", racer->size_bytes, &booking, NULL);
    return NULL;
}

static void the_last_bytes_are_given_once(void)
{
    enum { ROUNDS = 10 };
    struct node *node = poolnode_start(disk_create(DISK_BYTES, DISK_SSD));
    struct racer racers[2] = {{.storage = node_client(node)}, {.storage = node_client(node)}};
    uint64_t before = poolnode_capacity(node).booked;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[2];
        /* All that is left: in the first round the directory has to be made as well. */
        uint64_t all = poolnode_capacity(node).largest - (round == 0 ? ALLOWANCE : 0);
        for (int i = 0; i < 2; i++) {
            uuid_random(racers[i].id);
            racers[i].size_bytes = all;
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < 2; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        bool first = racers[0].rc == 0;
        assert_int_equal(racers[first ? 0 : 1].rc, 0);
        assert_int_equal(racers[first ? 1 : 0].rc, -ERR_RESOURCE_EXHAUSTED);
        assert_int_equal(poolnode_capacity(node).largest, 0);
        poolnode_must_balance(node);
        must_unbook(node, racers[first ? 0 : 1].id);
        assert_int_equal(poolnode_capacity(node).booked, before + ALLOWANCE);
    }
    /* Nor can one grow into what another has. */
    uint64_t all = poolnode_capacity(node).largest;
    autoerr struct err err = {0};
    storage_free(must_book(node, racers[0].id, "", MiB));
    storage_free(must_book(node, racers[1].id, "", all - MiB));
    Storage__V1__Booking *none = NULL;
    assert_refused(call_resize_booking(node->storage, racers[0].id, 2 * MiB, &none, &err), &err,
                   ERR_RESOURCE_EXHAUSTED, "the largest possible now is 1048576 bytes");
    poolnode_must_balance(node);
    for (int i = 0; i < 2; i++)
        storage_close(racers[i].storage);
}

/* As the kernel has it for the directory of the only pool. */
static bool limit_is(struct node *node, void *data)
{
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    autoreply Storage__V1__CacheInfo *cache = NULL;
    if (call_pools(node->storage, &pools, NULL) != 0 ||
        call_cache(node->storage, &cache, NULL) != 0)
        return false;
    return poolnode_limits(pools->pools[0]->id) == cache->limit_bytes + *(uint64_t *)data;
}

static void *work(void *data)
{
    enum { CHANGES = 60 };
    struct racer *racer = data;
    racer->rc = 0;
    for (uint64_t i = 0; i < CHANGES && racer->rc == 0; i++) {
        autoreply Storage__V1__Booking *booking = NULL;
        uint64_t size = racer->size_bytes + i % 7 * MiB;
        if (i % 6 == 0)
            racer->rc = call_book(racer->storage, racer->id, "", size, &booking, NULL);
        else if (i % 6 == 5)
            racer->rc = call_unbook(racer->storage, racer->id, NULL, NULL);
        else
            racer->rc = call_resize_booking(racer->storage, racer->id, size, &booking, NULL);
    }
    return NULL;
}

static void *unbook(void *data)
{
    struct racer *racer = data;
    racer->rc = call_unbook(racer->storage, racer->id, NULL, NULL);
    return NULL;
}

/* All are under way before the first of them is done, so none of them knows of the others. */
static void the_limit_follows_what_ends_at_once(void)
{
    enum { N = 4 };
    struct node *node = poolnode_start(disk_create(DISK_BYTES, DISK_SSD));
    struct racer racers[N];
    pthread_t threads[N];
    autoreply Storage__V1__CacheInfo *cache = NULL;
    assert_int_equal(call_cache(node->storage, &cache, NULL), 0);
    autofree char *path = poolnode_path(node, cache->pool, "");
    for (int i = 0; i < N; i++) {
        racers[i].storage = node_client(node);
        uuid_random(racers[i].id);
        storage_free(must_book(node, racers[i].id, "", 16 * MiB));
    }
    struct freezer freezer = filesystem_freeze(path);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, unbook, &racers[i]), 0);
    for (int i = 0; i < N; i++) {
        Storage__V1__Booking *none = NULL;
        Storage__V1__ResizeBookingRequest same = STORAGE__V1__RESIZE_BOOKING_REQUEST__INIT;
        same.id = racers[i].id;
        same.size_bytes = 16 * MiB;
        int rc;
        do { /* it is as it is until its end is under way */
            rc = storage_call(node->storage, "storage.v1.BookingService/ResizeBooking", &same,
                              &none, NULL);
            if (rc == 0)
                storage_free(take_ptr(none));
        } while (rc == 0);
        assert_int_equal(rc, -ERR_ABORTED);
    }
    filesystem_thaw(&freezer);
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(racers[i].rc, 0);
        storage_close(racers[i].storage);
    }
    node_wait(node, limit_is, &(uint64_t){ALLOWANCE}, "the limit is what is booked");
    poolnode_must_balance(node);
}

/* Changes of one pool overtake each other: in the end its limit is the sum of what is booked. */
static void a_crowd_leaves_the_books_balanced(void)
{
    enum { WORKERS = 6, ROUNDS = 4 };
    struct node *node = poolnode_start(disk_create(DISK_BYTES, DISK_SSD));
    struct racer workers[WORKERS];
    pthread_t threads[WORKERS];
    uint64_t before = poolnode_capacity(node).booked;
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i] = (struct racer){.storage = node_client(node), .size_bytes = (i + 1) * MiB};
    for (int round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < WORKERS; i++) {
            uuid_random(workers[i].id);
            assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
        }
        for (unsigned i = 0; i < WORKERS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(workers[i].rc, 0);
        }
        poolnode_wait_booked(node, before + ALLOWANCE);
        node_wait(node, limit_is, &(uint64_t){ALLOWANCE}, "the limit is what is booked");
        poolnode_must_balance(node);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        storage_close(workers[i].storage);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(the_last_bytes_are_given_once),
        harness_case(the_limit_follows_what_ends_at_once),
        harness_case(a_crowd_leaves_the_books_balanced),
    };
    return harness_main(argc, argv, "booking_races", cases, array_length(cases));
}
