/*
 * Descriptors of pools, as they stand and with a good seal put around them. One that is read can be
 * written and read again, fits the disks that it names, and does not fit them when one is another;
 * a changed byte is noticed.
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "descriptor.h"
#include "seal.h"

#include <stdio.h>
#include <string.h>

static const struct seal_kind kind = {.magic = "sPoo", .version = 1, .what = "pool descriptor"};

struct sealed {
    uint8_t bytes[DESCRIPTOR_MAX];
    size_t length;
};

static struct sealed pack(const struct descriptor *descriptor)
{
    struct sealed sealed;
    fuzz_check(descriptor_pack(descriptor, sealed.bytes, &sealed.length, NULL) == 0);
    return sealed;
}

/* A refused one leaves what the caller has untouched. */
static bool read_descriptor(const uint8_t *data, size_t length, struct descriptor *out_descriptor)
{
    autoerr struct err err = {0};
    struct descriptor before;
    memset(&before, 0xa5, sizeof before);
    memcpy(out_descriptor, &before, sizeof before);
    enum volume_problem problem = descriptor_unpack(data, length, out_descriptor, &err);
    if (problem == VOLUME_PROBLEM_NONE)
        return true;
    fuzz_check(problem == VOLUME_PROBLEM_CORRUPT || problem == VOLUME_PROBLEM_TOO_NEW);
    fuzz_check_refusal(-(int)err.code, &err);
    fuzz_check(memcmp(out_descriptor, &before, sizeof before) == 0);
    return false;
}

static void check_disks(const struct descriptor *descriptor)
{
    struct volume_member members[VOLUME_MEMBERS_MAX];
    struct volume_spec spec = {
        .fsid = descriptor->fsid, .members = members, .n_members = descriptor->n_members};
    for (size_t i = 0; i < descriptor->n_members; i++)
        members[i] = (struct volume_member){
            .path = "/dev/sda",
            .devid = descriptor->members[i].devid,
            .serial = descriptor->members[i].serial,
            .disk_id = descriptor->members[i].disk_id,
        };
    fuzz_check(descriptor_compare(descriptor, &spec, NULL) == VOLUME_PROBLEM_NONE);
    members[descriptor->n_members / 2].devid ^= UINT64_C(1) << 63;
    fuzz_check(descriptor_compare(descriptor, &spec, NULL) == VOLUME_PROBLEM_OTHER_DISKS);
    spec.fsid = descriptor->uuid;
    fuzz_check(strcmp(spec.fsid, descriptor->fsid) == 0 ||
               descriptor_compare(descriptor, &spec, NULL) == VOLUME_PROBLEM_WRONG_FSID);
}

/* `where` picks the byte. */
static void check_damage(const struct sealed *sealed, uint64_t where)
{
    struct descriptor unused;
    struct sealed damaged = *sealed;
    damaged.bytes[where % damaged.length] ^= (uint8_t)(1 + where % 255);
    fuzz_check(!read_descriptor(damaged.bytes, damaged.length, &unused));
    fuzz_check(!read_descriptor(sealed->bytes, sealed->length - 1, &unused));
}

static void check(const uint8_t *data, size_t length)
{
    struct descriptor descriptor, again;
    if (!read_descriptor(data, length, &descriptor))
        return;
    fuzz_check(descriptor_name_valid(descriptor.name));
    struct sealed sealed = pack(&descriptor);
    fuzz_check(read_descriptor(sealed.bytes, sealed.length, &again));
    struct sealed sealed_again = pack(&again);
    fuzz_check(sealed.length == sealed_again.length);
    fuzz_check(memcmp(sealed.bytes, sealed_again.bytes, sealed.length) == 0);
    check_disks(&descriptor);
    check_damage(&sealed, descriptor.created_us ^ descriptor.compat);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    uint8_t sealed[DESCRIPTOR_MAX];
    check(data, length);
    if (length > sizeof sealed - SEAL_SIZE)
        return 0;
    if (length > 0)
        memcpy(sealed + SEAL_SIZE, data, length);
    seal_close(&kind, sealed, length);
    check(sealed, SEAL_SIZE + length);
    return 0;
}

static void seed(size_t n_members)
{
    struct volume_member members[VOLUME_MEMBERS_MAX];
    char serials[VOLUME_MEMBERS_MAX][16];
    struct volume_spec spec = {
        .fsid = "0f8fad5b-d9cb-469f-a165-70867728950e",
        .members = members,
        .n_members = n_members,
        .disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD,
        .type_evidence = "rotational=0",
    };
    for (size_t i = 0; i < n_members; i++) {
        (void)snprintf(serials[i], sizeof serials[i], "serial %zu", i);
        members[i] = (struct volume_member){
            .path = "/dev/sda", .devid = i + 1, .serial = serials[i], .disk_id = "disk"};
    }
    struct descriptor descriptor;
    descriptor_make(&spec, "tank", &descriptor);
    descriptor.quota = VOLUME_QUOTA_SIMPLE;
    struct sealed sealed = pack(&descriptor);
    fuzz_seed(sealed.bytes, sealed.length);
    fuzz_seed(sealed.bytes + SEAL_SIZE, sealed.length - SEAL_SIZE);
}

void fuzz_seeds(void)
{
    seed(1);
    seed(2);
    seed(VOLUME_MEMBERS_MAX);
}
