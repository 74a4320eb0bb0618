/*
 * Records, as they stand and with a good seal put around them, so that both the seal and what is
 * inside are reached. A record that is read can be written, restated and read again; one changed
 * byte, or one that is missing or too many, is noticed.
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "record.h"
#include "seal.h"

#include <string.h>

static const struct seal_kind kind = {.magic = "sRec", .version = 1, .what = "record"};

struct sealed {
    uint8_t bytes[RECORD_MAX];
    size_t length;
};

static struct sealed pack(const struct record *record)
{
    struct sealed sealed;
    fuzz_check(record_pack(record, sealed.bytes, &sealed.length, NULL) == 0);
    return sealed;
}

static void check_same(const struct record *a, const struct record *b)
{
    struct sealed a_sealed = pack(a), b_sealed = pack(b);
    fuzz_check(a_sealed.length == b_sealed.length);
    fuzz_check(memcmp(a_sealed.bytes, b_sealed.bytes, a_sealed.length) == 0);
}

/* A refused record leaves what the caller has untouched. */
static bool read_record(const uint8_t *data, size_t length, struct record *out_record)
{
    autoerr struct err err = {0};
    struct record before;
    memset(&before, 0xa5, sizeof before);
    memcpy(out_record, &before, sizeof before);
    int rc = record_unpack(data, length, out_record, &err);
    if (rc == 0)
        return true;
    fuzz_check_refusal(rc, &err);
    fuzz_check(memcmp(out_record, &before, sizeof before) == 0);
    return false;
}

/* `where` picks the byte. */
static void check_damage(const uint8_t *data, size_t length, uint64_t where)
{
    struct record unused;
    uint8_t damaged[RECORD_MAX + 1];
    memcpy(damaged, data, length);
    damaged[length] = 0;
    damaged[where % length] ^= (uint8_t)(1 + where % 255);
    fuzz_check(!read_record(damaged, length, &unused));
    damaged[where % length] = data[where % length];
    fuzz_check(!read_record(damaged, length - 1, &unused));
    fuzz_check(!read_record(damaged, length + 1, &unused));
}

static void check_dying(const uint8_t *data, size_t length, const struct record *record)
{
    struct sealed dying;
    struct record again, expected = *record;
    autoerr struct err err = {0};
    int rc = record_restate(data, length, RECORD_STATE_DYING, dying.bytes, &dying.length, &err);
    if (rc < 0) { /* no room for a generation that has one byte more */
        fuzz_check_refusal(rc, &err);
        fuzz_check(length > RECORD_MAX - 16);
        return;
    }
    fuzz_check(read_record(dying.bytes, dying.length, &again));
    expected.state = RECORD_STATE_DYING;
    expected.generation += expected.generation < UINT64_MAX;
    check_same(&again, &expected);
}

static void check(const uint8_t *data, size_t length)
{
    struct record record, again;
    if (!read_record(data, length, &record))
        return;
    struct sealed sealed = pack(&record);
    fuzz_check(read_record(sealed.bytes, sealed.length, &again));
    check_same(&record, &again);
    check_dying(data, length, &record);
    check_damage(data, length, record.size_bytes ^ record.generation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    uint8_t sealed[RECORD_MAX];
    check(data, length);
    if (length > sizeof sealed - SEAL_SIZE)
        return 0;
    if (length > 0)
        memcpy(sealed + SEAL_SIZE, data, length);
    seal_close(&kind, sealed, length);
    check(sealed, SEAL_SIZE + length);
    return 0;
}

/* Sealed, and what is inside. */
static void seed(const struct record *record)
{
    struct sealed sealed = pack(record);
    fuzz_seed(sealed.bytes, sealed.length);
    fuzz_seed(sealed.bytes + SEAL_SIZE, sealed.length - SEAL_SIZE);
}

void fuzz_seeds(void)
{
    struct record space = {
        .id = "0f8fad5b-d9cb-469f-a165-70867728950e",
        .name = "vm7",
        .request_id = "5a0b7a5e-retry.1",
        .request_uid = 1000,
        .kind = RECORD_KIND_SPACE,
        .state = RECORD_STATE_LIVE,
        .disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD,
        .size_bytes = UINT64_C(10) << 30,
        .limit_bytes = UINT64_C(11) << 30,
        .qgroup = 7,
        .uid = 1000,
        .gid = 1000,
        .mode = 0700,
        .created_us = 1700000000000000,
        .generation = 1,
    };
    struct record cache = {
        .id = "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        .kind = RECORD_KIND_CACHE,
        .state = RECORD_STATE_BUILDING,
        .qgroup = 1,
        .generation = UINT64_MAX,
    };
    struct record booking = {
        .id = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
        .kind = RECORD_KIND_BOOKING,
        .state = RECORD_STATE_LIVE,
        .size_bytes = 1,
        .limit_bytes = 2,
        .pending = true,
        .generation = 1,
    };
    seed(&booking);
    seed(&space);
    seed(&cache);
}
