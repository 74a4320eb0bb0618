/*
 * The descriptor: what makes a filesystem a pool of ours, in the xattr trusted.storaged.pool of
 * .storaged/. Written once, when the pool is finished. On disk: the seal of seal.h around a packed
 * storaged.disk.Descriptor. PURE; any thread.
 */
#ifndef WORKERS_POOLD_DESCRIPTOR_H
#define WORKERS_POOLD_DESCRIPTOR_H

#include "volume.h"

#define DESCRIPTOR_XATTR "trusted.storaged.pool"

enum {
    DESCRIPTOR_MAX = 12288, /* bytes on disk: VOLUME_MEMBERS_MAX members fit; an xattr holds 16 KiB
                               less overhead */
    DESCRIPTOR_SERIAL_MAX = 64,
};

/* Feature bits that we know. Unknown compat bits are ignored, unknown incompat bits refused. */
#define DESCRIPTOR_COMPAT_KNOWN   UINT64_C(0)
#define DESCRIPTOR_INCOMPAT_KNOWN UINT64_C(0)

struct descriptor_member {
    uint64_t devid;
    char serial[DESCRIPTOR_SERIAL_MAX + 1]; /* cut to this length, also when compared */
    char disk_id[DESCRIPTOR_SERIAL_MAX + 1];
};

struct descriptor {
    uint64_t compat, incompat;
    char uuid[UUID_TEXT_SIZE];
    char fsid[UUID_TEXT_SIZE];
    char name[VOLUME_NAME_MAX + 1];
    enum volume_quota quota;
    Storage__V1__DiskType disk_type;
    char type_evidence[128];
    uint64_t created_us;
    size_t n_members;
    struct descriptor_member members[VOLUME_MEMBERS_MAX];
};

/* A fresh descriptor for the pool that the spec describes, without its quota mode; `name` is
 * valid. */
void descriptor_make(const struct volume_spec *spec, const char *name,
                     struct descriptor *out_descriptor);

int descriptor_pack(const struct descriptor *descriptor, uint8_t out_data[DESCRIPTOR_MAX],
                    size_t *out_length, struct err *err);

/* The problem is NONE, CORRUPT, TOO_NEW or INTERNAL (no memory). */
enum volume_problem descriptor_unpack(const uint8_t *data, size_t length,
                                      struct descriptor *out_descriptor, struct err *err);

/* Whether it is the descriptor of the pool that diskd read: NONE, WRONG_FSID or OTHER_DISKS. */
enum volume_problem descriptor_compare(const struct descriptor *descriptor,
                                       const struct volume_spec *spec, struct err *err);

/* Whether it may name a pool. */
bool descriptor_name_valid(const char *name);

#endif
