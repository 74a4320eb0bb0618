/* The descriptor of a pool, see the header. */
#include "descriptor.h"

#include "base/clock.h"
#include "disk.pb-c.h"
#include "seal.h"

#include <stdio.h>
#include <string.h>

static const struct seal_kind kind = {.magic = "sPoo", .version = 1, .what = "pool descriptor"};

bool descriptor_name_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);
    return length > 0 && length <= VOLUME_NAME_MAX && *name != '.' &&
           strspn(name, allowed) == length;
}

void descriptor_make(const struct volume_spec *spec, const char *name,
                     struct descriptor *out_descriptor)
{
    *out_descriptor = (struct descriptor){
        .disk_type = spec->disk_type,
        .created_us = clock_realtime_us(),
        .n_members = spec->n_members,
    };
    uuid_random(out_descriptor->uuid);
    (void)snprintf(out_descriptor->fsid, sizeof out_descriptor->fsid, "%s", spec->fsid);
    (void)snprintf(out_descriptor->name, sizeof out_descriptor->name, "%s", name);
    (void)snprintf(out_descriptor->type_evidence, sizeof out_descriptor->type_evidence, "%s",
                   spec->type_evidence ? spec->type_evidence : "");
    for (size_t i = 0; i < spec->n_members; i++) {
        struct descriptor_member *member = &out_descriptor->members[i];
        member->devid = spec->members[i].devid;
        (void)snprintf(member->serial, sizeof member->serial, "%s", spec->members[i].serial);
        (void)snprintf(member->disk_id, sizeof member->disk_id, "%s", spec->members[i].disk_id);
    }
}

int descriptor_pack(const struct descriptor *descriptor, uint8_t out_data[DESCRIPTOR_MAX],
                    size_t *out_length, struct err *err)
{
    Storaged__Disk__Member members[VOLUME_MEMBERS_MAX], *list[VOLUME_MEMBERS_MAX];
    for (size_t i = 0; i < descriptor->n_members; i++) {
        members[i] = (Storaged__Disk__Member){
            .base = PROTOBUF_C_MESSAGE_INIT(&storaged__disk__member__descriptor),
            .devid = descriptor->members[i].devid,
            .serial = (char *)descriptor->members[i].serial,
            .disk_id = (char *)descriptor->members[i].disk_id,
        };
        list[i] = &members[i];
    }
    Storaged__Disk__Descriptor message = {
        .base = PROTOBUF_C_MESSAGE_INIT(&storaged__disk__descriptor__descriptor),
        .compat = descriptor->compat,
        .incompat = descriptor->incompat,
        .uuid = (char *)descriptor->uuid,
        .fsid = (char *)descriptor->fsid,
        .name = (char *)descriptor->name,
        .quota = descriptor->quota,
        .disk_type = descriptor->disk_type,
        .type_evidence = (char *)descriptor->type_evidence,
        .created_us = descriptor->created_us,
        .n_members = descriptor->n_members,
        .members = list,
    };
    size_t length = storaged__disk__descriptor__get_packed_size(&message);
    if (length > DESCRIPTOR_MAX - SEAL_SIZE)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, descriptor->fsid,
                       "the descriptor would have %zu bytes", length);
    (void)storaged__disk__descriptor__pack(&message, out_data + SEAL_SIZE);
    seal_close(&kind, out_data, length);
    *out_length = length + SEAL_SIZE;
    return 0;
}

/* Two members with one device id: the second would never be compared with its disk. */
static bool names_one_twice(const Storaged__Disk__Descriptor *message)
{
    for (size_t i = 0; i < message->n_members; i++)
        for (size_t k = 0; k < i; k++)
            if (message->members[i]->devid == message->members[k]->devid)
                return true;
    return false;
}

static const char *find_fault(const Storaged__Disk__Descriptor *message)
{
    bool too_many = message->n_members > VOLUME_MEMBERS_MAX;
    const struct {
        bool wrong;
        const char *what;
    } rules[] = {
        {!uuid_valid(message->uuid), "its uuid is none"},
        {!uuid_valid(message->fsid), "its fsid is none"},
        {!descriptor_name_valid(message->name), "its name is not allowed"},
        {message->quota != VOLUME_QUOTA_SIMPLE && message->quota != VOLUME_QUOTA_FULL,
         "its quota mode is unknown"},
        {message->disk_type > STORAGE__V1__DISK_TYPE__DISK_TYPE_UNKNOWN, "its type is unknown"},
        {message->n_members == 0 || too_many, "its number of members is out of range"},
        {!too_many && names_one_twice(message), "two of its members have one device id"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].wrong)
            return rules[i].what;
    return NULL;
}

static void take_over(const Storaged__Disk__Descriptor *message, struct descriptor *out)
{
    *out = (struct descriptor){
        .compat = message->compat,
        .incompat = message->incompat,
        .quota = message->quota,
        .disk_type = message->disk_type,
        .created_us = message->created_us,
        .n_members = message->n_members,
    };
    (void)snprintf(out->uuid, sizeof out->uuid, "%s", message->uuid);
    (void)snprintf(out->fsid, sizeof out->fsid, "%s", message->fsid);
    (void)snprintf(out->name, sizeof out->name, "%s", message->name);
    (void)snprintf(out->type_evidence, sizeof out->type_evidence, "%s", message->type_evidence);
    for (size_t i = 0; i < out->n_members; i++) {
        struct descriptor_member *member = &out->members[i];
        member->devid = message->members[i]->devid;
        (void)snprintf(member->serial, sizeof member->serial, "%s", message->members[i]->serial);
        (void)snprintf(member->disk_id, sizeof member->disk_id, "%s", message->members[i]->disk_id);
    }
}

enum volume_problem descriptor_unpack(const uint8_t *data, size_t length,
                                      struct descriptor *out_descriptor, struct err *err)
{
    const uint8_t *inside;
    size_t inside_length;
    int rc = seal_open(&kind, data, length, &inside, &inside_length, err);
    if (rc < 0)
        return rc == -ERR_UNIMPLEMENTED ? VOLUME_PROBLEM_TOO_NEW : VOLUME_PROBLEM_CORRUPT;
    Storaged__Disk__Descriptor *message =
        storaged__disk__descriptor__unpack(NULL, inside_length, inside);
    if (!message) {
        (void)err_set(err, ERR_DATA_LOSS, 0, NULL, "the pool descriptor cannot be unpacked");
        return VOLUME_PROBLEM_CORRUPT;
    }
    enum volume_problem problem = VOLUME_PROBLEM_NONE;
    uint64_t unknown = message->incompat & ~DESCRIPTOR_INCOMPAT_KNOWN;
    /* First: what is newer may well break the rules of today. */
    const char *fault = unknown ? NULL : find_fault(message);
    if (unknown) {
        problem = VOLUME_PROBLEM_TOO_NEW;
        (void)err_set(err, ERR_UNIMPLEMENTED, 0, NULL,
                      "the pool has features that this storaged does not know: 0x%llx",
                      (unsigned long long)unknown);
    } else if (fault) {
        problem = VOLUME_PROBLEM_CORRUPT;
        (void)err_set(err, ERR_DATA_LOSS, 0, NULL, "the pool descriptor makes no sense: %s", fault);
    } else {
        take_over(message, out_descriptor);
    }
    storaged__disk__descriptor__free_unpacked(message, NULL);
    return problem;
}

static const struct volume_member *find_member(const struct volume_spec *spec, uint64_t devid)
{
    for (size_t i = 0; i < spec->n_members; i++)
        if (spec->members[i].devid == devid)
            return &spec->members[i];
    return NULL;
}

enum volume_problem descriptor_compare(const struct descriptor *descriptor,
                                       const struct volume_spec *spec, struct err *err)
{
    if (strcmp(descriptor->fsid, spec->fsid) != 0) {
        (void)err_set(err, ERR_FAILED_PRECONDITION, 0, spec->fsid,
                      "the descriptor is that of pool %s", descriptor->fsid);
        return VOLUME_PROBLEM_WRONG_FSID;
    }
    if (descriptor->n_members != spec->n_members) {
        (void)err_set(err, ERR_FAILED_PRECONDITION, 0, spec->fsid,
                      "the pool was made of %zu disks, and %zu are here", descriptor->n_members,
                      spec->n_members);
        return VOLUME_PROBLEM_OTHER_DISKS;
    }
    for (size_t i = 0; i < descriptor->n_members; i++) {
        const struct descriptor_member *wanted = &descriptor->members[i];
        const struct volume_member *here = find_member(spec, wanted->devid);
        if (!here) {
            (void)err_set(err, ERR_FAILED_PRECONDITION, 0, spec->fsid,
                          "the member with device id %llu is not here",
                          (unsigned long long)wanted->devid);
            return VOLUME_PROBLEM_OTHER_DISKS;
        }
        /* A pool made on a disk without a serial cannot be told from its copy. */
        if (*wanted->serial && strncmp(wanted->serial, here->serial, DESCRIPTOR_SERIAL_MAX) != 0) {
            (void)err_set(err, ERR_FAILED_PRECONDITION, 0, spec->fsid,
                          "made on the disk with serial %s, and found on %s with serial %s",
                          wanted->serial, here->path, *here->serial ? here->serial : "(none)");
            err_hint(err, "this looks like a copy of the pool's disk: plug in the original");
            return VOLUME_PROBLEM_OTHER_DISKS;
        }
    }
    return VOLUME_PROBLEM_NONE;
}
