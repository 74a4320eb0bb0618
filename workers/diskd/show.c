/* Pure translation; the messages are never freed as such, for they own nothing. */
#include "show.h"

#include "text.h"

#include <stdlib.h>

/* protobuf-c has no const. */
static char *borrow(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void show_signatures(const struct probe_report *report, struct disk_picture *picture)
{
    for (size_t i = 0; i < report->n_signatures; i++) {
        const struct signature *from = &report->signatures[i];
        Storage__V1__Signature *to = &picture->signatures[i];
        storage__v1__signature__init(to);
        to->type = borrow(from->type);
        to->offset_bytes = from->offset_bytes;
        to->usage = borrow(from->usage);
        to->label = borrow(from->label);
        to->uuid = borrow(from->uuid);
        picture->signature_list[i] = to;
    }
    picture->message.n_signatures = report->n_signatures;
    picture->message.signatures = picture->signature_list;
}

static void show_pool(const struct superblock *super, struct disk_picture *picture)
{
    Storage__V1__PoolMembership *pool = &picture->pool;
    storage__v1__pool_membership__init(pool);
    text_clean(picture->label, sizeof picture->label, super->label, SUPERBLOCK_LABEL_MAX);
    pool->fsid = borrow(super->fsid);
    pool->devid = super->devid;
    pool->label = picture->label;
    pool->num_devices = super->num_devices;
    pool->generation = super->generation;
    pool->log_pending = super->log_pending;
    picture->message.pool = pool;
}

void show_disk(const struct disk *disk, struct disk_picture *picture)
{
    Storage__V1__Disk *message = &picture->message;
    storage__v1__disk__init(message);
    message->id = borrow(disk->id);
    message->path = borrow(disk->device.path);
    message->major = disk->device.major;
    message->minor = disk->device.minor;
    message->size_bytes = disk->device.size_bytes;
    message->type = disk->type;
    message->type_evidence = borrow(disk->type_evidence);
    message->model = borrow(disk->identity.model);
    message->serial = borrow(disk->identity.serial);
    message->transport = borrow(disk->identity.transport);
    message->state = disk->verdict.state;
    message->reason = borrow(disk->verdict.reason);
    message->probed_generation = disk->probes;
    message->read_only = disk->device.read_only;
    message->preparable = classify_is_preparable(&disk->verdict, disk->device.size_bytes);
    if (disk->report && !disk->late && disk->report->outcome == PROBE_READ) {
        show_signatures(disk->report, picture);
        if (disk->verdict.shows_pool)
            show_pool(&disk->report->super, picture);
    }
}

int show_pack_news(const struct disk *disk, uint8_t **out_bytes, size_t *out_size)
{
    struct disk_picture picture;
    show_disk(disk, &picture);
    picture.message.probed_generation = 0;
    if (picture.message.pool) {
        picture.pool.generation = 0;
        picture.pool.log_pending = false;
    }
    size_t size = storage__v1__disk__get_packed_size(&picture.message);
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return -ERR_RESOURCE_EXHAUSTED;
    *out_size = storage__v1__disk__pack(&picture.message, bytes);
    *out_bytes = bytes;
    return 0;
}
